package notify

import (
	"context"
	"encoding/xml"
	"errors"
	"regexp"

	twilio "github.com/twilio/twilio-go/rest/api/v2010"

	"armora/fleet"
)

// Voice calls people on the telephone through Twilio, and reads a message to them.
type Voice struct{ account *SMS }

// callable is a number that calls may come from: a sender's name is not.
var callable = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

// NewVoice returns calls by an account, from a number of its own.
func NewVoice(cfg SMSConfig) (*Voice, error) {
	if !callable.MatchString(cfg.From) {
		return nil, errors.New("calls need a number to come from, in the form +442079460000")
	}
	account, err := NewSMS(cfg)
	if err != nil {
		return nil, err
	}
	return &Voice{account}, nil
}

// Of a call.
const (
	ringFor  = 25 // seconds, less than a step of the rota has
	readings = 3  // how often the message is read: who is woken misses the first
)

// script is what a call does, in TwiML.
type script struct {
	XMLName xml.Name `xml:"Response"`
	Say     struct {
		Language string `xml:"language,attr"`
		Loop     int    `xml:"loop,attr"`
		Text     string `xml:",chardata"`
	}
}

// send hands one call to Twilio.
func (v *Voice) send(ctx context.Context, n fleet.Notice, text Message) outcome {
	var s script
	s.Say.Language, s.Say.Loop, s.Say.Text = "en-GB", readings, text.Body
	written, err := xml.Marshal(s)
	if err != nil {
		return failed("the call cannot be written down") // the error would quote it
	}
	api, call := v.account.api(ctx)
	params := new(twilio.CreateCallParams)
	params.SetTo(n.To).SetFrom(v.account.cfg.From).SetTwiml(string(written)).SetTimeout(ringFor)
	made, err := api.CreateCall(params)
	if err == nil && made.Sid != nil {
		return outcome{state: fleet.NoticeSent}
	}
	return call.judge(err)
}

package notify

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/twilio/twilio-go/client"
	twilio "github.com/twilio/twilio-go/rest/api/v2010"

	"armora/fleet"
)

// ForgetMail has whoever carries the hub's mail erase what they hold of an address.
// SMTP has no word for that: they are written to, at their address for such
// requests. It says what was done.
func (s *Sender) ForgetMail(ctx context.Context, erasure fleet.ErasureID, address string) (done string, err error) {
	switch {
	case s.mail == nil:
		return "this hub sends no mail", nil
	case address == "":
		return "the person had no address", nil
	case s.mailPrivacy == "":
		return "nobody was written to: the hub was not told where such requests go (ARMORA_MAIL_PRIVACY_CONTACT)", nil
	}
	n := fleet.Notice{ID: fleet.NoticeID(erasure), Channel: fleet.MailChannel, To: s.mailPrivacy, Kind: "erasure_request"}
	m, err := s.templates.in(fallback).fill(n.Channel, n.Kind, map[string]string{"address": address})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	if did := s.mail.send(ctx, n, m, s.clock.Now()); did.state != fleet.NoticeSent {
		return "", errors.New(did.problem)
	}
	return "written to", nil
}

// ForgetSMS deletes at Twilio the text messages that went to a number.
func (s *Sender) ForgetSMS(ctx context.Context, number string) (done string, err error) {
	switch {
	case s.sms == nil:
		return "this hub sends no text messages", nil
	case number == "":
		return "the person had no number", nil
	}
	ctx, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	count, err := s.sms.forget(ctx, number)
	return fmt.Sprintf("%d text messages deleted", count), err
}

// forget deletes what was sent to a number. Each answer lists some; what is
// deleted is in none of the next.
func (s *SMS) forget(ctx context.Context, number string) (count int, err error) {
	for {
		listed, call := s.api(ctx)
		params := new(twilio.ListMessageParams)
		page, err := listed.PageMessage(params.SetTo(number), "", "")
		if err != nil {
			return count, errors.New(call.judge(err).problem)
		}
		if len(page.Messages) == 0 {
			return count, nil
		}
		for _, m := range page.Messages {
			if m.Sid == nil {
				return count, errors.New("twilio listed a message without an id")
			}
			deleting, call := s.api(ctx)
			if err := deleting.DeleteMessage(*m.Sid, nil); err != nil && call.status != http.StatusNotFound {
				return count, errors.New(call.judge(err).problem)
			}
			count++
		}
	}
}

// api is Twilio's client for one request.
func (s *SMS) api(ctx context.Context) (*twilio.ApiService, *call) {
	call := &call{ctx: ctx, host: s.host, next: s.http}
	c := &client.Client{
		Credentials: client.NewCredentials(s.cfg.AccountSID, s.cfg.AuthToken),
		HTTPClient:  &http.Client{Transport: call, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	}
	c.SetAccountSid(s.cfg.AccountSID)
	return twilio.NewApiServiceWithClient(c), call
}

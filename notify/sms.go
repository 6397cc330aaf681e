package notify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"time"

	"github.com/twilio/twilio-go/client"
	twilio "github.com/twilio/twilio-go/rest/api/v2010"

	"armora/fleet"
)

// SMSConfig is an account with Twilio. All but URL is required.
type SMSConfig struct {
	AccountSID string
	AuthToken  string
	From       string // a number of the account, in E.164, or its sender's name
	URL        string // of another server that speaks Twilio's protocol; "": Twilio
}

// SMS sends text messages through Twilio.
type SMS struct {
	cfg  SMSConfig
	host *url.URL // nil: Twilio
	http *http.Transport
}

// alphanumeric is how Twilio's client wants its credentials.
var alphanumeric = regexp.MustCompile(`^[a-zA-Z0-9]+$`)

// NewSMS returns text messages by an account.
func NewSMS(cfg SMSConfig) (*SMS, error) {
	if !alphanumeric.MatchString(cfg.AccountSID) || !alphanumeric.MatchString(cfg.AuthToken) || cfg.From == "" {
		return nil, errors.New("text messages need Twilio's account SID and token, of letters and digits, and a number to come from")
	}
	s := &SMS{cfg: cfg, http: http.DefaultTransport.(*http.Transport).Clone()}
	// A request on a kept connection that was just closed may or may not have
	// arrived; on a new one there is no doubt.
	s.http.DisableKeepAlives = true
	if cfg.URL != "" {
		host, err := url.Parse(cfg.URL)
		if err != nil || host.Host == "" || host.Scheme != "http" && host.Scheme != "https" {
			return nil, errors.New("the address in place of Twilio's is not of the form http://host:port")
		}
		s.host = host
	}
	return s, nil
}

// Twilio keeps a message in its queue for so many seconds.
const (
	shortestValidity = 5
	longestValidity  = 36000
)

// send hands one text message to Twilio.
func (s *SMS) send(ctx context.Context, n fleet.Notice, text Message, now time.Time) outcome {
	api, call := s.api(ctx)
	params := new(twilio.CreateMessageParams)
	params.SetTo(n.To).SetFrom(s.cfg.From).SetBody(text.Body)
	left := int(n.Expires.Sub(now).Seconds())
	params.SetValidityPeriod(min(max(left, shortestValidity), longestValidity))
	made, err := api.CreateMessage(params)
	if err == nil && made.Sid != nil {
		return outcome{state: fleet.NoticeSent}
	}
	return call.judge(err)
}

// call is one request of Twilio's client, which takes neither a context nor
// another address, and does not tell how far a failed request got.
type call struct {
	ctx  context.Context
	host *url.URL // nil: the request's own
	next http.RoundTripper

	connected bool
	status    int // of the answer; 0: there was none
}

// maxAnswer is more than an answer of Twilio's has, in bytes.
const maxAnswer = 1 << 20

// RoundTrip implements http.RoundTripper.
func (c *call) RoundTrip(r *http.Request) (*http.Response, error) {
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { c.connected = true }}
	r = r.Clone(httptrace.WithClientTrace(c.ctx, trace))
	if c.host != nil {
		r.URL.Scheme, r.URL.Host, r.Host = c.host.Scheme, c.host.Host, c.host.Host
	}
	answer, err := c.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	// The client leaves the body of a refusal open.
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	err = errors.Join(err, answer.Body.Close())
	c.status = answer.StatusCode
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, err
}

// judge says what a call that did not end well means. Of what Twilio said only
// the codes are kept: its text quotes the number.
func (c *call) judge(err error) outcome {
	var refusal *client.TwilioRestError
	problem := fmt.Sprintf("Twilio answered %d", c.status)
	if errors.As(err, &refusal) && refusal.Code != 0 {
		problem += fmt.Sprintf(", code %d", refusal.Code) // www.twilio.com/docs/api/errors
	}
	switch {
	case !c.connected:
		return again("no connection to Twilio: " + c.cause(err))
	case c.status == 0:
		return unknown("Twilio never said whether it took the message: " + c.cause(err))
	case c.status == http.StatusTooManyRequests, c.status == http.StatusServiceUnavailable:
		return again(problem)
	case c.status >= 400 && c.status < 500:
		return failed(problem)
	}
	return unknown(problem) // it, or what is before it, failed at some point
}

// cause is the error without the address that was called.
func (c *call) cause(err error) string {
	var called *url.Error
	switch {
	case c.ctx.Err() != nil:
		return c.ctx.Err().Error()
	case errors.As(err, &called):
		return called.Err.Error()
	case err == nil:
		return "its answer has no message"
	}
	return err.Error()
}

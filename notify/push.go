package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"firebase.google.com/go/v4/messaging"
	fcm "github.com/appleboy/go-fcm"

	"armora/fleet"
	"armora/schema"
)

// PushConfig is an account with Firebase Cloud Messaging.
type PushConfig struct {
	Credentials []byte // of a service account, the JSON file
	URL         string // of another server that speaks FCM's protocol; "": FCM
}

// Push sends notices to apps through Firebase Cloud Messaging.
type Push struct{ client *fcm.Client }

// NewPush returns push by an account. No error quotes its credentials.
func NewPush(ctx context.Context, cfg PushConfig) (*Push, error) {
	var account struct {
		Type    string `json:"type"`
		Project string `json:"project_id"`
		Key     string `json:"private_key"`
	}
	if json.Unmarshal(cfg.Credentials, &account) != nil || account.Type != "service_account" || account.Project == "" || account.Key == "" {
		return nil, errors.New("push needs the credentials of a service account of Firebase, with its project and key")
	}
	kept := http.DefaultTransport.(*http.Transport).Clone()
	// A request on a kept connection that was just closed may or may not have
	// arrived; on a new one there is no doubt.
	kept.DisableKeepAlives = true
	options := []fcm.Option{
		fcm.WithCredentialsJSON(cfg.Credentials), fcm.WithProjectID(account.Project), fcm.WithHTTPClient(&http.Client{Transport: pushTransport{kept}}),
	}
	if cfg.URL != "" {
		host, err := url.Parse(cfg.URL)
		if err != nil || host.Host == "" || host.Scheme != "http" && host.Scheme != "https" {
			return nil, errors.New("the address in place of FCM's is not of the form http://host:port")
		}
		options = append(options, fcm.WithEndpoint(strings.TrimSuffix(cfg.URL, "/")+"/v1"))
	}
	client, err := fcm.NewClient(ctx, options...)
	if err != nil {
		return nil, errors.New("the credentials of the service account cannot be used") // the error may quote them
	}
	return &Push{client}, nil
}

// unregistered is the problem with an app that is gone, or has another token by now.
const unregistered = "FCM does not know the app any more"

// send hands a notice to FCM for one app.
func (p *Push) send(ctx context.Context, n fleet.Notice, m Message, token fleet.PushToken, now time.Time) outcome {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	call := &pushCall{cancel: cancel}
	answer, err := p.client.Send(context.WithValue(ctx, callKey{}, call), message(&n, m, token, now))
	if err == nil && len(answer.Responses) == 1 {
		if err = answer.Responses[0].Error; err == nil && answer.Responses[0].Success {
			return outcome{state: fleet.NoticeSent}
		}
	}
	return call.judge(err)
}

// message is a notice as FCM takes it: shown by the phone itself, and with its id
// and kind for the app. What the phone does not get in time, it is not to get.
func message(n *fleet.Notice, m Message, token fleet.PushToken, now time.Time) *messaging.Message {
	left := max(n.Expires.Sub(now).Truncate(time.Second), 0)
	data := map[string]string{"notice_id": n.ID.String(), "kind": n.Kind}
	if !n.Offer.IsZero() {
		data["offer_id"] = n.Offer.String()
	}
	if !n.Booking.IsZero() {
		data["booking_id"] = n.Booking.String()
	}
	return &messaging.Message{
		Token: string(token), Data: data,
		Notification: &messaging.Notification{Title: m.Subject, Body: m.Body},
		Android:      &messaging.AndroidConfig{Priority: "high", TTL: &left},
		APNS: &messaging.APNSConfig{Headers: map[string]string{
			"apns-priority": "10", "apns-expiration": strconv.FormatInt(n.Expires.Unix(), 10),
		}},
		Webpush: &messaging.WebpushConfig{Headers: map[string]string{"TTL": strconv.Itoa(int(left / time.Second)), "Urgency": "high"}},
	}
}

// pushCall is how far a message to one app got, which FCM's client does not
// tell. The context of its request holds it, under callKey.
type pushCall struct {
	cancel context.CancelFunc

	mu        sync.Mutex
	connected bool
	status    int // of the answer; 0: there was none
	cause     error
}

type callKey struct{}

// pushTransport notes the way of messages. FCM's client sends again what failed,
// and what was lost may have arrived: a message is sent once here, and again by
// its job if that is safe.
type pushTransport struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (t pushTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	call, ok := r.Context().Value(callKey{}).(*pushCall)
	if !ok {
		return t.next.RoundTrip(r) // for an access token
	}
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { call.set(func() { call.connected = true }) }}
	answer, err := t.next.RoundTrip(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	if err != nil {
		call.set(func() { call.cause = err })
		call.cancel()
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	err = errors.Join(err, answer.Body.Close())
	call.set(func() { call.status, call.cause = answer.StatusCode, err })
	if err != nil || answer.StatusCode >= 500 || answer.StatusCode == http.StatusTooManyRequests {
		call.cancel()
	}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, err
}

func (c *pushCall) set(do func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	do()
}

// judge says what a call that did not end well means. Nothing that FCM said is
// kept but its status: its text may quote the message.
func (c *pushCall) judge(err error) outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	problem := fmt.Sprintf("FCM answered %d", c.status)
	switch {
	case messaging.IsUnregistered(err):
		return failed(unregistered)
	case !c.connected:
		return again("no connection to FCM, or no access token for it")
	case c.status == 0:
		return unknown("FCM never said whether it took the message")
	case c.status == http.StatusTooManyRequests, c.status == http.StatusServiceUnavailable:
		return again(problem)
	case c.status >= 400 && c.status < 500:
		return failed(problem)
	}
	return unknown(problem)
}

// toApps pushes a notice to all apps that its reader is signed in with. It is sent
// if one has been reached, and tried again if none may have been.
func (s *Sender) toApps(ctx context.Context, n fleet.Notice, m Message) outcome {
	apps, err := s.apps.Of(ctx, n.User, s.clock.Now())
	if err != nil {
		return again("the apps of its reader could not be read")
	}
	return s.toThese(ctx, n, m, apps)
}

// forgetPatience is how long a push waits for the database to forget an app that is
// gone. If that is away, the next push finds it gone again.
const forgetPatience = 2 * time.Second

func (s *Sender) toThese(ctx context.Context, n fleet.Notice, m Message, apps []schema.SealedPushToken) outcome {
	outcomes := make([]outcome, len(apps))
	eachApp(len(apps), func(i int) {
		token, err := s.unseal(apps[i].Sealed, fleet.PushPurpose(apps[i].ID))
		if err != nil {
			outcomes[i] = failed("a push token does not open: was the hub's secret key changed?")
			return
		}
		outcomes[i] = s.push.send(ctx, n, m, fleet.PushToken(token), s.clock.Now())
		if outcomes[i].problem == unregistered {
			soon, cancel := context.WithTimeout(ctx, forgetPatience)
			defer cancel()
			if err := s.apps.Unregistered(soon, apps[i].ID); err != nil {
				s.log.Warn("a push token that is no more could not be forgotten", "error", err)
			}
		}
	})
	return wholeOf(outcomes)
}

// eachApp does something for each of so many apps, all at once: a person has few.
func eachApp(count int, do func(i int)) {
	var all sync.WaitGroup
	for i := range count {
		all.Go(func() { do(i) })
	}
	all.Wait()
}

// wholeOf is what became of a push that went to several apps.
func wholeOf(outcomes []outcome) outcome {
	whole := failed("its reader has no app any more")
	for _, state := range []fleet.NoticeState{fleet.NoticeFailed, fleet.NoticeQueued, fleet.NoticeUnknown, fleet.NoticeSent} {
		for _, o := range outcomes {
			if o.state == state {
				whole = o
			}
		}
	}
	return whole
}

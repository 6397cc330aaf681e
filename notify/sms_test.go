package notify

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"armora/fleet"
	"armora/sim/twilio"
)

func TestATextMessageAsTwilioTakesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.work(w.textCode()); err != nil {
		t.Fatal(err)
	}
	got := w.texts.Took()
	if len(got) != 1 || got[0].To != "+447700900123" || got[0].From != "+442071838750" || got[0].Validity != "3600" ||
		!strings.HasPrefix(got[0].Body, "Your ARMORA code is 654321.") {
		t.Errorf("it took %+v", got)
	}
}

func TestWhatTwilioDoes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault   twilio.Fault
		state   fleet.NoticeState
		problem string
		taken   int // messages, after the job has run again
	}{
		"too many requests":      {twilio.Fault{Status: 429, Code: 20429}, fleet.NoticeQueued, "429, code 20429", 1},
		"busy":                   {twilio.Fault{Status: 503, Code: 20503}, fleet.NoticeQueued, "503, code 20503", 1},
		"not a mobile number":    {twilio.Fault{Status: 400, Code: 21614}, fleet.NoticeFailed, "400, code 21614", 0},
		"broken":                 {twilio.Fault{Status: 500, Code: 20500}, fleet.NoticeUnknown, "500, code 20500", 0},
		"gone without an answer": {twilio.Fault{Act: twilio.Take}, fleet.NoticeUnknown, "never said", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := w.textCode()
			w.texts.Plan(c.fault)
			if err := w.work(n); (err != nil) != (c.state == fleet.NoticeQueued) {
				t.Errorf("the job ends with %v", err)
			}
			w.is(n, c.state, c.problem)
			if err := w.work(n); err != nil {
				t.Fatal(err)
			}
			if got := len(w.texts.Took()); got != c.taken {
				t.Errorf("%d messages were taken, want %d", got, c.taken)
			}
		})
	}
}

func TestANumberThatIsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.notice(fleet.SMSChannel, "verify_phone", "+0", map[string]string{"code": "654321"})
	if err := w.work(n); err != nil {
		t.Fatal(err)
	}
	w.is(n, fleet.NoticeFailed, "code 21211")
}

func TestATwilioThatStallsIsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.textCode()
	w.texts.Plan(twilio.Fault{Act: twilio.Stall})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-w.texts.Stalled()
		cancel()
	}()
	if err := w.job(ctx, n, 1); err != nil {
		t.Fatal(err)
	}
	w.is(n, fleet.NoticeUnknown, "context canceled")
}

func TestTwiliosThatAnswerNothingUseful(t *testing.T) {
	t.Parallel()
	gone := httptest.NewServer(nil)
	gone.Close()
	answer := func(status int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		return s.URL
	}
	other := httptest.NewServer(twilio.New(testAccount, "anotherToken"))
	t.Cleanup(other.Close)
	for name, c := range map[string]struct {
		url     string
		state   fleet.NoticeState
		problem string
	}{
		"nobody there":      {gone.URL, fleet.NoticeQueued, "no connection"},
		"another's token":   {other.URL, fleet.NoticeFailed, "401, code 20003"},
		"a proxy's page":    {answer(502, "<html>654321</html>"), fleet.NoticeUnknown, "answered 502"},
		"garbage":           {answer(201, "654321"), fleet.NoticeUnknown, "answered 201"},
		"an empty message":  {answer(201, "{}"), fleet.NoticeUnknown, "answered 201"},
		"somewhere else":    {answer(307, ""), fleet.NoticeUnknown, "answered 307"},
		"a refusal in HTML": {answer(404, "<html>"), fleet.NoticeFailed, "answered 404"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sms, err := NewSMS(SMSConfig{AccountSID: testAccount, AuthToken: testSecret, From: "ARMORA", URL: c.url})
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, func(cfg *Config) { cfg.SMS = sms })
			n := w.textCode()
			if err := w.work(n); (err != nil) != (c.state == fleet.NoticeQueued) {
				t.Errorf("the job ends with %v", err)
			}
			w.is(n, c.state, c.problem)
		})
	}
}

func TestTwilioSettingsThatAreRefused(t *testing.T) {
	t.Parallel()
	good := SMSConfig{AccountSID: testAccount, AuthToken: testSecret, From: "ARMORA", URL: "https://twilio.example"}
	if _, err := NewSMS(good); err != nil {
		t.Fatal(err)
	}
	for _, spoil := range []func(*SMSConfig){
		func(c *SMSConfig) { c.AccountSID = "" },
		func(c *SMSConfig) { c.AuthToken = "hunter2:" },
		func(c *SMSConfig) { c.From = "" },
		func(c *SMSConfig) { c.URL = "twilio.example" },
		func(c *SMSConfig) { c.URL = "ftp://u:hunter2@twilio.example" },
	} {
		c := good
		spoil(&c)
		if _, err := NewSMS(c); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

package notify

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"armora/fleet"
	"armora/sim/twilio"
)

func TestACallIsRead(t *testing.T) {
	t.Parallel()
	phones := twilio.New(testAccount, testSecret)
	host := httptest.NewServer(phones)
	t.Cleanup(host.Close)
	w := newWorld(t, func(c *Config) {
		var err error
		if c.Voice, err = NewVoice(SMSConfig{AccountSID: testAccount, AuthToken: testSecret, From: "+442071838750", URL: host.URL}); err != nil {
			t.Fatal(err)
		}
	})
	n := fleet.Notice{ID: fleet.NewID[fleet.Notice](), Channel: fleet.VoiceChannel, To: "+447700900123", Kind: "safety_sos", Once: "sos/1", Expires: noon}
	data := map[string]string{"kind": "SOS", "what": "<threat> & \"more\"", "who": "a principal", "at": "2026-05-04T10:00:00Z"}
	for _, c := range []struct {
		fault []twilio.Fault
		want  fleet.NoticeState
		calls int
	}{
		{nil, fleet.NoticeSent, 1},
		{[]twilio.Fault{{Act: twilio.Refuse, Status: http.StatusBadRequest, Code: 21211}}, fleet.NoticeFailed, 1},
		{[]twilio.Fault{{Act: twilio.Refuse, Status: http.StatusServiceUnavailable, Code: 20503}}, fleet.NoticeQueued, 1},
		{[]twilio.Fault{{Act: twilio.Take}}, fleet.NoticeUnknown, 2},
	} {
		phones.Plan(c.fault...)
		state, err := w.Direct(t.Context(), n, data)
		if state != c.want || (err == nil) != (c.want == fleet.NoticeSent) || len(phones.Calls()) != c.calls {
			t.Errorf("%+v: %s, %v, %d calls", c.fault, state, err, len(phones.Calls()))
		}
	}
	if got := phones.Calls()[0]; got.To != n.To || !strings.Contains(got.Says, `<threat> & "more"`) || !strings.Contains(got.Says, n.Reference()) {
		t.Errorf("called %+v", got)
	}
	if _, err := NewVoice(SMSConfig{AccountSID: testAccount, AuthToken: testSecret, From: "ARMORA"}); err == nil {
		t.Error("calls may come from a name")
	}
}

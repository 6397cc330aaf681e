package main

import (
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/api"
	"armora/fleet"
	"armora/schema/schematest"
	"armora/sim/fcm"
	"armora/sim/loopback"
	"armora/sim/smtp"
	"armora/sim/twilio"
)

// door stands before a provider: until it is open, whoever comes is hung up on.
type door struct {
	provider http.Handler
	open     atomic.Bool
	refused  atomic.Int32
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !d.open.Load() {
		d.refused.Add(1)
		panic(http.ErrAbortHandler)
	}
	d.provider.ServeHTTP(w, r)
}

// outside is all that a hub reaches people by, away until back is called.
type outside struct {
	t           *testing.T
	apps        *fcm.Server
	texts       *twilio.Server
	mails       *smtp.Server
	toFCM, toTw *door
	noMail      net.Listener // in the place of the mail server
	mailRefused atomic.Int32
}

// newOutside returns the providers, and the settings of a hub that uses them.
func newOutside(t *testing.T) (*outside, func(*settings)) {
	t.Helper()
	o := &outside{t: t, texts: twilio.New("AC01", "token")}
	o.toTw = &door{provider: o.texts}
	var err error
	if o.apps, err = fcm.New(); err != nil {
		t.Fatal(err)
	}
	o.toFCM = &door{provider: o.apps}
	host := func(d *door) string {
		s := httptest.NewUnstartedServer(d)
		s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
		s.Start()
		t.Cleanup(s.Close)
		return s.URL
	}
	firebase, calls := host(o.toFCM), host(o.toTw)
	credentials, err := o.apps.Credentials(firebase)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "firebase.json")
	if err := os.WriteFile(file, credentials, 0o600); err != nil {
		t.Fatal(err)
	}
	if o.noMail, err = new(net.ListenConfig).Listen(t.Context(), "tcp", loopback.Free(t)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.noMail.Close() })
	go func() {
		for c, err := o.noMail.Accept(); err == nil; c, err = o.noMail.Accept() {
			o.mailRefused.Add(1)
			_ = c.Close()
		}
	}()
	return o, func(s *settings) {
		s.SMTPURL, s.FCMCredentials, s.FCMURL = "smtp://"+o.noMail.Addr().String(), file, firebase
		s.TwilioAccountSID, s.TwilioAuthToken, s.TwilioFrom, s.TwilioURL = "AC01", "token", "+442071838750", calls
	}
}

// tried reports whether each of the providers was asked, and was away.
func (o *outside) tried() bool {
	return o.toFCM.refused.Load() > 0 && o.toTw.refused.Load() > 0 && o.mailRefused.Load() > 0
}

func (o *outside) back() {
	o.t.Helper()
	_ = o.noMail.Close()
	o.mails = smtp.New(smtp.Config{Addr: o.noMail.Addr().String()})
	if err := o.mails.Open(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
	o.t.Cleanup(func() { _ = o.mails.Close() })
	o.toFCM.open.Store(true)
	o.toTw.open.Store(true)
}

// got reports by which channels a reference came.
func (o *outside) got(ref string) []fleet.Channel {
	got := make(map[fleet.Channel]bool)
	for _, m := range o.mails.Took() {
		got[fleet.MailChannel] = got[fleet.MailChannel] || strings.Contains(m.Body, ref)
	}
	for _, m := range o.texts.Took() {
		got[fleet.SMSChannel] = got[fleet.SMSChannel] || strings.Contains(m.Body, ref)
	}
	for _, c := range o.texts.Calls() {
		got[fleet.VoiceChannel] = got[fleet.VoiceChannel] || strings.Contains(c.Says, ref)
	}
	for _, m := range o.apps.Took() {
		got[fleet.PushChannel] = got[fleet.PushChannel] || strings.Contains(m.Notification.Body, ref)
	}
	maps.DeleteFunc(got, func(_ fleet.Channel, came bool) bool { return !came })
	return slices.Sorted(maps.Keys(got))
}

// emergencies is what ops see of each SOS, by its id: its reference once it is in their
// app and among the alerts.
func (h *served) emergencies() map[fleet.SOSID]string {
	h.t.Helper()
	var open struct{ Items []api.OpsSOS }
	var inbox struct{ Items []struct{ Kind, Text string } }
	var alerts struct{ Items []struct{ ID, Kind string } }
	h.read(h.ask("GET", "/api/sos", nil, http.StatusOK), &open)
	h.read(h.ask("GET", "/api/users/inbox", nil, http.StatusOK), &inbox)
	h.read(h.ask("GET", "/api/alerts", nil, http.StatusOK), &alerts)
	seen := make(map[fleet.SOSID]string)
	for _, s := range open.Items {
		inApp, alert := false, false
		for _, n := range inbox.Items {
			inApp = inApp || n.Kind == "safety_sos" && strings.Contains(n.Text, "Ref. "+s.Ref)
		}
		for _, a := range alerts.Items {
			alert = alert || a.Kind == "sos" && a.ID == s.ID.String()
		}
		if inApp && alert {
			seen[s.ID] = s.Ref
		}
	}
	return seen
}

// Two people call for help while FCM, Twilio and the mail server are away: one by HTTP,
// the other's phone by MQTT. Both are answered, and ops have both in their app and among
// the alerts before the first step of the rota is over; all else is tried again, and
// comes when they are back.
func TestHelpComesWithoutAnyProvider(t *testing.T) {
	t.Parallel()
	o, set := newOutside(t)
	h := openInsideOn(t, schematest.PlainDSN(t), t.TempDir(), set)
	ada, _, _ := h.person(fleet.RoleRider)
	eve, _, _ := h.person(fleet.RoleRider)
	ops, onCall, _ := h.person(fleet.RoleDispatcher)
	if _, err := h.db.Pool().Exec(t.Context(), `UPDATE users SET phone = '+447700900123', phone_verified = $2 WHERE id = $1`, onCall, h.clock.Now()); err != nil {
		t.Fatal(err)
	}
	ops.ask("POST", "/api/users/push-tokens", map[string]any{"token": "app:ops"}, http.StatusNoContent)
	o.apps.Install("app:ops")
	phone := eve.enrol("")
	h.ask("PUT", "/api/sos/rota", map[string]any{"steps": []any{map[string]any{"user_id": onCall, "channel": "voice"}}}, http.StatusOK)

	first := ada.help(nil)
	events := h.dialEvents(phone)
	events.publishOn("v1/devices/"+phone.ID+"/events", 1, `{"kind": "sos", "body": {"type": "threat"}}`)
	events.expect(packets.Puback)
	var seen map[fleet.SOSID]string
	waitFor(t, "both to be in the app and among the alerts", func() bool {
		seen = ops.emergencies()
		return len(seen) == 2
	})
	if seen[first.ID] != first.Ref {
		t.Errorf("%s, which is %s, is seen as %v", first.ID, first.Ref, seen)
	}
	for id := range seen {
		if steps, told := ops.soFar(id); steps != 1 || len(told) != 0 {
			t.Errorf("it is in the app after %d steps, and was sent by %v", steps, told)
		}
	}
	waitFor(t, "all providers to be asked", o.tried)

	o.back()
	all := []fleet.Channel{fleet.MailChannel, fleet.PushChannel, fleet.SMSChannel, fleet.VoiceChannel}
	for id, ref := range seen {
		waitFor(t, "all to be sent", func() bool { return slices.Equal(o.got("Ref. "+ref), all) })
		waitFor(t, "its timeline to say so", func() bool {
			_, told := ops.soFar(id)
			return slices.Equal(told, all)
		})
		ops.ask("POST", "/api/sos/"+id.String()+"/acknowledge", nil, http.StatusOK)
	}
}

// soFar is what the timeline of an SOS says: how many steps of the rota have begun, and
// by which channels somebody was sent it.
func (h *served) soFar(id fleet.SOSID) (steps int, sent []fleet.Channel) {
	h.t.Helper()
	var timeline api.SOSTimeline
	h.read(h.ask("GET", "/api/sos/"+id.String()+"/timeline", nil, http.StatusOK), &timeline)
	for _, e := range timeline.Entries {
		var detail struct{ Told *fleet.SOSTell }
		h.read(e.Detail, &detail)
		if e.Kind == fleet.SOSEscalated {
			steps++
		}
		if detail.Told != nil && detail.Told.State == fleet.NoticeSent {
			sent = append(sent, detail.Told.Channel)
		}
	}
	slices.Sort(sent)
	return steps, slices.Compact(sent)
}

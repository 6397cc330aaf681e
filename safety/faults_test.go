package safety

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"armora/fleet"
	"armora/notify"
	"armora/schema"
	"armora/schema/schematest"
	"armora/sim/fcm"
	"armora/sim/loopback"
	"armora/sim/smtp"
	"armora/sim/twilio"
)

// gate stands before a provider: while it has a fault, requests to some of its paths
// meet that instead.
type gate struct {
	provider http.Handler
	paths    string
	fault    atomic.Pointer[http.HandlerFunc]
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if fault := g.fault.Load(); fault != nil && strings.Contains(r.URL.Path, g.paths) {
		(*fault)(w, r)
		return
	}
	g.provider.ServeHTTP(w, r)
}

// What goes wrong at a provider.
var (
	down    http.HandlerFunc = func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	stalled http.HandlerFunc = func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server see that the client has gone
		<-r.Context().Done()
	}
	garbage http.HandlerFunc = func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>It works!")) }
)

// providers are all that an SOS goes out by, as they really speak.
type providers struct {
	t             *testing.T
	mails, back   *smtp.Server // back: the one in its place after it was away
	texts         *twilio.Server
	apps          *fcm.Server
	fcm, sms, tel *gate
}

// newProviders makes the hub's own sender, with providers at the other end.
func newProviders(t *testing.T, db *schema.DB, clock fleet.Clock) (*providers, *notify.Sender) {
	t.Helper()
	const account, secret = "AC0123456789abcdef0123456789abcdef", "s3cretToken"
	p := &providers{t: t, mails: smtp.New(smtp.Config{Addr: loopback.Free(t)}), texts: twilio.New(account, secret)}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(p.mails.Open(t.Context()))
	t.Cleanup(func() { _ = p.mails.Close() })
	var err error
	p.apps, err = fcm.New()
	must(err)
	p.fcm = &gate{provider: p.apps, paths: "messages:send"}
	p.sms, p.tel = &gate{provider: p.texts, paths: "/Messages"}, &gate{provider: p.texts, paths: "/Calls"}
	host := func(h http.Handler) string {
		s := httptest.NewUnstartedServer(h)
		s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo)
		s.Start()
		t.Cleanup(s.Close)
		return s.URL
	}
	firebase := host(p.fcm)
	credentials, err := p.apps.Credentials(firebase)
	must(err)
	mail, err := notify.NewMail("smtp://"+p.mails.Addr(), "ARMORA <no-reply@armora.example>", nil)
	must(err)
	sms, err := notify.NewSMS(notify.SMSConfig{AccountSID: account, AuthToken: secret, From: "+442071838750", URL: host(p.sms)})
	must(err)
	voice, err := notify.NewVoice(notify.SMSConfig{AccountSID: account, AuthToken: secret, From: "+442071838750", URL: host(p.tel)})
	must(err)
	push, err := notify.NewPush(t.Context(), notify.PushConfig{Credentials: credentials, URL: firebase})
	must(err)
	sender, err := notify.New(notify.Config{
		DB: db, Seal: plainSealer{}.Seal, Unseal: plainSealer{}.Unseal, Mail: mail, SMS: sms, Push: push, Voice: voice,
		Clock: clock, Log: slog.New(slog.DiscardHandler),
	})
	must(err)
	return p, sender
}

// got is how often each channel has taken the message of an SOS, by its reference.
func (p *providers) got(ref string) map[fleet.Channel]int {
	got := make(map[fleet.Channel]int)
	mails := p.mails.Took()
	if p.back != nil {
		mails = append(mails, p.back.Took()...)
	}
	for _, m := range mails {
		if strings.Contains(m.Body, ref) {
			got[fleet.MailChannel]++
		}
	}
	for _, m := range p.texts.Took() {
		if strings.Contains(m.Body, ref) {
			got[fleet.SMSChannel]++
		}
	}
	for _, c := range p.texts.Calls() {
		if strings.Contains(c.Says, ref) {
			got[fleet.VoiceChannel]++
		}
	}
	for _, m := range p.apps.Took() {
		if strings.Contains(m.Notification.Body, ref) {
			got[fleet.PushChannel]++
		}
	}
	return got
}

// breaks has something fail; heals undoes that.
func (p *providers) breaks(what string) {
	for name, g := range map[string]struct {
		gate  *gate
		fault *http.HandlerFunc
	}{
		"FCM away": {p.fcm, &down}, "FCM stalled": {p.fcm, &stalled}, "FCM garbage": {p.fcm, &garbage}, "SMS away": {p.sms, &down}, "voice away": {p.tel, &down},
	} {
		if what == name || what == "all" && *g.fault != nil && strings.HasSuffix(name, "away") {
			g.gate.fault.Store(g.fault)
		}
	}
	if what == "SMTP away" || what == "all" {
		if err := p.mails.Close(); err != nil {
			p.t.Fatal(err)
		}
	}
}

func (p *providers) heals(what string) {
	for _, g := range []*gate{p.fcm, p.sms, p.tel} {
		g.fault.Store(nil)
	}
	if what == "SMTP away" || what == "all" {
		p.back = smtp.New(smtp.Config{Addr: p.mails.Addr()})
		if err := p.back.Open(p.t.Context()); err != nil {
			p.t.Fatal(err)
		}
		p.t.Cleanup(func() { _ = p.back.Close() })
	}
}

// Somebody calls for help in each of the ways that there are, while each of what an
// SOS goes out by is away: it goes by all of the others, at once, and by that when it
// is back. With the database away it goes by all, and is stored when that is back.
func TestHelpInEveryWayWhateverIsAway(t *testing.T) {
	t.Parallel()
	channels := []fleet.Channel{fleet.MailChannel, fleet.SMSChannel, fleet.PushChannel, fleet.VoiceChannel}
	for what, without := range map[string][]fleet.Channel{
		"nothing": nil, "database": nil,
		"FCM away": {fleet.PushChannel}, "FCM stalled": {fleet.PushChannel}, "FCM garbage": {fleet.PushChannel},
		"SMS away": {fleet.SMSChannel}, "voice away": {fleet.VoiceChannel}, "SMTP away": {fleet.MailChannel},
		"all": channels,
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			db, dir, clock := schematest.Plain(t), t.TempDir(), fleet.NewManualClock(noon)
			p, sender := newProviders(t, db, clock)
			w := newWorldOn(t, db, dir, clock, func(c *Config) { c.Send = sender.Direct })
			ada, cy, eve, bo := w.person(fleet.RoleRider), w.person(fleet.RoleDriver), w.person(fleet.RoleRider), w.person(fleet.RoleDispatcher)
			driver := fleet.NewID[fleet.Driver]()
			if err := (schema.Drivers{DB: db}).Create(t.Context(), fleet.Driver{ID: driver, Name: "Cy", Tier: fleet.Essential, User: cy}); err != nil {
				t.Fatal(err)
			}
			phone := w.phone(eve)
			w.app(bo, "app")
			p.apps.Install("app")
			w.open()
			w.rota(fleet.VoiceChannel, bo)

			p.breaks(what)
			if what == "database" || what == "all" {
				db.Close()
			}
			raised := w.everyWay(ada, cy, phone, eve)
			for way, s := range raised {
				w.until(way+": all that is there to take it", func() bool {
					got := p.got(Ref(s.ID))
					for _, c := range channels {
						if (got[c] > 0) == slices.Contains(without, c) {
							return false
						}
					}
					return true
				})
			}
			p.heals(what)
			for way, s := range raised {
				w.until(way+": what was away to take it too", func() bool {
					if len(without) > 0 && what != "FCM stalled" { // which waits for the time limit of a request
						clock.Advance(time.Second)
					}
					got := p.got(Ref(s.ID))
					return what == "FCM stalled" || !slices.ContainsFunc(channels, func(c fleet.Channel) bool { return got[c] == 0 })
				})
			}
			w.Close()
			w.storedOnce(raised, what != "FCM stalled")
		})
	}
}

// everyWay raises an SOS in each way: two by REST, and two by MQTT.
func (w *world) everyWay(principal, officer fleet.UserID, phone fleet.DeviceID, owner fleet.UserID) map[string]fleet.SOS {
	w.t.Helper()
	raised := map[string]fleet.SOS{"a principal": w.raise(principal), "an officer": w.raise(officer)}
	button := fleet.NewID[fleet.Device]()
	for way, m := range map[string]Message{
		"a phone":  {From: &fleet.Identity{Device: phone, Kind: fleet.Phone, User: owner}, Payload: []byte(`{"kind":"sos","body":{"type":"threat","lat":51.5,"lon":-0.1}}`)},
		"a button": {From: &fleet.Identity{Device: button, Kind: fleet.Tracker}, Payload: []byte("sos")},
	} {
		answer := make(chan error, 1)
		m.Ack = func(err error) { answer <- err }
		w.Receive(m)
		if err := <-answer; err != nil {
			w.t.Fatalf("%s: %v", way, err)
		}
		w.Watch.mu.Lock()
		s := w.openOf(&fleet.Raiser{User: m.From.User, Device: m.From.Device}, true)
		raised[way] = view(s)
		w.Watch.mu.Unlock()
	}
	return raised
}

// storedOnce checks that the next hub stores each, whole, and what its timeline says of
// who was told.
func (w *world) storedOnce(raised map[string]fleet.SOS, whole bool) {
	w.t.Helper()
	db, err := schema.Open(w.t.Context(), w.db.Pool().Config().ConnString(), schema.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(db.Close)
	next := newWorldOn(w.t, db, w.dir, w.clock).open()
	for way, s := range raised {
		next.until(way+" to be stored", func() bool {
			_, err := next.table.Get(w.t.Context(), s.ID)
			return err == nil
		})
		got := next.stored(s.ID)
		if at, err := next.Broken(w.t.Context(), s.ID); err != nil || at != 0 {
			w.t.Errorf("%s: the chain breaks at %d, %v", way, at, err)
		}
		told := make(map[fleet.Channel]fleet.NoticeState)
		for i := range got.Timeline {
			if tell := got.Timeline[i].Told; tell != nil && tell.Step <= 1 {
				told[tell.Channel] = tell.State
			}
		}
		want := map[fleet.Channel]fleet.NoticeState{fleet.MailChannel: "sent", fleet.SMSChannel: "sent", fleet.PushChannel: "sent", fleet.VoiceChannel: "sent"}
		if whole && fmt.Sprint(told) != fmt.Sprint(want) {
			w.t.Errorf("%s: the timeline says %v", way, told)
		}
	}
}

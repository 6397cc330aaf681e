package notify

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// reader is somebody with preferences, which may be "".
func (w *world) reader(preferences string) fleet.UserID {
	w.t.Helper()
	u := fleet.User{ID: fleet.NewID[fleet.User](), Email: fleet.NewID[fleet.User]().String() + "@example.com", EmailVerified: noon, Created: noon}
	err := (schema.Users{DB: w.db}).Create(w.t.Context(), u, "")
	if err == nil && preferences != "" {
		err = w.preferences.Put(w.t.Context(), u.ID, fleet.FilledForm{Version: 1, Form: 1, Body: json.RawMessage(preferences), Changed: noon})
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return u.ID
}

// to adds a notice to somebody, good for some hours.
func (w *world) to(user fleet.UserID, channel fleet.Channel, kind string, hours int) fleet.Notice {
	w.t.Helper()
	n := fleet.Notice{
		ID: fleet.NewID[fleet.Notice](), User: user, Channel: channel, To: "ada@example.com", Kind: kind,
		Created: w.clock.Now(), Expires: w.clock.Now().Add(time.Duration(hours) * time.Hour),
	}
	if channel == fleet.SMSChannel {
		n.To = "+447700900123"
	}
	data, err := json.Marshal(samples[kind+"."+string(channel)])
	if err != nil {
		w.t.Fatal(err)
	}
	n.Sealed = append([]byte(n.Purpose()+"\n"), data...)
	if err := w.notices.Add(w.t.Context(), n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

// quietNight is from ten to seven in London, where noon of the tests is noon.
const quietNight = `{"quiet_hours":{"from":"22:00","to":"07:00","zone":"Europe/London"}}`

func TestQuietHoursAreWaitedFor(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		w := newWorldOn(t, db)
		ada := w.reader(quietNight)
		w.clock.Advance(11*time.Hour + 30*time.Minute) // half past eleven at night
		late := w.to(ada, fleet.MailChannel, "licence_expiring", 24)
		var snooze *rivertype.JobSnoozeError
		if err := w.work(late); !errors.As(err, &snooze) || snooze.Duration != 7*time.Hour+30*time.Minute {
			t.Fatalf("at half past eleven: %v", err)
		}
		w.is(late, fleet.NoticeQueued, "")
		for _, n := range []fleet.Notice{
			w.to(ada, fleet.MailChannel, "licence_expiring", 7),             // of no use at seven
			w.to(ada, fleet.MailChannel, "password_changed", 24),            // security
			w.to(ada, fleet.MailChannel, "officer_unfit", 24),               // safety
			w.to(w.reader(""), fleet.MailChannel, "licence_expiring", 24),   // who said nothing
			w.to(fleet.UserID{}, fleet.MailChannel, "licence_expiring", 24), // or has no account
			w.to(w.reader(`{}`), fleet.MailChannel, "licence_expiring", 24),
			w.to(w.reader(`{"quiet_hours":{"from":"22:00","to":"07:00","zone":"Asia/Tokyo"}}`), fleet.MailChannel, "licence_expiring", 24), // it is morning there
		} {
			if err := w.work(n); err != nil {
				t.Errorf("%s to %v: %v", n.Kind, n.User, err)
			}
			w.is(n, fleet.NoticeSent, "")
		}
		w.clock.Advance(snooze.Duration)
		if err := w.work(late); err != nil {
			t.Fatal(err)
		}
		w.is(late, fleet.NoticeSent, "")
	})
}

func TestWhatSomebodyDoesNotWantIsNotSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ada := w.reader(`{"notifications":{"bookings":["sms","push"],"trips":[],"news":["email"]},"quiet_hours":{"from":"11:00","to":"13:00","zone":"UTC"}}`)
	const wanted = "no template" // it comes as far as that: these kinds are yet to be written
	for _, c := range []struct {
		channel fleet.Channel
		kind    string
		want    fleet.NoticeState
		problem string
	}{
		{fleet.MailChannel, "booking_confirmed", fleet.NoticeUnwanted, ""},
		{fleet.SMSChannel, "booking_confirmed", fleet.NoticeFailed, wanted},
		{fleet.MailChannel, "trip_begins", fleet.NoticeUnwanted, ""},
		{fleet.SMSChannel, "trip_begins", fleet.NoticeUnwanted, ""},
		{fleet.MailChannel, "news_letter", fleet.NoticeFailed, wanted},
		{fleet.SMSChannel, "news_letter", fleet.NoticeUnwanted, ""},
		{fleet.MailChannel, "payment_due", fleet.NoticeFailed, wanted}, // nothing was said of these
		{fleet.MailChannel, "password_changed", fleet.NoticeSent, ""},
		{fleet.SMSChannel, "verify_phone", fleet.NoticeSent, ""},
	} {
		n := w.to(ada, c.channel, c.kind, 1) // no use after the quiet hours
		if err := w.work(n); err != nil {
			t.Errorf("%s by %s: %v", c.kind, c.channel, err)
		}
		w.is(n, c.want, c.problem)
	}
	if mails, texts := w.mails.Took(), w.texts.Took(); len(mails) != 1 || len(texts) != 1 {
		t.Errorf("sent %v and %v", mails, texts)
	}
	// What cannot be read keeps nothing back.
	odd := w.to(w.reader(`{"notifications":"none"}`), fleet.MailChannel, "password_changed", 1)
	if err := w.work(odd); err != nil {
		t.Fatal(err)
	}
	w.is(odd, fleet.NoticeSent, "")
}

func TestEndOfQuietHours(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		from, to, zone, now, end string // no end: it is not quiet
	}{
		{"22:00", "07:00", "Europe/London", "2027-01-10T22:00:00Z", "2027-01-11T07:00:00Z"},
		{"22:00", "07:00", "Europe/London", "2027-01-10T21:59:59Z", ""},
		{"22:00", "07:00", "Europe/London", "2027-01-11T06:59:59Z", "2027-01-11T07:00:00Z"},
		{"22:00", "07:00", "Europe/London", "2027-01-11T07:00:00Z", ""},
		{"13:00", "14:30", "Europe/London", "2027-07-10T12:15:00Z", "2027-07-10T13:30:00Z"}, // summer time
		{"13:00", "14:30", "Europe/London", "2027-07-10T13:30:00Z", ""},
		{"22:00", "07:00", "America/New_York", "2027-01-10T04:00:00Z", "2027-01-10T12:00:00Z"},
		{"22:00", "07:00", "Europe/London", "2027-01-31T23:00:00Z", "2027-02-01T07:00:00Z"},
		{"22:00", "07:00", "Europe/London", "2027-03-27T23:00:00Z", "2027-03-28T06:00:00Z"}, // the clocks go forward
		{"22:00", "07:00", "Europe/London", "2027-10-30T22:00:00Z", "2027-10-31T07:00:00Z"}, // and back
		{"00:00", "00:00", "Europe/London", "2027-01-10T00:00:00Z", ""},
		{"22:00", "07:00", "Mars/Olympus", "2027-01-10T22:00:00Z", ""},
		{"later", "07:00", "Europe/London", "2027-01-10T22:00:00Z", ""},
	} {
		q := quietHours{From: c.from, To: c.to, Zone: c.zone}
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		end, quiet := q.end(now)
		got := ""
		if quiet {
			got = end.UTC().Format(time.RFC3339)
		}
		if got != c.end {
			t.Errorf("%s to %s in %s: at %s they end %q, want %q", c.from, c.to, c.zone, c.now, got, c.end)
		}
	}
	// An end that the clocks jump over comes all the same, and not before the jump.
	q := quietHours{From: "22:00", To: "01:30", Zone: "Europe/London"}
	for now := time.Date(2027, 3, 27, 22, 0, 0, 0, time.UTC); now.Before(time.Date(2027, 3, 28, 3, 0, 0, 0, time.UTC)); now = now.Add(time.Minute) {
		if end, quiet := q.end(now); quiet && (!end.After(now) || end.After(time.Date(2027, 3, 28, 2, 0, 0, 0, time.UTC))) {
			t.Errorf("at %v they end at %v", now, end)
		}
	}
}

// A word that begins a kind is a topic of the form of preferences, or concerns
// safety and security: a new kind of notice is told of in topics, or always comes.
func TestTopicsAreThoseOfPreferences(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"bookings": true, "trips": true, "chat": true, "payments": true, "news": true, "": true}
	for word, topic := range topics {
		if !known[topic.name] {
			t.Errorf("%s is about %q, which nobody can switch off", word, topic.name)
		}
	}
}

package notify

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// bookingWorld is a world with a principal and officers, who have addresses and
// numbers that are verified, and bookings.
type bookingWorld struct {
	*world
	bookings schema.Bookings
	people   map[string]fleet.UserID // by name
	officers map[string]fleet.DriverID
}

func newBookingWorld(t *testing.T, db *schema.DB) *bookingWorld {
	t.Helper()
	w := &bookingWorld{
		world: newWorldOn(t, db), bookings: schema.Bookings{DB: db},
		people: make(map[string]fleet.UserID), officers: make(map[string]fleet.DriverID),
	}
	for i, name := range []string{"Ada", "Bo", "Cy"} {
		u := fleet.User{
			ID: fleet.NewID[fleet.User](), Email: strings.ToLower(name) + "@example.com", EmailVerified: noon, Name: name + " Finch",
			Phone: fmt.Sprintf("+44770090012%d", i), PhoneVerified: noon, Roles: []fleet.Role{fleet.RoleRider, fleet.RoleDriver}, Created: noon,
		}
		w.ok(schema.Users{DB: db}.Create(t.Context(), u, ""))
		w.people[name] = u.ID
		if name != "Ada" {
			w.officers[name] = fleet.NewID[fleet.Driver]()
			w.ok(schema.Drivers{DB: db}.Create(t.Context(), fleet.Driver{ID: w.officers[name], Name: u.Name, Tier: fleet.Essential, User: u.ID}))
		}
	}
	return w
}

func (w *bookingWorld) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// book is Ada's booking of two hours in London, that begins in so many hours.
func (w *bookingWorld) book(hours int, change ...func(*fleet.Booking)) fleet.Booking {
	w.t.Helper()
	start := noon.Add(time.Duration(hours) * time.Hour)
	b := fleet.Booking{ID: fleet.NewID[fleet.Booking](), User: w.people["Ada"], Created: w.clock.Now(), Funded: noon,
		Order: fleet.Order{Start: start, Zone: "Europe/London", LocalStart: start.Format("2006-01-02T15:04"), Minutes: 120, Tier: fleet.Essential, Officers: 1,
			Pickup: fleet.Place{Lat: 51.5, Lon: -0.1, Label: "12 Secret Street"}, Notes: "a secret note"},
		Terms: fleet.Terms{Tariff: json.RawMessage(`{}`), Price: json.RawMessage(`{}`), Total: fleet.Pounds(120)}}
	for _, c := range change {
		c(&b)
	}
	w.ok(w.bookings.Place(w.t.Context(), &b, w.by("Ada")))
	return b
}

func (w *bookingWorld) by(name string) fleet.Actor {
	kind := fleet.ByOfficer
	if name == "Ada" {
		kind = fleet.ByPrincipal
	}
	return fleet.Actor{Kind: kind, User: w.people[name]}
}

func (w *bookingWorld) change(b *fleet.Booking, do func(*schema.BookingTx) error) {
	w.t.Helper()
	changed, err := w.bookings.Change(w.t.Context(), b.ID, w.clock.Now(), do)
	w.ok(err)
	*b = changed
}

// assign gives the booking's first open seat to an officer.
func (w *bookingWorld) assign(b *fleet.Booking, name string) {
	w.t.Helper()
	w.change(b, func(c *schema.BookingTx) error {
		seat := c.Vacant()[0]
		seat.State, seat.Driver, seat.From, seat.To = fleet.SeatCommitted, w.officers[name], c.Start, c.End()
		if err := c.Take(seat); err != nil {
			return err
		}
		return c.Move(fleet.Assigned, schema.Event{Kind: "assigned", By: w.by(name), Data: map[string]any{"driver_id": seat.Driver, "team": []fleet.DriverID{seat.Driver}}})
	})
}

// move takes the booking to a status.
func (w *bookingWorld) move(b *fleet.Booking, to fleet.BookingStatus, kind, by string, data any) {
	w.t.Helper()
	e := schema.Event{Kind: kind, Data: data}
	if by != "" {
		e.By = w.by(by)
	}
	w.change(b, func(c *schema.BookingTx) error { return c.Move(to, e) })
}

func (w *bookingWorld) note(b *fleet.Booking, kind, by string, data any) {
	w.t.Helper()
	e := schema.Event{Kind: kind, Data: data}
	if by != "" {
		e.By = w.by(by)
	}
	w.change(b, func(c *schema.BookingTx) error { return c.Note(e) })
}

// tell does the jobs of the booking's events beyond a seq.
func (w *bookingWorld) tell(b *fleet.Booking, after int64) {
	w.t.Helper()
	teller := newTeller(w.Sender)
	for _, job := range w.jobs() {
		if job.Booking == b.ID && job.Seq > after {
			w.ok(teller.Work(w.t.Context(), &river.Job[fleet.TellBooking]{JobRow: &rivertype.JobRow{}, Args: job}))
		}
	}
}

func (w *bookingWorld) jobs() (jobs []fleet.TellBooking) {
	w.t.Helper()
	rows, err := w.db.Pool().Query(w.t.Context(), `SELECT args::text FROM river_job WHERE kind = 'tell_booking' ORDER BY id`)
	w.ok(err)
	defer rows.Close()
	for rows.Next() {
		var args string
		var job fleet.TellBooking
		w.ok(rows.Scan(&args))
		w.ok(json.Unmarshal([]byte(args), &job))
		jobs = append(jobs, job)
	}
	w.ok(rows.Err())
	return jobs
}

// told is who was told what, by which channels: "Ada booking_made inbox mail".
func (w *bookingWorld) told() []string {
	w.t.Helper()
	list, err := w.notices.List(w.t.Context(), fleet.UserID{}, fleet.NoticeID{}, 1000)
	w.ok(err)
	by := make(map[string][]string)
	for _, s := range list {
		for name, id := range w.people {
			if id == s.Notice.User {
				key := name + " " + s.Notice.Kind
				by[key] = append(by[key], string(s.Notice.Channel))
			}
		}
	}
	var told []string
	for key, channels := range by {
		slices.Sort(channels)
		told = append(told, key+" "+strings.Join(channels, " "))
	}
	slices.Sort(told)
	return told
}

func (w *bookingWorld) want(want ...string) {
	w.t.Helper()
	slices.Sort(want)
	if got := w.told(); !slices.Equal(got, want) {
		w.t.Errorf("told\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	if _, err := w.db.Pool().Exec(w.t.Context(), `DELETE FROM notices`); err != nil {
		w.t.Fatal(err)
	}
}

func TestWhoIsToldWhatOfABooking(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		w := newBookingWorld(t, db)
		b := w.book(24)
		w.tell(&b, 0)
		w.want("Ada booking_made inbox mail")

		seq := b.Seq
		w.assign(&b, "Bo")
		w.tell(&b, seq)
		w.want("Ada booking_assigned inbox mail", "Bo assignment_yours inbox mail")

		seq = b.Seq
		w.note(&b, "edited", "Ada", nil)
		w.tell(&b, seq)
		w.want("Ada booking_changed inbox mail", "Bo assignment_changed inbox mail")

		seq = b.Seq
		lost := b.Seats[0]
		w.change(&b, func(c *schema.BookingTx) error {
			if err := c.Release(lost.ID, "officer_unfit"); err != nil {
				return err
			}
			if _, err := c.OpenSeat(1, fleet.SeatID{}); err != nil {
				return err
			}
			return c.Move(fleet.Searching, schema.Event{Kind: "officer_unfit", Data: map[string]any{"driver": lost.Driver}})
		})
		w.tell(&b, seq)
		w.want("Ada booking_officer_lost inbox", "Bo assignment_taken inbox mail")

		seq = b.Seq
		w.assign(&b, "Cy")
		w.move(&b, fleet.EnRoute, "en_route", "Cy", nil)
		w.note(&b, "officer_arriving", "", nil)
		w.tell(&b, seq)
		w.want("Ada booking_assigned inbox mail", "Cy assignment_yours inbox mail", "Ada trip_arriving inbox")

		seq = b.Seq
		w.move(&b, fleet.Arrived, "arrived", "Cy", nil)
		w.tell(&b, seq)
		w.want("Ada trip_arrived inbox sms")

		seq = b.Seq
		w.move(&b, fleet.InProgress, "in_progress", "Cy", nil)
		w.note(&b, "extended", "Ada", nil)
		w.tell(&b, seq)
		w.want("Ada trip_started inbox", "Ada trip_extended inbox mail", "Cy assignment_changed inbox mail")

		seq = b.Seq
		w.move(&b, fleet.Completed, "completed", "Cy", nil)
		w.note(&b, "rated", "Ada", nil)
		w.tell(&b, seq)
		w.want("Ada trip_completed inbox mail")
	})
}

// Ops cancel: those who would stand in the street are reached by everything. Who
// cancels has it in writing.
func TestWhoIsToldOfACancellation(t *testing.T) {
	t.Parallel()
	w := newBookingWorld(t, schematest.Plain(t))
	for by, want := range map[string][]string{
		"":    {"Ada booking_cancelled inbox mail sms", "Bo assignment_cancelled inbox mail sms"},
		"Ada": {"Ada booking_cancelled inbox mail", "Bo assignment_cancelled inbox mail sms"},
	} {
		b := w.book(3)
		w.assign(&b, "Bo")
		w.move(&b, fleet.Cancelled, "cancelled", by, map[string]any{"fee": map[string]any{"percent": 5}})
		w.tell(&b, 2)
		w.want(want...)
	}
	b := w.book(3)
	w.move(&b, fleet.Unfulfilled, "unfulfilled", "", nil)
	w.tell(&b, 1)
	w.want("Ada booking_unfulfilled inbox mail sms")
}

// A job that is run twice, because a hub died, tells once; what is not true any more
// is not told at all.
func TestABookingIsToldOnceAndAsItIs(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		w := newBookingWorld(t, db)
		b := w.book(3)
		w.assign(&b, "Bo")
		w.tell(&b, 1)
		w.tell(&b, 1)
		w.want("Ada booking_assigned inbox mail", "Bo assignment_yours inbox mail")
		late := w.book(6)
		w.assign(&late, "Bo")
		w.move(&late, fleet.EnRoute, "en_route", "Bo", nil)
		w.move(&late, fleet.Arrived, "arrived", "Bo", nil)
		w.move(&late, fleet.Cancelled, "cancelled", "", nil)
		w.tell(&late, 1)
		w.want("Ada booking_cancelled inbox mail sms", "Bo assignment_cancelled inbox mail sms")
		gone := &river.Job[fleet.TellBooking]{JobRow: &rivertype.JobRow{}, Args: fleet.TellBooking{Booking: fleet.NewID[fleet.Booking](), Seq: 1}}
		w.ok(newTeller(w.Sender).Work(t.Context(), gone))
		w.want()
	})
}

// A change that is not committed leaves no job, and one that nobody has to hear of
// neither.
func TestATellingIsPartOfTheChange(t *testing.T) {
	t.Parallel()
	w := newBookingWorld(t, schematest.Plain(t))
	b := w.book(3)
	before := len(w.jobs())
	_, err := w.bookings.Change(t.Context(), b.ID, noon, func(c *schema.BookingTx) error {
		if err := c.Note(schema.Event{Kind: "edited"}); err != nil {
			return err
		}
		return &fleet.Error{Code: fleet.CodeConflict, Message: "no"}
	})
	if fleet.CodeOf(err) != fleet.CodeConflict {
		t.Fatal(err)
	}
	w.note(&b, "held", "", nil)
	if got := len(w.jobs()); got != before {
		t.Errorf("%d jobs, want %d", got, before)
	}
	for _, kind := range fleet.EventsToTell() {
		if len(rules[kind]) == 0 {
			t.Errorf("of %s nobody is told: its job is for nothing", kind)
		}
	}
	for kind := range rules {
		if !slices.Contains(fleet.EventsToTell(), kind) {
			t.Errorf("there is never a job of %s", kind)
		}
	}
}

// Texts say times as the clocks of the booking's place show them, and what leaves the
// hub says neither where the principal is nor what they wrote.
func TestWhatATextTells(t *testing.T) {
	t.Parallel()
	w := newBookingWorld(t, schematest.Plain(t))
	b := w.book(24*100+21, func(b *fleet.Booking) { b.Start = time.Date(2026, 6, 1, 22, 30, 0, 0, time.UTC) })
	w.assign(&b, "Bo")
	w.tell(&b, 1)
	list, err := w.notices.List(t.Context(), fleet.UserID{}, fleet.NoticeID{}, 100)
	w.ok(err)
	for _, s := range list {
		if s.Notice.Channel == fleet.MailChannel {
			w.ok(w.work(s.Notice))
		}
	}
	mails := w.mails.Took()
	if len(mails) != 2 {
		t.Fatalf("%d mails", len(mails))
	}
	for _, m := range mails {
		if !strings.Contains(m.Body, "Monday 1 June, 23:30") || !strings.Contains(m.Body, "2 h") {
			t.Errorf("it does not say when: %s", m.Body)
		}
		for _, secret := range []string{"Secret", "secret", "51.5", "Finch"} {
			if strings.Contains(m.Body, secret) {
				t.Errorf("it tells %q: %s", secret, m.Body)
			}
		}
		if toOfficer := m.To[0] == "bo@example.com"; toOfficer == strings.Contains(m.Body, "Bo") || toOfficer && strings.Contains(m.Body, "Ada") {
			t.Errorf("to %v: %s", m.To, m.Body)
		}
	}
	items, err := w.Inbox(t.Context(), w.people["Ada"], fleet.NoticeID{}, 10)
	w.ok(err)
	if len(items) != 1 || items[0].Notice.Booking != b.ID || !strings.Contains(items[0].Body, "Bo will protect you") {
		t.Errorf("the inbox has %+v", items)
	}
}

// Many bookings of one series are one notice.
func TestASeriesIsToldAtOnce(t *testing.T) {
	t.Parallel()
	w := newBookingWorld(t, schematest.Plain(t))
	s := fleet.Series{ID: fleet.NewID[fleet.Series](), User: w.people["Ada"], Order: fleet.Order{Zone: "Europe/London", Minutes: 120, LocalStart: "2026-03-08T12:00"}, Created: noon,
		Rule: fleet.Recurrence{Every: 1, Count: 5}}
	w.ok(schema.Series{DB: w.db}.Add(t.Context(), &s, 10))
	var made []fleet.Booking
	for week := range 3 {
		made = append(made, w.book(24*7*(week+1), func(b *fleet.Booking) { b.Series = s.ID }))
	}
	for range 2 {
		for i := range made {
			w.tell(&made[i], 0)
		}
	}
	items, err := w.Inbox(t.Context(), w.people["Ada"], fleet.NoticeID{}, 10)
	w.ok(err)
	if len(items) != 1 || !strings.HasPrefix(items[0].Body, "3 assignments") || !strings.Contains(items[0].Body, "Sunday 22 March, 12:00") {
		t.Errorf("the inbox has %+v", items)
	}
	w.want("Ada booking_series inbox mail")
}

// People are told in their language where it is spoken, and else in English.
func TestEachInTheirLanguage(t *testing.T) {
	t.Parallel()
	all, err := readLanguages(fstest.MapFS{
		"en/trip_arrived.mail.txt": {Data: []byte("Subject: There\n\nSince {{when .at .zone}}\n")},
		"en/trip_started.mail.txt": {Data: []byte("Subject: Begun\n")},
		"de/trip_arrived.mail.txt": {Data: []byte("Subject: Da\n\nSeit {{when .at .zone}}\n")},
	}, map[string]phrases{"en": {when: "15:04", openApp: "Open"}, "de": {when: "15.04 Uhr", openApp: "Öffnen"}})
	if err != nil {
		t.Fatal(err)
	}
	data := map[string]string{"at": "2026-06-01T10:00:00Z", "zone": "Europe/Berlin"}
	for _, c := range []struct {
		language, kind string
		channel        fleet.Channel
		want           Message
	}{
		{"de-AT", "trip_arrived", fleet.InboxChannel, Message{Subject: "Da", Body: "Seit 12.00 Uhr"}},
		{"DE", "trip_arrived", fleet.PushChannel, Message{Subject: "Da", Body: "Öffnen"}},
		{"de", "trip_started", fleet.PushChannel, Message{Subject: "Begun", Body: "Open"}},
		{"fr", "trip_arrived", fleet.InboxChannel, Message{Subject: "There", Body: "Since 12:00"}},
		{"", "trip_arrived", fleet.InboxChannel, Message{Subject: "There", Body: "Since 12:00"}},
	} {
		if got, err := all.in(c.language).fill(c.channel, c.kind, data); err != nil || got.Subject != c.want.Subject || got.Body != c.want.Body {
			t.Errorf("%s in %q: %+v, %v", c.kind, c.language, got, err)
		}
	}
	data["zone"] = "Mars/Olympus"
	if _, err := all.in("de").fill(fleet.InboxChannel, "trip_arrived", data); err == nil || strings.Contains(err.Error(), "Mars") {
		t.Errorf("%v", err)
	}
}

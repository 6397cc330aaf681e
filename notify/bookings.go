package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"armora/fleet"
	"armora/schema"
)

// audience is who is told of an event.
type audience int

const (
	thePrincipal audience = iota
	theTeam               // who is assigned, or was when the assignment ended
	theNew                // who is assigned by the event
	theFormer             // whom the event takes the assignment from
)

// The channels of what is told.
var (
	inWriting = []fleet.Channel{fleet.InboxChannel, fleet.MailChannel}
	atOnce    = []fleet.Channel{fleet.PushChannel, fleet.InboxChannel}
	both      = []fleet.Channel{fleet.PushChannel, fleet.InboxChannel, fleet.MailChannel}
	atTheDoor = []fleet.Channel{fleet.PushChannel, fleet.InboxChannel, fleet.SMSChannel}
	byAll     = []fleet.Channel{fleet.PushChannel, fleet.InboxChannel, fleet.MailChannel, fleet.SMSChannel}
)

// rule is what somebody is told of an event.
type rule struct {
	to   audience
	kind string // of the notice
	by   []fleet.Channel
	// life is for how long it is worth while to tell; 0: until the start, as far as
	// that is to come.
	life time.Duration
	// while are the statuses in which it is true still; none: in all but the ends.
	while []fleet.BookingStatus
	moved bool // it is told only if the event changed the status
	// echo: whoever did it is told too, in writing, so that they have it.
	echo bool
}

const (
	urgent = time.Hour // what cannot wait for the end of quiet hours
	aDay   = 24 * time.Hour
)

var (
	anyEnd    = []fleet.BookingStatus{fleet.Completed, fleet.Cancelled, fleet.NoShow, fleet.Unfulfilled}
	assigned  = []fleet.BookingStatus{fleet.Assigned, fleet.EnRoute, fleet.Arrived}
	searching = []fleet.BookingStatus{fleet.Searching, fleet.Offered}
)

// rules say, by kind of event, who is told what. They are of fleet.EventsToTell. A
// kind of notice says by its first word which of a person's wishes are heeded.
var rules = map[string][]rule{
	"booked": {{to: thePrincipal, kind: "booking_made", by: inWriting, echo: true}},
	"assigned": {
		{to: thePrincipal, kind: "booking_assigned", by: both, while: assigned},
		{to: theNew, kind: "assignment_yours", by: both, echo: true},
	},
	"assigned_by_ops":          {{to: theFormer, kind: "assignment_taken", by: both}},
	"officer_released":         lost,
	"officer_unfit":            lost,
	"officer_needed_elsewhere": lost,
	"swapped":                  {{to: theFormer, kind: "assignment_taken", by: both}}, // who comes instead is told by "assigned"
	"officer_arriving": {
		{to: thePrincipal, kind: "trip_arriving", by: atOnce, life: 15 * time.Minute, while: []fleet.BookingStatus{fleet.EnRoute}},
	},
	"arrived": {
		{to: thePrincipal, kind: "trip_arrived", by: atTheDoor, life: 30 * time.Minute, while: []fleet.BookingStatus{fleet.Arrived}},
	},
	"in_progress": {
		{to: thePrincipal, kind: "trip_started", by: atOnce, life: urgent, while: []fleet.BookingStatus{fleet.InProgress}},
	},
	"handed_over": {
		{to: thePrincipal, kind: "trip_handed_over", by: atOnce, life: urgent, while: []fleet.BookingStatus{fleet.InProgress}},
	},
	"extended": {
		{to: thePrincipal, kind: "trip_extended", by: both, life: aDay, echo: true},
		{to: theTeam, kind: "assignment_changed", by: both, life: urgent},
	},
	"edited": {
		{to: thePrincipal, kind: "booking_changed", by: both, echo: true},
		{to: theTeam, kind: "assignment_changed", by: both},
	},
	"completed": {{to: thePrincipal, kind: "trip_completed", by: both, while: anyEnd, life: aDay, echo: true}},
	"cancelled": {
		{to: thePrincipal, kind: "booking_cancelled", by: byAll, while: anyEnd, echo: true},
		{to: theTeam, kind: "assignment_cancelled", by: byAll, while: anyEnd},
	},
	"no_show":     {{to: thePrincipal, kind: "booking_missed", by: both, while: anyEnd, life: aDay}},
	"unfulfilled": {{to: thePrincipal, kind: "booking_unfulfilled", by: byAll, while: anyEnd, life: urgent}},
}

// lost is that an officer is not on an assignment any more.
var lost = []rule{
	{to: thePrincipal, kind: "booking_officer_lost", by: atOnce, while: searching, moved: true},
	{to: theFormer, kind: "assignment_taken", by: both},
}

// teller tells people of bookings.
type teller struct {
	river.WorkerDefaults[fleet.TellBooking]
	*Sender
	bookings schema.Bookings
	series   schema.Series
	officers schema.Officers
	drivers  schema.Drivers
}

func newTeller(s *Sender) *teller {
	db := s.notices.DB
	return &teller{
		Sender: s, bookings: schema.Bookings{DB: db}, series: schema.Series{DB: db}, officers: schema.Officers{DB: db}, drivers: schema.Drivers{DB: db},
	}
}

// Work implements river.Worker. It tells of what is so now: what the booking has
// gone beyond since, another event tells of. Run again, it tells nobody twice.
func (t *teller) Work(ctx context.Context, job *river.Job[fleet.TellBooking]) error {
	b, err := t.bookings.Get(ctx, job.Args.Booking)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return nil // retention took it
	}
	if err != nil {
		return err
	}
	events, err := t.bookings.Events(ctx, b.ID, job.Args.Seq-1, 1)
	if err != nil || len(events) == 0 || events[0].Seq != job.Args.Seq {
		return err
	}
	s := story{teller: t, booking: &b, event: &events[0], now: t.clock.Now()}
	if s.event.Data != nil {
		if err := json.Unmarshal(s.event.Data, &s.about); err != nil {
			return fmt.Errorf("event %d of booking %s: its data is not what it should be", s.event.Seq, b.ID) // the error would quote it
		}
	}
	if s.event.Kind == "booked" && !b.Series.IsZero() {
		return s.tellSeries(ctx)
	}
	var failed []error
	for i := range rules[s.event.Kind] {
		if r := &rules[s.event.Kind][i]; s.holds(r) {
			failed = append(failed, s.tell(ctx, r))
		}
	}
	return errors.Join(failed...)
}

// story is an event that is being told of.
type story struct {
	*teller
	booking *fleet.Booking
	event   *fleet.BookingEvent
	now     time.Time
	about   struct {
		Driver  fleet.DriverID   `json:"driver"`     // as trips say it
		Officer fleet.DriverID   `json:"driver_id"`  // as the engine does
		Instead fleet.DriverID   `json:"instead_of"` // who had the seat before
		Team    []fleet.DriverID `json:"team"`       // all who are assigned by it
		Fee     json.RawMessage  `json:"fee"`
	}
}

// holds reports whether a rule is for this event, as things stand.
func (s *story) holds(r *rule) bool {
	status := s.booking.Status
	return (len(r.while) == 0 && !status.Ended() || slices.Contains(r.while, status)) && (!r.moved || s.event.To != "") &&
		(r.kind != "booking_made" || !s.booking.Now()) // who wants somebody at once, hears of that
}

// tell tells those whom a rule is about.
func (s *story) tell(ctx context.Context, r *rule) error {
	readers, err := s.readers(ctx, r.to)
	if err != nil || len(readers) == 0 {
		return err
	}
	data, err := s.data(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, reader := range readers {
		channels := s.channels(r, reader)
		if len(channels) == 0 {
			continue
		}
		own := data
		if r.to != thePrincipal {
			own = s.forOfficer()
		}
		own["yours"] = ""
		if reader == s.event.Actor.User {
			own["yours"] = "yes"
		}
		failed = append(failed, s.Tell(ctx, reader, fleet.Tidings{
			Kind: r.kind, Booking: s.booking.ID, Once: fmt.Sprintf("booking/%s/%d", s.booking.ID, s.event.Seq),
			Expires: s.until(r), Data: own, Channels: channels,
		}))
	}
	return errors.Join(failed...)
}

// readers are the accounts of those whom a rule is about.
func (s *story) readers(ctx context.Context, who audience) ([]fleet.UserID, error) {
	var ids []fleet.DriverID
	switch who {
	case thePrincipal:
		return []fleet.UserID{s.booking.User}, nil
	case theTeam:
		ids = s.team()
	case theNew:
		ids = s.about.Team
		// Who has lost it again since is told of that.
		ids = slices.DeleteFunc(slices.Clone(ids), func(id fleet.DriverID) bool { return !slices.Contains(s.team(), id) })
	case theFormer:
		for _, id := range []fleet.DriverID{s.about.Driver, s.about.Officer, s.about.Instead} {
			if !id.IsZero() && !slices.Contains(s.team(), id) {
				ids = append(ids, id)
			}
		}
	}
	drivers, err := s.drivers.ByIDs(ctx, ids)
	var users []fleet.UserID
	for _, d := range drivers {
		if !d.User.IsZero() {
			users = append(users, d.User)
		}
	}
	return users, err
}

// team are the officers who are assigned, or were when the assignment ended: those
// whom the principal sees (dispatch/view.go), the lead first.
func (s *story) team() []fleet.DriverID {
	var ids []fleet.DriverID
	for i := range s.booking.Seats {
		seat := &s.booking.Seats[i]
		ended := seat.State == fleet.SeatReleased && s.booking.Status.Ended() && seat.Reason == string(s.booking.Status)
		if !seat.Driver.IsZero() && (seat.State == fleet.SeatCommitted || seat.State == fleet.SeatActive || ended) {
			ids = append(ids, seat.Driver)
		}
	}
	return ids
}

// channels are those by which a reader is told. Whoever did it has seen it: they
// have it in writing, if at all; and of many that go at once no mail for each.
func (s *story) channels(r *rule, reader fleet.UserID) []fleet.Channel {
	if reader != s.event.Actor.User {
		return r.by
	}
	return slices.DeleteFunc(slices.Clone(r.by), func(c fleet.Channel) bool {
		return !r.echo || !slices.Contains(inWriting, c) || c == fleet.MailChannel && !s.booking.Series.IsZero()
	})
}

// until is when it is of no use any more to tell.
func (s *story) until(r *rule) time.Time {
	if r.life > 0 {
		return s.now.Add(r.life)
	}
	if soon := s.now.Add(urgent); s.booking.Start.Before(soon) {
		return soon
	}
	return s.booking.Start
}

// data is what the principal's texts are filled with: no more than they see of the
// booking.
func (s *story) data(ctx context.Context) (map[string]string, error) {
	data := s.forOfficer()
	known, err := s.officers.ByIDs(ctx, s.team())
	if err != nil {
		return nil, err
	}
	var names []string
	for _, id := range s.team() {
		o := known[id]
		names = append(names, o.Known())
	}
	data["officers"], data["total"], data["fee"] = listed(names), s.booking.Total.String(), ""
	if s.booking.Status.Ended() && s.booking.Fee.Amount > 0 {
		data["fee"] = s.booking.Fee.String()
	}
	return data, nil
}

// forOfficer is what an officer's texts are filled with. Mails and text messages
// leave the hub: they say when and how long, and neither who nor where.
func (s *story) forOfficer() map[string]string {
	b := s.booking
	return map[string]string{
		"start": b.Start.UTC().Format(time.RFC3339), "end": b.End().UTC().Format(time.RFC3339), "zone": b.Zone,
		"length": length(b.Minutes), "tier": string(b.Tier),
	}
}

// length writes a number of minutes as people do: 2 h 30 min.
func length(minutes int) string {
	switch h, m := minutes/60, minutes%60; {
	case m == 0:
		return fmt.Sprintf("%d h", h)
	case h == 0:
		return fmt.Sprintf("%d min", m)
	default:
		return fmt.Sprintf("%d h %d min", h, m)
	}
}

// listed joins names: Ada, Bo, Cy.
func listed(names []string) string { return strings.Join(names, ", ") }

// tellSeries tells of all that was booked of a series at once, by the last of them.
func (s *story) tellSeries(ctx context.Context) error {
	count, last, latest, err := s.series.Ahead(ctx, s.booking.Series, s.now)
	if err != nil || latest != s.booking.ID || count == 0 {
		return err
	}
	return s.Tell(ctx, s.booking.User, fleet.Tidings{
		Kind: "booking_series", Booking: s.booking.ID, Once: fmt.Sprintf("booking/%s/%d", s.booking.ID, s.event.Seq),
		Expires: s.now.Add(aDay), Channels: inWriting,
		Data: map[string]string{"count": fmt.Sprint(count), "last": last.Format(time.RFC3339), "zone": s.booking.Zone},
	})
}

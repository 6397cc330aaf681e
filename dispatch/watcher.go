package dispatch

import (
	"context"
	"time"

	"armora/fleet"
	"armora/schema"
)

// AsGuest is as who looks by a share of the principal's.
const AsGuest Viewer = "guest"

// Watcher is who wants to watch a trip: a person, a device, or who holds a share.
type Watcher struct {
	Name      string         // in the audit log
	User      fleet.UserID   // zero: the bootstrap admin, a guest, or a phone of nobody with an account
	Driver    fleet.DriverID // whose phone it is; zero: the officer who signs in as the user, if there is one
	Ops       bool
	Share     *fleet.Share // of a guest
	RequestID string
}

// Admission is a watcher who has, or had just now, a right to watch a trip.
type Admission struct {
	Watcher
	Trip fleet.BookingID
	As   Viewer
}

// Outlet is where a watcher is told. Neither method blocks.
type Outlet interface {
	Tell(Frame)
	// End says that nothing more is told, and why.
	End(TrackEnd)
}

// TrackEnd is why somebody is not told any more.
type TrackEnd string

// The ends.
const (
	EndTripOver  TrackEnd = "trip_over"
	EndNotTheirs TrackEnd = "not_theirs" // replaced, or not to see it any more
	EndShareOver TrackEnd = "share_over"
	EndMore      TrackEnd = "more" // was missed than is told at once: come back for the rest
)

// Admit says as what a watcher may watch a trip: from when it is booked, to
// sharedAfter its end. Who may not is CodeNotFound. A guest may until the trip has
// ended, or the share has.
func (t *Tracks) Admit(ctx context.Context, w Watcher, id fleet.BookingID) (Admission, error) {
	a, b, err := t.find(ctx, w, id)
	if err == nil && !a.may(&b, t.clock.Now()) {
		err = &fleet.Error{Code: fleet.CodeNotFound, Message: "no such trip"}
	}
	return a, err
}

// find finds a trip as the desk finds bookings.
func (t *Tracks) find(ctx context.Context, w Watcher, id fleet.BookingID) (Admission, fleet.Booking, error) {
	a := Admission{Watcher: w, Trip: id}
	notFound := func(err error) bool { return fleet.CodeOf(err) == fleet.CodeNotFound }
	if w.Share != nil {
		a.As = AsGuest
		b, err := t.bookings.SharedBy(ctx, w.Share.ID, id)
		return a, b, err
	}
	if !w.User.IsZero() {
		b, err := t.bookings.Of(ctx, w.User, id)
		if a.As = AsPrincipal; !notFound(err) {
			return a, b, err
		}
	}
	if a.Driver.IsZero() && !w.User.IsZero() {
		own, err := t.drivers.Own(ctx, w.User)
		if err != nil && !notFound(err) {
			return a, fleet.Booking{}, err
		}
		a.Driver = own.ID
	}
	if !a.Driver.IsZero() {
		b, err := t.bookings.ByDriver(ctx, a.Driver, id)
		if a.As = AsOfficer; err == nil && !has(&b, a.Driver) {
			err = &fleet.Error{Code: fleet.CodeNotFound, Message: "no such trip"}
		}
		if !notFound(err) {
			return a, b, err
		}
	}
	if !w.Ops {
		return a, fleet.Booking{}, &fleet.Error{Code: fleet.CodeNotFound, Message: "no such trip"}
	}
	a.As = AsOps
	b, err := t.bookings.VisibleTo(ctx, w.User, id)
	return a, b, err
}

// may reports whether the watcher may be told of a trip that is theirs if it is as b
// says. That ops see its principal is asked elsewhere.
func (a *Admission) may(b *fleet.Booking, now time.Time) bool {
	switch a.As {
	case AsPrincipal:
		return b.User == a.User && shared(b, now)
	case AsOfficer:
		return has(b, a.Driver) && shared(b, now)
	case AsGuest:
		return a.Share.Booking == b.ID && a.Share.Revoked.IsZero() && (a.Share.Expires.IsZero() || now.Before(a.Share.Expires))
	}
	return a.As == AsOps
}

// audience is with whom the watcher is told.
func (a *Admission) audience() audience {
	switch a.As {
	case AsOps:
		return toOps
	case AsGuest:
		return toGuest
	}
	return toParty
}

// watching is somebody who watches a trip. It is guarded by the track's mu.
type watching struct {
	Admission
	out     Outlet
	audited map[fleet.DriverID]bool // whom they may see, since that is in the audit log
}

// record puts into the audit log that somebody is shown where officers are. What
// cannot be recorded is not shown.
func (t *Tracks) record(ctx context.Context, a *Admission, drivers []fleet.DriverID) error {
	units := make([]fleet.Unit, len(drivers))
	for i, d := range drivers {
		units[i] = fleet.Unit(d)
	}
	people, err := t.audit.PeopleOfUnits(ctx, units)
	if err != nil {
		return err
	}
	others := people[:0]
	for _, p := range people {
		if p != a.User || p.IsZero() {
			others = append(others, p)
		}
	}
	if len(people) > 0 && len(others) == 0 {
		return nil // who sees no more than themselves is not recorded
	}
	return t.audit.Record(ctx, fleet.AuditEntry{
		Actor: a.Name, ActorUser: a.User, Action: "watch_trip", Subjects: others, Object: "booking/" + a.Trip.String(),
		At: t.clock.Now(), RequestID: a.RequestID,
	})
}

// shownSeats are the seats of a trip whose officers' positions are told: of those
// assigned, while the trip is under way. Who is to relieve another is not there yet.
func shownSeats(b *fleet.Booking) []*fleet.Seat {
	if !b.Status.Active() {
		return nil
	}
	var shown []*fleet.Seat
	for i := range b.Seats {
		s := &b.Seats[i]
		if (s.State == fleet.SeatCommitted || s.State == fleet.SeatActive) && s.Relieves.IsZero() && !s.Driver.IsZero() {
			shown = append(shown, s)
		}
	}
	return shown
}

// tellable is an event for each audience.
func tellable(e *schema.TrackedEvent) (frames [audiences]*Frame) {
	for to := range audiences {
		if s, ok := stateOf(e, to); ok {
			f := frame(FrameState, e.Seq, "", s)
			frames[to] = &f
		}
	}
	return frames
}

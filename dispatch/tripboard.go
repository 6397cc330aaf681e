package dispatch

import (
	"context"

	"armora/fleet"
)

// Shown is a trip as the control room sees it.
type Shown struct {
	Booking  fleet.Booking
	ETA      *ETA                      // nil: nobody knows
	Overruns bool                      // it is beyond its booked end
	People   []ShownOfficer            // those who have a seat, in order of seats
	Names    map[fleet.DriverID]string // of all officers of the list
}

// ShownOfficer is what is known of an officer of a trip.
type ShownOfficer struct {
	Seat                fleet.Seat
	Silent, Late, Unfit bool
}

// UnderWay returns up to limit trips that are under way, or soon will be, whose
// principals a member of the staff sees, with ids after the given one.
func (t *Trips) UnderWay(ctx context.Context, staff fleet.UserID, after fleet.BookingID, limit int) ([]Shown, error) {
	bookings, err := t.trips.UnderWayFor(ctx, staff, t.clock.Now().Add(t.rules.Horizon), after, limit)
	if err != nil {
		return nil, err
	}
	var ids []fleet.DriverID
	shown := make([]Shown, len(bookings))
	for i := range bookings {
		shown[i] = t.show(&bookings[i])
		for _, p := range shown[i].People {
			ids = append(ids, p.Seat.Driver)
		}
	}
	drivers, err := t.drivers.ByIDs(ctx, ids)
	if err != nil {
		return nil, err
	}
	names := make(map[fleet.DriverID]string, len(drivers))
	for _, d := range drivers {
		names[d.ID] = d.Name
	}
	for i := range shown {
		shown[i].Names = names
	}
	return shown, nil
}

func (t *Trips) show(b *fleet.Booking) Shown {
	s := Shown{Booking: *b, Overruns: b.Status == fleet.InProgress && t.clock.Now().After(b.End())}
	trip := t.watch.get(b.ID)
	if trip != nil {
		s.ETA = trip.eta
	}
	for _, seat := range b.Seats {
		if seat.State != fleet.SeatCommitted && seat.State != fleet.SeatActive {
			continue
		}
		o := ShownOfficer{Seat: seat}
		if trip != nil && trip.people[seat.Driver] != nil {
			who := trip.people[seat.Driver]
			o.Silent, o.Late, o.Unfit = who.silent.yes(), who.late.yes(), who.unfit.yes()
		}
		s.People = append(s.People, o)
	}
	return s
}

package dispatch

import (
	"context"
	"errors"
	"time"

	"armora/fleet"
	"armora/schema"
)

// MayWork returns for how long each of the drivers may still work from now on,
// until they reach a limit; 0 at or beyond one. Who may not work to the end of an
// assignment is not offered it.
func (t *Trips) MayWork(ctx context.Context, drivers []fleet.DriverID) (map[fleet.DriverID]time.Duration, error) {
	now := t.clock.Now()
	worked, err := t.duty.Worked(ctx, drivers, now.Add(-t.rules.Work.Within))
	if err != nil {
		return nil, err
	}
	left := make(map[fleet.DriverID]time.Duration, len(drivers))
	for _, driver := range drivers {
		left[driver] = t.rules.Work.Left(worked[driver], now)
	}
	return left, nil
}

// seeShifts seeks relief for officers who will reach a limit before their trip is
// over, and in good time: Relieve before.
func (t *Trips) seeShifts(ctx context.Context) error {
	var drivers []fleet.DriverID
	trips := t.watch.all()
	for _, trip := range trips {
		if trip.booking.Status == fleet.InProgress {
			for driver := range trip.people {
				drivers = append(drivers, driver)
			}
		}
	}
	if len(drivers) == 0 {
		return nil
	}
	left, err := t.MayWork(ctx, drivers)
	if err != nil {
		return err
	}
	var failed []error
	now := t.clock.Now()
	for _, trip := range trips {
		b := &trip.booking
		for _, seat := range b.Seats {
			if b.Status != fleet.InProgress || seat.State != fleet.SeatActive || !seat.Relieves.IsZero() || relief(b, seat.ID) != nil {
				continue
			}
			if may := left[seat.Driver]; may <= t.rules.Relieve && b.End().After(now.Add(may)) {
				failed = append(failed, t.relieveInTime(ctx, b.ID, seat.ID))
			}
		}
	}
	return errors.Join(failed...)
}

func (t *Trips) relieveInTime(ctx context.Context, booking fleet.BookingID, id fleet.SeatID) error {
	_, err := t.change(ctx, booking, func(c *schema.BookingTx) error {
		s := c.Seat(id)
		if s == nil || s.State != fleet.SeatActive || c.Status != fleet.InProgress {
			return nil
		}
		data := map[string]any{"driver": s.Driver, "seat": s.Number, "reason": "shift_limit"}
		return t.seekRelief(c, *s, schema.Event{Kind: "relief_sought", Data: data})
	})
	return err
}

package schema

import (
	"fmt"
	"time"

	"armora/fleet"
)

// Seat returns a seat of the booking; nil if it has no such seat. What it points
// to is the booking's, and true until the seat is changed.
func (c *BookingTx) Seat(id fleet.SeatID) *fleet.Seat {
	for i := range c.Seats {
		if c.Seats[i].ID == id {
			return &c.Seats[i]
		}
	}
	return nil
}

// SeatOf returns the seat that takes a driver's time for this booking; nil if
// none does.
func (c *BookingTx) SeatOf(driver fleet.DriverID) *fleet.Seat {
	for i := range c.Seats {
		if s := &c.Seats[i]; s.Driver == driver && s.State.Taken() {
			return s
		}
	}
	return nil
}

// Vacant returns the seats that nobody has.
func (c *BookingTx) Vacant() []fleet.Seat {
	var open []fleet.Seat
	for _, s := range c.Seats {
		if s.State == fleet.SeatOpen {
			open = append(open, s)
		}
	}
	return open
}

// OpenSeat adds a seat that is open: the first of its number, or one that is to
// relieve another.
func (c *BookingTx) OpenSeat(number int, relieves fleet.SeatID) (fleet.Seat, error) {
	s := fleet.Seat{ID: fleet.NewID[fleet.Seat](), Booking: c.ID, Number: number, State: fleet.SeatOpen, Relieves: relieves}
	_, err := c.tx.Exec(c.ctx, `INSERT INTO booking_seats (id, booking_id, number, state, relieves) VALUES ($1, $2, $3, $4, $5)`,
		s.ID, s.Booking, s.Number, s.State, s.Relieves)
	if err == nil {
		c.Seats = append(c.Seats, s)
	}
	return s, translate("seat", err)
}

// Take gives a seat to a driver, from the state in which it is to held, committed
// or active. Time that is taken already, by this or another booking, is
// CodeConflict, and ends the change.
func (c *BookingTx) Take(seat fleet.Seat) error {
	if !seat.State.Taken() {
		return fmt.Errorf("a seat that is %s takes no time", seat.State)
	}
	return c.write(seat)
}

// Release ends a seat: its time is free again. It keeps who had it, and they are
// told.
func (c *BookingTx) Release(id fleet.SeatID, reason string) error {
	s := c.Seat(id)
	if s == nil {
		return fmt.Errorf("booking %s has no seat %s", c.ID, id)
	}
	if err := c.tellEnd(*s, reason); err != nil {
		return err
	}
	seat := *s
	seat.State, seat.Reason = fleet.SeatReleased, reason
	return c.write(seat)
}

// seatEnd is what an officer's phone is told of a seat that is the officer's no
// more.
type seatEnd struct {
	Booking fleet.BookingID `json:"booking_id"`
	Reason  string          `json:"reason"`
}

func (c *BookingTx) tellEnd(s fleet.Seat, reason string) error {
	if !s.State.Taken() {
		return nil
	}
	return c.Tell(OfficerMessage{Driver: s.Driver, Kind: "assignment_ended", Expires: c.Now.Add(toldFor), Body: seatEnd{c.ID, reason}})
}

// Vacate makes a seat that was held open again. Who had it is told.
func (c *BookingTx) Vacate(id fleet.SeatID, reason string) error {
	s := c.Seat(id)
	if s == nil || s.State != fleet.SeatHeld {
		return fmt.Errorf("booking %s has no seat %s that is held", c.ID, id)
	}
	if err := c.tellEnd(*s, reason); err != nil {
		return err
	}
	return c.write(fleet.Seat{ID: s.ID, Booking: s.Booking, Number: s.Number, State: fleet.SeatOpen, Relieves: s.Relieves})
}

// Replace puts a seat in the place of the one that it relieves, which has to be
// released before.
func (c *BookingTx) Replace(id fleet.SeatID) error {
	s := c.Seat(id)
	if s == nil {
		return fmt.Errorf("booking %s has no seat %s", c.ID, id)
	}
	seat := *s
	seat.Relieves = fleet.SeatID{}
	return c.write(seat)
}

func (c *BookingTx) write(s fleet.Seat) error {
	if s.State != fleet.SeatHeld {
		s.Held = time.Time{}
	}
	var from, to *time.Time
	if !s.Driver.IsZero() {
		from, to = null(s.From), null(s.To)
	}
	tag, err := c.tx.Exec(c.ctx, `
		UPDATE booking_seats SET state = $3, driver_id = $4, vehicle_id = $5,
			pay = CASE WHEN $4::uuid IS NULL THEN NULL WHEN driver_id IS DISTINCT FROM $4::uuid THEN `+thePayRates+` ELSE pay END,
			during = CASE WHEN $6::timestamptz IS NOT NULL THEN tstzrange($6, $7::timestamptz) END, held_until = $8, relieves = $9, reason = $10
		WHERE id = $1 AND booking_id = $2`,
		s.ID, c.ID, s.State, s.Driver, s.Vehicle, from, to, null(s.Held), s.Relieves, text(s.Reason))
	switch state := sqlState(err); {
	case state == exclusionViolation || state == uniqueViolation:
		return &fleet.Error{Code: fleet.CodeConflict, Message: "the officer's time is taken", Err: err}
	case err != nil:
		return err
	case tag.RowsAffected() == 0:
		return fmt.Errorf("booking %s has no seat %s", c.ID, s.ID)
	}
	*c.Seat(s.ID) = s
	return nil
}

// Exclude keeps the booking from being offered to a driver again.
func (c *BookingTx) Exclude(driver fleet.DriverID, reason string) error {
	_, err := c.tx.Exec(c.ctx, `
		INSERT INTO booking_exclusions (booking_id, driver_id, reason) VALUES ($1, $2, $3)
		ON CONFLICT (booking_id, driver_id) DO UPDATE SET reason = excluded.reason`, c.ID, driver, reason)
	return err
}

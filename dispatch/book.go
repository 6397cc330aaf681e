package dispatch

import (
	"context"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
)

// book is how every part of dispatch changes bookings: by the clock of the hub,
// and the others are told once it is done.
type book struct {
	schema.Bookings
	bus   *bus.Bus
	clock fleet.Clock
}

func (b *book) change(ctx context.Context, id fleet.BookingID, do func(*schema.BookingTx) error) (fleet.Booking, error) {
	return b.changeIn(ctx, schema.Term{}, id, do)
}

// changeIn is change by an engine, in its term.
func (b *book) changeIn(ctx context.Context, term schema.Term, id fleet.BookingID, do func(*schema.BookingTx) error) (fleet.Booking, error) {
	return b.telling(do, func(do func(*schema.BookingTx) error) (fleet.Booking, error) {
		return b.ChangeIn(ctx, term, id, b.clock.Now(), do)
	})
}

// changeOf is change of a booking of the user's own.
func (b *book) changeOf(ctx context.Context, user fleet.UserID, id fleet.BookingID, do func(*schema.BookingTx) error) (fleet.Booking, error) {
	return b.telling(do, func(do func(*schema.BookingTx) error) (fleet.Booking, error) {
		return b.ChangeOf(ctx, user, id, b.clock.Now(), do)
	})
}

// changeFor is change for a member of the staff who sees the booking.
func (b *book) changeFor(ctx context.Context, staff fleet.UserID, id fleet.BookingID, do func(*schema.BookingTx) error) (fleet.Booking, error) {
	return b.telling(do, func(do func(*schema.BookingTx) error) (fleet.Booking, error) {
		return b.ChangeFor(ctx, staff, id, b.clock.Now(), do)
	})
}

// telling tells the others of a change once it is done, and wakes the phones that
// are told of it.
func (b *book) telling(do func(*schema.BookingTx) error, change func(func(*schema.BookingTx) error) (fleet.Booking, error)) (fleet.Booking, error) {
	var last *schema.BookingTx
	booking, err := change(func(c *schema.BookingTx) error {
		last = c
		return do(c)
	})
	if err == nil {
		b.tell(&booking)
		for _, device := range last.Told() {
			b.bus.Commands.Publish(device)
		}
	}
	return booking, err
}

func (b *book) tell(booking *fleet.Booking) {
	b.bus.Bookings.Publish(bus.BookingChange{ID: booking.ID, User: booking.User, Status: booking.Status, Seq: booking.Seq})
}

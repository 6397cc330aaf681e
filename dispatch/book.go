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
	booking, err := b.ChangeIn(ctx, term, id, b.clock.Now(), do)
	if err == nil {
		b.tell(&booking)
	}
	return booking, err
}

func (b *book) tell(booking *fleet.Booking) {
	b.bus.Bookings.Publish(bus.BookingChange{ID: booking.ID, Status: booking.Status, Seq: booking.Seq})
}

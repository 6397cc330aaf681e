package dispatch

import (
	"context"

	"armora/fleet"
	"armora/schema"
)

// History returns up to limit bookings before a given one, the newest first: of
// the user as principal, or those in which they are an officer.
func (d *Desk) History(ctx context.Context, user fleet.UserID, as Viewer, before fleet.BookingID, limit int) ([]View, error) {
	var bookings []fleet.Booking
	var err error
	if as == AsOfficer {
		own, failed := schema.Drivers{DB: d.cfg.DB}.Own(ctx, user)
		if fleet.CodeOf(failed) == fleet.CodeNotFound {
			return nil, nil
		}
		if failed != nil {
			return nil, failed
		}
		bookings, err = d.book.OfDriver(ctx, own.ID, before, limit)
	} else {
		as = AsPrincipal
		bookings, err = d.book.History(ctx, user, before, limit)
	}
	if err != nil {
		return nil, err
	}
	return d.views(ctx, bookings, as, user)
}

// List returns bookings to ops, the newest first, whose principals they may see.
func (d *Desk) List(ctx context.Context, staff fleet.UserID, q schema.BookingQuery) ([]View, error) {
	bookings, err := d.book.List(ctx, staff, q)
	if err != nil {
		return nil, err
	}
	return d.views(ctx, bookings, AsOps, staff)
}

// Events returns up to limit events of a booking after one, and the booking as the
// reader sees it. Others than ops are told what became of the booking and what its
// principal did, and not how it was searched; an officer, while they see the
// booking.
func (d *Desk) Events(ctx context.Context, who Reader, id fleet.BookingID, after int64, limit int) (View, []fleet.BookingEvent, error) {
	v, err := d.Read(ctx, who, id)
	if err != nil || v.Booking == nil {
		return v, nil, err
	}
	if v.As == AsOps {
		events, err := d.book.Events(ctx, id, after, limit)
		return v, events, err
	}
	events, err := d.book.Told(ctx, id, after, limit)
	for i := range events {
		events[i].Actor.User, events[i].Data = fleet.UserID{}, nil
	}
	return v, events, err
}

package schema_test

import (
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func TestEventsAreToldToWhomTheyConcern(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		bookings := schema.Bookings{DB: db}
		b := newBooking(t, db, newUser(t, db), noon, 1) // its first event: booked
		_, err := bookings.Change(t.Context(), b.ID, noon, func(c *schema.BookingTx) error {
			must(t, c.Note(schema.Event{Kind: "offered"}))
			must(t, c.Note(schema.Event{Kind: "message"}))
			must(t, c.Note(schema.Event{Kind: "edited", By: fleet.Actor{Kind: fleet.ByPrincipal}}))
			must(t, c.Note(schema.Event{Kind: "left_pickup"}))
			return c.Move(fleet.Searching, schema.Event{Kind: "searching"})
		})
		must(t, err)
		events, err := bookings.Tracked(t.Context(), b.ID, 1, 10)
		must(t, err)
		type row struct {
			kind                 string
			party, guest         bool
			ops, parties, guests int64 // what came before
		}
		want := []row{
			{"offered", false, false, 1, 1, 0},
			{"edited", true, false, 2, 1, 0},
			{"left_pickup", true, true, 4, 4, 0},
			{"searching", true, true, 5, 5, 5},
		}
		if len(events) != len(want) {
			t.Fatalf("%d events are told, want %d", len(events), len(want))
		}
		for i, e := range events {
			got := row{e.Kind, e.ToParty, e.ToGuest, e.BeforeOps, e.BeforeParty, e.BeforeGuest}
			if got != want[i] {
				t.Errorf("event %d is %+v, want %+v", e.Seq, got, want[i])
			}
		}
		if some, err := bookings.Tracked(t.Context(), b.ID, 4, 1); err != nil || len(some) != 1 || some[0].Kind != "left_pickup" {
			t.Errorf("from 4 on: %+v, error %v", some, err)
		}
	})
}

func TestTicketsAndSharesAreGoodForWhatTheySay(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, shares, tickets := t.Context(), schema.Shares{DB: db}, schema.Tickets{DB: db}
		user, other := newUser(t, db), newUser(t, db)
		b := newBooking(t, db, user, noon, 1)
		share := fleet.Share{ID: fleet.NewID[fleet.Share](), Booking: b.ID, User: user, Until: fleet.ShareHour, Created: noon, Expires: noon.Add(time.Hour)}
		must(t, shares.Add(ctx, share, []byte("hash"), 1, nil))
		again := share
		again.ID = fleet.NewID[fleet.Share]()
		if err := shares.Add(ctx, again, []byte("more"), 1, nil); fleet.CodeOf(err) != fleet.CodeTooMany {
			t.Errorf("more than may be: %v", err)
		}
		if again.User = other; fleet.CodeOf(shares.Add(ctx, again, []byte("theirs"), 9, nil)) != fleet.CodeNotFound {
			t.Error("another's booking was shared")
		}
		if got, err := shares.Open(ctx, []byte("hash"), noon); err != nil || got.ID != share.ID || got.Times != 1 {
			t.Errorf("opened %+v, error %v", got, err)
		}
		if _, err := shares.Open(ctx, []byte("hash"), noon.Add(time.Hour)); fleet.CodeOf(err) != fleet.CodeNotFound {
			t.Errorf("opened after its end: %v", err)
		}
		if err := shares.Revoke(ctx, other, b.ID, share.ID, noon); fleet.CodeOf(err) != fleet.CodeNotFound {
			t.Errorf("revoked by another: %v", err)
		}
		ticket := fleet.Ticket{Share: share.ID, Opens: fleet.OpensTracking, Trip: b.ID, Expires: noon.Add(time.Minute), Until: noon.Add(time.Hour)}
		must(t, tickets.Add(ctx, []byte("once"), ticket))
		if _, err := tickets.Redeem(ctx, []byte("once"), fleet.OpensChat, b.ID, noon); fleet.CodeOf(err) != fleet.CodeNotFound {
			t.Errorf("it opened something else: %v", err)
		}
		if got, err := tickets.Redeem(ctx, []byte("once"), fleet.OpensTracking, b.ID, noon); err != nil || got.Share != share.ID {
			t.Errorf("redeemed as %+v, error %v", got, err)
		}
		if _, err := tickets.Redeem(ctx, []byte("once"), fleet.OpensTracking, b.ID, noon); fleet.CodeOf(err) != fleet.CodeNotFound {
			t.Errorf("redeemed twice: %v", err)
		}
		must(t, shares.Revoke(ctx, user, b.ID, share.ID, noon))
		if _, err := shares.Live(ctx, share.ID, noon); fleet.CodeOf(err) != fleet.CodeNotFound {
			t.Errorf("it lives after it was revoked: %v", err)
		}
	})
}

package schema_test

import (
	"testing"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// A dispatcher that stops in the middle of a change, as its process may be stopped, keeps
// nobody from taking over, and has changed nothing.
func TestADispatcherThatStopsInTheMiddleOfAChangeIsFollowed(t *testing.T) {
	t.Parallel()
	ctx, dsn := t.Context(), schematest.PlainDSN(t)
	open := func(dsn string) *schema.DB {
		db, err := schema.Open(ctx, dsn, schema.Options{MaxConns: 4})
		must(t, err)
		t.Cleanup(db.Close)
		return db
	}
	other := open(dsn)
	var patience string
	must(t, other.Pool().QueryRow(ctx, `SHOW idle_in_transaction_session_timeout`).Scan(&patience))
	if patience != "30s" {
		t.Errorf("the database waits %s for a hub that has stopped", patience)
	}
	stalling := open(dsn + " idle_in_transaction_session_timeout=200") // or the test takes 30 s
	bookings := schema.Bookings{DB: stalling}
	b := newBooking(t, stalling, newUser(t, stalling), noon, 1)
	term, err := schema.Dispatchers{DB: stalling}.Begin(ctx, "all", "stalling", noon)
	must(t, err)
	_, err = bookings.ChangeIn(ctx, term, b.ID, noon, func(c *schema.BookingTx) error {
		if err := c.Move(fleet.Searching, schema.Event{Kind: "searching"}); err != nil {
			return err
		}
		leader, err := schema.Dispatchers{DB: other}.Lead(ctx, "all", "other", noon)
		must(t, err)
		if leader == nil || leader.Epoch != term.Epoch+1 {
			t.Errorf("it leads as %+v", leader)
		}
		leader.Close(ctx)
		return nil
	})
	wantCode(t, err, fleet.CodeUnavailable)
	got, err := bookings.Get(ctx, b.ID)
	must(t, err)
	if got.Status != fleet.Scheduled {
		t.Errorf("the booking is %s", got.Status)
	}
}

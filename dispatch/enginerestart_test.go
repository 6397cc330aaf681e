package dispatch

import (
	"context"
	"sync"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// The database stops while officers are being matched and asked, and comes back: what
// was asked before is still asked, whoever answered has what they were promised, and
// the rest is done then.
func TestTheDatabaseRestartsDuringMatching(t *testing.T) {
	t.Parallel()
	dir := schematest.Dir(t)
	server := must(schema.StartPrivate(t.Context(), dir, nil, schema.WithoutFsync()))(t)
	stop := func() { check(t, server.Close(context.Background())) }
	t.Cleanup(func() { stop() })
	db := must(schema.Open(t.Context(), server.DSN(), schema.Options{MaxConns: 8}))(t)
	t.Cleanup(db.Close)
	check(t, db.Migrate(t.Context()))
	s := newSceneOn(t, db)
	const n = 12
	drivers := s.officers(2 * n)
	var ids []fleet.BookingID
	book := func() {
		for range n {
			ids = append(ids, s.book().ID)
		}
	}
	book()
	s.step(0)
	asked := must(s.offers.Open(t.Context()))(t)
	if len(asked) != n {
		t.Fatalf("%d officers are asked, want %d", len(asked), n)
	}
	for _, o := range asked[:n/3] {
		must(s.Accept(t.Context(), o.Driver, o.ID, officer))(t)
	}
	book() // and while these are matched, it stops
	var ticking sync.WaitGroup
	ticking.Go(func() {
		for s.tick(t.Context(), s.term) == nil {
			s.clock.Advance(100 * time.Millisecond)
		}
	})
	stop()
	ticking.Wait()
	if _, err := s.Accept(t.Context(), asked[n-1].Driver, asked[n-1].ID, officer); err == nil {
		t.Error("an offer was accepted without a database")
	}
	server = must(schema.StartPrivate(t.Context(), dir, nil, schema.WithoutFsync()))(t)
	s.clock.Advance(time.Second)
	for try := 0; s.tick(t.Context(), s.term) != nil; try++ { // the pool finds out, connection by connection
		if try == 20 {
			t.Fatal("the engine does not come back")
		}
	}
	for _, o := range asked[n/3:] {
		must(s.Accept(t.Context(), o.Driver, o.ID, officer))(t)
	}
	for range 10 { // the second dozen, whoever of them was asked before
		s.clock.Advance(maxPause)
		for _, d := range drivers {
			s.see(d, strand.Lat, strand.Lon)
		}
		s.step(0)
		for _, o := range must(s.offers.Open(t.Context()))(t) {
			must(s.Accept(t.Context(), o.Driver, o.ID, officer))(t)
		}
	}
	has := make(map[fleet.DriverID]bool)
	for _, id := range ids {
		b := s.is(id, fleet.Assigned)
		s.kinds(id)
		if has[b.Lead().Driver] {
			t.Errorf("%s is assigned twice", b.Lead().Driver)
		}
		has[b.Lead().Driver] = true
	}
}

package dispatch_test

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
)

// Random commands of officers, principals and ops on a few trips that share their
// officers, at once, with taps late, doubled and in any order, while time passes,
// trips overrun and an engine fills seats: whatever happens, each booking's events
// are a way through the table without a gap, nobody is at work twice, and whoever
// is protected has a lead.
func TestRandomCommandsLeaveTripsInOrder(t *testing.T) {
	t.Parallel()
	const seed, workers, commands = 7, 4, 250
	w := newTripWorld(t)
	var officers []*tripOfficer
	for range 7 {
		officers = append(officers, w.officer())
	}
	var bookings []fleet.BookingID
	for i := range 9 {
		team := []*tripOfficer{officers[i%3*2]}
		if i%3 == 0 {
			team = append(team, officers[1])
		}
		b := w.assigned(tripsNoon.Add(time.Duration(i/3*4)*time.Hour), team...)
		bookings = append(bookings, b.ID)
	}
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			chaos := chaos{tripWorld: w, Rand: rand.New(rand.NewPCG(seed, uint64(worker))), officers: officers, bookings: bookings}
			for i := range commands {
				if worker == 0 && i%5 == 0 {
					w.clock.Advance(time.Duration(chaos.IntN(8)) * time.Minute)
					w.Round(t.Context())
				}
				chaos.step()
			}
		})
	}
	all.Wait()
	w.checkOrder(bookings)
}

type chaos struct {
	*tripWorld
	*rand.Rand
	officers []*tripOfficer
	bookings []fleet.BookingID
	last     fleet.TripCommand
}

func (c *chaos) step() {
	id, who := c.bookings[c.IntN(len(c.bookings))], c.officers[c.IntN(len(c.officers))]
	switch n := c.IntN(20); {
	case n < 12:
		kinds := []fleet.TripCommandKind{fleet.TapEnRoute, fleet.TapArrive, fleet.TapStart, fleet.TapStart, fleet.TapComplete, fleet.TapNoShow,
			fleet.AskRelease, fleet.AskRelief, fleet.AskHandover}
		c.last = fleet.TripCommand{ID: fleet.NewID[fleet.TripCommand](), Booking: id, Kind: kinds[c.IntN(len(kinds))], Driver: who.id, Code: "4711", Reason: "x",
			By: fleet.Actor{Kind: fleet.ByOfficer, User: who.user}, Occurred: c.clock.Now().Add(-time.Duration(c.IntN(30)) * time.Minute)}
		c.give(c.last)
	case n < 14 && !c.last.ID.IsZero():
		c.give(c.last) // once more
	case n < 16:
		c.give(fleet.TripCommand{ID: fleet.NewID[fleet.TripCommand](), Booking: id, Kind: fleet.AskExtend, Minutes: 30,
			By: fleet.Actor{Kind: fleet.ByPrincipal, User: c.user}})
	case n < 17:
		kind := []fleet.TripCommandKind{fleet.AskRelief, fleet.TapStart, fleet.AskHandover}[c.IntN(3)]
		c.give(fleet.TripCommand{ID: fleet.NewID[fleet.TripCommand](), Booking: id, Kind: kind, Reason: "ops", By: fleet.Actor{Kind: fleet.ByOps}})
	default:
		c.engine(id, who)
	}
}

func (c *chaos) give(cmd fleet.TripCommand) {
	b, err := c.Do(c.t.Context(), cmd)
	switch code := fleet.CodeOf(err); {
	case err != nil && !slices.Contains([]fleet.Code{fleet.CodeConflict, fleet.CodeNotFound, fleet.CodeInvalid, fleet.CodeForbidden, fleet.CodeTooMany}, code):
		c.t.Errorf("%s: %v", cmd.Kind, err)
	case err == nil && b.Status == fleet.InProgress && (b.Lead() == nil || b.Lead().State != fleet.SeatActive):
		c.t.Errorf("after %s the principal is alone: %+v", cmd.Kind, b.Seats)
	}
}

// engine fills a seat that is open, if the officer's time allows.
func (c *chaos) engine(id fleet.BookingID, who *tripOfficer) {
	_, err := c.tripWorld.bookings.Change(c.t.Context(), id, c.clock.Now(), func(tx *schema.BookingTx) error {
		open := tx.Vacant()
		if len(open) == 0 || tx.SeatOf(who.id) != nil {
			return nil
		}
		seat := open[0]
		seat.State, seat.Driver, seat.From, seat.To = fleet.SeatCommitted, who.id, tx.Start.Add(-30*time.Minute), tx.End().Add(30*time.Minute)
		if tx.Now.After(seat.To) {
			seat.To = tx.Now.Add(30 * time.Minute)
		}
		if err := tx.Take(seat); err != nil {
			return err
		}
		if tx.Status == fleet.InProgress || len(open) > 1 {
			return tx.Note(schema.Event{Kind: "seat_filled"})
		}
		return tx.Move(fleet.Assigned, schema.Event{Kind: "assigned"})
	})
	if err != nil && fleet.CodeOf(err) != fleet.CodeConflict {
		c.t.Error(err)
	}
}

// checkOrder checks what has to hold of bookings whatever has happened to them.
func (w *tripWorld) checkOrder(ids []fleet.BookingID) {
	w.t.Helper()
	active, statuses := map[fleet.DriverID]int{}, map[fleet.BookingStatus]int{}
	for _, id := range ids {
		b := w.get(id)
		statuses[b.Status]++
		events, err := w.bookings.Events(w.t.Context(), id, 0, 10_000)
		w.must(err)
		was := fleet.Scheduled
		for i, e := range events {
			switch {
			case e.Seq != int64(i+1):
				w.t.Errorf("event %d has seq %d", i+1, e.Seq)
			case e.From == "":
			case e.From != was || !slices.Contains(e.From.Next(), e.To):
				w.t.Errorf("from %s it went on as %s to %s", was, e.From, e.To)
			default:
				was = e.To
			}
		}
		if was != b.Status || b.Seq != int64(len(events)) {
			w.t.Errorf("it is %s, seq %d; by its events %s, %d", b.Status, b.Seq, was, len(events))
		}
		for _, s := range b.Seats {
			if s.State == fleet.SeatActive {
				active[s.Driver]++
			}
			if b.Status.Ended() && s.State != fleet.SeatReleased {
				w.t.Errorf("it is %s, and seat %d is %s", b.Status, s.Number, s.State)
			}
		}
		if b.Status.Ended() {
			for _, kind := range w.alerts(id) {
				if kind != fleet.AlertConflict {
					w.t.Errorf("it is over, and an alert is open: %s", kind)
				}
			}
		}
	}
	for driver, n := range active {
		if n > 1 {
			w.t.Errorf("officer %s is at work %d times", driver, n)
		}
	}
	if statuses[fleet.InProgress]+statuses[fleet.Completed] == 0 {
		w.t.Errorf("no trip has begun: %v", statuses)
	}
	w.t.Logf("in the end: %v", statuses)
}

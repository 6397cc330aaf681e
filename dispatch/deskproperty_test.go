package dispatch_test

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"armora/dispatch"
	"armora/fleet"
	"armora/schema"
	"armora/tariff"
)

// Whatever a principal asks for in whatever state: what is refused has changed
// nothing; what is granted is priced by the booking's own tariff, the officers'
// time covers it, and everything that has happened is told without a gap.
func TestABookingIsWholeAfterAnything(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var drivers []fleet.DriverID
	for range 3 {
		driver, _ := d.officer()
		drivers = append(drivers, driver)
	}
	ctx := t.Context()
	var dearest int64 // that the booking has cost
	check := func(t *rapid.T, id fleet.BookingID) *fleet.Booking {
		b := d.get(id)
		var table tariff.Table
		d.ok(json.Unmarshal(b.Tariff, &table))
		price, err := table.Quote(tariff.Trip{Tier: b.Tier, Start: b.Start, Zone: b.Zone, Time: b.Booked(), Metres: b.Metres, Officers: b.Officers})
		if err != nil || price.Total != b.Total {
			t.Fatalf("it costs %s, and by its tariff %s, error %v", b.Total, price.Total, err)
		}
		if want := int(math.Round(d.metres * float64(len(b.Stops)+1))); b.Metres != want {
			t.Fatalf("with %d stops it is %d m, want %d", len(b.Stops), b.Metres, want)
		}
		events, err := d.bookings.Events(ctx, id, 0, 1000)
		if err != nil || int64(len(events)) != b.Seq || events[len(events)-1].Seq != b.Seq {
			t.Fatalf("%d events of %d, error %v", len(events), b.Seq, err)
		}
		for _, s := range b.Seats {
			if s.State.Taken() && (s.From.After(b.Start) || s.To.Before(b.End())) {
				t.Fatalf("the officer's time is %v to %v, the booking %v to %v", s.From, s.To, b.Start, b.End())
			}
		}
		// Made cheaper, it costs no less to cancel than it would have.
		if dearest = max(dearest, b.Total.Amount); b.Status.Ended() != !b.Ended.IsZero() || b.Fee.Amount > dearest {
			t.Fatalf("ended as %+v", b)
		}
		return b
	}
	rapid.Check(t, func(t *rapid.T) {
		local := func() string {
			return deskNoon.Add(time.Duration(rapid.IntRange(-2, 60).Draw(t, "hours")) * time.Hour).Format(dispatch.LocalLayout)
		}
		v, err := d.Book(ctx, d.user, transfer(at(deskNoon.Add(30*time.Hour).Format(dispatch.LocalLayout)), func(r *dispatch.Request) {
			r.Officers = rapid.IntRange(1, 2).Draw(t, "officers")
		}))
		if err != nil {
			t.Fatal(err)
		}
		dearest = 0
		b := check(t, v.ID)
		defer func() { // the officers are free for the next
			if b := d.get(v.ID); !b.Status.Ended() && b.Status != fleet.InProgress {
				_, _ = d.Cancel(ctx, reader(d.user), v.ID, 0, "")
			} else if b.Status == fleet.InProgress {
				d.move(v.ID, fleet.Completed)
			}
		}()
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			var err error
			switch rapid.IntRange(0, 5).Draw(t, "what") {
			case 0:
				to := local()
				_, err = d.Edit(ctx, d.user, b.ID, 0, dispatch.Edit{LocalStart: &to})
			case 1:
				minutes := 30 * rapid.IntRange(2, 20).Draw(t, "half hours")
				_, err = d.Edit(ctx, d.user, b.ID, 0, dispatch.Edit{Minutes: &minutes})
			case 2:
				stops := make([]fleet.Place, rapid.IntRange(0, 3).Draw(t, "stops"))
				_, err = d.Edit(ctx, d.user, b.ID, b.Version, dispatch.Edit{Stops: &stops})
			case 3:
				_, err = d.bookings.Change(ctx, b.ID, d.clock.Now(), func(c *schema.BookingTx) error {
					for i, s := range c.Seats {
						s.State, s.Driver, s.From, s.To = fleet.SeatCommitted, drivers[(i+1)%3], c.Start.Add(-time.Hour), c.End().Add(time.Hour)
						if err := c.Take(s); err != nil {
							return err
						}
					}
					return c.Move(fleet.Assigned, schema.Event{Kind: "assigned"})
				})
			case 4:
				next := b.Status.Next()
				if len(next) == 0 {
					continue
				}
				to := next[rapid.IntRange(0, len(next)-1).Draw(t, "next")]
				if to == fleet.Assigned || to == fleet.Searching && b.Status == fleet.Assigned {
					continue // these are for the engine and the trips
				}
				_, err = d.bookings.Change(ctx, b.ID, d.clock.Now(), func(c *schema.BookingTx) error { return c.Move(to, schema.Event{Kind: string(to)}) })
			case 5:
				_, err = d.Cancel(ctx, reader(d.user), b.ID, 0, "x")
			}
			after := check(t, b.ID)
			if code := fleet.CodeOf(err); err != nil && (code != fleet.CodeConflict && code != fleet.CodeInvalid || after.Version != b.Version) {
				t.Fatalf("refused with %v, and changed from %+v to %+v", err, b, after)
			}
			b = after
		}
	})
}

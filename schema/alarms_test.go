package schema_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// A step of telling ops of an alarm is taken once, and leaves the next, until
// somebody sees to it.
func TestTheStepsOfAnAlarm(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, alerts := t.Context(), schema.Alerts{DB: db}
		ops, finance := newUser(t, db, fleet.RoleDispatcher), newUser(t, db, fleet.RoleFinance)
		driver, b := newDriver(t, db, fleet.UserID{}), newBooking(t, db, newUser(t, db), noon, 1)
		_, err := (schema.Bookings{DB: db}).Change(ctx, b.ID, noon, func(c *schema.BookingTx) error {
			seat := c.Seats[0]
			seat.State, seat.Driver, seat.From, seat.To = fleet.SeatCommitted, driver, c.Start, c.End()
			must(t, c.Take(seat))
			return c.Move(fleet.Assigned, schema.Event{Kind: "assigned"})
		})
		must(t, err)
		must(t, schema.SOSRota{DB: db}.Replace(ctx, []fleet.SOSStep{{Channel: fleet.MailChannel, User: ops}}))
		id := fleet.NewID[fleet.Alert]()
		must(t, alerts.RaiseOf(ctx, fleet.Alert{ID: id, Kind: fleet.AlertApart, Booking: b.ID, Driver: driver, Raised: noon}))
		var told []string
		tell := func(a *fleet.Alert, step int, by ...fleet.Channel) schema.Telling {
			if a.ID != id {
				t.Errorf("told of %+v", a)
			}
			return func(to fleet.User) ([]fleet.Notice, error) {
				if to.ID == finance {
					t.Error("somebody is told who is not of ops")
				}
				told = append(told, fmt.Sprint(step, by))
				return nil, nil
			}
		}
		for _, step := range []int{0, 0, 1, 1, 2} {
			must(t, alerts.Step(ctx, fleet.AlarmJob{Alert: id, Step: step}, noon.Add(time.Duration(step)*fleet.StepLength), tell))
		}
		seen, err := alerts.Acknowledge(ctx, ops, id, "ops", noon)
		if err != nil || seen.Steps != 3 || !seen.Calls {
			t.Errorf("%v, %+v", err, seen)
		}
		must(t, alerts.Step(ctx, fleet.AlarmJob{Alert: id, Step: 3}, noon, tell))
		if want := []string{"0 [push inbox]", "1 [mail]", "2 [mail]"}; !slices.Equal(told, want) {
			t.Errorf("told %q, want %q", told, want)
		}
	})
}

// Of the hubs that share a database one keeps an SOS, until it is heard of no more.
func TestOneHubKeepsAnSOS(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, table, ada := t.Context(), schema.SOSes{DB: db}, newUser(t, db)
		hub := func(of byte) fleet.HubID { return fleet.HubID{of} }
		s := fleet.SOS{ID: fleet.NewID[fleet.SOS]()}
		entry := func(kind fleet.SOSKind, call *fleet.SOSCall) fleet.SOSEntry {
			e := fleet.SOSEntry{ID: fleet.NewID[fleet.SOSEntry](), SOS: s.ID, Kind: kind, At: noon, By: ada.String(), Call: call}
			must(t, s.Apply(e))
			return e
		}
		raised := entry(fleet.SOSRaised, &fleet.SOSCall{Raiser: fleet.Raiser{User: ada}, Type: fleet.SOSThreat, Occurred: noon, Via: "rest"})
		_, err := table.Store(ctx, schema.SOSRecord{SOS: &s, Entries: []fleet.SOSEntry{raised}, Keeper: hub(1), KeptUntil: noon.Add(time.Minute)})
		must(t, err)
		keeps := func(of byte, at time.Duration, want map[fleet.SOSID]bool) {
			t.Helper()
			got, err := table.Keep(ctx, hub(of), noon.Add(at), noon.Add(at+time.Minute))
			if err != nil || !maps.Equal(got, want) {
				t.Errorf("hub %d after %s: %v, %v, want %v", of, at, got, err, want)
			}
		}
		mine, another := map[fleet.SOSID]bool{s.ID: true}, map[fleet.SOSID]bool{s.ID: false}
		keeps(2, 59*time.Second, another)
		keeps(1, 59*time.Second, mine) // it renews that
		keeps(2, time.Minute, another)
		keeps(2, 2*time.Minute, mine) // it is heard of no more
		keeps(1, 2*time.Minute, another)
		_, err = table.Store(ctx, schema.SOSRecord{SOS: &s, Entries: []fleet.SOSEntry{entry(fleet.SOSCancelled, nil)}, Keeper: hub(1)})
		must(t, err)
		keeps(2, 3*time.Minute, map[fleet.SOSID]bool{})
	})
}

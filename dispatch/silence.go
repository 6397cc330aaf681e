package dispatch

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"armora/fleet"
	"armora/schema"
)

// alarm raises an alert about an officer of a trip, or settles it, if that is news.
func (t *Trips) alarm(ctx context.Context, m *mark, is bool, kind fleet.AlertKind, trip *watched, driver fleet.DriverID, data any, over string) error {
	was := m.yes()
	if !m.becomes(is) {
		return nil
	}
	var err error
	if is {
		var text json.RawMessage
		if text, err = json.Marshal(data); err == nil {
			err = t.alerts.RaiseOf(ctx, fleet.Alert{ID: fleet.NewID[fleet.Alert](), Kind: kind, Booking: trip.booking.ID,
				Driver: driver, Data: text, Raised: t.clock.Now()})
		}
	} else {
		err = t.alerts.Settle(ctx, kind, trip.booking.ID, driver, over, t.clock.Now())
	}
	if err != nil {
		m.forget() // the next round tells
		return err
	}
	switch {
	case is:
		t.metrics.alerts.WithLabelValues(string(kind), "raised").Inc()
	case was: // else nobody knew, and most likely nothing was open
		t.metrics.alerts.WithLabelValues(string(kind), "settled").Inc()
	}
	return nil
}

// seeLate brings up to date when leads will be there, and tells ops of those who
// will be late. One of whom nothing is heard is late once it is too late.
func (t *Trips) seeLate(ctx context.Context) error {
	var failed []error
	for _, trip := range t.watch.all() {
		b, next := &trip.booking, *trip
		next.eta = t.estimate(ctx, trip)
		t.watch.mu.Lock()
		if t.watch.trips[b.ID] == trip {
			t.watch.trips[b.ID] = &next
		}
		t.watch.mu.Unlock()
		lead := b.Lead()
		if lead == nil || trip.people[lead.Driver] == nil {
			continue
		}
		due, there := b.Start, t.clock.Now()
		if b.Now() {
			due = b.Created.Add(t.rules.AtOnce)
		}
		if next.eta != nil && next.eta.At.After(there) {
			there = next.eta.At
		}
		late := (b.Status == fleet.Assigned || b.Status == fleet.EnRoute) && there.After(due.Add(t.rules.Tolerance))
		data := map[string]string{"due": due.UTC().Format(time.RFC3339), "expected": there.UTC().Format(time.RFC3339)}
		failed = append(failed, t.alarm(ctx, &trip.people[lead.Driver].late, late, fleet.AlertLate, trip, lead.Driver, data, "in time after all, or there"))
	}
	return errors.Join(failed...)
}

// hearing is when an officer was heard of.
type hearing struct {
	from, last time.Time // here, without a silence in between; by when fixes were received
	elsewhere  time.Time // by another hub, as the database has it
}

// by takes in when they were heard of last, and returns since when that is without a
// silence.
func (h *hearing) by(last time.Time, silence time.Duration) (since time.Time) {
	if last.Sub(h.last) > silence {
		h.from = last
	}
	h.last = last
	return h.from
}

// seeSilent tells ops of officers at work of whom nothing is heard. Nobody is
// silent who has not had the time to be heard, since the hub began to listen or
// they set out; until then it is as it was.
func (t *Trips) seeSilent(ctx context.Context) error {
	var failed []error
	now := t.clock.Now()
	t.watch.mu.Lock()
	opened := t.watch.opened
	t.watch.mu.Unlock()
	for _, trip := range t.watch.all() {
		if !trip.booking.Status.Active() {
			continue
		}
		for driver, who := range trip.people {
			data, heard := map[string]string{}, time.Time{}
			if fix, known := t.index.Get(fleet.Unit(driver)); known {
				heard = fix.Received.Time()
				data["last_heard"] = heard.UTC().Format(time.RFC3339)
			}
			silent := now.Sub(heard) > t.rules.SilentAfter
			if silent {
				if now.Sub(latest(opened, who.since, trip.booking.EnRoute)) <= t.rules.SilentAfter {
					continue
				}
				elsewhere, err := t.heardElsewhere(ctx, driver, who, now)
				if elsewhere {
					who.silent.forget() // that hub tells whether they are
				}
				if elsewhere || err != nil {
					failed = append(failed, err)
					continue
				}
			} else if heard.Sub(who.heard.by(heard, t.rules.SilentAfter)) < t.rules.HeardFor {
				continue // it may be one fix between two silences: it is as it was
			}
			failed = append(failed, t.alarm(ctx, &who.silent, silent, fleet.AlertSilent, trip, driver, data, "heard of again"))
		}
	}
	return errors.Join(failed...)
}

// heardElsewhere reports whether an officer who is silent here is heard by another hub,
// to which their phone has gone.
func (t *Trips) heardElsewhere(ctx context.Context, driver fleet.DriverID, who *person, now time.Time) (bool, error) {
	if now.Sub(who.heard.elsewhere) > t.rules.SilentAfter {
		at, err := t.trips.Heard(ctx, driver, now.Add(-time.Hour))
		if err != nil {
			return false, err
		}
		who.heard.elsewhere = at
	}
	return now.Sub(who.heard.elsewhere) <= t.rules.SilentAfter, nil
}

func latest(times ...time.Time) time.Time { return slices.MaxFunc(times, time.Time.Compare) }

// seeUnfit tells ops of officers who may not work any more, and finds others for
// the trips that these have not set out for.
func (t *Trips) seeUnfit(ctx context.Context) error {
	var failed []error
	for _, trip := range t.watch.all() {
		for driver, who := range trip.people {
			t.watch.mu.Lock()
			fit, said := t.watch.fit[driver]
			t.watch.mu.Unlock()
			switch {
			case !said: // since the hub began: it is as it was
			case !fit && trip.booking.Status == fleet.Assigned:
				failed = append(failed, t.replaceUnfit(ctx, trip.booking.ID, driver))
			default:
				failed = append(failed, t.alarm(ctx, &who.unfit, !fit, fleet.AlertUnfit, trip, driver,
					map[string]any{"status": trip.booking.Status}, "fit to work again"))
			}
		}
	}
	return errors.Join(failed...)
}

func (t *Trips) replaceUnfit(ctx context.Context, booking fleet.BookingID, driver fleet.DriverID) error {
	_, err := t.change(ctx, booking, func(c *schema.BookingTx) error {
		s := c.SeatOf(driver)
		if s == nil || c.Status != fleet.Assigned {
			return nil
		}
		seat := *s
		e := schema.Event{Kind: "officer_unfit", Data: map[string]any{"driver": driver, "seat": seat.Number}}
		if err := t.lose(c, seat, e, true); err != nil {
			return err
		}
		return c.Alert(fleet.AlertUnfit, driver)
	})
	return err
}

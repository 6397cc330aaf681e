package dispatch

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/riverqueue/river"

	"armora/fleet"
	"armora/schema"
)

// The bounds of series.
const (
	seriesHorizon = 8 * 7 * 24 * time.Hour // how far ahead their bookings are made
	maxEvery      = 4                      // weeks
	maxCount      = 260                    // bookings
	maxSeries     = 20                     // of one person, that go on
)

// Repeat places an order that repeats. Its bookings are made ahead, each at the
// price of the day on which it is made; those within the horizon at once.
func (d *Desk) Repeat(ctx context.Context, user fleet.UserID, r Request, rule fleet.Recurrence) (fleet.Series, error) {
	if _, err := d.quote(ctx, user, &r); err != nil { // so that it could be booked as it is
		return fleet.Series{}, err
	}
	if err := d.agreed(ctx, user); err != nil {
		return fleet.Series{}, err
	}
	var f flaws
	f.when(r.Now(), "local_start", "a series begins at a time")
	f.when(rule.Every < 1 || rule.Every > maxEvery, "recurrence.every", "it is from 1 to 4 weeks")
	f.when(r.Fold == 1 && repeated(&r.Order), "fold", "a series is at the earlier of two times that the clocks show alike")
	f.when(rule.Count < 2 || rule.Count > maxCount, "recurrence.count", "it is from 2 to 260")
	if err := f.err(); err != nil {
		return fleet.Series{}, err
	}
	first, err := time.Parse(LocalLayout, r.LocalStart)
	if err != nil {
		return fleet.Series{}, err // quote has read it
	}
	if len(rule.Weekdays) == 0 {
		rule.Weekdays = []time.Weekday{first.Weekday()}
	}
	slices.Sort(rule.Weekdays)
	rule.Weekdays = slices.Compact(rule.Weekdays)
	f.when(!slices.Contains(rule.Weekdays, first.Weekday()), "recurrence.weekdays", "the day of the first is one of them")
	if err := f.err(); err != nil {
		return fleet.Series{}, err
	}
	s := fleet.Series{ID: fleet.NewID[fleet.Series](), User: user, Rule: rule, Order: r.Order, Created: d.cfg.Clock.Now()}
	if err := d.series.Add(ctx, &s, maxSeries); err != nil {
		return fleet.Series{}, err
	}
	if err := d.makeNext(ctx, &s); err != nil { // the job goes on with it
		d.log.Warn("the first bookings of a series were not all made yet", "series", s.ID, "error", err)
	}
	return s, nil
}

// repeated reports whether an order is at the later of two times that the clocks show alike.
func repeated(o *fleet.Order) bool {
	earlier, flaw := startOf(o.LocalStart, o.Zone, 0)
	return flaw == nil && earlier.Before(o.Start)
}

// occurrence returns the time on the wall of the nth booking of a series, counted
// from 0, whose first is at a time on the wall.
func occurrence(first string, rule *fleet.Recurrence, n int) (string, error) {
	at, err := time.Parse(LocalLayout, first)
	if err != nil {
		return "", err
	}
	monday := at.AddDate(0, 0, -int(at.Weekday()+6)%7) // weeks begin on Monday
	for week := 0; ; week += rule.Every {
		for day := range 7 {
			d := monday.AddDate(0, 0, 7*week+day)
			if d.Before(at) || !slices.Contains(rule.Weekdays, d.Weekday()) {
				continue
			}
			if n == 0 {
				return d.Format(LocalLayout), nil
			}
			n--
		}
	}
}

// makeNext makes the bookings of a series that come next, up to the horizon. What
// another hub makes meanwhile is left to it.
func (d *Desk) makeNext(ctx context.Context, s *fleet.Series) error {
	zone, err := zoneOf(s.Order.Zone)
	if err != nil {
		return err
	}
	for s.Ended.IsZero() && s.Made < s.Rule.Count {
		local, err := occurrence(s.Order.LocalStart, &s.Rule, s.Made)
		if err != nil {
			return err
		}
		// Where the clocks never show it, it is at the next time that they do.
		start, _, err := onTheWall(local, zone, 0)
		if err != nil {
			return err
		}
		now := d.cfg.Clock.Now()
		if start.After(now.Add(seriesHorizon)) {
			return nil
		}
		if start.Before(now) { // the hub was away, or the person could not book
			err = d.series.Pass(ctx, s.ID, s.Made)
		} else {
			err = d.makeOne(ctx, s, start.Format(LocalLayout))
		}
		if fleet.CodeOf(err) == fleet.CodeConflict {
			return nil
		}
		if err != nil {
			return err
		}
		s.Made++
	}
	return nil
}

func (d *Desk) makeOne(ctx context.Context, s *fleet.Series, local string) error {
	r := Request{Order: s.Order}
	r.LocalStart = local
	if !r.Preferred.IsZero() { // they may have fallen out with them since
		may, err := d.officers.MayPrefer(ctx, s.User, r.Preferred)
		if err != nil {
			return err
		}
		if !may {
			r.Preferred = fleet.DriverID{}
		}
	}
	if err := d.agreed(ctx, s.User); err != nil {
		return err
	}
	terms, err := d.quote(ctx, s.User, &r)
	if err != nil {
		return err
	}
	b := fleet.Booking{
		ID: fleet.NewID[fleet.Booking](), User: s.User, Series: s.ID, Order: r.Order, Terms: terms, Created: d.cfg.Clock.Now(),
	}
	if err := d.fund(ctx, &b); err != nil {
		return err
	}
	if err := d.series.Place(ctx, &b, s.Made, fleet.Actor{Kind: fleet.ByPrincipal, User: s.User}); err != nil {
		return err
	}
	d.book.tell(&b)
	return nil
}

// Series returns a series of the user's own.
func (d *Desk) Series(ctx context.Context, user fleet.UserID, id fleet.SeriesID) (fleet.Series, error) {
	return d.series.Of(ctx, user, id)
}

// SeriesOf returns up to limit series of a user before a given one, the newest
// first.
func (d *Desk) SeriesOf(ctx context.Context, user fleet.UserID, before fleet.SeriesID, limit int) ([]fleet.Series, error) {
	return d.series.List(ctx, user, before, limit)
}

// EndSeries ends a series of the user's own and cancels, at the fees of a
// cancellation now, what of it has not begun.
func (d *Desk) EndSeries(ctx context.Context, user fleet.UserID, id fleet.SeriesID) (fleet.Series, error) {
	if err := d.series.End(ctx, user, id, d.cfg.Clock.Now()); err != nil {
		return fleet.Series{}, err
	}
	// It is done at once for whoever waits for it. What fails is left to the job.
	if err := d.cancelSeries(ctx, id); err != nil {
		d.log.Warn("not all bookings of a series that was ended are cancelled yet", "series", id, "error", err)
	}
	return d.series.Of(ctx, user, id)
}

func (d *Desk) cancelSeries(ctx context.Context, id fleet.SeriesID) error {
	s, err := d.series.Get(ctx, id)
	if err != nil {
		return err
	}
	bookings, err := d.series.NotBegun(ctx, id)
	if err != nil {
		return err
	}
	var failed []error
	for _, b := range bookings {
		_, err := d.changeOf(ctx, s.User, b.ID, 0, func(c *schema.BookingTx) error {
			if c.Status.Active() || c.Status.Ended() {
				return nil // it has begun, or somebody else was first
			}
			return cancelBooking(c, fleet.Actor{Kind: fleet.ByPrincipal, User: s.User}, s.Ended, "the series was ended")
		})
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}

// makeEvery is how often series are looked at.
const makeEvery = 24 * time.Hour

// AddWorkers adds those who do the jobs of series, and who tells the others that a
// booking's money has come, or gone.
func (d *Desk) AddWorkers(to *river.Workers) {
	river.AddWorker(to, &seriesMaker{desk: d})
	river.AddWorker(to, &seriesEnder{desk: d})
	river.AddWorker(to, river.WorkFunc(func(ctx context.Context, job *river.Job[fleet.BookingFunded]) error {
		b, err := d.book.Get(ctx, job.Args.Booking)
		if err == nil {
			d.book.tell(&b)
		}
		return err
	}))
}

// MakingSeries makes the job of making the next bookings of series, once a day.
func MakingSeries() *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(makeEvery),
		func() (river.JobArgs, *river.InsertOpts) {
			return fleet.MakeSeries{}, &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByPeriod: makeEvery}}
		}, &river.PeriodicJobOpts{RunOnStart: true})
}

type seriesMaker struct {
	river.WorkerDefaults[fleet.MakeSeries]
	desk *Desk
}

// Work implements river.Worker.
func (m *seriesMaker) Work(ctx context.Context, _ *river.Job[fleet.MakeSeries]) error {
	return m.desk.MakeSeries(ctx)
}

// MakeSeries makes the next bookings of every series. One that fails, because its
// person may not book now, keeps the others from nothing.
func (d *Desk) MakeSeries(ctx context.Context) error {
	const page = 100
	var failed []error
	for after := (fleet.SeriesID{}); ; {
		list, err := d.series.Unfinished(ctx, after, page)
		if err != nil {
			return errors.Join(append(failed, err)...)
		}
		for i := range list {
			after = list[i].ID
			switch err := d.makeNext(ctx, &list[i]); fleet.CodeOf(err) {
			case fleet.CodeForbidden, fleet.CodeConsentNeeded, fleet.CodePaymentDue, fleet.CodeInvalid:
				d.log.Warn("a series does not go on", "series", list[i].ID, "error", err)
			default:
				failed = append(failed, err)
			}
		}
		if len(list) < page {
			return errors.Join(failed...)
		}
	}
}

type seriesEnder struct {
	river.WorkerDefaults[fleet.EndSeries]
	desk *Desk
}

// Work implements river.Worker.
func (e *seriesEnder) Work(ctx context.Context, job *river.Job[fleet.EndSeries]) error {
	return e.desk.cancelSeries(ctx, job.Args.Series)
}

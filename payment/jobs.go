package payment

import (
	"context"
	"errors"
	"time"

	"github.com/riverqueue/river"

	"armora/fleet"
)

const (
	sweepEvery = time.Minute
	sweepLimit = 200              // bookings a sweep: what is more is looked at by the next
	sweepAgain = 10 * time.Minute // if nothing came of a look
)

// sweepPayments is the job of having looked at what is due to be.
type sweepPayments struct{}

// Kind names the job.
func (sweepPayments) Kind() string { return "sweep_payments" }

// Sweeping has what is due looked at every minute, on one of the hubs that share a
// database.
func Sweeping() *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(sweepEvery), func() (river.JobArgs, *river.InsertOpts) {
		return sweepPayments{}, &river.InsertOpts{MaxAttempts: 1}
	}, &river.PeriodicJobOpts{RunOnStart: true})
}

// AddWorkers adds the workers of payments. Those of a nil cashier, on a hub without
// payments, do nothing: the jobs were left by one that had them.
func (c *Cashier) AddWorkers(workers *river.Workers) {
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[fleet.SettleBooking]) error {
		if c == nil {
			return nil
		}
		return c.again(c.Settle(ctx, job.Args.Booking))
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, job *river.Job[fleet.CardsChanged]) error {
		if c == nil {
			return nil
		}
		unpaid, failed := c.payments.Unpaid(ctx, job.Args.User)
		for i := 0; i < len(unpaid) && fleet.CodeOf(failed) != fleet.CodeUnavailable; i++ {
			failed = errors.Join(failed, c.Settle(ctx, unpaid[i]))
		}
		return c.again(failed)
	}))
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, _ *river.Job[sweepPayments]) error {
		if c == nil {
			return nil
		}
		return c.Sweep(ctx)
	}))
}

// again has a job that Stripe was away for run again in a few seconds: that is no
// failure of the job's.
func (c *Cashier) again(err error) error {
	if fleet.CodeOf(err) == fleet.CodeUnavailable {
		c.log.Warn("a payment waits, and is tried again", "error", err)
		return river.JobSnooze(5 * time.Second)
	}
	return err
}

// Sweep has the money of bookings looked at that is due to be.
func (c *Cashier) Sweep(ctx context.Context) error {
	now := c.cfg.Clock.Now()
	_, err := c.payments.Wake(ctx, now, now.Add(sweepAgain), sweepLimit)
	return err
}

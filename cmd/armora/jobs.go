package main

import (
	"context"
	"time"

	"github.com/riverqueue/river"

	"armora/dispatch"
	"armora/files"
	"armora/payment"
	"armora/schema"
)

// jobsPatience is how long a stop waits for the jobs that run. It is less than
// the default shutdown timeout: what talks to a silent server must not keep the
// database from a proper end.
const jobsPatience = 5 * time.Second

// openJobs runs the jobs that transactions have left.
func (h *hub) openJobs(ctx, _ context.Context) error {
	workers := river.NewWorkers()
	h.people.AddWorkers(workers)
	h.files.AddWorkers(workers)
	h.notify.AddWorkers(workers)
	h.exports.AddWorkers(workers)
	h.erasures.AddWorkers(workers)
	h.desk.AddWorkers(workers)
	h.invoices.AddWorkers(workers)
	h.chat.AddWorkers(workers)
	h.alarms.AddWorkers(workers)
	h.cashier.AddWorkers(workers)
	h.earnings.AddWorkers(workers)
	h.accounts.AddWorkers(workers)
	h.feed.AddWorkers(workers)
	h.books.AddWorkers(workers)
	h.members.AddWorkers(workers)
	jobs, err := schema.NewJobs(schema.JobsConfig{
		DB: h.db, Workers: workers, Periodic: []*river.PeriodicJob{files.Sweeping(), dispatch.MakingSeries(), payment.Sweeping(), payment.MakingStatements(), payment.Reconciling(), payment.SeeingMembers()}, Clock: h.clock, Log: h.log,
	})
	if err != nil {
		return err
	}
	h.onClose("jobs", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, jobsPatience)
		defer cancel()
		return jobs.Close(ctx)
	})
	return jobs.Open(ctx)
}

package main

import (
	"context"

	"github.com/riverqueue/river"

	"armora/files"
	"armora/schema"
)

// openJobs runs the jobs that transactions have left.
func (h *hub) openJobs(ctx, _ context.Context) error {
	workers := river.NewWorkers()
	h.people.AddWorkers(workers)
	h.files.AddWorkers(workers)
	jobs, err := schema.NewJobs(schema.JobsConfig{
		DB: h.db, Workers: workers, Periodic: []*river.PeriodicJob{files.Sweeping()}, Clock: h.clock, Log: h.log,
	})
	if err != nil {
		return err
	}
	h.onClose("jobs", jobs.Close)
	return jobs.Open(ctx)
}

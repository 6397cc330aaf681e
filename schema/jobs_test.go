package schema_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/riverqueue/river"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

type greeting struct {
	Name string `json:"name"`
}

func (greeting) Kind() string { return "greeting" }

// greeter fails once before it greets.
type greeter struct {
	river.WorkerDefaults[greeting]
	greeted chan string
	failed  chan int
}

func (g *greeter) Work(_ context.Context, job *river.Job[greeting]) error {
	if job.Attempt == 1 {
		g.failed <- job.Attempt
		return context.DeadlineExceeded
	}
	g.greeted <- job.Args.Name
	return nil
}

func (g *greeter) NextRetry(*river.Job[greeting]) time.Time { return time.Time{}.Add(1) } // at once

func TestAJobIsTriedUntilItSucceeds(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t) // River listens, which the WebAssembly build cannot
	workers, g := river.NewWorkers(), &greeter{greeted: make(chan string, 1), failed: make(chan int, 1)}
	river.AddWorker(workers, g)
	jobs, err := schema.NewJobs(schema.JobsConfig{
		DB: db, Workers: workers, Clock: fleet.SystemClock{}, Log: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	must(t, jobs.Close(t.Context())) // before Open
	must(t, jobs.Open(t.Context()))
	must(t, db.Run(t.Context(), greeting{Name: "Ada"}))
	<-g.failed
	if name := <-g.greeted; name != "Ada" {
		t.Errorf("greeted %q", name)
	}
	must(t, jobs.Close(t.Context()))
	must(t, jobs.Close(t.Context()))
}

func TestJobsAreStoredOnBothServers(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		must(t, db.Run(t.Context(), greeting{Name: "Bo"}))
		names := column(t.Context(), t, db, `SELECT args ->> 'name' FROM river_job`)
		if len(names) != 1 || names[0] != "Bo" {
			t.Errorf("stored %v", names)
		}
	})
}

package files

import (
	"context"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"armora/fleet"
)

const (
	sweepEvery = 24 * time.Hour
	// graceAge is how old a blob is before it is looked at: the row of a younger
	// one may still be on its way.
	graceAge   = 24 * time.Hour
	sweepBatch = 1000 // blobs that are asked about at once
)

// AddWorkers adds those who do the jobs of files.
func (f *Files) AddWorkers(to *river.Workers) {
	river.AddWorker(to, &dropper{files: f})
	river.AddWorker(to, &sweeper{files: f})
}

// Sweeping makes the job of sweeping, once a day.
func Sweeping() *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(sweepEvery),
		func() (river.JobArgs, *river.InsertOpts) {
			return fleet.SweepBlobs{}, &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByPeriod: sweepEvery}}
		}, &river.PeriodicJobOpts{RunOnStart: true}) // a hub that is started every night sweeps too
}

type dropper struct {
	river.WorkerDefaults[fleet.DropBlob]
	files *Files
}

// Work implements river.Worker.
func (d *dropper) Work(ctx context.Context, job *river.Job[fleet.DropBlob]) error {
	return d.files.store.Delete(ctx, job.Args.File)
}

type sweeper struct {
	river.WorkerDefaults[fleet.SweepBlobs]
	files *Files
}

// Work implements river.Worker.
func (s *sweeper) Work(ctx context.Context, _ *river.Job[fleet.SweepBlobs]) error {
	swept, err := s.files.Sweep(ctx)
	if swept > 0 {
		s.files.log.Warn("blobs that no file refers to were deleted", "count", swept)
	}
	return err
}

// Sweep deletes the blobs that no file refers to, and says how many. A store of
// which the database knows nothing at all is another hub's: it is left alone.
func (f *Files) Sweep(ctx context.Context) (swept int, err error) {
	var batch, unknown []fleet.FileID
	seen := 0
	ask := func() error {
		found, err := f.table.Unknown(ctx, batch)
		unknown, seen, batch = append(unknown, found...), seen+len(batch), batch[:0]
		return err
	}
	oldest := f.clock.Now().Add(-graceAge)
	err = f.store.List(ctx, func(id fleet.FileID) error {
		if made := id.Made(); made.IsZero() || made.After(oldest) {
			return nil
		}
		if batch = append(batch, id); len(batch) < sweepBatch {
			return nil
		}
		return ask()
	})
	if err == nil {
		err = ask()
	}
	if err != nil {
		return 0, err
	}
	const few = 100 // may be all that there is, on a hub that has begun or was emptied
	if len(unknown) == seen && seen > few {
		return 0, fmt.Errorf("the database knows none of the %d blobs in the store of files: is it another hub's? nothing was deleted", seen)
	}
	for _, id := range unknown {
		if err := f.store.Delete(ctx, id); err != nil {
			return swept, err
		}
		swept++
	}
	return swept, nil
}

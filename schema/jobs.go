package schema

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"armora/fleet"
)

// Limits of a job. A worker's context ends with its time; a job whose worker was
// killed is run again a little later than that.
const (
	jobTimeout = 2 * time.Minute
	jobRescue  = 5 * time.Minute
)

// JobsConfig is what Jobs needs. All is required, but Periodic may be empty.
type JobsConfig struct {
	DB       *DB
	Workers  *river.Workers // of every kind of job
	Periodic []*river.PeriodicJob
	Clock    fleet.Clock
	Log      *slog.Logger
}

// Jobs runs the jobs that transactions have left, each at least once, on any of
// the hubs that share a database. Its workers are in the packages whose work
// they do. Open starts it, Close stops it.
type Jobs struct {
	client *river.Client[pgx.Tx]
	opened bool
}

// NewJobs returns jobs that nobody runs yet.
func NewJobs(cfg JobsConfig) (*Jobs, error) {
	client, err := river.NewClient(riverpgxv5.New(cfg.DB.pool), &river.Config{
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 8}},
		Workers: cfg.Workers, PeriodicJobs: cfg.Periodic,
		JobTimeout: jobTimeout, RescueStuckJobsAfter: jobRescue, SoftStopTimeout: jobTimeout,
		Logger: quiet(cfg.Log), Test: river.TestConfig{Time: jobClock{cfg.Clock}},
	})
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return &Jobs{client: client}, nil
}

// Open begins to run jobs.
func (j *Jobs) Open(ctx context.Context) error {
	j.opened = true
	return translate("job", j.client.Start(context.WithoutCancel(ctx)))
}

// Close takes no more jobs and waits for those that run; when ctx ends they are
// cancelled, and run again later. It may be called more than once.
func (j *Jobs) Close(ctx context.Context) error {
	if !j.opened {
		return nil
	}
	if err := j.client.Stop(ctx); err == nil || !errors.Is(err, ctx.Err()) {
		return err
	}
	return j.client.StopAndCancel(context.WithoutCancel(ctx))
}

// Run inserts a job that belongs to no other change, due at once.
func (db *DB) Run(ctx context.Context, job river.JobArgs) error {
	return db.transact(ctx, "job", func(tx pgx.Tx) error { return db.enqueue(ctx, tx, job, time.Time{}) })
}

// enqueue inserts a job that is run once tx has committed, and not before due;
// a zero due is at once.
func (db *DB) enqueue(ctx context.Context, tx pgx.Tx, job river.JobArgs, due time.Time) error {
	_, err := db.inserter.InsertTx(ctx, tx, job, &river.InsertOpts{ScheduledAt: due})
	return err
}

// newInserter returns a client that inserts jobs and runs none.
func newInserter(pool *pgxpool.Pool, log *slog.Logger) (*river.Client[pgx.Tx], error) {
	client, err := river.NewClient(riverpgxv5.New(pool), &river.Config{Logger: quiet(log)})
	if err != nil {
		return nil, fmt.Errorf("jobs: %w", err)
	}
	return client, nil
}

// jobClock is the hub's clock as River reads it.
type jobClock struct{ fleet.Clock }

func (c jobClock) NowOrNil() *time.Time {
	now := c.Clock.Now().UTC()
	return &now
}

// quiet lets River's warnings through: it tells of itself every few seconds.
func quiet(log *slog.Logger) *slog.Logger { return slog.New(warnings{log.Handler()}) }

type warnings struct{ slog.Handler }

// Enabled implements slog.Handler.
func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

// WithAttrs implements slog.Handler.
func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }

// jobsVersion is the migration that makes River's tables.
const jobsVersion = 6

// migrateJobs is River's own migration, as one of ours. River wants connections
// besides the one that holds goose's lock.
func (db *DB) migrateJobs() *goose.Migration {
	return goose.NewGoMigration(jobsVersion, &goose.GoFunc{RunDB: func(ctx context.Context, _ *sql.DB) error {
		config := db.pool.Config()
		config.MaxConns, config.MinConns = 2, 0
		pool, err := pgxpool.NewWithConfig(ctx, config)
		if err != nil {
			return err
		}
		defer pool.Close()
		migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: quiet(db.log)})
		if err != nil {
			return err
		}
		_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
		return err
	}}, nil)
}

package main

import (
	"context"
	"log/slog"
	"time"

	"armora/fleet"
	"armora/schema"
)

// maintenance keeps the tables in shape while the hub runs.
type maintenance struct {
	db     *schema.DB
	tables schema.Maintenance
	clock  *fleet.CorrectedClock
	log    *slog.Logger
}

// maintenanceEvery is how often the tables are seen to; a day's partition is
// made a week ahead, so missing some rounds does no harm.
const maintenanceEvery = 5 * time.Minute

func (m maintenance) run(ctx context.Context) {
	for {
		m.correctClock(ctx)
		m.round(ctx, m.clock.Now())
		fired, stop := m.clock.NewTimer(maintenanceEvery)
		select {
		case <-ctx.Done():
			stop()
			return
		case <-fired:
		}
	}
}

const (
	clockNoise    = 50 * time.Millisecond  // offsets below it are not worth a jump
	clockPatience = 200 * time.Millisecond // an answer that takes longer says little of the clock
)

// correctClock takes the database's time for right: it is the one that several
// hubs share.
func (m maintenance) correctClock(ctx context.Context) {
	behind, answered, err := m.db.ClockOffset(ctx, fleet.SystemClock{})
	if err != nil || answered > clockPatience || (behind-m.clock.Offset()).Abs() < clockNoise {
		return // the next round will do
	}
	m.log.Warn("this machine's clock is off, the database's is believed", "behind", behind.Round(time.Millisecond))
	m.clock.Correct(behind)
}

// round refreshes the rollups before retention takes away what they count.
func (m maintenance) round(ctx context.Context, now time.Time) {
	for _, task := range []struct {
		what string
		do   func(context.Context, time.Time) error
	}{
		{"make partitions", m.tables.EnsurePartitions},
		{"refresh rollups", m.tables.RefreshRollups},
		{"apply retention", m.tables.Retain},
		{"seal the audit log", schema.Audit{DB: m.db}.Seal},
	} {
		if err := task.do(ctx, now); err != nil && ctx.Err() == nil {
			m.log.Warn("maintenance of the tables failed, it is tried again in a few minutes", "task", task.what, "error", err)
		}
	}
}

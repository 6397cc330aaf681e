package schema

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// FenceID names a fence.
type FenceID = fleet.ID[Fence]

// Fence is a place to be watched, as it is stored. What its numbers mean is
// said in live/fence, as is the form of its shape.
type Fence struct {
	ID           FenceID
	Name         string
	Shape        json.RawMessage
	Dwell        time.Duration // to the millisecond, like ConfirmFor
	ConfirmFixes int
	ConfirmFor   time.Duration
	MaxAccuracy  float32 // metres
	Created      time.Time
}

// FenceEvent is what a fence told of a unit.
type FenceEvent struct {
	Fence    FenceID
	Unit     fleet.Unit
	Kind     string // enter, exit or dwell
	At       time.Time
	Since    time.Time
	Lat, Lon float64
}

// FenceStay is a unit that is in a fence.
type FenceStay struct {
	Fence FenceID
	Unit  fleet.Unit
	Since time.Time // when it came
	At    time.Time // the last event of the stay
	Dwelt bool      // a dwell was among them
}

// Fences are the places to be watched, what they told, and who is in them.
type Fences struct{ DB *DB }

const fenceColumns = `id, name, shape, dwell_ms, confirm_fixes, confirm_ms, max_accuracy, created`

func scanFence(row pgx.CollectableRow) (f Fence, err error) {
	var shape string
	var dwell, confirm int64
	err = row.Scan(&f.ID, &f.Name, &shape, &dwell, &f.ConfirmFixes, &confirm, &f.MaxAccuracy, &f.Created)
	f.Shape, f.Created = json.RawMessage(shape), f.Created.UTC()
	f.Dwell, f.ConfirmFor = time.Duration(dwell)*time.Millisecond, time.Duration(confirm)*time.Millisecond
	return f, err
}

// Create adds a fence.
func (t Fences) Create(ctx context.Context, f Fence) error {
	return t.DB.exec(ctx, "fence", `
		INSERT INTO fences (`+fenceColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		f.ID, text(f.Name), body(f.Shape), f.Dwell.Milliseconds(), f.ConfirmFixes, f.ConfirmFor.Milliseconds(), f.MaxAccuracy, f.Created)
}

// Get returns one fence.
func (t Fences) Get(ctx context.Context, id FenceID) (Fence, error) {
	return one(ctx, t.DB, "fence", scanFence, `SELECT `+fenceColumns+` FROM fences WHERE id = $1`, id)
}

// List returns up to limit fences with ids after the given one, in order of id.
func (t Fences) List(ctx context.Context, after FenceID, limit int) ([]Fence, error) {
	return all(ctx, t.DB, "fence", scanFence, `
		SELECT `+fenceColumns+` FROM fences WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2`, after, limit)
}

// Delete takes a fence away, with its events and with who is in it.
func (t Fences) Delete(ctx context.Context, id FenceID) error {
	return t.DB.exec(ctx, "fence", `DELETE FROM fences WHERE id = $1`, id)
}

// AddEvents keeps events and, with them, who is in which fence: all or none.
// The events of a unit come in order of At, over all calls; the last call may be
// repeated, and adds nothing when it had succeeded. Events of a fence that is
// not there any more are left out.
func (t Fences) AddEvents(ctx context.Context, events []FenceEvent) error {
	batch := &pgx.Batch{}
	for _, e := range events {
		batch.Queue(`
			INSERT INTO fence_events (fence, at, unit, kind, since, lat, lon)
			SELECT id, $2::timestamptz, $3::uuid, $4::text, $5::timestamptz, $6::float8, $7::float8
			FROM fences WHERE id = $1 FOR KEY SHARE
			ON CONFLICT DO NOTHING`, e.Fence, e.At, e.Unit, e.Kind, e.Since, e.Lat, e.Lon)
		if e.Kind == "exit" {
			batch.Queue(`DELETE FROM fence_stays WHERE fence = $1 AND unit = $2 AND at <= $3`, e.Fence, e.Unit, e.At)
			continue
		}
		batch.Queue(`
			INSERT INTO fence_stays (fence, unit, since, at, dwelt)
			SELECT id, $2::uuid, $3::timestamptz, $4::timestamptz, $5::boolean
			FROM fences WHERE id = $1 FOR KEY SHARE
			ON CONFLICT (fence, unit) DO UPDATE
			SET since = excluded.since, at = excluded.at, dwelt = excluded.dwelt
			WHERE fence_stays.at < excluded.at OR fence_stays.at = excluded.at AND excluded.dwelt`,
			e.Fence, e.Unit, e.Since, e.At, e.Kind == "dwell")
	}
	// A batch without transaction control is one transaction.
	return translate("fence event", t.DB.pool.SendBatch(ctx, batch).Close())
}

// Events returns up to limit events of the fence, of what a member of the staff sees,
// the latest first. To go on, pass the last event of the page before; the zero event
// starts at the latest.
func (t Fences) Events(ctx context.Context, staff fleet.UserID, fence FenceID, before FenceEvent, limit int) ([]FenceEvent, error) {
	scan := func(row pgx.CollectableRow) (e FenceEvent, err error) {
		err = row.Scan(&e.Fence, &e.At, &e.Unit, &e.Kind, &e.Since, &e.Lat, &e.Lon)
		e.At, e.Since = e.At.UTC(), e.Since.UTC()
		return e, err
	}
	return all(ctx, t.DB, "fence event", scan, `
		SELECT fence, at, unit, kind, since, lat, lon FROM fence_events e
		WHERE `+showsDevice("e.unit")+` AND fence = $2 AND ($4::uuid IS NULL OR (at, unit, kind) < ($3, $4, $5))
		ORDER BY at DESC, unit DESC, kind DESC LIMIT $6`, staff, fence, before.At, before.Unit, before.Kind, limit)
}

// Stays returns who is in which fence, by the events that were added.
func (t Fences) Stays(ctx context.Context) ([]FenceStay, error) {
	scan := func(row pgx.CollectableRow) (s FenceStay, err error) {
		err = row.Scan(&s.Fence, &s.Unit, &s.Since, &s.At, &s.Dwelt)
		s.Since, s.At = s.Since.UTC(), s.At.UTC()
		return s, err
	}
	return all(ctx, t.DB, "fence", scan, `SELECT fence, unit, since, at, dwelt FROM fence_stays ORDER BY unit, fence`)
}

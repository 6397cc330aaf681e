package schema_test

import (
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// What the ceiling says it has copied is there, in a table that is made as
// points is, and nobody else's points are touched.
func TestCeilingCopiesIntoItsOwnTable(t *testing.T) {
	t.Parallel()
	db, ctx := schematest.Plain(t), t.Context()
	device := newDevice(t, db, fleet.Phone)
	must(t, schema.Maintenance{DB: db}.EnsurePartitions(ctx, noon))
	insert(t, schema.NewPoints(db), []fleet.Point{newPoint(device, noon, 51.5, -0.1)}, 1)

	c, err := schema.OpenCeiling(ctx, db, 10, 100, noon)
	must(t, err)
	for range 2 {
		must(t, c.Empty(ctx))
		// Long enough for each batch to be used many times: one that comes again
		// as it was would break the unique index.
		rows, took, err := c.Run(ctx, 500*time.Millisecond, 2)
		must(t, err)
		if rows == 0 || rows%100 != 0 || took <= 0 {
			t.Errorf("copied %d rows in %v", rows, took)
		}
		if there := rowsIn(t, c.DB(), "points"); there != int(rows) {
			t.Errorf("%d rows are there, and %d were copied", there, rows)
		}
		if astray := rowsIn(t, c.DB(), "points_default"); astray != 0 {
			t.Errorf("%d rows have no partition", astray)
		}
	}
	must(t, c.Close(ctx))
	if n := rowsIn(t, db, "points"); n != 1 {
		t.Errorf("%d points, and one was stored", n)
	}
	if n := rowsIn(t, db, "pg_database WHERE datname LIKE 'armora_ceiling%'"); n != 0 {
		t.Errorf("%d databases are left", n)
	}
}

func rowsIn(t *testing.T, db *schema.DB, from string) (n int) {
	t.Helper()
	must(t, db.Pool().QueryRow(t.Context(), `SELECT count(*) FROM `+from).Scan(&n))
	return n
}

package schema_test

import (
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func hold(user fleet.UserID, device fleet.DeviceID, from, to time.Time) fleet.Hold {
	return fleet.Hold{
		ID: fleet.NewID[fleet.Hold](), User: user, Device: device, From: from, To: to, Reason: "a claim",
		PlacedBy: "x", Placed: time.Now(),
	}
}

func TestALegalHoldBeatsRetention(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, maintain, points, holds := t.Context(), schema.Maintenance{DB: db}, schema.NewPoints(db), schema.Holds{DB: db}
		now := time.Now().UTC().Truncate(time.Millisecond) // TimescaleDB's policy goes by the server's clock
		must(t, maintain.EnsurePartitions(ctx, now))
		phone, tracker, free := newDevice(t, db, fleet.Phone), newDevice(t, db, fleet.Tracker), newDevice(t, db, fleet.Tracker)
		ages := []time.Duration{40 * day, 35 * day, 25 * time.Hour, time.Hour}
		for _, device := range []fleet.DeviceID{phone, tracker, free} {
			some := make([]fleet.Point, len(ages))
			for i, age := range ages {
				some[i] = newPoint(device, now.Add(-age), 51, 0)
			}
			some[0].Received = fleet.MillisOf(now) // too far from its fix for the narrow row
			insert(t, points, some, len(some))
			_, err := schema.Outbox{DB: db, Clock: fleet.NewManualClock(now)}.Add(ctx,
				fleet.Command{Device: device, Kind: "x", Created: now.Add(-40 * day), Expires: now.Add(-40 * day)})
			must(t, err)
			odd := newPoint(device, time.Unix(0, 0), 51, 0)
			odd.Flags, odd.Received = fleet.FlagQuarantine, fleet.MillisOf(now.Add(-40*day))
			insert(t, points, []fleet.Point{odd}, 1)
		}
		ofPhone := hold(fleet.UserID{}, phone, now.Add(-36*day), time.Time{})
		ofTracker := hold(fleet.UserID{}, tracker, now.Add(-50*day), now.Add(-38*day))
		ofTracker.Placed, ofPhone.Placed = now, now
		must(t, holds.Place(ctx, fleet.UserID{}, ofPhone))
		must(t, holds.Place(ctx, fleet.UserID{}, ofTracker))
		for range 2 {
			must(t, maintain.Retain(ctx, now))
		}
		count := func(sql string, args ...any) (n int) {
			t.Helper()
			must(t, db.Pool().QueryRow(ctx, `SELECT count(*) FROM `+sql, args...).Scan(&n))
			return n
		}
		const of = `points_evidence e JOIN devices d ON d.number = e.device WHERE d.id = $1`
		for _, c := range []struct {
			device                               fleet.DeviceID
			evidence, kept, commands, quarantine int
		}{{phone, 2, 1, 1, 1}, {tracker, 1, 2, 1, 1}, {free, 0, 2, 0, 0}} {
			if n := count(of, c.device); n != c.evidence {
				t.Errorf("%d points in evidence, want %d", n, c.evidence)
			}
			if n := count(`points p JOIN devices d ON d.number = p.device WHERE d.id = $1`, c.device); n != c.kept {
				t.Errorf("%d points, want %d", n, c.kept)
			}
			if n := count(`commands WHERE device = $1`, c.device); n != c.commands {
				t.Errorf("%d commands, want %d", n, c.commands)
			}
			if n := count(`points_quarantine q JOIN devices d ON d.number = q.device WHERE d.id = $1`, c.device); n != c.quarantine {
				t.Errorf("%d in quarantine, want %d", n, c.quarantine)
			}
		}
		if n := count(`points_far`); n != 1 { // the tracker's, which is held
			t.Errorf("%d far times, want one", n)
		}
		must(t, holds.Release(ctx, fleet.UserID{}, ofPhone.ID, "y", now))
		must(t, holds.Release(ctx, fleet.UserID{}, ofTracker.ID, "y", now))
		wantCode(t, holds.Release(ctx, fleet.UserID{}, ofPhone.ID, "y", now), fleet.CodeNotFound)
		must(t, maintain.Retain(ctx, now))
		if n := count(`points_evidence`) + count(`points_far`) + count(`commands`) + count(`points_quarantine`); n != 0 {
			t.Errorf("%d rows are left once the holds are released", n)
		}
	})
}

// What a person's hold keeps are the tracks of all that they carried and drove,
// while they did.
func TestAPersonsHoldKeepsWhereTheyWere(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, maintain, points := t.Context(), schema.Maintenance{DB: db}, schema.NewPoints(db)
		now := time.Now().UTC().Truncate(time.Millisecond)
		must(t, maintain.EnsurePartitions(ctx, now))
		user := fleet.NewID[fleet.User]()
		must(t, schema.Users{DB: db}.Create(ctx, fleet.User{ID: user, Email: "a@example.com", Name: "A", Created: now}, ""))
		driver, car, tracker := fleet.NewID[fleet.Driver](), fleet.NewID[fleet.Vehicle](), newDevice(t, db, fleet.Tracker)
		for _, sql := range []string{
			`INSERT INTO drivers (id, name, tier, user_id) VALUES ($1, 'A', 'essential', $3)`,
			`INSERT INTO vehicles (id, registration) VALUES ($2, 'X')`,
			`INSERT INTO device_bindings (device, vehicle, began) VALUES ($4, $2, $5)`,
			`INSERT INTO vehicle_drivers (vehicle, driver, began, ended) VALUES ($2, $1, $6, $7)`,
			`INSERT INTO user_sessions (id, user_id, method, second_factor, agent, address, created, authenticated, used, expires)
			 VALUES ($1, $3, 'password', false, '', '', $5, $5, $5, $5)`,
		} {
			_, err := db.Pool().Exec(ctx, `WITH given AS (SELECT $1::uuid, $2::uuid, $3::uuid, $4::uuid, $5::timestamptz, $6::timestamptz, $7::timestamptz) `+sql,
				driver, car, user, tracker, now.Add(-50*day), now.Add(-45*day), now.Add(-40*day))
			must(t, err)
		}
		for _, age := range []time.Duration{48 * day, 42 * day, 35 * day} { // before, while and after they drove it
			insert(t, points, []fleet.Point{newPoint(tracker, now.Add(-age), 51, 0)}, 1)
		}
		h := hold(user, fleet.DeviceID{}, now.Add(-100*day), time.Time{})
		h.Placed = now
		must(t, schema.Holds{DB: db}.Place(ctx, fleet.UserID{}, h))
		must(t, maintain.Retain(ctx, now))
		var kept, sessions int
		must(t, db.Pool().QueryRow(ctx, `SELECT (SELECT count(*) FROM points_evidence WHERE fix = $1), (SELECT count(*) FROM user_sessions)`,
			now.Add(-42*day)).Scan(&kept, &sessions))
		if all := column(ctx, t, db, `SELECT fix::text FROM points_evidence`); kept != 1 || len(all) != 1 || sessions != 1 {
			t.Errorf("kept %v and %d sessions", all, sessions)
		}
	})
}

// While what is held cannot be copied, no point leaves.
func TestNothingLeavesThatCouldNotBeCopied(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	ctx, maintain := t.Context(), schema.Maintenance{DB: db}
	must(t, maintain.EnsurePartitions(ctx, noon))
	phone := newDevice(t, db, fleet.Phone)
	insert(t, schema.NewPoints(db), []fleet.Point{newPoint(phone, noon, 51, 0)}, 1)
	must(t, schema.Holds{DB: db}.Place(ctx, fleet.UserID{}, hold(fleet.UserID{}, phone, noon, time.Time{})))
	_, err := db.Pool().Exec(ctx, `ALTER TABLE points_evidence RENAME TO elsewhere`)
	must(t, err)
	if maintain.Retain(ctx, noon.Add(40*day)) == nil {
		t.Error("nothing is said of it")
	}
	if n := column(ctx, t, db, `SELECT count(*)::text FROM points`)[0]; n != "1" {
		t.Errorf("%s points", n)
	}
}

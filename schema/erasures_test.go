package schema_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// marked is a person of whom every table knows something. What would tell who it
// was has the mark.
type marked struct {
	user    fleet.UserID
	driver  fleet.DriverID
	phone   fleet.DeviceID
	booking string
}

const mark = "zebedee"

// newMarked makes such a person, whose phone has points of an hour and of ten
// minutes before now, the latter on a trip.
func newMarked(t *testing.T, db *schema.DB, now time.Time) marked {
	t.Helper()
	ctx := t.Context()
	m := marked{user: fleet.NewID[fleet.User](), driver: fleet.NewID[fleet.Driver](), phone: fleet.NewID[fleet.Device](), booking: fleet.NewID[fleet.Booking]().String()}
	u, d, p, b := m.user.String(), m.driver.String(), m.phone.String(), m.booking
	id := func() string { return fleet.NewID[fleet.File]().String() }
	car, file, session, invitation, hidden := id(), id(), id(), id(), `'`+mark+`'::bytea`
	for _, sql := range []string{
		`INSERT INTO users (id, email, email_verified, name, phone, password, roles, created) VALUES ('` + u + `', '` + mark + `@example.com', $1, '` + mark + `', '+44` + mark + `', '` + mark + `', '{rider,driver}', $1)`,
		`INSERT INTO user_sessions (id, user_id, method, second_factor, agent, address, created, authenticated, used, expires) VALUES ('` + session + `', '` + u + `', 'password', false, '` + mark + `', '` + mark + `', $1, $1, $1, 'infinity')`,
		`INSERT INTO refresh_tokens (hash, session, seq, created) VALUES (` + hidden + `, '` + session + `', 1, $1)`,
		`INSERT INTO codes (id, user_id, purpose, hash, target, created, expires) VALUES ('` + id() + `', '` + u + `', 'x', '', '` + mark + `', $1, $1)`,
		`INSERT INTO totps (user_id, secret) VALUES ('` + u + `', ` + hidden + `)`,
		`INSERT INTO recovery_codes (user_id, hash) VALUES ('` + u + `', ` + hidden + `)`,
		`INSERT INTO push_tokens (id, user_id, session, hash, sealed, created) VALUES ('` + id() + `', '` + u + `', '` + session + `', ` + hidden + `, ` + hidden + `, $1)`,
		`INSERT INTO notices (id, user_id, channel, address, kind, data, created, expires, state, changed) VALUES ('` + id() + `', '` + u + `', 'mail', '` + mark + `', 'x', ` + hidden + `, $1, $1, 'sent', $1)`,
		`INSERT INTO viewers (user_id, staff_id, granted) VALUES ('` + u + `', '` + u + `', $1)`,
		`INSERT INTO suspensions (id, user_id, reason, since, ended, end_reason) VALUES ('` + id() + `', '` + u + `', '` + mark + `', $1, $1, '` + mark + `')`,
		`INSERT INTO profiles (user_id, version, title, language, zone, changed) VALUES ('` + u + `', 1, '` + mark + `', 'en', '', $1)`,
		`INSERT INTO preferences (user_id, version, form, document, changed) VALUES ('` + u + `', 1, 1, '{"x": "` + mark + `"}', $1)`,
		`INSERT INTO questionnaires (user_id, version, form, answers, changed) VALUES ('` + u + `', 1, 1, '{"x": "` + mark + `"}', $1)`,
		`INSERT INTO contacts (id, user_id, sealed, state, created, changed) VALUES ('` + id() + `', '` + u + `', ` + hidden + `, 'invited', $1, $1)`,
		`INSERT INTO notices (id, channel, address, kind, data, created, expires, state, changed) VALUES ('` + invitation + `', 'mail', '` + mark + `', 'contact_invitation', ` + hidden + `, $1, $1, 'queued', $1)`,
		`INSERT INTO contact_invitations (token, user_id, address, sent, expires, notice) VALUES (` + hidden + `, '` + u + `', ` + hidden + `, $1, $1, '` + invitation + `')`,
		`INSERT INTO contact_invitations (token, user_id, address, sent, expires, declined) VALUES ('no', '` + u + `', 'stranger', $1, $1, $1)`,
		`INSERT INTO addresses (id, user_id, sealed, created, changed) VALUES ('` + id() + `', '` + u + `', ` + hidden + `, $1, $1)`,
		`INSERT INTO files (id, user_id, purpose, name, media_type, size, sha256, key, created) VALUES ('` + file + `', '` + u + `', 'document', '` + mark + `', '', 1, '', ` + hidden + `, $1)`,
		`INSERT INTO exports (id, user_id, asked) VALUES ('` + id() + `', '` + u + `', $1)`,
		`INSERT INTO linked_identities (id, user_id, provider, issuer, subject, email, created, used) VALUES ('` + id() + `', '` + u + `', '', '', '` + mark + `', '` + mark + `', $1, $1)`,
		`INSERT INTO consents (id, user_id, kind, version, hash, act, means, session, address, agent, at) VALUES ('` + id() + `', '` + u + `', 'terms', 1, '', 'given', 'list', '` + session + `', '` + mark + `', '` + mark + `', $1)`,
		`INSERT INTO drivers (id, name, tier, user_id, alias, bio, coverage, languages) VALUES ('` + d + `', '` + mark + `', 'essential', '` + u + `', '` + mark + `', '` + mark + `', '["` + mark + `"]', '{en}')`,
		`INSERT INTO documents (id, driver, kind, number, category, status, submitted, submitted_by, file, reason) VALUES ('` + id() + `', '` + d + `', 'sia_licence', '` + mark + `', '', 'verified', $1, '', '` + file + `', '` + mark + `')`,
		`INSERT INTO vehicles (id, registration, driver) VALUES ('` + car + `', 'X1', '` + d + `')`,
		`INSERT INTO vehicle_drivers (vehicle, driver, began) VALUES ('` + car + `', '` + d + `', $1)`,
		`INSERT INTO duty_spells (driver, duty, began) VALUES ('` + d + `', 'on_duty', $1)`,
		`INSERT INTO officer_wishes (user_id, driver_id, wish, wished) VALUES ('` + u + `', '` + d + `', 'favourite', $1)`,
		`INSERT INTO quotes (id, user_id, created, expires, starts, zone, local_start, minutes, asked, tariff, price, total, currency, metres, member) VALUES ('` + id() + `', '` + u + `', $1, $1, $1, '', '', 60, '{"notes": "` + mark + `"}', '{}', '{}', 1, 'GBP', 1, false)`,
		`INSERT INTO bookings (id, user_id, status, starts, zone, local_start, minutes, asked, tariff, price, total, currency, metres, member, created, since, funded, en_route, arrived, started, ended, end_reason)
		 VALUES ('` + b + `', '` + u + `', 'completed', $1, '', '', 60, '{"tier": "essential", "notes": "` + mark + `", "pickup": {"address": "` + mark + `"}}', '{}', '{}', 4200, 'GBP', 1, false, $1, $1, $1, $1 - interval '20 minutes', $1, $1, $1 - interval '5 minutes', '` + mark + `')`,
		`INSERT INTO booking_events (booking_id, seq, kind, actor, actor_id, occurred, at, data) VALUES ('` + b + `', 1, 'x', 'principal', '` + u + `', $1, $1, '{"x": "` + mark + `"}')`,
		`INSERT INTO chat_messages (booking_id, seq, client_id, author, wrote_as, sealed, sent) VALUES ('` + b + `', 1, '` + id() + `', '` + u + `', 'principal', ` + hidden + `, $1)`,
		`INSERT INTO chat_marks (booking_id, user_id) VALUES ('` + b + `', '` + u + `')`,
		`INSERT INTO booking_ratings (booking_id, stars, text, review, rated) VALUES ('` + b + `', 5, '` + mark + `', 'shown', $1)`,
		`INSERT INTO alerts (id, kind, booking_id, data, raised, closed, note) VALUES ('` + id() + `', 'x', '` + b + `', '{"x": "` + mark + `"}', $1, $1, '` + mark + `')`,
		`INSERT INTO devices (id, kind, name, format, user_id, driver, created, platform, external) VALUES ('` + p + `', 'phone', '` + mark + `', 0, '` + u + `', '` + d + `', $1, '` + mark + `', '` + mark + `')`,
		`INSERT INTO device_bindings (device, driver, user_id, began) VALUES ('` + p + `', '` + d + `', '` + u + `', $1 - interval '1 year')`,
		`INSERT INTO device_status (device, online, app, received) VALUES ('` + p + `', true, '` + mark + `', $1)`,
		`INSERT INTO credentials (id, device, kind, hash, created) VALUES ('` + id() + `', '` + p + `', 'secret', ` + hidden + `, $1)`,
		`INSERT INTO sessions (client_id, device, version, expiry_ms, subscriptions) VALUES ('` + mark + `', '` + p + `', 5, 1, '[]')`,
		`INSERT INTO commands (device, seq, kind, body, created, expires) VALUES ('` + p + `', 1, 'x', '"` + mark + `"', $1, $1)`,
		`INSERT INTO events (device, id, kind, at, received, body) VALUES ('` + p + `', '` + id() + `', 'tamper', $1, $1, '"` + mark + `"'), ('` + p + `', '` + id() + `', 'sos', $1, $1, '{}')`,
		`INSERT INTO dead_letters (id, device, topic, reason, payload, received) VALUES ('` + id() + `', '` + p + `', '` + mark + `', '', ` + hidden + `, $1)`,
	} {
		if _, err := db.Pool().Exec(ctx, `WITH given AS (SELECT $1::timestamptz) `+sql, now); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	must(t, schema.Maintenance{DB: db}.EnsurePartitions(ctx, now))
	insert(t, schema.NewPoints(db), []fleet.Point{newPoint(m.phone, now.Add(-time.Hour), 51, 0), newPoint(m.phone, now.Add(-10*time.Minute), 52, 1)}, 2)
	return m
}

// erase begins an erasure and goes through the tables.
func erase(t *testing.T, db *schema.DB, user fleet.UserID, now time.Time) fleet.ErasureID {
	t.Helper()
	e := fleet.Erasure{ID: fleet.NewID[fleet.Erasure](), User: user, Asked: now}
	_, err := schema.Erasures{DB: db}.Begin(t.Context(), schema.ErasureBegin{Erasure: e})
	must(t, err)
	must(t, schema.Erasures{DB: db}.Work(t.Context(), e.ID, now))
	return e.ID
}

// marksLeft lists the tables that still have the mark somewhere, in text or bytes.
func marksLeft(ctx context.Context, t *testing.T, db *schema.DB) (found []string) {
	t.Helper()
	for _, table := range column(ctx, t, db, `SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1`) {
		n := column(ctx, t, db, fmt.Sprintf(`SELECT count(*)::text FROM %q x WHERE x::text LIKE '%%%s%%' OR x::text LIKE '%%%x%%'`, table, mark, mark))
		if n[0] != "0" {
			found = append(found, table)
		}
	}
	return found
}

func TestNothingTellsWhoWasErased(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, now := t.Context(), time.Now().UTC().Truncate(time.Millisecond)
		m := newMarked(t, db, now)
		if n := len(marksLeft(ctx, t, db)); n < 30 {
			t.Fatalf("the person is in %d tables only", n)
		}
		must(t, schema.Audit{DB: db}.Record(ctx, fleet.AuditEntry{Actor: "x", Action: "read_location", Subject: m.user, At: now}))
		must(t, schema.Audit{DB: db}.Seal(ctx, now))
		id := erase(t, db, m.user, now)
		if left := marksLeft(ctx, t, db); len(left) > 0 {
			t.Errorf("who it was is still said in %v", left)
		}
		for sql, want := range map[string]string{
			`SELECT count(*)::text FROM users WHERE erased IS NOT NULL`:                                         "1",
			`SELECT total::text || (asked ->> 'tier') FROM bookings`:                                            "4200essential", // accounts
			`SELECT count(*)::text FROM consents`:                                                               "1",
			`SELECT kind FROM events`:                                                                           "sos",
			`SELECT count(*)::text FROM duty_spells WHERE ended IS NOT NULL`:                                    "1",
			`SELECT count(*)::text FROM documents WHERE status = 'verified' AND file IS NULL`:                   "1",
			`SELECT count(*)::text FROM contact_invitations`:                                                    "1",  // the stranger's no
			`SELECT round(lat / 1e7)::text FROM points`:                                                         "52", // on the trip
			`SELECT count(*)::text FROM river_job WHERE kind = 'drop_blob'`:                                     "1",
			`SELECT count(*)::text FROM credentials`:                                                            "0",
			`SELECT count(*)::text FROM device_bindings WHERE ended IS NULL`:                                    "0",
			`SELECT count(*)::text FROM audit_entries WHERE subjects @> ARRAY['` + m.user.String() + `'::uuid]`: "2",
		} {
			if got := column(ctx, t, db, sql); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %v, want %s", sql, got, want)
			}
		}
		report, err := schema.Audit{DB: db}.Verify(ctx)
		if must(t, err); report.Break != "" {
			t.Error(report.Break)
		}
		proofs, err := schema.Erasures{DB: db}.Proofs(ctx, id)
		must(t, err)
		for _, want := range []fleet.ErasureProof{
			{Subject: "users", Act: fleet.ErasureAnonymised, Count: 1}, {Subject: "files", Act: fleet.ErasureDeleted, Count: 1},
			{Subject: "points", Act: fleet.ErasureDeleted, Count: 1}, {Subject: "bookings", Act: fleet.ErasureAnonymised, Count: 1},
		} {
			if !slices.ContainsFunc(proofs, func(p fleet.ErasureProof) bool {
				return p.Subject == want.Subject && p.Act == want.Act && p.Count == want.Count && p.At.Equal(now)
			}) {
				t.Errorf("no proof of %v among %v", want, proofs)
			}
		}
		// Once more it does nothing, and a second erasure there is none.
		must(t, schema.Erasures{DB: db}.Work(ctx, id, now.Add(time.Hour)))
		again, err := schema.Erasures{DB: db}.Proofs(ctx, id)
		if must(t, err); len(again) != len(proofs)+1 { // bookings are gone through again
			t.Logf("%d proofs after %d: %v", len(again), len(proofs), again[len(proofs):])
		}
		_, err = schema.Erasures{DB: db}.Begin(ctx, schema.ErasureBegin{Erasure: fleet.Erasure{ID: fleet.NewID[fleet.Erasure](), User: m.user, Asked: now}})
		wantCode(t, err, fleet.CodeNotFound)
	})
}

// What a hold is about stays under the person's id until it is released.
func TestAHoldBeatsAnErasure(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, now := t.Context(), time.Now().UTC().Truncate(time.Millisecond)
		m := newMarked(t, db, now)
		h := hold(m.user, fleet.DeviceID{}, now.Add(-90*time.Minute), time.Time{})
		h.Placed = now
		must(t, schema.Holds{DB: db}.Place(ctx, fleet.UserID{}, h))
		insert(t, schema.NewPoints(db), []fleet.Point{newPoint(m.phone, now.Add(-2*time.Hour), 50, 0)}, 1) // before the hold
		id := erase(t, db, m.user, now)
		counts := func() string {
			return column(ctx, t, db, `SELECT concat_ws(' ', (SELECT count(*) FROM points), (SELECT count(*) FROM events), (SELECT count(*) FROM commands),
				(SELECT count(*) FROM user_sessions), (SELECT count(*) FROM files), (SELECT count(*) FROM profiles), (SELECT count(*) FROM users WHERE name <> '' OR email IS NOT NULL),
				(SELECT held FROM erasures))`)[0]
		}
		if got := counts(); got != "2 2 1 1 1 0 0 t" {
			t.Errorf("under the hold there are %s", got)
		}
		must(t, schema.Holds{DB: db}.Release(ctx, fleet.UserID{}, h.ID, "y", now))
		if got := column(ctx, t, db, `SELECT count(*)::text FROM river_job WHERE kind = 'erasure' AND scheduled_at <= clock_timestamp() AND args ->> 'id' = $1`, id.String()); got[0] != "2" {
			t.Errorf("%s jobs erase it, want that of the release too", got[0])
		}
		must(t, schema.Erasures{DB: db}.Work(ctx, id, now))
		if got := counts(); got != "1 1 0 0 0 0 0 f" {
			t.Errorf("after its release there are %s", got)
		}
		if left := marksLeft(ctx, t, db); len(left) > 0 {
			t.Errorf("who it was is still said in %v", left)
		}
	})
}

// Points that were compressed go too, and of a phone that others had, theirs stay.
func TestErasingPoints(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, now := t.Context(), time.Now().UTC().Truncate(time.Millisecond)
		m := newMarked(t, db, now)
		shared, other := newDevice(t, db, fleet.Phone), fleet.NewID[fleet.Driver]()
		_, err := db.Pool().Exec(ctx, `INSERT INTO drivers (id, name, tier) VALUES ($1, 'B', 'essential')`, other)
		must(t, err)
		_, err = db.Pool().Exec(ctx, `INSERT INTO device_bindings (device, driver, began, ended) VALUES ($1, $2, $4, $5), ($1, $3, $5, NULL)`,
			shared, m.driver, other, now.Add(-10*day), now.Add(-5*day))
		must(t, err)
		insert(t, schema.NewPoints(db), []fleet.Point{
			newPoint(m.phone, now.Add(-7*day), 51, 0), newPoint(shared, now.Add(-7*day), 51, 0), newPoint(shared, now.Add(-4*day), 51, 0),
		}, 3)
		if db.Timescale() {
			_, err = db.Pool().Exec(ctx, `SELECT compress_chunk(c) FROM show_chunks('points', older_than => $1::timestamptz) c`, now.Add(-2*day))
			must(t, err)
		}
		must(t, schema.Maintenance{DB: db}.RefreshRollups(ctx, now))
		erase(t, db, m.user, now)
		if left := column(ctx, t, db, `SELECT d.id || ' ' || round(extract(epoch FROM $1::timestamptz - fix) / 86400) FROM points p JOIN devices d ON d.number = p.device ORDER BY fix`, now); !slices.Equal(left, []string{shared.String() + " 4", m.phone.String() + " 0"}) {
			t.Errorf("points of %v are left", left)
		}
		if n := column(ctx, t, db, `SELECT count(*)::text FROM points_hourly WHERE device = $1`, m.phone)[0]; n != "0" {
			t.Errorf("%s hours of the phone are left", n)
		}
	})
}

// Who is protected, or protects, is reached until it is over; the last admin stays.
func TestWhoCannotBeErasedYet(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	ctx, now := t.Context(), noon
	begin := func(user fleet.UserID) error {
		_, err := schema.Erasures{DB: db}.Begin(ctx, schema.ErasureBegin{Erasure: fleet.Erasure{ID: fleet.NewID[fleet.Erasure](), User: user, Asked: now}})
		return err
	}
	m := newMarked(t, db, now)
	_, err := db.Pool().Exec(ctx, `INSERT INTO bookings (id, user_id, status, starts, zone, local_start, minutes, asked, tariff, price, total, currency, metres, member, created, since)
		VALUES ($1, $2, 'scheduled', $3, '', '', 60, '{}', '{}', '{}', 1, 'GBP', 1, false, $3, $3)`, fleet.NewID[fleet.Booking](), m.user, now)
	must(t, err)
	wantCode(t, begin(m.user), fleet.CodeConflict)
	admin := newUser(t, db, fleet.RoleAdmin)
	wantCode(t, begin(admin), fleet.CodeConflict)
	newUser(t, db, fleet.RoleAdmin)
	must(t, begin(admin))
}

// A phone's track of a trip stays as long as any; what it sent before and after
// goes the next day.
func TestRetentionKeepsTrips(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, now := t.Context(), time.Now().UTC().Truncate(time.Millisecond)
		m, maintain := newMarked(t, db, now.Add(-3*day)), schema.Maintenance{DB: db}
		must(t, maintain.EnsurePartitions(ctx, now))
		idle := newDevice(t, db, fleet.Phone)
		insert(t, schema.NewPoints(db), []fleet.Point{newPoint(m.phone, now.Add(-2*day), 50, 0), newPoint(m.phone, now.Add(-time.Hour), 49, 0), newPoint(idle, now.Add(-2*day), 50, 0)}, 3)
		must(t, maintain.Retain(ctx, now))
		if left := column(ctx, t, db, `SELECT round(lat / 1e7)::text FROM points ORDER BY fix`); !slices.Equal(left, []string{"52", "49"}) {
			t.Errorf("points at %v are left", left)
		}
		// Bookings go after the years for which the law wants them, with all of theirs.
		_, err := db.Pool().Exec(ctx, `UPDATE bookings SET ended = $1`, now.AddDate(-7, 0, 0))
		must(t, err)
		must(t, maintain.Retain(ctx, now))
		if n := column(ctx, t, db, `SELECT ((SELECT count(*) FROM bookings) + (SELECT count(*) FROM booking_events))::text`); n[0] != "0" {
			t.Errorf("%s rows of old bookings are left", n[0])
		}
	})
}

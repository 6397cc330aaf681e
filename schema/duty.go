package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// DutySpells are the times at which drivers work.
type DutySpells struct{ DB *DB }

// Set begins another spell at a time, or the time off duty. What a driver is
// already stays as it is. Whoever is at work on a trip does not go off duty, which
// is CodeConflict: their phone would not be followed any more.
func (t DutySpells) Set(ctx context.Context, driver fleet.DriverID, duty fleet.Duty, at time.Time) error {
	return t.locked(ctx, driver, func(tx pgx.Tx) error { return setDuty(ctx, tx, driver, duty, at) })
}

// End is Set to off duty by a dispatcher. One whose term is over is ErrTermOver.
func (t DutySpells) End(ctx context.Context, term Term, driver fleet.DriverID, at time.Time) error {
	return t.locked(ctx, driver, func(tx pgx.Tx) error {
		if err := inTerm(ctx, tx, term); err != nil {
			return err
		}
		return setDuty(ctx, tx, driver, fleet.OffDuty, at)
	})
}

// SetSince is Set of what comes late: if the driver's duty has changed at that
// time or since, it stays as it is.
func (t DutySpells) SetSince(ctx context.Context, driver fleet.DriverID, duty fleet.Duty, at time.Time) error {
	return t.locked(ctx, driver, func(tx pgx.Tx) error {
		var changed bool
		err := tx.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM duty_spells WHERE driver = $1 AND coalesce(ended, began) >= $2)`, driver, at).Scan(&changed)
		if err != nil || changed {
			return err
		}
		return setDuty(ctx, tx, driver, duty, at)
	})
}

// locked lets one change of a driver's spells come after the other.
func (t DutySpells) locked(ctx context.Context, driver fleet.DriverID, change func(pgx.Tx) error) error {
	return t.DB.transact(ctx, "driver", func(tx pgx.Tx) error {
		var id fleet.DriverID
		if err := tx.QueryRow(ctx, `SELECT id FROM drivers WHERE id = $1 FOR UPDATE`, driver).Scan(&id); err != nil {
			return err
		}
		return change(tx)
	})
}

func setDuty(ctx context.Context, tx pgx.Tx, driver fleet.DriverID, duty fleet.Duty, at time.Time) error {
	var busy bool
	if err := tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM booking_seats WHERE driver_id = $1 AND state = 'active')`, driver).Scan(&busy); err != nil {
		return err
	}
	if busy && duty == fleet.OffDuty {
		return &fleet.Error{Code: fleet.CodeConflict, Message: "the officer is at work on an assignment: ask for relief, or complete it, first"}
	}
	// A spell that began later, by a clock that has since been set back, has no
	// length.
	_, err := tx.Exec(ctx, `
		UPDATE duty_spells SET ended = greatest(began, $3) WHERE driver = $1 AND ended IS NULL AND duty <> $2`, driver, duty, at)
	if err != nil || duty == fleet.OffDuty {
		return err
	}
	_, err = tx.Exec(ctx, `
		INSERT INTO duty_spells (driver, duty, began)
		SELECT $1::uuid, $2, greatest($3::timestamptz, (SELECT max(ended) FROM duty_spells WHERE driver = $1))
		WHERE NOT EXISTS (SELECT FROM duty_spells WHERE driver = $1 AND ended IS NULL)`, driver, duty, at)
	return err
}

// spellsOf selects when the phones of people may be followed, since a time $1: of
// drivers while they work, and of principals from when an officer sets out to them
// until the trip is over.
const spellsOf = `
	SELECT d.user_id, s.began, s.ended FROM duty_spells s JOIN drivers d ON d.id = s.driver
	WHERE d.user_id IS NOT NULL AND (s.ended IS NULL OR s.ended > $1)
	UNION ALL
	SELECT b.user_id, b.en_route, b.ended FROM bookings b
	WHERE b.en_route IS NOT NULL AND (b.ended IS NULL OR b.ended > $1)`

// Of returns when a person's phone may be followed, since a time, in order.
func (t DutySpells) Of(ctx context.Context, user fleet.UserID, since time.Time) ([]fleet.Spell, error) {
	spells, err := t.since(ctx, `SELECT * FROM (`+spellsOf+`) p WHERE user_id = $2 ORDER BY began`, since, user)
	return spells[user], err
}

// Since is Of for everybody.
func (t DutySpells) Since(ctx context.Context, since time.Time) (map[fleet.UserID][]fleet.Spell, error) {
	return t.since(ctx, spellsOf+` ORDER BY 2`, since)
}

func (t DutySpells) since(ctx context.Context, sql string, args ...any) (map[fleet.UserID][]fleet.Spell, error) {
	rows, err := t.DB.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, translate("spell", err)
	}
	spells := make(map[fleet.UserID][]fleet.Spell)
	var user fleet.UserID
	var from time.Time
	var to *time.Time
	_, err = pgx.ForEachRow(rows, []any{&user, &from, &to}, func() error {
		spells[user] = addSpell(spells[user], spellOf(from, to))
		return nil
	})
	return spells, translate("spell", err)
}

// addSpell adds a spell that began after all others, or becomes a part of the last
// if that is not over: officers may be principals too.
func addSpell(spells []fleet.Spell, s fleet.Spell) []fleet.Spell {
	if n := len(spells); n > 0 {
		if last := &spells[n-1]; last.To == 0 || last.To > s.From {
			if last.To != 0 && (s.To == 0 || s.To > last.To) {
				last.To = s.To
			}
			return spells
		}
	}
	return append(spells, s)
}

func spellOf(from time.Time, to *time.Time) fleet.Spell {
	s := fleet.Spell{From: fleet.MillisOf(from)}
	if to != nil {
		s.To = fleet.MillisOf(*to)
	}
	return s
}

// OnDutySince returns the drivers who have been on duty, or on a break, since a time, in
// order of id.
func (t DutySpells) OnDutySince(ctx context.Context, since time.Time) ([]fleet.DriverID, error) {
	return all(ctx, t.DB, "spell", pgx.RowTo[fleet.DriverID], `
		SELECT DISTINCT driver FROM duty_spells WHERE ended IS NULL OR ended > $1 ORDER BY driver`, since)
}

// Worked returns when drivers were on duty or on a break since a time, each one's
// in order: what fleet.WorkLimits judges by.
func (t DutySpells) Worked(ctx context.Context, drivers []fleet.DriverID, since time.Time) (map[fleet.DriverID][]fleet.Stint, error) {
	rows, err := t.DB.pool.Query(ctx, `
		SELECT s.driver, s.duty, s.began, s.ended FROM duty_spells s
		WHERE s.driver = ANY($1::uuid[]) AND (s.ended IS NULL OR s.ended > $2) ORDER BY s.began`, idStrings(drivers), since)
	if err != nil {
		return nil, translate("spell", err)
	}
	worked := make(map[fleet.DriverID][]fleet.Stint)
	var driver fleet.DriverID
	var stint fleet.Stint
	var to *time.Time
	_, err = pgx.ForEachRow(rows, []any{&driver, &stint.Duty, &stint.From, &to}, func() error {
		stint.From, stint.To = stint.From.UTC(), orZero(to)
		worked[driver] = append(worked[driver], stint)
		return nil
	})
	return worked, translate("spell", err)
}

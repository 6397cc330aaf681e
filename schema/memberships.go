package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Memberships are the subscriptions by which principals pay as members.
type Memberships struct{ DB *DB }

const membershipColumns = `m.id, m.user_id, coalesce(m.stripe_id, ''), m.state, m.attempt, m.until, m.cancelling, m.created, m.changed`

func scanMembership(row pgx.CollectableRow) (m fleet.Membership, err error) {
	var until *time.Time
	err = row.Scan(&m.ID, &m.User, &m.Stripe, &m.State, &m.Attempt, &until, &m.Cancelling, &m.Created, &m.Changed)
	m.Until, m.Created, m.Changed = orZero(until), m.Created.UTC(), m.Changed.UTC()
	return m, err
}

// Of returns a user's membership that has not ended.
func (t Memberships) Of(ctx context.Context, user fleet.UserID) (fleet.Membership, error) {
	return one(ctx, t.DB, "membership", scanMembership, `SELECT `+membershipColumns+` FROM memberships m WHERE m.user_id = $1 AND m.state <> 'ended'`, user)
}

// ByStripe returns the membership of a subscription of Stripe's, ended or not.
func (t Memberships) ByStripe(ctx context.Context, subscription string) (fleet.Membership, error) {
	return one(ctx, t.DB, "membership", scanMembership, `SELECT `+membershipColumns+` FROM memberships m WHERE m.stripe_id = $1`, subscription)
}

// Begin returns a user's membership that has not ended, and makes one, new, if there
// is none. hadOne says whether there ever was another one.
func (t Memberships) Begin(ctx context.Context, user fleet.UserID, now time.Time) (m fleet.Membership, hadOne bool, err error) {
	_, err = t.DB.pool.Exec(ctx, `
		INSERT INTO memberships (id, user_id, state, created, changed) VALUES ($1, $2, 'new', $3, $3)
		ON CONFLICT (user_id) WHERE state <> 'ended' DO NOTHING`, fleet.NewID[fleet.Membership](), user, now)
	if err != nil {
		return m, false, translate("membership", err)
	}
	if m, err = t.Of(ctx, user); err != nil {
		return m, false, err
	}
	hadOne, err = one(ctx, t.DB, "membership", pgx.RowTo[bool], `SELECT EXISTS (SELECT FROM memberships WHERE user_id = $1 AND id <> $2)`, user, m.ID)
	return m, hadOne, err
}

// Refused keeps that an attempt to make a membership has definitely failed.
func (t Memberships) Refused(ctx context.Context, m *fleet.Membership, now time.Time) error {
	_, err := t.DB.pool.Exec(ctx, `UPDATE memberships SET attempt = attempt + 1, changed = $3 WHERE id = $1 AND attempt = $2 AND state = 'new'`, m.ID, m.Attempt, now)
	return translate("membership", err)
}

// Set keeps how a membership stood at Stripe as of a time, and tells its principal; m is
// told whose it is.
// One that has ended stays so, and what was asked for later than that is newer.
func (t Memberships) Set(ctx context.Context, m *fleet.Membership, asOf time.Time, told Telling) error {
	return t.DB.transact(ctx, "membership", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			UPDATE memberships SET stripe_id = $2, state = $3, until = $4, cancelling = $5, changed = $6
			WHERE id = $1 AND state <> 'ended' AND (stripe_id IS NULL OR stripe_id = $2) AND changed <= $6 RETURNING user_id`,
			m.ID, m.Stripe, m.State, null(m.Until), m.Cancelling, asOf)
		if err != nil {
			return err
		}
		users, err := pgx.CollectRows(rows, pgx.RowTo[fleet.UserID])
		for i := 0; i < len(users) && err == nil; i++ {
			m.User = users[i]
			err = t.DB.tell(ctx, tx, m.User, told)
		}
		return err
	})
}

// Old returns up to limit memberships that may stand otherwise than is known: whose
// period is over, or of which a payment waits; those first that were looked at first.
func (t Memberships) Old(ctx context.Context, now time.Time, limit int) ([]fleet.Membership, error) {
	return all(ctx, t.DB, "membership", scanMembership, `
		SELECT `+membershipColumns+` FROM memberships m
		WHERE m.state <> 'ended' AND m.stripe_id IS NOT NULL AND (m.state IN ('incomplete', 'past_due') OR m.until <= $1) ORDER BY m.changed LIMIT $2`, now, limit)
}

package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Cards are what principals pay with, as Stripe keeps it for them.
type Cards struct{ DB *DB }

const cardColumns = `m.id, m.user_id, m.stripe_id, m.brand, m.last4, m.exp_month, m.exp_year, m.preferred, m.created`

func scanCard(row pgx.CollectableRow) (m fleet.PaymentMethod, err error) {
	err = row.Scan(&m.ID, &m.User, &m.Stripe, &m.Brand, &m.Last4, &m.ExpMonth, &m.ExpYear, &m.Preferred, &m.Created)
	m.Created = m.Created.UTC()
	return m, err
}

// List returns a user's cards, the newest first.
func (t Cards) List(ctx context.Context, user fleet.UserID) ([]fleet.PaymentMethod, error) {
	return all(ctx, t.DB, "payment method", scanCard, `
		SELECT `+cardColumns+` FROM payment_methods m WHERE m.user_id = $1 AND m.removed IS NULL ORDER BY m.id DESC`, user)
}

// Of returns a card of a user's own.
func (t Cards) Of(ctx context.Context, user fleet.UserID, id fleet.PaymentMethodID) (fleet.PaymentMethod, error) {
	return one(ctx, t.DB, "payment method", scanCard, `
		SELECT `+cardColumns+` FROM payment_methods m WHERE m.id = $1 AND m.user_id = $2 AND m.removed IS NULL`, id, user)
}

// Others reports whether a card is another user's.
func (t Cards) Others(ctx context.Context, user fleet.UserID, stripe string) (bool, error) {
	return one(ctx, t.DB, "payment method", pgx.RowTo[bool], `
		SELECT EXISTS (SELECT FROM payment_methods WHERE stripe_id = $1 AND user_id <> $2)`, stripe, user)
}

// Keep adds a card, once: one that was taken away stays so, and who is erased has none. A
// user's first is preferred. What waits for a card is tried again.
func (t Cards) Keep(ctx context.Context, m fleet.PaymentMethod) error {
	return t.DB.transact(ctx, "payment method", func(tx pgx.Tx) error {
		there, err := tx.Exec(ctx, `SELECT FROM users WHERE id = $1 AND erased IS NULL FOR UPDATE`, m.User)
		if err != nil || there.RowsAffected() == 0 {
			return err
		}
		tag, err := tx.Exec(ctx, `
			INSERT INTO payment_methods (id, user_id, stripe_id, brand, last4, exp_month, exp_year, preferred, created)
			VALUES ($1, $2::uuid, $3, $4, $5, $6, $7, NOT EXISTS (SELECT FROM payment_methods WHERE user_id = $2 AND preferred), $8)
			ON CONFLICT (stripe_id) DO NOTHING`,
			m.ID, m.User, m.Stripe, text(m.Brand), text(m.Last4), m.ExpMonth, m.ExpYear, m.Created)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return t.DB.enqueue(ctx, tx, fleet.CardsChanged{User: m.User}, time.Time{})
	})
}

// Prefer makes a card of a user's own the one that they pay with.
func (t Cards) Prefer(ctx context.Context, user fleet.UserID, id fleet.PaymentMethodID) error {
	return t.DB.transact(ctx, "payment method", func(tx pgx.Tx) error {
		var mine fleet.PaymentMethodID
		err := tx.QueryRow(ctx, `SELECT id FROM payment_methods WHERE id = $1 AND user_id = $2 AND removed IS NULL FOR UPDATE`, id, user).Scan(&mine)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE payment_methods SET preferred = false WHERE user_id = $1 AND preferred AND id <> $2`, user, id); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE payment_methods SET preferred = true WHERE id = $1`, id); err != nil {
			return err
		}
		return t.DB.enqueue(ctx, tx, fleet.CardsChanged{User: user}, time.Time{})
	})
}

// Remove takes a card of a user's own away, and prefers their newest instead.
func (t Cards) Remove(ctx context.Context, user fleet.UserID, id fleet.PaymentMethodID, now time.Time) error {
	return t.DB.transact(ctx, "payment method", func(tx pgx.Tx) error {
		var was bool
		err := tx.QueryRow(ctx, `
			UPDATE payment_methods m SET removed = $3, preferred = false FROM (SELECT id, preferred FROM payment_methods WHERE id = $1 FOR UPDATE) o
			WHERE m.id = o.id AND m.user_id = $2 AND m.removed IS NULL RETURNING o.preferred`, id, user, now).Scan(&was)
		if err != nil || !was {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE payment_methods SET preferred = true WHERE id = (
			SELECT id FROM payment_methods WHERE user_id = $1 AND removed IS NULL ORDER BY id DESC LIMIT 1)`, user)
		return err
	})
}

const setupColumns = `id, user_id, coalesce(stripe_id, ''), created, done`

func scanSetup(row pgx.CollectableRow) (s fleet.CardSetup, err error) {
	var done *time.Time
	err = row.Scan(&s.ID, &s.User, &s.Stripe, &s.Created, &done)
	s.Created, s.Done = s.Created.UTC(), orZero(done)
	return s, err
}

// BeginSetup saves that a card is to be kept. limit is how many may be under way.
func (t Cards) BeginSetup(ctx context.Context, s fleet.CardSetup, limit int) error {
	return t.DB.addOwned(ctx, "card setup", s.User, `SELECT count(*) FROM card_setups WHERE user_id = $1 AND done IS NULL`, limit, func(tx pgx.Tx) error {
		_, err := tx.Exec(ctx, `INSERT INTO card_setups (id, user_id, created) VALUES ($1, $2, $3)`, s.ID, s.User, s.Created)
		return err
	})
}

// NameSetup keeps Stripe's id of a setup.
func (t Cards) NameSetup(ctx context.Context, id fleet.CardSetupID, stripe string) error {
	return t.DB.exec(ctx, "card setup", `UPDATE card_setups SET stripe_id = $2 WHERE id = $1`, id, stripe)
}

// EndSetup ends a setup, whatever came of it.
func (t Cards) EndSetup(ctx context.Context, id fleet.CardSetupID, now time.Time) error {
	return t.DB.exec(ctx, "card setup", `UPDATE card_setups SET done = coalesce(done, $2) WHERE id = $1`, id, now)
}

// SetupByStripe returns the setup of a setup intent of Stripe's.
func (t Cards) SetupByStripe(ctx context.Context, intent string) (fleet.CardSetup, error) {
	return one(ctx, t.DB, "card setup", scanSetup, `SELECT `+setupColumns+` FROM card_setups WHERE stripe_id = $1`, intent)
}

// Setups returns the setups of a user that are under way, the newest first.
func (t Cards) Setups(ctx context.Context, user fleet.UserID) ([]fleet.CardSetup, error) {
	return all(ctx, t.DB, "card setup", scanSetup, `SELECT `+setupColumns+` FROM card_setups WHERE user_id = $1 AND done IS NULL ORDER BY id DESC`, user)
}

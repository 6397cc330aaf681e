package schema

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Consents are what people said to documents. They are added to, and never
// changed.
type Consents struct{ DB *DB }

const consentColumns = `c.id, c.user_id, c.kind, c.version, c.hash, c.act, c.means, c.session, coalesce(c.address, ''), coalesce(c.agent, ''), c.at`

func scanConsent(row pgx.CollectableRow) (c fleet.Consent, err error) {
	err = row.Scan(&c.ID, &c.User, &c.Kind, &c.Version, &c.Hash, &c.Act, &c.Means, &c.Session, &c.Address, &c.Agent, &c.At)
	c.At = c.At.UTC()
	return c, err
}

// Give adds a consent, unless it is what the person said last, and returns their
// last word.
func (t Consents) Give(ctx context.Context, c fleet.Consent) (fleet.Consent, error) {
	err := t.DB.transact(ctx, "user", func(tx pgx.Tx) (err error) {
		if err := lockConsents(ctx, tx, c.User); err != nil {
			return err
		}
		c, err = addConsent(ctx, tx, c)
		return err
	})
	return c, err
}

// Withdraw takes back what a person gave, of whatever version that was; who gave
// nothing refuses the version of c. Without a required document, the review of
// the questionnaire counts no more.
func (t Consents) Withdraw(ctx context.Context, c fleet.Consent, required bool) (fleet.Consent, error) {
	err := t.DB.transact(ctx, "user", func(tx pgx.Tx) error {
		if err := lockConsents(ctx, tx, c.User); err != nil {
			return err
		}
		last, err := lastConsent(ctx, tx, c.User, c.Kind)
		if err != nil {
			return err
		}
		if last.Act == fleet.ConsentGiven {
			c.Version, c.Hash = last.Version, last.Hash
		}
		if c, err = addConsent(ctx, tx, c); err != nil || !required {
			return err
		}
		return unreview(ctx, tx, c.User, c.At)
	})
	return c, err
}

// unreview takes the review out of a person's questionnaire.
func unreview(ctx context.Context, tx pgx.Tx, user fleet.UserID, now time.Time) error {
	_, err := tx.Exec(ctx, `
		UPDATE questionnaires SET answers = answers - 'review', completed = NULL, version = version + 1, changed = $2
		WHERE user_id = $1 AND answers ? 'review'`, user, now)
	return err
}

// lockConsents lets one after the other say what they think.
func lockConsents(ctx context.Context, tx pgx.Tx, user fleet.UserID) error {
	var id fleet.UserID
	return tx.QueryRow(ctx, `SELECT id FROM users WHERE id = $1 AND erased IS NULL FOR NO KEY UPDATE`, user).Scan(&id)
}

// lastConsent is a person's last word on a kind; the zero one if they said
// nothing.
func lastConsent(ctx context.Context, tx pgx.Tx, user fleet.UserID, kind string) (fleet.Consent, error) {
	rows, err := tx.Query(ctx, `SELECT `+consentColumns+` FROM consents c WHERE user_id = $1 AND kind = $2 ORDER BY id DESC LIMIT 1`, user, kind)
	if err != nil {
		return fleet.Consent{}, err
	}
	c, err := pgx.CollectExactlyOneRow(rows, scanConsent)
	if errors.Is(err, pgx.ErrNoRows) {
		err = nil
	}
	return c, err
}

// addConsent adds what a person, who is locked, says now; if that is what they
// said last, it adds nothing. It returns their last word.
func addConsent(ctx context.Context, tx pgx.Tx, c fleet.Consent) (fleet.Consent, error) {
	last, err := lastConsent(ctx, tx, c.User, c.Kind)
	if err != nil || last.Act == c.Act && last.Version == c.Version && bytes.Equal(last.Hash, c.Hash) {
		return last, err
	}
	c.ID = fleet.NewID[fleet.Consent]() // after the lock, and so after the last one's
	_, err = tx.Exec(ctx, `
		INSERT INTO consents (id, user_id, kind, version, hash, act, means, session, address, agent, at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		c.ID, c.User, c.Kind, c.Version, c.Hash, c.Act, c.Means, c.Session, c.Address, text(c.Agent), c.At)
	return c, err
}

// Last returns a person's last word on each kind.
func (t Consents) Last(ctx context.Context, user fleet.UserID) ([]fleet.Consent, error) {
	return all(ctx, t.DB, "consent", scanConsent, `
		SELECT DISTINCT ON (c.kind) `+consentColumns+` FROM consents c WHERE c.user_id = $1 ORDER BY c.kind, c.id DESC`, user)
}

// List returns the last things that a person said, up to limit of them, the
// newest first.
func (t Consents) List(ctx context.Context, user fleet.UserID, limit int) ([]fleet.Consent, error) {
	return all(ctx, t.DB, "consent", scanConsent, `
		SELECT `+consentColumns+` FROM consents c WHERE c.user_id = $1 ORDER BY c.id DESC LIMIT $2`, user, limit)
}

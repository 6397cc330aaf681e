package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Questionnaires are the users' security assessments.
type Questionnaires struct{ DB *DB }

const questionnaireColumns = `q.version, q.form, q.answers, coalesce(q.risk_band, ''), q.completed, q.changed`

func scanQuestionnaire(row pgx.CollectableRow) (q fleet.Questionnaire, err error) {
	var completed *time.Time
	err = row.Scan(&q.Version, &q.Form, &q.Body, &q.Risk, &completed, &q.Changed)
	q.Completed, q.Changed = orZero(completed), q.Changed.UTC()
	return q, err
}

// Get returns a user's own questionnaire; one that was never saved has version 1.
func (t Questionnaires) Get(ctx context.Context, user fleet.UserID) (fleet.Questionnaire, error) {
	q, err := one(ctx, t.DB, "questionnaire", scanQuestionnaire,
		`SELECT `+questionnaireColumns+` FROM questionnaires q WHERE q.user_id = $1`, user)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return fleet.Questionnaire{FilledForm: fleet.FilledForm{Version: 1}}, nil
	}
	return q, err
}

// GetFor returns a user's questionnaire to staff. A user who is restricted does
// not exist for those who are not named.
func (t Questionnaires) GetFor(ctx context.Context, viewer, user fleet.UserID) (fleet.Questionnaire, error) {
	return one(ctx, t.DB, "questionnaire", scanQuestionnaire, `
		SELECT `+questionnaireColumns+` FROM questionnaires q JOIN users u ON u.id = q.user_id
		WHERE q.user_id = $2 AND u.erased IS NULL AND `+visible, viewer, user)
}

// Put saves a user's questionnaire in place of that of q.Version, with what the
// user agrees to by its review; of another version by now, it is
// CodeVersionMismatch.
func (t Questionnaires) Put(ctx context.Context, user fleet.UserID, q fleet.Questionnaire, agreed ...fleet.Consent) error {
	return t.DB.transact(ctx, "questionnaire", func(tx pgx.Tx) error {
		if len(agreed) > 0 { // before the questionnaire, as Consents.Withdraw does
			if err := lockConsents(ctx, tx, user); err != nil {
				return err
			}
		}
		for _, c := range agreed {
			if _, err := addConsent(ctx, tx, c); err != nil {
				return err
			}
		}
		return putQuestionnaire(ctx, tx, user, q)
	})
}

func putQuestionnaire(ctx context.Context, tx pgx.Tx, user fleet.UserID, q fleet.Questionnaire) error {
	return swap(ctx, tx, "questionnaire", `
		INSERT INTO questionnaires AS q (user_id, version, form, answers, risk_band, completed, changed)
		SELECT u.id, $2::bigint + 1, $3, $4::jsonb, nullif($5, ''), $6::timestamptz, $7 FROM users u
		WHERE u.id = $1 AND u.erased IS NULL AND ($2 = 1 OR EXISTS (SELECT FROM questionnaires WHERE user_id = $1))
		ON CONFLICT (user_id) DO UPDATE
		SET version = excluded.version, form = excluded.form, answers = excluded.answers, risk_band = excluded.risk_band,
		    completed = excluded.completed, changed = excluded.changed
		WHERE q.version = $2`,
		user, q.Version, q.Form, string(q.Body), string(q.Risk), null(q.Completed), q.Changed)
}

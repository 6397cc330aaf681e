package schema

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// StripeBook is Stripe's own book about our balance, beside the ledger.
type StripeBook struct{ DB *DB }

// Add stores lines; those that are stored already stay as they are.
func (t StripeBook) Add(ctx context.Context, lines []fleet.StripeTransaction) error {
	batch := &pgx.Batch{}
	for _, l := range lines {
		batch.Queue(`
			INSERT INTO stripe_transactions (id, type, source, amount, fee, currency, created, key) VALUES ($1, $2, $3, $4, $5, $6, $7, nullif($8, ''))
			ON CONFLICT (id) DO NOTHING`,
			l.ID, l.Type, l.Source, l.Amount.Amount, l.Fee, l.Amount.Currency, l.Created, l.Key)
	}
	return translate("line", t.DB.pool.SendBatch(ctx, batch).Close())
}

// Newest is when the newest line was made; zero: there is none.
func (t StripeBook) Newest(ctx context.Context) (time.Time, error) {
	at, err := one(ctx, t.DB, "line", pgx.RowTo[*time.Time], `SELECT max(created) FROM stripe_transactions`)
	return orZero(at), err
}

// Match finds the postings of lines about charges and refunds, whose ids name a
// payment or refund of ours by now.
func (t StripeBook) Match(ctx context.Context) error {
	return t.DB.transact(ctx, "line", func(tx pgx.Tx) error {
		for _, sql := range []string{
			`UPDATE stripe_transactions s SET key = 'capture/' || p.id, fee_key = 'fee/' || p.id
				FROM payments p WHERE s.key IS NULL AND s.type = 'charge' AND p.charge_id = s.source`,
			`UPDATE stripe_transactions s SET key = t.key
				FROM ledger_transactions t WHERE s.key IS NULL AND s.type = 'charge' AND t.key = 'membership/' || s.source`,
			`UPDATE stripe_transactions s SET key = 'refund/' || r.id
				FROM refunds r WHERE s.key IS NULL AND s.type = 'refund' AND r.stripe_id = s.source`,
			`UPDATE stripe_transactions s SET key = 'refund_failed/' || r.id
				FROM refunds r WHERE s.key IS NULL AND s.type = 'refund_failure' AND r.stripe_id = s.source`,
			`UPDATE stripe_transactions s SET key = t.key
				FROM ledger_transactions t WHERE s.key IS NULL AND s.type IN ('refund', 'refund_failure') AND t.key = 'membership/' || s.type || '/' || s.source`,
		} {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return err
			}
		}
		return nil
	})
}

// Read says that the book was read to its end.
func (t StripeBook) Read(ctx context.Context, now time.Time) error {
	return t.DB.exec(ctx, "line", `INSERT INTO stripe_read (at) VALUES ($1) ON CONFLICT (one) DO UPDATE SET at = EXCLUDED.at`, now)
}

// differences are the lines of which the ledger says something else, or nothing; and
// the postings that Stripe says nothing of, from $1 on, unless it is known why. What is
// posted after $2 has its time to come. The first $3.
const differences = `
	WITH ours AS (
		SELECT t.id, t.key, t.at, e.currency, sum(e.amount)::bigint AS amount
		FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id AND e.account = 'stripe' GROUP BY t.id, e.currency)
	SELECT d.*, k.amount, k.reason, k.account, k.said_by, k.said FROM (
		SELECT s.id AS line, s.id, s.type, s.source, coalesce(s.key, '') AS key, s.amount - s.fee AS theirs, coalesce(o.amount, 0) + coalesce(f.amount, 0) AS mine, s.currency, s.created AS at
		FROM stripe_transactions s
		LEFT JOIN ours o ON o.key = s.key AND o.currency = s.currency
		LEFT JOIN ours f ON f.key = s.fee_key AND f.currency = s.currency
		WHERE s.created >= $1 AND s.amount - s.fee <> coalesce(o.amount, 0) + coalesce(f.amount, 0)
		UNION ALL
		SELECT o.key, '', '', '', o.key, 0, o.amount, o.currency, o.at
		FROM ours o WHERE o.at >= $1 AND o.at < $2 AND o.amount <> 0 AND o.key NOT LIKE 'correction/%'
			AND NOT EXISTS (SELECT FROM stripe_transactions s WHERE s.key = o.key) AND NOT EXISTS (SELECT FROM stripe_transactions s WHERE s.fee_key = o.key)
	) AS d LEFT JOIN known_differences k ON k.line = d.line AND k.amount = d.theirs - d.mine
	WHERE k.agreed IS NULL ORDER BY d.at DESC LIMIT $3`

// Compare says where the ledger and Stripe's book differ about what happened since a
// time, at most limit times, the newest first, and what each makes of the balance in the
// currency of Stripe's newest line; if there is none, in the given one. Postings after grace
// may be told of by Stripe yet.
func (t StripeBook) Compare(ctx context.Context, since, grace time.Time, currency fleet.Currency, limit int) (r fleet.Reconciliation, err error) {
	r, err = one(ctx, t.DB, "line", func(row pgx.CollectableRow) (r fleet.Reconciliation, err error) {
		var at *time.Time
		err = row.Scan(&at, &r.Stripe.Currency, &r.Stripe.Amount, &r.Ledger.Amount)
		r.Checked, r.Ledger.Currency = orZero(at), r.Stripe.Currency
		return r, err
	}, `SELECT (SELECT at FROM stripe_read), c.currency,
			(SELECT coalesce(sum(amount - fee), 0)::bigint FROM stripe_transactions s WHERE s.currency = c.currency),
			(SELECT coalesce(sum(amount), 0)::bigint FROM ledger_entries e WHERE account = 'stripe' AND e.currency = c.currency)
		FROM (SELECT coalesce((SELECT currency FROM stripe_transactions ORDER BY created DESC, id DESC LIMIT 1), $1::text) AS currency) c`, currency)
	if err != nil {
		return r, err
	}
	r.Differences, err = all(ctx, t.DB, "line", scanDifference, differences, since, grace, limit)
	return r, err
}

func scanDifference(row pgx.CollectableRow) (d fleet.Difference, err error) {
	var k fleet.KnownDifference
	var amount *int64
	var reason, account *string
	var said *time.Time
	err = row.Scan(&k.Line, &d.Transaction, &d.Type, &d.Source, &d.Key, &d.Stripe.Amount, &d.Ledger.Amount, &d.Stripe.Currency, &d.At,
		&amount, &reason, &account, &k.SaidBy, &said)
	d.Ledger.Currency, d.At = d.Stripe.Currency, d.At.UTC()
	if err != nil || amount == nil {
		return d, err
	}
	k.Amount, k.Reason, k.Said = fleet.Money{Amount: *amount, Currency: d.Stripe.Currency}, *reason, said.UTC()
	if account != nil {
		k.Account = fleet.Account(*account)
	}
	d.Known = &k
	return d, nil
}

// Know keeps why there is a difference, with the correction of the ledger that belongs
// to it. Where k was not agreed to, the second person who says the same agrees; the
// first one again is CodeConflict, and so is who would have it posted elsewhere.
func (t StripeBook) Know(ctx context.Context, k *fleet.KnownDifference) error {
	return t.DB.transact(ctx, "difference", func(tx pgx.Tx) error {
		var agreed *time.Time
		err := tx.QueryRow(ctx, `
			INSERT INTO known_differences AS d (line, amount, currency, reason, account, said_by, said, agreed_by, agreed)
			VALUES ($1, $2, $3, $4, nullif($5, ''), $6, $7, $8, $9)
			ON CONFLICT (line, amount) DO UPDATE SET agreed_by = $6, agreed = $7
			WHERE d.agreed IS NULL AND d.said_by IS DISTINCT FROM $6 AND d.account IS NOT DISTINCT FROM nullif($5, '')
			RETURNING reason, said_by, said, agreed_by, agreed`,
			k.Line, k.Amount.Amount, k.Amount.Currency, k.Reason, k.Account, k.SaidBy, k.Said, k.AgreedBy, null(k.Agreed),
		).Scan(&k.Reason, &k.SaidBy, &k.Said, &k.AgreedBy, &agreed)
		if errors.Is(err, pgx.ErrNoRows) {
			return &fleet.Error{Code: fleet.CodeConflict, Message: "this waits for a second person, who says the same"}
		}
		if err != nil {
			return err
		}
		k.Said, k.Agreed = k.Said.UTC(), orZero(agreed)
		if k.Agreed.IsZero() || k.Account == "" {
			return nil
		}
		return post(ctx, tx, fleet.Post(k.CorrectionKey(), k.Agreed, k.Amount, k.Account, fleet.AccountStripe))
	})
}

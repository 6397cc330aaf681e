package schema

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Ledger is the double-entry book of what has become of money. It is added to and
// never changed; the database refuses a transaction that does not sum to zero.
type Ledger struct{ DB *DB }

// Post adds postings, all or none, but for those that were posted already under
// their key.
func (t Ledger) Post(ctx context.Context, postings ...fleet.Posting) error {
	return t.DB.transact(ctx, "posting", func(tx pgx.Tx) error { return post(ctx, tx, postings...) })
}

// post is Ledger.Post in the transaction of what the postings tell of. Entries of
// nothing are left out, and so is a posting that has no others.
func post(ctx context.Context, tx pgx.Tx, postings ...fleet.Posting) error {
	for _, p := range postings {
		lines := &pgx.Batch{}
		id := fleet.NewID[fleet.Posting]()
		for _, e := range p.Entries {
			if e.Amount.Amount != 0 {
				lines.Queue(`INSERT INTO ledger_entries (transaction_id, line, account, amount, currency) VALUES ($1, $2, $3, $4, $5)`,
					id, lines.Len()+1, e.Account, e.Amount.Amount, e.Amount.Currency)
			}
		}
		if lines.Len() == 0 {
			continue
		}
		kind, _, _ := strings.Cut(p.Key, "/")
		tag, err := tx.Exec(ctx, `
			INSERT INTO ledger_transactions (id, key, kind, booking_id, payment_id, at) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (key) DO NOTHING`,
			id, p.Key, kind, p.Booking, p.Payment, p.At)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			continue
		}
		if err := tx.SendBatch(ctx, lines).Close(); err != nil {
			return err
		}
	}
	return nil
}

// Balance is the sum of an account's entries.
func (t Ledger) Balance(ctx context.Context, account fleet.Account, currency fleet.Currency) (fleet.Money, error) {
	sum, err := one(ctx, t.DB, "account", pgx.RowTo[int64], `
		SELECT coalesce(sum(amount), 0)::bigint FROM ledger_entries WHERE account = $1 AND currency = $2`, account, currency)
	return fleet.Money{Amount: sum, Currency: currency}, err
}

// Balances are the sums of all accounts, in one currency; those of principals are
// one, under the name principals.
func (t Ledger) Balances(ctx context.Context, currency fleet.Currency) (map[fleet.Account]int64, error) {
	rows, err := t.DB.pool.Query(ctx, `
		SELECT CASE WHEN account LIKE 'principal:%' THEN 'principals' ELSE account END, sum(amount)::bigint
		FROM ledger_entries WHERE currency = $1 GROUP BY 1`, currency)
	if err != nil {
		return nil, translate("account", err)
	}
	sums := make(map[fleet.Account]int64)
	var account fleet.Account
	var sum int64
	_, err = pgx.ForEachRow(rows, []any{&account, &sum}, func() error {
		sums[account] = sum
		return nil
	})
	return sums, translate("account", err)
}

// Of returns the postings of a booking in their order.
func (t Ledger) Of(ctx context.Context, booking fleet.BookingID) ([]fleet.Posting, error) {
	return t.list(ctx, `t.booking_id = $1 ORDER BY t.id, e.line`, booking)
}

// Between returns the postings from a time on, and before another, in their order.
func (t Ledger) Between(ctx context.Context, from, to time.Time) ([]fleet.Posting, error) {
	return t.list(ctx, `t.at >= $1 AND t.at < $2 ORDER BY t.at, t.id, e.line`, from, to)
}

func (t Ledger) list(ctx context.Context, where string, args ...any) ([]fleet.Posting, error) {
	rows, err := t.DB.pool.Query(ctx, `
		SELECT t.id, t.key, t.kind, t.booking_id, t.payment_id, t.at, e.account, e.amount, e.currency
		FROM ledger_transactions t JOIN ledger_entries e ON e.transaction_id = t.id WHERE `+where, args...)
	if err != nil {
		return nil, translate("posting", err)
	}
	var postings []fleet.Posting
	var p fleet.Posting
	var e fleet.Entry
	_, err = pgx.ForEachRow(rows, []any{&p.ID, &p.Key, &p.Kind, &p.Booking, &p.Payment, &p.At, &e.Account, &e.Amount.Amount, &e.Amount.Currency}, func() error {
		if n := len(postings); n == 0 || postings[n-1].ID != p.ID {
			p.At = p.At.UTC()
			postings = append(postings, p)
		}
		last := &postings[len(postings)-1]
		last.Entries = append(last.Entries, e)
		return nil
	})
	return postings, translate("posting", err)
}

// Post adds postings of the booking with the change.
func (c *BookingTx) Post(postings ...fleet.Posting) error {
	for i := range postings {
		postings[i].Booking = c.ID
	}
	return post(c.ctx, c.tx, postings...)
}

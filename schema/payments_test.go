package schema_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func moves(t *testing.T, db *schema.DB, table string) map[[2]string]bool {
	t.Helper()
	rows, err := db.Pool().Query(t.Context(), `SELECT from_state, to_state FROM `+table)
	must(t, err)
	defer rows.Close()
	stored := make(map[[2]string]bool)
	for rows.Next() {
		var m [2]string
		must(t, rows.Scan(&m[0], &m[1]))
		stored[m] = true
	}
	must(t, rows.Err())
	return stored
}

func TestPaymentMovesMirrorFleet(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		payments, refunds := moves(t, db, "payment_moves"), moves(t, db, "refund_moves")
		for _, from := range fleet.PaymentStates() {
			for _, to := range fleet.PaymentStates() {
				if key := [2]string{string(from), string(to)}; payments[key] != from.May(to) {
					t.Errorf("payment from %s to %s: database %v, fleet %v", from, to, payments[key], from.May(to))
				}
			}
		}
		for _, from := range fleet.RefundStates() {
			for _, to := range fleet.RefundStates() {
				if key := [2]string{string(from), string(to)}; refunds[key] != from.May(to) {
					t.Errorf("refund from %s to %s: database %v, fleet %v", from, to, refunds[key], from.May(to))
				}
			}
		}
	})
}

func TestTheDatabaseRefusesMovesOfPayments(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		b := newBooking(t, db, newUser(t, db), noon, 1)
		p := fleet.Payment{Purpose: fleet.ForInitial, Amount: b.Total}
		change := func(do func(c *schema.BookingTx) error) error {
			_, err := schema.Bookings{DB: db}.Change(t.Context(), b.ID, noon, do)
			return err
		}
		must(t, change(func(c *schema.BookingTx) error { return c.AddPayment(&p) }))
		if p.Number != 1 || p.User != b.User || p.State != fleet.PaymentNew {
			t.Errorf("it was added as %+v", p)
		}
		held := p
		held.State, held.Stripe = fleet.PaymentHeld, "pi_1"
		must(t, change(func(c *schema.BookingTx) error { return c.SetPayment(&held) }))
		stale := p
		stale.State, stale.Stripe = fleet.PaymentNeedsAction, "pi_1"
		if change(func(c *schema.BookingTx) error { return c.SetPayment(&stale) }) == nil {
			t.Error("a payment was changed that had changed meanwhile")
		}
		stale.Version = held.Version
		if change(func(c *schema.BookingTx) error { return c.SetPayment(&stale) }) == nil {
			t.Error("what was held needs action again")
		}
		more := held
		more.State, more.Captured, more.Refunded = fleet.PaymentCaptured, 100, 101
		if change(func(c *schema.BookingTx) error { return c.SetPayment(&more) }) == nil {
			t.Error("more was refunded than captured")
		}
		if got, err := (schema.Payments{DB: db}).Of(t.Context(), b.User, p.ID); err != nil || got.State != fleet.PaymentHeld || got.Version != 2 {
			t.Errorf("it is %+v, error %v", got, err)
		}
		_, err := schema.Payments{DB: db}.Of(t.Context(), newUser(t, db), p.ID)
		wantCode(t, err, fleet.CodeNotFound)
	})
}

func TestTheLedgerSumsToZeroAndIsNeverChanged(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, ledger := t.Context(), schema.Ledger{DB: db}
		user := newUser(t, db)
		taken := fleet.Post("capture/1", noon, fleet.Pounds(120), fleet.PrincipalAccount(user), fleet.AccountStripe)
		must(t, ledger.Post(ctx, taken))
		must(t, ledger.Post(ctx, taken)) // again: once
		crooked := fleet.Post("capture/2", noon, fleet.Pounds(10), fleet.PrincipalAccount(user), fleet.AccountStripe)
		crooked.Entries[0].Amount.Amount++
		if ledger.Post(ctx, crooked) == nil {
			t.Error("a transaction that does not sum to zero was posted")
		}
		must(t, ledger.Post(ctx, fleet.Post("capture/3", noon, fleet.Pounds(0), fleet.PrincipalAccount(user), fleet.AccountStripe)))
		sums, err := ledger.Balances(ctx, fleet.GBP)
		if err != nil || len(sums) != 2 || sums[fleet.AccountStripe] != 12000 || sums["principals"] != -12000 {
			t.Errorf("balances are %v, error %v", sums, err)
		}
		for _, sql := range []string{
			`UPDATE ledger_entries SET amount = amount + 1`, `DELETE FROM ledger_entries`, `TRUNCATE ledger_entries, ledger_transactions`,
			`UPDATE ledger_transactions SET key = 'x'`, `DELETE FROM ledger_transactions`,
			`INSERT INTO ledger_transactions (id, key, kind, at) VALUES (gen_random_uuid(), 'k', 'k', '2026-01-01')`,
			`INSERT INTO ledger_entries SELECT id, 7, 'vat', 1, 'GBP' FROM ledger_transactions`,
		} {
			if _, err := db.Pool().Exec(ctx, sql); err == nil {
				t.Errorf("%s: it was done", sql)
			}
		}
		if postings, err := ledger.Between(ctx, noon, noon.Add(time.Second)); err != nil || len(postings) != 1 || postings[0].Kind != "capture" || len(postings[0].Entries) != 2 {
			t.Errorf("postings are %+v, error %v", postings, err)
		}
	})
}

// Two requests of one principal make a customer each at Stripe: one of them counts,
// and both are told which.
func TestACustomerIsOneForAllWhoAsk(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	payments, ctx := schema.Payments{DB: db}, t.Context()
	for range 20 {
		user := fleet.NewID[fleet.User]()
		must(t, (schema.Users{DB: db}).Create(ctx, fleet.User{ID: user, Email: user.String() + "@armora.test", Name: "Ada", Created: noon}, ""))
		told := make([]string, 8)
		var all sync.WaitGroup
		for i := range told {
			all.Go(func() {
				var err error
				if told[i], err = payments.AddCustomer(ctx, user, fmt.Sprintf("cus_%s_%d", user, i), noon); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		kept, err := payments.Customer(ctx, user)
		must(t, err)
		if slices.ContainsFunc(told, func(id string) bool { return id != kept }) {
			t.Fatalf("it is %s, and was told as %v", kept, told)
		}
	}
}

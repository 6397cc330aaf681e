package schema_test

import (
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func countOf(t *testing.T, db *schema.DB, sql string, args ...any) (n int) {
	t.Helper()
	must(t, db.Pool().QueryRow(t.Context(), sql, args...).Scan(&n))
	return n
}

func TestAnEventOfStripesIsStoredOnceWithItsJob(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		events := schema.StripeEvents{DB: db}
		e := fleet.StripeEvent{ID: "evt_1", Type: "payment_intent.succeeded", Object: "pi_1", Version: "2023-10-16", Created: noon, Received: noon}
		for range 2 {
			must(t, events.Add(t.Context(), e, true))
		}
		ignored := fleet.StripeEvent{ID: "evt_2", Type: "payout.paid", Created: noon, Received: noon, Applied: noon}
		must(t, events.Add(t.Context(), ignored, false))
		if n := countOf(t, db, `SELECT count(*) FROM river_job WHERE kind = 'see_stripe'`); n != 1 {
			t.Errorf("%d jobs, want the one of the first event", n)
		}
		got, err := events.Get(t.Context(), e.ID)
		must(t, err)
		if got != e {
			t.Errorf("%+v, want %+v", got, e)
		}
		must(t, events.Prune(t.Context(), noon.Add(time.Hour)))
		if _, err := events.Get(t.Context(), e.ID); err != nil {
			t.Error("an event was forgotten that was not looked at")
		}
		must(t, events.Applied(t.Context(), e.ID, noon.Add(time.Minute)))
		must(t, events.Prune(t.Context(), noon.Add(time.Hour)))
		if n := countOf(t, db, `SELECT count(*) FROM stripe_events`); n != 0 {
			t.Errorf("%d events are left", n)
		}
	})
}

func TestADisputeGoesForwardAndPostsOnce(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		b := newBooking(t, db, newUser(t, db), noon, 1)
		p := fleet.Payment{Purpose: fleet.ForInitial, Amount: b.Total}
		_, err := schema.Bookings{DB: db}.Change(t.Context(), b.ID, noon, func(c *schema.BookingTx) error { return c.AddPayment(&p) })
		must(t, err)
		disputes := schema.Disputes{DB: db}
		see := func(state fleet.DisputeState, closed time.Time, postings ...fleet.Posting) {
			t.Helper()
			must(t, disputes.See(t.Context(), fleet.Dispute{
				ID: fleet.NewID[fleet.Dispute](), Stripe: "dp_1", Charge: "ch_1", Payment: p.ID, Booking: b.ID, User: b.User, State: state, Reason: "fraudulent",
				Amount: fleet.Pence(100), Opened: noon, Closed: closed, Postings: postings,
			}, noon))
		}
		taken := fleet.Post("dispute/txn_1", noon, fleet.Pence(100), fleet.AccountStripe, fleet.AccountDisputes)
		back := fleet.Post("dispute/txn_2", noon, fleet.Pence(100), fleet.AccountDisputes, fleet.AccountStripe)
		see(fleet.DisputeNeedsResponse, time.Time{}, taken)
		see(fleet.DisputeWon, noon.Add(time.Hour), taken, back)
		see(fleet.DisputeUnderReview, time.Time{}, taken) // old news
		found, err := disputes.OfBooking(t.Context(), b.ID)
		must(t, err)
		if len(found) != 1 || found[0].State != fleet.DisputeWon || found[0].Closed.IsZero() || found[0].Payment != p.ID {
			t.Fatalf("%+v", found)
		}
		postings, err := schema.Ledger{DB: db}.Of(t.Context(), b.ID)
		must(t, err)
		moved := 0
		for _, posting := range postings {
			if posting.Kind == "dispute" {
				moved++
			}
		}
		if balance, err := (schema.Ledger{DB: db}).Balance(t.Context(), fleet.AccountDisputes, fleet.GBP); err != nil || moved != 2 || balance.Amount != 0 {
			t.Errorf("%d postings, %v in dispute: %v", moved, balance, err)
		}
		if alerts, err := (schema.Alerts{DB: db}).OpenOf(t.Context(), fleet.AlertDispute); err != nil || len(alerts) != 1 || alerts[0].Booking != b.ID {
			t.Errorf("%+v, %v", alerts, err)
		}
	})
}

func TestTheLedgerIsComparedWithStripesBook(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		b := newBooking(t, db, newUser(t, db), noon, 1)
		p := fleet.Payment{Purpose: fleet.ForInitial, Amount: fleet.Pence(10_000)}
		_, err := schema.Bookings{DB: db}.Change(t.Context(), b.ID, noon, func(c *schema.BookingTx) error {
			if err := c.AddPayment(&p); err != nil {
				return err
			}
			p.State, p.Stripe, p.Charge, p.Captured = fleet.PaymentCaptured, "pi_1", "ch_1", 10_000
			return c.SetPayment(&p)
		})
		must(t, err)
		ledger, book := schema.Ledger{DB: db}, schema.StripeBook{DB: db}
		due, capture := fleet.PrincipalAccount(b.User), "capture/"+p.ID.String()
		must(t, ledger.Post(t.Context(),
			fleet.Post(capture, noon, fleet.Pence(10_000), due, fleet.AccountStripe),
			fleet.Post("refund/never_made", noon, fleet.Pence(500), fleet.AccountStripe, due),
			fleet.Post("refund/just_made", noon.Add(2*time.Hour), fleet.Pence(1), fleet.AccountStripe, due),
		))
		line := func(id, kind, source string, amount, fee int64, key string) fleet.StripeTransaction {
			return fleet.StripeTransaction{ID: id, Type: kind, Source: source, Amount: fleet.Pence(amount), Fee: fee, Created: noon, Key: key}
		}
		lines := []fleet.StripeTransaction{line("txn_1", "charge", "ch_1", 10_000, 170, ""), line("txn_2", "charge", "ch_other", 700, 30, "")}
		for range 2 {
			must(t, book.Add(t.Context(), lines))
			must(t, book.Match(t.Context()))
		}
		must(t, book.Read(t.Context(), noon))
		compare := func() fleet.Reconciliation {
			t.Helper()
			r, err := book.Compare(t.Context(), noon.Add(-time.Hour), noon.Add(time.Hour), fleet.GBP, 10)
			must(t, err)
			return r
		}
		r := compare()
		if r.Stripe != fleet.Pence(10_000-170+670) || r.Ledger != fleet.Pence(10_000-501) || !r.Checked.Equal(noon) {
			t.Errorf("%+v", r)
		}
		got := make(map[string]fleet.Difference)
		for _, d := range r.Differences {
			got[d.Transaction+d.Key] = d
		}
		if len(got) != 3 || got["txn_1"+capture].Ledger.Amount != 10_000 || got["txn_1"+capture].Stripe.Amount != 9_830 ||
			got["txn_2"].Stripe.Amount != 670 || got["refund/never_made"].Ledger.Amount != -500 {
			t.Errorf("%+v", r.Differences)
		}
		must(t, ledger.Post(t.Context(), fleet.Post("fee/"+p.ID.String(), noon, fleet.Pence(170), fleet.AccountStripe, fleet.AccountFees)))
		if r = compare(); len(r.Differences) != 2 {
			t.Errorf("the fee was posted: %+v", r.Differences)
		}
	})
}

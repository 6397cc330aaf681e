package payment_test

import (
	"testing"

	"armora/fleet"
	"armora/sim/stripe"
)

// What Stripe tells of a payment later, a refund of it for one, does not bring back the card
// that was kept with it, once its principal has taken it away or is erased themselves.
func TestACardThatIsGoneStaysGone(t *testing.T) {
	t.Parallel()
	w := newTill(t)
	b := w.booked(0)
	r, err := w.Reserve(t.Context(), w.user, b, "")
	w.must(err)
	pm, err := w.browser.Card(t.Context(), stripe.Visa)
	w.must(err)
	_, err = w.browser.Confirm(t.Context(), r.ClientSecret, pm)
	w.must(err)
	w.settle(b)
	w.runs(b, fleet.Completed)
	w.settle(b)
	intent := w.paid(b)[0].Stripe
	cards := func(want int, sql string) {
		t.Helper()
		w.must(w.SeeIntent(t.Context(), intent))
		var n int
		w.must(w.db.Pool().QueryRow(t.Context(), sql).Scan(&n))
		if n != want {
			t.Errorf("there are %d cards, want %d", n, want)
		}
	}
	cards(1, `SELECT count(*) FROM payment_methods WHERE removed IS NULL`)
	w.drops()
	cards(0, `SELECT count(*) FROM payment_methods WHERE removed IS NULL`)
	_, err = w.db.Pool().Exec(t.Context(), `UPDATE users SET email = NULL, email_verified = NULL, name = '', erased = $2 WHERE id = $1`, w.user, noon)
	w.must(err)
	_, err = w.Forget(t.Context(), w.user)
	w.must(err)
	cards(0, `SELECT count(*) FROM payment_methods`)
}

package payment_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armora/fleet"
	"armora/payment"
	"armora/schema"
	"armora/sim/stripe"
)

// radio is a till that hears Stripe's webhooks.
type radio struct {
	*till
	feed    *payment.Feed
	metrics *prometheus.Registry
	at      string
	secret  string
}

func newRadio(t *testing.T) *radio {
	t.Helper()
	w := &radio{till: newTill(t), metrics: prometheus.NewRegistry()}
	listening := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = w.feed.Take(r.Context(), body, r.Header.Get("Stripe-Signature"))
		}
		if err != nil {
			rw.WriteHeader(http.StatusBadRequest)
		}
	}))
	t.Cleanup(listening.Close)
	w.at, w.secret = listening.URL, w.stripe.Endpoint(listening.URL)
	feed, err := payment.NewFeed(payment.FeedConfig{Cashier: w.Cashier, Secrets: []string{"whsec_the_one_before", w.secret}, Metrics: w.metrics})
	w.must(err)
	w.feed = feed
	return w
}

// connected has Stripe tell of connected accounts, too.
func (w *radio) connected() {
	w.t.Helper()
	feed, err := payment.NewFeed(payment.FeedConfig{Cashier: w.Cashier, Secrets: []string{w.secret, w.stripe.ConnectEndpoint(w.at)}})
	w.must(err)
	w.feed = feed
}

// hears has Stripe send what is due, and does the jobs that came of it.
func (w *radio) hears() {
	w.t.Helper()
	if _, refused := w.stripe.Deliver(w.t.Context()); refused > 0 {
		w.t.Fatalf("%d events were refused", refused)
	}
	for _, id := range w.waiting() {
		w.must(w.feed.Look(w.t.Context(), id))
	}
}

// hoursPass has what Stripe makes of a refund be told.
func (w *radio) hoursPass() {
	w.t.Helper()
	w.clock.Advance(2 * time.Hour)
	stripe.All[stripe.Refund](w.stripe) // time passes for Stripe when it is asked
	w.hears()
}

// waiting are the events whose jobs wait.
func (w *radio) waiting() (ids []string) {
	w.t.Helper()
	rows, err := w.db.Pool().Query(w.t.Context(), `
		SELECT args->>'event' FROM river_job j JOIN stripe_events e ON e.id = args->>'event' WHERE kind = 'see_stripe' AND e.applied IS NULL ORDER BY j.id`)
	w.must(err)
	defer rows.Close()
	for rows.Next() {
		var id string
		w.must(rows.Scan(&id))
		ids = append(ids, id)
	}
	w.must(rows.Err())
	return ids
}

func (w *radio) events() (n int) {
	w.t.Helper()
	w.must(w.db.Pool().QueryRow(w.t.Context(), `SELECT count(*) FROM stripe_events`).Scan(&n))
	return n
}

func TestAnEventIsBelievedByItsSignatureAndTime(t *testing.T) {
	t.Parallel()
	w := newRadio(t)
	body := []byte(`{"id":"evt_1","object":"event","api_version":"2023-10-16","type":"payment_intent.succeeded","created":1,"data":{"object":{"id":"pi_1"}}}`)
	now := w.clock.Now()
	good := stripe.Sign(w.secret, now, body)
	for name, signature := range map[string]string{
		"none":              "",
		"another secret":    stripe.Sign("whsec_other", now, body),
		"an empty secret":   stripe.Sign("", now, body),
		"another body":      stripe.Sign(w.secret, now, []byte(`{}`)),
		"too old":           stripe.Sign(w.secret, now.Add(-payment.ReplayWindow-time.Second), body),
		"from the future":   stripe.Sign(w.secret, now.Add(payment.ReplayWindow+time.Second), body),
		"two times":         fmt.Sprintf("t=%d,%s", now.Unix(), stripe.Sign(w.secret, now.Add(-time.Hour), body)),
		"time not a number": "t=now,v1=00",
	} {
		if err := w.feed.Take(t.Context(), body, signature); fleet.CodeOf(err) != fleet.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	garbage := []byte(`{"id":"evt_1"`)
	w.want(w.feed.Take(t.Context(), garbage, stripe.Sign(w.secret, now, garbage)), fleet.CodeInvalid)
	if n := w.events(); n != 0 {
		t.Fatalf("%d events were stored", n)
	}
	for _, at := range []time.Time{now, now.Add(-payment.ReplayWindow), now.Add(payment.ReplayWindow)} {
		w.must(w.feed.Take(t.Context(), body, stripe.Sign(w.secret, at, body)))
	}
	w.must(w.feed.Take(t.Context(), body, stripe.Sign("whsec_the_one_before", now, body)))
	w.must(w.feed.Take(t.Context(), body, good))
	if n, jobs := w.events(), len(w.waiting()); n != 1 || jobs != 1 {
		t.Errorf("%d events and %d jobs of one that came five times", n, jobs)
	}
	for _, secrets := range [][]string{nil, {""}, {w.secret, ""}} {
		if _, err := payment.NewFeed(payment.FeedConfig{Cashier: w.Cashier, Secrets: secrets}); err == nil {
			t.Errorf("a feed with the secrets %q", secrets)
		}
	}
}

func TestAnEventOfAnotherVersionIsStoredLookedAtAndReported(t *testing.T) {
	t.Parallel()
	w := newRadio(t)
	b := w.booked(0)
	r, err := w.Reserve(t.Context(), w.user, b, "")
	w.must(err)
	w.stripe.Version("2020-08-27")
	pm, err := w.browser.Card(t.Context(), stripe.Visa)
	w.must(err)
	_, err = w.browser.Confirm(t.Context(), r.ClientSecret, pm)
	w.must(err)
	w.hears()
	w.wantPaid(b, "initial held £120.00")
	alerts, err := schema.Alerts{DB: w.db}.OpenOf(t.Context(), fleet.AlertStripeVersion)
	if err != nil || len(alerts) != 1 {
		t.Errorf("%d alerts, %v; want one of all those events", len(alerts), err)
	}
	families, err := w.metrics.Gather()
	w.must(err)
	counted := 0.0
	for _, m := range families[0].GetMetric() {
		if m.GetLabel()[0].GetValue() == "other_version" {
			counted = m.GetCounter().GetValue()
		}
	}
	if counted == 0 {
		t.Errorf("metrics %v", families)
	}
}

func TestWhatNobodyWantsToKnowIsStoredAndIgnored(t *testing.T) {
	t.Parallel()
	w := newRadio(t)
	for i, object := range []string{`{"id":"po_1"}`, `{"object":"balance"}`} {
		body := fmt.Appendf(nil, `{"id":"evt_%d","object":"event","api_version":"2023-10-16","type":"payout.paid","created":1,"data":{"object":%s}}`, i, object)
		w.must(w.feed.Take(t.Context(), body, stripe.Sign(w.secret, w.clock.Now(), body)))
	}
	body := []byte(`{"id":"evt_acct","account":"acct_1","object":"event","api_version":"2023-10-16","type":"charge.succeeded","created":1,"data":{"object":{"id":"ch_1"}}}`)
	w.must(w.feed.Take(t.Context(), body, stripe.Sign(w.secret, w.clock.Now(), body)))
	if n, jobs := w.events(), len(w.waiting()); n != 3 || jobs != 0 {
		t.Errorf("%d events, %d jobs", n, jobs)
	}
}

// flow is a booking from the first hold to a refund, told of by webhooks as fate
// wants it.
func (w *radio) flow() fleet.BookingID {
	w.t.Helper()
	b := w.booked(0)
	r, err := w.Reserve(w.t.Context(), w.user, b, "")
	w.must(err)
	pm, err := w.browser.Card(w.t.Context(), stripe.AuthenticateUnlessSetUp)
	w.must(err)
	next, err := w.browser.Confirm(w.t.Context(), r.ClientSecret, pm)
	w.must(err)
	w.must(w.browser.Authenticate(w.t.Context(), next.URL, true))
	w.hears()
	w.settle(b)
	w.runs(b, fleet.Completed)
	w.settle(b)
	w.hears()
	w.refund(b, 2_000)
	w.hears()
	w.settle(b)
	return b
}

func TestWebhooksMayComeTwiceLateNeverAndInAnyOrder(t *testing.T) {
	t.Parallel()
	for name, fate := range map[string]func(stripe.Event) stripe.Fate{
		"in order": nil,
		"twice":    func(stripe.Event) stripe.Fate { return stripe.Fate{Copies: 1} },
		"never":    func(stripe.Event) stripe.Fate { return stripe.Fate{Lost: true} },
		"late":     func(stripe.Event) stripe.Fate { return stripe.Fate{Delay: time.Hour} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newRadio(t)
			w.stripe.Fates(fate)
			b := w.flow()
			w.clock.Advance(2 * time.Hour)
			w.stripe.Shuffle(7)
			w.hears()
			w.wantPaid(b, "initial captured £120.00 gave back £20.00")
			w.agrees()
		})
	}
}

// Stripe's event is there before its answer, which never comes.
func TestAWebhookBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	for _, step := range []string{"POST /v1/payment_intents", "POST /v1/payment_intents/*/confirm"} {
		w := newRadio(t)
		w.keeps(stripe.Visa)
		b := w.booked(0)
		w.stripe.Plan(stripe.Fault{Act: stripe.Lose, On: step})
		w.want(w.Settle(t.Context(), b), fleet.CodeUnavailable)
		w.hears()
		w.settle(b)
		w.wantPaid(b, "initial held £120.00")
		w.runs(b, fleet.Completed)
		w.stripe.Plan(stripe.Fault{Act: stripe.Lose, On: "POST /v1/payment_intents/*/capture"})
		w.want(w.Settle(t.Context(), b), fleet.CodeUnavailable)
		w.hears()
		w.wantPaid(b, "initial captured £120.00")
		w.settle(b)
		w.wantPaid(b, "initial captured £120.00")
		if n := len(stripe.All[stripe.Intent](w.stripe)); n != 1 {
			t.Errorf("%s: %d intents", step, n)
		}
		w.agrees()
	}
}

func TestARefundThatFailsLaterIsToldOfByWebhook(t *testing.T) {
	t.Parallel()
	w := newRadio(t)
	w.keeps(stripe.RefundFails)
	b := w.booked(0)
	w.settle(b)
	w.runs(b, fleet.Completed)
	w.settle(b)
	w.refund(b, 2_000)
	w.wantPaid(b, "initial captured £120.00 gave back £20.00")
	w.hoursPass()
	w.wantPaid(b, "initial captured £120.00")
	w.agrees()
}

func TestADisputeIsInTheLedgerAndBeforeOps(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		won  bool
		lost int64 // what stays with the bank
	}{"won": {true, 0}, "lost": {false, 12_000}} {
		w := newRadio(t)
		w.keeps(stripe.DisputeFraudulent)
		b := w.booked(0)
		w.settle(b)
		w.runs(b, fleet.Completed)
		w.settle(b)
		w.hears()
		if sums := w.agrees(); sums[fleet.AccountDisputes] != 12_000 {
			t.Errorf("%s: %v", name, sums)
		}
		w.stripe.CloseDispute(stripe.All[stripe.Dispute](w.stripe)[0].ID, c.won)
		w.hears()
		if sums := w.agrees(); sums[fleet.AccountDisputes] != c.lost {
			t.Errorf("%s: %v", name, sums)
		}
		disputes, err := schema.Disputes{DB: w.db}.OfBooking(t.Context(), b)
		w.must(err)
		alerts, err := schema.Alerts{DB: w.db}.OpenOf(t.Context(), fleet.AlertDispute)
		w.must(err)
		if len(disputes) != 1 || disputes[0].Closed.IsZero() || disputes[0].Payment != w.paid(b)[0].ID || len(alerts) != 1 || alerts[0].Booking != b {
			t.Errorf("%s: disputes %+v, alerts %+v", name, disputes, alerts)
		}
	}
}

func TestTheWebhookIsRegisteredOnceWithOurVersion(t *testing.T) {
	t.Parallel()
	w := newTill(t)
	const at = "https://hub.example/api/payments/webhook"
	first, err := w.Register(t.Context(), at, false, false)
	w.must(err)
	_, err = w.Register(t.Context(), at, false, false)
	w.want(err, fleet.CodeConflict)
	second, err := w.Register(t.Context(), at, false, true)
	w.must(err)
	endpoints := stripe.All[stripe.Endpoint](w.stripe)
	accounts, err := w.Register(t.Context(), at, true, false) // beside the other
	w.must(err)
	_, err = w.Register(t.Context(), at, true, false)
	w.want(err, fleet.CodeConflict)
	if both := stripe.All[stripe.Endpoint](w.stripe); accounts == "" || accounts == second || len(both) != 2 {
		t.Errorf("%+v", both)
	}
	if first == "" || second == "" || first == second || len(endpoints) != 1 || endpoints[0].APIVersion != "2023-10-16" {
		t.Errorf("%+v", endpoints)
	}
}

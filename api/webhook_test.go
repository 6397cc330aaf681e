package api

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"armora/fleet"
	"armora/payment"
	"armora/schema"
	"armora/sim/stripe"
)

func TestStripeIsHeardByItsSignatureAlone(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(cfg *Config) {
		fake := stripe.New("sk_test_hub", "pk_test_hub", cfg.Clock)
		listening := httptest.NewServer(fake)
		t.Cleanup(listening.Close)
		var err error
		if cfg.Payments, err = payment.New(payment.Config{DB: cfg.DB, Key: "sk_test_hub", PublishableKey: "pk_test_hub", URL: listening.URL, Clock: cfg.Clock, Log: cfg.Log}); err != nil {
			t.Fatal(err)
		}
		if cfg.Feed, err = payment.NewFeed(payment.FeedConfig{Cashier: cfg.Payments, Secrets: []string{"whsec_hub"}}); err != nil {
			t.Fatal(err)
		}
		if cfg.Books, err = payment.NewBooks(cfg.Payments, nil, nil); err != nil {
			t.Fatal(err)
		}
	})
	body := `{"id":"evt_1","object":"event","api_version":"2023-10-16","type":"payment_intent.succeeded","created":1, "data":{"object":{"id":"pi_1","client_secret":"pi_1_secret_x"}}}`
	send := func(signature string) *http.Response {
		r := h.request(http.MethodPost, "/api/payments/webhook", strings.NewReader(body))
		r.Header.Del("Authorization")
		r.Header.Set("Content-Type", "application/json; charset=utf-8")
		if signature != "" {
			r.Header.Set("Stripe-Signature", signature)
		}
		return h.send(r).Response
	}
	now := h.clock.Now()
	for name, signature := range map[string]string{
		"none": "", "forged": stripe.Sign("whsec_other", now, []byte(body)), "old": stripe.Sign("whsec_hub", now.Add(-time.Hour), []byte(body)),
		"ahead": stripe.Sign("whsec_hub", now.Add(time.Hour), []byte(body)), "other bytes": stripe.Sign("whsec_hub", now, []byte(strings.ReplaceAll(body, ", ", ","))),
	} {
		if a := send(signature); a.StatusCode/100 != 4 {
			t.Errorf("%s: %s", name, a.Status)
		}
	}
	for range 2 {
		if a := send(stripe.Sign("whsec_hub", now, []byte(body))); a.StatusCode != http.StatusOK {
			t.Fatalf("signed: %s", a.Status)
		}
	}
	if e, err := (schema.StripeEvents{DB: h.db}).Get(t.Context(), "evt_1"); err != nil || e.Object != "pi_1" {
		t.Errorf("%+v, %v", e, err)
	}
	finance := h.person(fleet.RoleFinance)
	if err := (schema.Ledger{DB: h.db}).Post(t.Context(), fleet.Post("capture/lost", now.Add(-2*time.Hour), fleet.Pence(700), fleet.AccountRevenue, fleet.AccountStripe)); err != nil {
		t.Fatal(err)
	}
	if err := h.cfg.Books.Reconcile(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := as[Reconciliation](t, finance.must(http.StatusOK, "GET", "/api/payments/reconciliation", nil))
	if len(r.Differences) != 1 || r.Differences[0].Posting != "capture/lost" || r.Ledger != fleet.Pence(700) || r.Stripe != fleet.Pence(0) || !r.CheckedAt.Equal(now) {
		t.Errorf("%+v", r)
	}
	if alerts := as[page[Alert]](t, h.must(http.StatusOK, "GET", "/api/alerts", nil)); len(alerts.Items) != 1 || alerts.Items[0].Kind != fleet.AlertBooks {
		t.Errorf("%+v", alerts)
	}
	const known = "/api/payments/reconciliation/known"
	why := map[string]any{"line": "capture/lost", "reason": "posted by a test of ours", "account": "written_off"}
	problem(t, finance.do("POST", known, map[string]any{"line": "capture/lost", "reason": "x", "account": "revenue"}), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	if k := as[KnownDifference](t, finance.must(http.StatusOK, "POST", known, why)); k.Amount != fleet.Pence(-700) || k.SaidBy != finance.id || k.AgreedAt.IsZero() {
		t.Errorf("%+v", k)
	}
	if r = as[Reconciliation](t, finance.must(http.StatusOK, "GET", "/api/payments/reconciliation", nil)); len(r.Differences) != 0 || r.Ledger != r.Stripe {
		t.Errorf("once it is known: %+v", r)
	}
	problem(t, finance.do("POST", known, why), http.StatusNotFound, fleet.CodeNotFound)
}

func TestAHubWithoutPaymentsHearsNobody(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.must(http.StatusNotFound, "POST", "/api/payments/webhook", map[string]any{"id": "evt_1"})
	h.must(http.StatusNotFound, "GET", "/api/payments/reconciliation", nil)
}

package api

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"armora/dispatch"
	"armora/fleet"
	"armora/live"
	"armora/payment"
	"armora/schema"
	"armora/sim/stripe"
)

// addPayments makes what takes money, from a Stripe of the hub's own.
func (h *hub) addPayments(cfg *Config) {
	h.t.Helper()
	h.stripe = stripe.New("sk_test_api", "pk_test_api", h.clock)
	server := httptest.NewServer(h.stripe)
	h.t.Cleanup(server.Close)
	h.browser = stripe.Browser{URL: server.URL, Key: "pk_test_api"}
	var err error
	cfg.Payments, err = payment.New(payment.Config{
		DB: h.db, Key: "sk_test_api", PublishableKey: "pk_test_api", URL: server.URL, ReturnURL: "https://hub.example/paid", Link: "https://hub.example/pay#", Connect: true,
		Clock: h.clock, Log: cfg.Log,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	price, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, server.URL+"/v1/prices",
		strings.NewReader("currency=gbp&unit_amount=5000&recurring[interval]=month&product_data[name]=Membership"))
	if err != nil {
		h.t.Fatal(err)
	}
	price.SetBasicAuth("sk_test_api", "")
	price.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	h.send(price)
	cfg.Members = payment.NewMembers(cfg.Payments, stripe.All[stripe.Price](h.stripe)[0].ID, 14)
}

// byCard has a hub's principals pay by card, members less.
func byCard(cfg *Config) {
	index, _ := cfg.Map.(*live.Index)
	cfg.Desk = dispatch.NewDesk(dispatch.DeskConfig{
		DB: cfg.DB, Bus: cfg.Bus, Map: index, Hash: cfg.Keyring.Hash, Terms: cfg.Payments.Invoiced, Member: cfg.Members.Member, Clock: cfg.Clock, Log: cfg.Log,
	})
}

func (h *hub) cardOf(p *person) string {
	h.t.Helper()
	card := fleet.PaymentMethod{ID: fleet.NewID[fleet.PaymentMethod](), User: p.id, Stripe: "pm_" + p.id.String(), Brand: "visa", Last4: "4242", Created: noon}
	if err := (schema.Cards{DB: h.db}).Keep(h.t.Context(), card); err != nil {
		h.t.Fatal(err)
	}
	return card.ID.String()
}

func (h *hub) debtOf(p *person) string {
	h.t.Helper()
	id, err := fleet.ParseID[fleet.Booking](strings.TrimPrefix(h.bookingOf(p, ""), "/api/bookings/"))
	if err != nil {
		h.t.Fatal(err)
	}
	d := fleet.Debt{State: fleet.DebtOpen, Amount: fleet.Pounds(6), Reason: "no_card"}
	if _, err := (schema.Bookings{DB: h.db}).Change(h.t.Context(), id, noon, func(c *schema.BookingTx) error { return c.AddDebt(&d) }); err != nil {
		h.t.Fatal(err)
	}
	return d.ID.String()
}

// booked has a person book an assignment for now, and returns its id.
func (p *person) booked() string {
	p.h.t.Helper()
	order := map[string]any{
		"type": "secure_transfer", "tier": "essential", "minutes": 120,
		"pickup": map[string]any{"lat": 51.511, "lon": -0.1197}, "destination": map[string]any{"lat": 51.4967, "lon": -0.1764},
	}
	return as[Booking](p.h.t, p.must(http.StatusCreated, "POST", "/api/bookings", order)).ID.String()
}

func (h *hub) booking(id string) fleet.Booking {
	h.t.Helper()
	parsed, err := fleet.ParseID[fleet.Booking](id)
	if err != nil {
		h.t.Fatal(err)
	}
	b, err := schema.Bookings{DB: h.db}.Get(h.t.Context(), parsed)
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

// An amount is reserved with the principal's bank asking, taken by finance, and given
// back within limits.
func TestReserveChargeRefund(t *testing.T) {
	t.Parallel()
	h := newHub(t, byCard)
	ada, finance, dispatcher := h.person(fleet.RoleRider), h.person(fleet.RoleFinance), h.person(fleet.RoleDispatcher)
	if key := as[struct {
		Key string `json:"publishable_key"`
	}](t, ada.must(http.StatusOK, "GET", "/api/payments/config", nil)).Key; key != "pk_test_api" {
		t.Errorf("the publishable key is %q", key)
	}
	id := ada.booked()
	if !h.booking(id).Funded.IsZero() {
		t.Fatal("it is funded before anything is held")
	}
	reserve := func(p *person, method string) answer {
		body := map[string]any{"booking_id": id}
		if method != "" {
			body["payment_method_id"] = method
		}
		return p.do("POST", "/api/payments/reserve", body)
	}
	problem(t, reserve(h.person(fleet.RoleRider), ""), http.StatusNotFound, fleet.CodeNotFound)
	if r := as[Reservation](t, reserve(ada, "pm_nobodys")); r.Status != "needs_method" || r.Code != "resource_missing" {
		t.Errorf("with a card that there is not: %+v", r)
	}
	asked := as[Reservation](t, reserve(ada, "pm_card_authenticationRequired"))
	if asked.Status != "needs_action" || asked.NextAction == nil || asked.NextAction.Type != payment.ActAuthenticate || asked.ClientSecret == "" {
		t.Fatalf("reserved %+v", asked)
	}
	charge := func(p *person) answer {
		return p.do("POST", "/api/payments/charge", map[string]any{"payment_id": asked.PaymentID})
	}
	problem(t, charge(finance), http.StatusConflict, fleet.CodeConflict) // nothing is held yet
	if err := h.browser.Authenticate(t.Context(), asked.NextAction.URL, true); err != nil {
		t.Fatal(err)
	}
	held := as[Reservation](t, reserve(ada, ""))
	if held.Status != "held" || held.PaymentID != asked.PaymentID || held.ClientSecret != "" || held.NextAction != nil || h.booking(id).Funded.IsZero() {
		t.Fatalf("reserved %+v", held)
	}
	problem(t, charge(ada), http.StatusForbidden, fleet.CodeForbidden)
	problem(t, charge(dispatcher), http.StatusForbidden, fleet.CodeForbidden)
	for range 2 { // again: it is taken once
		a := charge(finance)
		taken := as[Payment](t, a)
		if a.StatusCode != http.StatusOK || taken.Status != fleet.PaymentCaptured || taken.Captured != h.booking(id).Total {
			t.Fatalf("charged %s: %s", a.Status, a.body)
		}
	}
	refund := func(p *person, amount int64) answer {
		body := map[string]any{"payment_id": asked.PaymentID, "reason": "the officer came late"}
		if amount != 0 {
			body["amount"] = amount
		}
		return p.do("POST", "/api/payments/refund", body)
	}
	total := h.booking(id).Total.Amount
	problem(t, refund(ada, 100), http.StatusForbidden, fleet.CodeForbidden)
	problem(t, refund(finance, total+1), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	if r := as[Refund](t, refund(dispatcher, 5000)); r.Status != fleet.RefundSucceeded || r.Amount.Amount != 5000 {
		t.Errorf("refunded %+v", r)
	}
	waiting := as[Refund](t, refund(dispatcher, 1)) // by now it is more than they may
	if waiting.Status != fleet.RefundWaiting || waiting.Approval.IsZero() {
		t.Fatalf("refunded %+v", waiting)
	}
	problem(t, dispatcher.do("POST", "/api/approvals/"+waiting.Approval.String()+"/approve", nil), http.StatusForbidden, fleet.CodeForbidden)
	finance.must(http.StatusOK, "POST", "/api/approvals/"+waiting.Approval.String()+"/approve", nil)
	rest := as[Refund](t, refund(finance, 0))
	if rest.Amount.Amount != total-5001 {
		t.Errorf("refunded %+v", rest)
	}
	problem(t, refund(finance, 0), http.StatusConflict, fleet.CodeConflict)
	for _, reader := range []*person{ada, finance} {
		paid := as[struct {
			Payments []Payment `json:"payments"`
			Refunds  []Refund  `json:"refunds"`
		}](t, reader.must(http.StatusOK, "GET", "/api/bookings/"+id+"/payments", nil))
		if len(paid.Payments) != 1 || paid.Payments[0].Refunded.Amount != total || len(paid.Refunds) != 3 || (paid.Refunds[0].Reason == "") != (reader == ada) {
			t.Errorf("paid: %+v", paid)
		}
		for _, r := range paid.Refunds {
			if r.Status != fleet.RefundSucceeded {
				t.Errorf("a refund is %s", r.Status)
			}
		}
	}
	h.stop()
	for _, secret := range []string{asked.ClientSecret, "sk_test_api"} {
		if bytes.Contains(h.log.Bytes(), []byte(secret)) {
			t.Errorf("the log holds %s", secret)
		}
	}
}

// Who owes something pays it before they book again.
func TestADebtKeepsItsOwnerFromBooking(t *testing.T) {
	t.Parallel()
	h := newHub(t, byCard)
	ada, bea := h.person(fleet.RoleRider), h.person(fleet.RoleRider)
	id := h.debtOf(ada)
	order := map[string]any{
		"type": "static_protection", "tier": "essential", "minutes": 120, "pickup": map[string]any{"lat": 51.511, "lon": -0.1197},
	}
	for _, path := range []string{"/api/quotes", "/api/bookings"} {
		problem(t, ada.do("POST", path, order), http.StatusPaymentRequired, fleet.CodePaymentDue)
		bea.must(http.StatusCreated, "POST", path, order)
	}
	owed := as[page[Debt]](t, ada.must(http.StatusOK, "GET", "/api/payments/debts?open=true", nil)).Items
	if len(owed) != 1 || owed[0].ID.String() != id || owed[0].Status != fleet.DebtOpen {
		t.Fatalf("debts are %+v", owed)
	}
	if all := as[page[Debt]](t, h.person(fleet.RoleFinance).must(http.StatusOK, "GET", "/api/debts?user="+ada.id.String(), nil)).Items; len(all) != 1 {
		t.Errorf("finance sees %+v", all)
	}
	pay := map[string]any{"payment_method_id": "pm_card_visa"}
	if r := as[Reservation](t, ada.must(http.StatusOK, "POST", "/api/payments/debts/"+id+"/pay", pay)); r.Status != "captured" {
		t.Fatalf("paid %+v", r)
	}
	ada.must(http.StatusCreated, "POST", "/api/quotes", order)
}

func TestCards(t *testing.T) {
	t.Parallel()
	h := newHub(t, byCard)
	ada, other := h.person(fleet.RoleRider), h.person(fleet.RoleRider)
	keep := func(number string) Card {
		setup := as[struct {
			Secret string `json:"client_secret"`
		}](t, ada.must(http.StatusCreated, "POST", "/api/payments/methods", nil))
		pm, err := h.browser.Card(t.Context(), number)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := h.browser.Confirm(t.Context(), setup.Secret, pm); err != nil {
			t.Fatal(err)
		}
		return as[struct{ Items []Card }](t, ada.must(http.StatusOK, "GET", "/api/payments/methods", nil)).Items[0]
	}
	visa, master := keep(stripe.Visa), keep(stripe.Mastercard)
	if !visa.Preferred || master.Preferred || master.Brand != "mastercard" || master.Last4 != "4444" || master.ExpYear != 2099 {
		t.Errorf("cards are %+v and %+v", visa, master)
	}
	id := other.booked()
	problem(t, other.do("POST", "/api/payments/reserve", map[string]any{"booking_id": id, "payment_method_id": visa.ID}), http.StatusNotFound, fleet.CodeNotFound)
	ada.must(http.StatusOK, "PUT", "/api/payments/methods/"+master.ID.String()+"/preferred", nil)
	ada.must(http.StatusNoContent, "DELETE", "/api/payments/methods/"+master.ID.String(), nil)
	left := as[struct{ Items []Card }](t, ada.must(http.StatusOK, "GET", "/api/payments/methods", nil)).Items
	if len(left) != 1 || left[0].ID != visa.ID || !left[0].Preferred {
		t.Errorf("left are %+v", left)
	}
	mine := ada.booked() // by the card that is left, without being asked
	if r := as[Reservation](t, ada.must(http.StatusOK, "POST", "/api/payments/reserve", map[string]any{"booking_id": mine})); r.Status != "held" {
		t.Errorf("reserved %+v", r)
	}
}

func TestAHubWithoutPayments(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(cfg *Config) { cfg.Payments = nil })
	ada := h.person(fleet.RoleRider)
	if id := ada.booked(); h.booking(id).Funded.IsZero() {
		t.Error("it is not funded by terms")
	}
	problem(t, ada.do("GET", "/api/payments/config", nil), http.StatusNotFound, codeNoPayments)
}

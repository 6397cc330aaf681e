package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"armora/fleet"
	"armora/payment"
	"armora/schema"
	"armora/sim/stripe"
)

func TestOfficersHaveThemselvesPaidByStripe(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	cy, di, staff := h.person(fleet.RoleDriver), h.person(fleet.RoleDriver), h.person(fleet.RoleFinance)
	id := h.employ(cy)
	h.employ(di)
	status := func(p *person, at string) Payouts {
		t.Helper()
		return as[Payouts](t, p.must(http.StatusOK, "GET", at, nil))
	}
	const own = "/api/drivers/me/payouts"
	theirs := "/api/drivers/" + id.String() + "/payouts"
	if s := status(cy, own); s.Status != "none" || s.PaidBy != fleet.ByPayroll {
		t.Errorf("%+v", s)
	}
	if s := status(staff, theirs); s.Status != "none" {
		t.Errorf("%+v", s)
	}
	begun := cy.must(http.StatusOK, "POST", own, nil)
	page := as[struct {
		URL     string    `json:"url"`
		Expires time.Time `json:"expires_at"`
	}](t, begun)
	if s := status(cy, own); s.Status != "onboarding" || s.PaidBy != fleet.ByPayroll || !page.Expires.After(h.clock.Now()) {
		t.Errorf("%+v, %+v", s, page)
	}
	if err := h.browser.Onboard(t.Context(), page.URL); err != nil {
		t.Fatal(err)
	}
	for _, s := range []Payouts{status(cy, own), status(staff, theirs)} {
		if s.Status != "ready" || s.PaidBy != fleet.ByTransfer {
			t.Errorf("%+v", s)
		}
	}
	if s := status(di, own); s.Status != "none" {
		t.Errorf("another's: %+v", s)
	}
	account := stripe.All[stripe.Account](h.stripe)[0].ID
	for _, a := range []answer{begun, cy.do("GET", own, nil), staff.do("GET", theirs, nil)} {
		if strings.Contains(string(a.body), account) {
			t.Errorf("Stripe's id of them is shown: %s", a.body)
		}
	}
	problem(t, staff.do("GET", "/api/drivers/"+fleet.NewID[fleet.Driver]().String()+"/payouts", nil), http.StatusNotFound, fleet.CodeNotFound)
	problem(t, h.person(fleet.RoleDriver).do("POST", own, nil), http.StatusNotFound, fleet.CodeNotFound) // who is no officer yet
}

// What goes by transfer is shown as such, and is not in the payroll.
func TestThePayrollLeavesOutWhatGoesByTransfer(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	cy := h.person(fleet.RoleDriver)
	h.employ(cy)
	page, err := h.cfg.Payments.Onboard(t.Context(), cy.id)
	if err == nil {
		err = h.browser.Onboard(t.Context(), page.URL)
	}
	if err != nil {
		t.Fatal(err)
	}
	cy.must(http.StatusOK, "GET", "/api/drivers/me/payouts", nil)
	byTerms := h.earn(cy)
	h.clock.Advance(2 * time.Minute)
	b := h.person(fleet.RoleRider).book()
	if _, err := h.db.Pool().Exec(t.Context(), `INSERT INTO booking_money (booking_id, user_id) SELECT id, user_id FROM bookings WHERE id = $1`, b.ID); err != nil {
		t.Fatal(err)
	}
	driver, err := schema.Drivers{DB: h.db}.Own(t.Context(), cy.id)
	if err != nil {
		t.Fatal(err)
	}
	h.assign(b.ID, driver.ID, fleet.EnRoute, fleet.Arrived, fleet.InProgress)
	_, err = schema.Bookings{DB: h.db}.Change(t.Context(), b.ID, h.clock.Now(), func(c *schema.BookingTx) error {
		c.Fee = c.Total
		return c.Move(fleet.Completed, schema.Event{Kind: "completed", Data: map[string]any{"price": c.Price}})
	})
	if err == nil {
		err = h.cfg.Earnings.Settle(t.Context(), b.ID)
	}
	if err != nil {
		t.Fatal(err)
	}
	got := as[EarningsPage](t, cy.must(http.StatusOK, "GET", "/api/drivers/me/earnings", nil))
	if len(got.Items) != 2 || got.Items[0].PaidBy != fleet.ByTransfer || got.Items[0].Paid || got.Items[1].PaidBy != fleet.ByPayroll || got.Items[1].BookingID != byTerms {
		t.Errorf("%+v", got)
	}
	csv := string(h.person(fleet.RoleFinance).must(http.StatusOK, "GET", "/api/earnings/export", nil).body)
	if strings.Contains(csv, b.ID.String()) || !strings.Contains(csv, byTerms.String()) {
		t.Errorf("%s", csv)
	}
}

func TestWithoutTheSwitchAllArePaidByPayroll(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(cfg *Config) {
		var err error
		if cfg.Payments, err = payment.New(payment.Config{DB: cfg.DB, Key: "sk_test_api", URL: "http://127.0.0.1:1", Clock: cfg.Clock, Log: cfg.Log}); err != nil {
			t.Fatal(err)
		}
	})
	cy := h.person(fleet.RoleDriver)
	h.employ(cy)
	problem(t, cy.do("POST", "/api/drivers/me/payouts", nil), http.StatusConflict, fleet.CodeConflict)
	if s := as[Payouts](t, cy.must(http.StatusOK, "GET", "/api/drivers/me/payouts", nil)); s.Status != "none" {
		t.Errorf("%+v", s)
	}
}

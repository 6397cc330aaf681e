package api

import (
	"encoding/csv"
	"net/http"
	"strings"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/tariff"
)

// earn has an officer do two hours of work for a principal, and the hub write down
// what they are owed.
func (h *hub) earn(officer *person) fleet.BookingID {
	h.t.Helper()
	driver, err := schema.Drivers{DB: h.db}.Own(h.t.Context(), officer.id)
	id := driver.ID
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		id = h.employ(officer)
	}
	b := h.person(fleet.RoleRider).book()
	h.assign(b.ID, id, fleet.EnRoute, fleet.Arrived, fleet.InProgress)
	_, err = schema.Bookings{DB: h.db}.Change(h.t.Context(), b.ID, h.clock.Now(), func(c *schema.BookingTx) error {
		return c.Move(fleet.Completed, schema.Event{Kind: "completed", Data: map[string]any{"price": c.Price}})
	})
	if err == nil {
		err = h.cfg.Earnings.Settle(h.t.Context(), b.ID)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	return b.ID
}

func TestOfficersReadWhatTheyHaveEarned(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	cy, di := h.person(fleet.RoleDriver), h.person(fleet.RoleDriver)
	first := h.earn(cy)
	h.clock.Advance(2 * time.Minute)
	second := h.earn(cy)
	h.earn(di)
	get := func(p *person, query string) EarningsPage {
		t.Helper()
		return as[EarningsPage](t, p.must(http.StatusOK, "GET", "/api/drivers/me/earnings"+query, nil))
	}
	all := get(cy, "")
	if len(all.Items) != 2 || all.Items[0].BookingID != second || all.Items[1].BookingID != first || all.Items[0].Minutes != 120 || all.Items[0].Rates.Work != 60 ||
		all.Total.Amount != all.Items[0].Amount.Amount+all.Items[1].Amount.Amount || all.Total.Amount <= 0 || !all.From.Equal(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v", all)
	}
	part := get(cy, "?limit=1")
	if len(part.Items) != 1 || part.Total != all.Total || part.Next == "" {
		t.Errorf("%+v", part)
	}
	if rest := get(cy, "?limit=1&cursor="+part.Next); len(rest.Items) != 1 || rest.Items[0].BookingID != first || rest.Next != "" {
		t.Errorf("%+v", rest)
	}
	if hour := get(cy, "?from=2026-03-01T12:01:00Z"); len(hour.Items) != 1 || hour.Total != hour.Items[0].Amount {
		t.Errorf("%+v", hour)
	}
	if old := get(cy, "?from=2026-02-01T00:00:00Z&to=2026-03-01T00:00:00Z"); len(old.Items) != 0 || old.Total.Amount != 0 {
		t.Errorf("%+v", old)
	}
	problem(t, cy.do("GET", "/api/drivers/me/earnings?from=2026-03-02T00:00:00Z&to=2026-03-01T00:00:00Z", nil), http.StatusUnprocessableEntity, fleet.CodeInvalid)

	// Of two currencies the sum is in the newer one, and not of both.
	table := tariff.Default()
	table.Currency = "EUR"
	staff := h.person(fleet.RoleFinance)
	staff.must(http.StatusOK, "PUT", "/api/tariff", table)
	h.clock.Advance(2 * time.Minute)
	h.earn(cy)
	if both := get(cy, ""); len(both.Items) != 3 || both.Total.Currency != "EUR" || both.Total != both.Items[0].Amount {
		t.Errorf("%+v", both)
	}
}

func TestFinanceExportsThePayroll(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	cy, staff := h.person(fleet.RoleDriver), h.person(fleet.RoleFinance)
	id := h.officer(map[string]any{"name": "=HYPERLINK(1)", "tier": "executive", "user_id": cy.id.String()})
	booking := h.earn(cy)
	h.earn(h.person(fleet.RoleDriver))
	h.clock.Advance(time.Minute)
	a := staff.must(http.StatusOK, "GET", "/api/earnings/export", nil)
	lines, err := csv.NewReader(strings.NewReader(string(a.body))).ReadAll()
	if err != nil || len(lines) != 3 || strings.Join(lines[0], ",") != strings.Join(payrollHead, ",") {
		t.Fatalf("%v, %v", lines, err)
	}
	found := false
	for _, l := range lines[1:] {
		if l[0] == id.String() {
			found = l[1] == "'=HYPERLINK(1)" && l[3] == booking.String() && l[4] == "work" && l[5] == "120" && l[7] == "GBP" && l[8] == "1"
		}
	}
	if !found || a.Header.Get("Content-Disposition") != "attachment; filename=payroll-2026-03-01.csv" {
		t.Errorf("%v %v", lines, a.Header)
	}
	if e := h.audit()[0]; e.Action != "read_payroll" || e.ActorUser != staff.id {
		t.Errorf("recorded %+v", e)
	}
}

func TestFinanceSetsThePayRates(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	staff := h.person(fleet.RoleFinance)
	a := staff.must(http.StatusOK, "GET", "/api/pay-rates", nil)
	if r := as[tariff.PayRates](t, a); r.Version != 1 || r.Work != 60 || r.Fee != 60 || a.Header.Get("ETag") != `"1"` {
		t.Errorf("%+v", r)
	}
	put := h.request("PUT", "/api/pay-rates", map[string]any{"work": 65, "fee": 55})
	put.Header.Set("Authorization", "Bearer "+staff.token)
	put.Header.Set("If-Match", `"1"`)
	if r := as[tariff.PayRates](t, h.send(put)); r != (tariff.PayRates{Version: 2, Pay: tariff.Pay{Work: 65, Fee: 55}}) {
		t.Errorf("%+v", r)
	}
	put = h.request("PUT", "/api/pay-rates", map[string]any{"work": 66, "fee": 55})
	put.Header.Set("Authorization", "Bearer "+staff.token)
	put.Header.Set("If-Match", `"1"`)
	problem(t, h.send(put), http.StatusPreconditionFailed, fleet.CodeVersionMismatch)
	problem(t, staff.do("PUT", "/api/pay-rates", map[string]any{"work": 90, "fee": 55}), http.StatusUnprocessableEntity, fleet.CodeInvalid)
}

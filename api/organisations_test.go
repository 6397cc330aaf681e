package api

import (
	"bytes"
	"net/http"
	"sync"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
)

// firm is an organisation, and those who have to do with it.
type firm struct {
	h                            *hub
	finance, member, other, boss *person
	path                         string
}

// newFirm has credit for two assignments of £110, and wants an order and an approval.
func newFirm(t *testing.T) *firm {
	t.Helper()
	h := newHub(t, byCard)
	f := &firm{h: h, finance: h.person(fleet.RoleFinance), member: h.person(fleet.RoleRider), other: h.person(fleet.RoleRider), boss: h.person(fleet.RoleRider)}
	made := as[Organisation](t, f.finance.must(http.StatusCreated, "POST", "/api/organisations", f.terms(nil)))
	if made.VATNumber != "GB123456789" || !made.Approval || !made.OrderNeeded || made.Credit != 220_00 {
		t.Fatalf("made %+v", made)
	}
	f.path = "/api/organisations/" + made.ID.String()
	for p, role := range map[*person]string{f.member: "member", f.other: "member", f.boss: "approver"} {
		f.finance.must(http.StatusNoContent, "PUT", f.path+"/members/"+p.id.String(), map[string]any{"role": role})
	}
	return f
}

func (f *firm) terms(changes map[string]any) map[string]any {
	terms := map[string]any{
		"name": "Acme Ltd", "vat_number": "gb 123 4567 89", "address": []string{"2 The Street"}, "credit_limit": 220_00, "terms_days": 30,
		"approval": true, "order_needed": true,
	}
	for name, v := range changes {
		terms[name] = v
	}
	return terms
}

// order asks for two hours at one place, £110, on the firm's account.
func (f *firm) order(p *person, account map[string]any) answer {
	f.h.t.Helper()
	return p.do("POST", "/api/bookings", transfer(tomorrowOf(f.h), map[string]any{"type": "static_protection", "destination": nil, "account": account}))
}

func tomorrowOf(h *hub) map[string]any {
	return map[string]any{"local_start": h.clock.Now().AddDate(0, 0, 1).Format("2006-01-02") + "T12:00", "zone": "Europe/London"}
}

var ordered = map[string]any{"purchase_order": "PO-17", "cost_centre": "Board"}

func (f *firm) open() int64 {
	f.h.t.Helper()
	return as[Organisation](f.h.t, f.finance.must(http.StatusOK, "GET", f.path, nil)).Open.Amount
}

func TestAnOrganisationsMembersBookWithinItsTerms(t *testing.T) {
	t.Parallel()
	f := newFirm(t)
	h, finance, member, boss := f.h, f.finance, f.member, f.boss
	problem(t, finance.do("POST", "/api/organisations", f.terms(map[string]any{"vat_number": "GB12345"})), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	elsewhere := as[Organisation](t, finance.must(http.StatusCreated, "POST", "/api/organisations", f.terms(map[string]any{"name": "Other Ltd"})))
	problem(t, finance.do("PUT", "/api/organisations/"+elsewhere.ID.String()+"/members/"+member.id.String(), map[string]any{"role": "approver"}), http.StatusConflict, fleet.CodeConflict)
	stranger := h.person(fleet.RoleRider)
	finance.must(http.StatusNoContent, "PUT", "/api/organisations/"+elsewhere.ID.String()+"/members/"+stranger.id.String(), map[string]any{"role": "approver"})

	if mine := as[OwnOrganisation](t, member.must(http.StatusOK, "GET", "/api/organisations/mine", nil)); mine.Name != "Acme Ltd" || mine.Role != fleet.AccountMember || mine.Blocked {
		t.Errorf("mine is %+v", mine)
	}
	problem(t, f.order(h.person(fleet.RoleRider), ordered), http.StatusForbidden, fleet.CodeForbidden) // who is no member of any
	if p := problem(t, f.order(member, map[string]any{}), http.StatusUnprocessableEntity, fleet.CodeInvalid); len(p.Errors) != 1 || p.Errors[0].Location != "body.account.purchase_order" {
		t.Errorf("without an order: %+v", p)
	}

	// It waits for an approver, who is not the one who has booked it.
	a := f.order(member, ordered)
	b := as[Booking](t, a)
	if a.StatusCode != http.StatusCreated || b.Total.Amount != 110_00 || !h.booking(b.ID.String()).Funded.IsZero() {
		t.Fatalf("booked: %s %s", a.Status, a.body)
	}
	approval := func(id fleet.BookingID) string { return "/api/bookings/" + id.String() + "/approval" }
	yes := map[string]any{"approve": true}
	for _, p := range []*person{member, f.other, stranger} {
		problem(t, p.do("PUT", approval(b.ID), yes), http.StatusNotFound, fleet.CodeNotFound)
		if waiting := as[[]WaitingBooking](t, p.must(http.StatusOK, "GET", "/api/organisations/mine/waiting", nil)); len(waiting) != 0 {
			t.Errorf("who approves nothing sees %+v", waiting)
		}
	}
	if waiting := as[[]WaitingBooking](t, boss.must(http.StatusOK, "GET", "/api/organisations/mine/waiting", nil)); len(waiting) != 1 || waiting[0].ID != b.ID || waiting[0].UserID != member.id {
		t.Errorf("there waits %+v", waiting)
	}
	problem(t, member.do("POST", "/api/payments/reserve", map[string]any{"booking_id": b.ID}), http.StatusConflict, fleet.CodeConflict) // nothing goes to Stripe
	boss.must(http.StatusOK, "PUT", approval(b.ID), yes)
	if h.booking(b.ID.String()).Funded.IsZero() {
		t.Error("approved, and not funded")
	}
	problem(t, boss.do("PUT", approval(b.ID), yes), http.StatusConflict, fleet.CodeConflict)

	// What is refused is cancelled with its reason, and is free.
	no := as[Booking](t, f.order(member, ordered))
	if f.open() != 220_00 {
		t.Errorf("open %d", f.open())
	}
	boss.must(http.StatusOK, "PUT", approval(no.ID), map[string]any{"approve": false, "reason": "use the tube"})
	if refused := member.booking(no.ID); refused.Status != fleet.Cancelled || refused.EndReason != "not approved: use the tube" || refused.Fee != nil && refused.Fee.Amount != 0 {
		t.Errorf("refused: %+v", refused)
	}

	// Credit is left for one: of two members at once one is refused, and the next is.
	answers := make([]answer, 2)
	var both sync.WaitGroup
	for i, p := range []*person{member, f.other} {
		both.Go(func() { answers[i] = f.order(p, ordered) })
	}
	both.Wait()
	if answers[0].StatusCode == http.StatusConflict {
		answers[0], answers[1] = answers[1], answers[0]
	}
	if answers[0].StatusCode != http.StatusCreated {
		t.Errorf("neither was taken: %s", answers[0].body)
	}
	problem(t, answers[1], http.StatusConflict, fleet.CodeConflict)
	problem(t, f.order(boss, ordered), http.StatusConflict, fleet.CodeConflict)
	if f.open() != 220_00 {
		t.Errorf("open %d", f.open())
	}

	// More credit, by the version that was read alone; an approver's own waits for nobody.
	put := func(version string) answer {
		r := h.request("PUT", f.path, f.terms(map[string]any{"credit_limit": 330_00}))
		r.Header.Set("Authorization", "Bearer "+finance.token)
		r.Header.Set("If-Match", version)
		return h.send(r)
	}
	version := finance.must(http.StatusOK, "GET", f.path, nil).Header.Get("ETag")
	if a := put(version); a.StatusCode != http.StatusOK {
		t.Errorf("more credit: %s %s", a.Status, a.body)
	}
	if a := put(version); a.StatusCode != http.StatusPreconditionFailed {
		t.Errorf("by a version that is over: %s", a.Status)
	}
	if own := as[Booking](t, f.order(boss, ordered)); h.booking(own.ID.String()).Funded.IsZero() {
		t.Error("an approver's own waits")
	}
	finance.must(http.StatusNoContent, "DELETE", f.path+"/members/"+member.id.String(), nil)
	problem(t, f.order(member, ordered), http.StatusForbidden, fleet.CodeForbidden)
}

// A month from an assignment to the bank: the statement, who reads it, reminders until
// nothing new is booked, and the payment that finance writes down.
func TestAnOrganisationsMonth(t *testing.T) {
	t.Parallel()
	f := newFirm(t)
	h, finance, boss := f.h, f.finance, f.boss
	b := as[Booking](t, f.order(boss, ordered))
	h.clock.Advance(23 * time.Hour) // an hour before its start: it costs all
	boss.signIn()
	boss.must(http.StatusOK, "PUT", "/api/bookings/"+b.ID.String()+"/cancel", map[string]any{})
	if err := h.papers().Settle(t.Context(), b.ID); err != nil {
		t.Fatal(err)
	}
	on := func(day string) {
		t.Helper()
		at, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		h.clock.Advance(at.Add(12 * time.Hour).Sub(h.clock.Now()))
		if err := h.cfg.Terms.MakeStatements(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, p := range []*person{finance, boss, f.member} {
			p.signIn()
		}
	}
	statements := func() []AccountStatement {
		t.Helper()
		return as[[]AccountStatement](t, finance.must(http.StatusOK, "GET", f.path+"/statements", nil))
	}
	on("2026-03-31")
	if list := statements(); len(list) != 0 {
		t.Errorf("the month is not over: %+v", list)
	}
	on("2026-04-01")
	list := statements()
	if len(list) != 1 || list[0].Month != "2026-03" || list[0].Due != "2026-05-01" || list[0].Total.Amount != 110_00 || list[0].Reminders != 0 {
		t.Fatalf("statements are %+v", list)
	}
	paper := "/api/invoices/" + list[0].ID.String()
	if read := as[Invoice](t, boss.must(http.StatusOK, "GET", paper, nil)); len(read.Document.Lines) != 1 || read.Document.Buyer.VATNumber != "GB123456789" {
		t.Errorf("its approver reads %+v", read.Document)
	}
	if a := boss.do("GET", paper+"?format=pdf", nil); !bytes.HasPrefix(a.body, []byte("%PDF-")) {
		t.Errorf("as PDF it is %s", a.Status)
	}
	problem(t, f.member.do("GET", paper, nil), http.StatusNotFound, fleet.CodeNotFound)

	for _, step := range []struct {
		day       string
		reminders int
		blocked   bool
	}{{"2026-05-01", 0, false}, {"2026-05-02", 1, false}, {"2026-05-08", 2, false}, {"2026-05-14", 2, false}, {"2026-05-15", 3, true}} {
		on(step.day)
		mine := as[OwnOrganisation](t, boss.must(http.StatusOK, "GET", "/api/organisations/mine", nil))
		if n := statements()[0].Reminders; n != step.reminders || mine.Blocked != step.blocked {
			t.Errorf("on %s: %d reminders, blocked %v", step.day, n, mine.Blocked)
		}
	}
	problem(t, f.order(boss, ordered), http.StatusConflict, fleet.CodeConflict)

	pay := func(p *person) answer {
		return p.do("PUT", "/api/statements/"+list[0].ID.String()+"/paid", map[string]any{"reference": "BACS 2026-05-15"})
	}
	problem(t, pay(boss), http.StatusForbidden, fleet.CodeForbidden)
	if paid := as[AccountStatement](t, pay(finance)); paid.PaidAt.IsZero() || paid.Reference != "BACS 2026-05-15" {
		t.Errorf("paid %+v", paid)
	}
	problem(t, pay(finance), http.StatusConflict, fleet.CodeConflict)
	if o := as[Organisation](t, finance.must(http.StatusOK, "GET", f.path, nil)); !o.BlockedAt.IsZero() || o.Open.Amount != 0 {
		t.Errorf("after it was paid: %+v, open %v", o, o.Open)
	}
	if a := f.order(boss, ordered); a.StatusCode != http.StatusCreated {
		t.Errorf("after it was paid: %s %s", a.Status, a.body)
	}
}

// What was approved and becomes dearer waits for an approver again, unless officers have
// had it: protection is not taken back. What becomes cheaper, or is an approver's own, waits
// for nobody.
func TestWhatWasApprovedIsApprovedAsItIs(t *testing.T) {
	t.Parallel()
	f := newFirm(t)
	h, member := f.h, f.member
	funded := func(id fleet.BookingID, want bool) {
		t.Helper()
		if b := h.booking(id.String()); b.Funded.IsZero() == want || b.Status != fleet.Scheduled && b.Status != fleet.Assigned {
			t.Errorf("it is %s, funded %v", b.Status, b.Funded)
		}
	}
	lasts := func(p *person, id fleet.BookingID, minutes int) {
		t.Helper()
		p.must(http.StatusOK, "PATCH", "/api/bookings/"+id.String(), map[string]any{"minutes": minutes})
	}
	approves := func(id fleet.BookingID) {
		t.Helper()
		f.boss.must(http.StatusOK, "PUT", "/api/bookings/"+id.String()+"/approval", map[string]any{"approve": true})
	}
	b := as[Booking](t, f.order(member, ordered)).ID
	approves(b)
	h.change(b, func(c *schema.BookingTx) error { return c.Move(fleet.Searching, schema.Event{Kind: "searching"}) })
	lasts(member, b, 240)
	funded(b, false)
	seen := as[[]WaitingBooking](t, f.boss.must(http.StatusOK, "GET", "/api/organisations/mine/waiting", nil))[0].ETag
	lasts(member, b, 270) // while they look at it
	put := h.request("PUT", "/api/bookings/"+b.String()+"/approval", map[string]any{"approve": true})
	put.Header.Set("Authorization", "Bearer "+f.boss.token)
	put.Header.Set("If-Match", seen)
	problem(t, h.send(put), http.StatusPreconditionFailed, fleet.CodeVersionMismatch)
	funded(b, false)
	approves(b)
	lasts(member, b, 180)
	funded(b, true)
	h.change(b, func(c *schema.BookingTx) error {
		for _, to := range []fleet.BookingStatus{fleet.Searching, fleet.Offered, fleet.Assigned} {
			if err := c.Move(to, schema.Event{Kind: string(to)}); err != nil {
				return err
			}
		}
		return nil
	})
	lasts(member, b, 600)
	funded(b, true)
	f.finance.must(http.StatusOK, "PUT", f.path, f.terms(map[string]any{"credit_limit": 10_000_00}))
	own := as[Booking](t, f.order(f.boss, ordered)).ID
	lasts(f.boss, own, 600)
	funded(own, true)

	// Nobody has agreed to pay for what waits: cancelling it is free, beyond what was agreed to.
	never, agreed := as[Booking](t, f.order(member, ordered)).ID, as[Booking](t, f.order(member, ordered)).ID
	approves(agreed)
	lasts(member, agreed, 240)
	for id, fee := range map[fleet.BookingID]int64{never: 0, agreed: 5_50} { // 5 % of £110
		got := as[Booking](t, member.must(http.StatusOK, "PUT", "/api/bookings/"+id.String()+"/cancel", map[string]any{}))
		if got.Fee == nil && fee != 0 || got.Fee != nil && got.Fee.Amount != fee {
			t.Errorf("it costs %+v, want %d", got.Fee, fee)
		}
	}

	// Where approvals are not asked for any more, nothing waits for one.
	last := as[Booking](t, f.order(member, ordered)).ID
	approves(last)
	f.finance.must(http.StatusOK, "PUT", f.path, f.terms(map[string]any{"credit_limit": 10_000_00, "approval": false}))
	lasts(member, last, 600)
	funded(last, true)
}

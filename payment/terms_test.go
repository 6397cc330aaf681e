package payment_test

import (
	"encoding/json"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"armora/fleet"
	"armora/payment"
	"armora/payment/paper"
	"armora/schema"
)

// company is an organisation with a member and an approver.
type company struct {
	*office
	terms            *payment.Terms
	org              fleet.Organisation
	member, approver fleet.UserID
}

func newCompany(t *testing.T, change ...func(*fleet.Organisation)) *company {
	t.Helper()
	o := newOffice(t)
	c := &company{office: o, member: o.principal(), approver: o.principal(), terms: payment.NewTerms(payment.InvoicesConfig{
		DB: o.db, Seller: paper.Party{Name: "ARMORA Ltd"}, Seal: asItIs, Clock: o.clock, Log: slog.New(slog.DiscardHandler),
	})}
	org := fleet.Organisation{Name: "Acme Ltd", VATNumber: "gb 123 4567 89", Address: []string{"2 The Street"}, Credit: fleet.Pounds(300), TermsDays: 30}
	for _, ch := range change {
		ch(&org)
	}
	var err error
	c.org, err = c.terms.Add(t.Context(), org)
	o.must(err)
	o.must(c.terms.SetMember(t.Context(), fleet.Member{User: c.member, Organisation: c.org.ID, Role: fleet.AccountMember}))
	o.must(c.terms.SetMember(t.Context(), fleet.Member{User: c.approver, Organisation: c.org.ID, Role: fleet.AccountApprover}))
	return c
}

// order places a booking of £120 on the account.
func (c *company) order(user fleet.UserID, account fleet.OnAccount) (fleet.Booking, error) {
	c.Helper()
	b := c.draft(user, 1)
	b.Account = &account
	err := c.bookings.Place(c.Context(), &b, fleet.Actor{Kind: fleet.ByPrincipal, User: user})
	return b, err
}

func (c *company) owes(want int64) {
	c.Helper()
	owed, err := schema.Ledger{DB: c.db}.Balance(c.Context(), fleet.OrganisationAccount(c.org.ID), fleet.GBP)
	c.must(err)
	if owed != fleet.Pence(want) {
		c.Errorf("by the ledger the organisation owes %s, want %s", owed, fleet.Pence(want))
	}
}

func TestAVATNumberHasAForm(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"gb 123 4567 89": "GB123456789", "GB123456789012": "GB123456789012", "DE-123456789": "DE123456789", "GBGD001": "GBGD001",
		"GB12345678": "", "123456789": "", "XX123456789": "", "GB12345678A": "",
	} {
		if got, err := payment.VATNumber(text); got != want || (want == "") != (fleet.CodeOf(err) == fleet.CodeInvalid && err != nil) {
			t.Errorf("%q is %q, %v", text, got, err)
		}
	}
}

func TestOnAccountIsFundedWithinTheCredit(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	b, err := c.order(c.member, fleet.OnAccount{PurchaseOrder: "PO-1", CostCentre: "17"})
	c.must(err)
	if b.Funded.IsZero() || c.jobs("settle_booking") != 0 {
		t.Errorf("funded %v, %d jobs of cards", b.Funded, c.jobs("settle_booking"))
	}
	// Of two at once that do not fit both, one is refused.
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		wg.Go(func() { _, errs[i] = c.order(c.member, fleet.OnAccount{}) })
	}
	wg.Wait()
	taken := 0
	for _, err := range errs {
		if err == nil {
			taken++
		} else if fleet.CodeOf(err) != fleet.CodeConflict {
			t.Error(err)
		}
	}
	if taken != 1 {
		t.Errorf("%d of four were taken", taken)
	}
	if open, err := (schema.Organisations{DB: c.db}).Exposure(t.Context(), c.org.ID); err != nil || open != fleet.Pounds(240) {
		t.Errorf("open %s, %v", open, err)
	}
	// Who is no member books on nobody's account.
	if _, err := c.order(c.principal(), fleet.OnAccount{Organisation: c.org.ID}); fleet.CodeOf(err) != fleet.CodeForbidden {
		t.Errorf("a stranger: %v", err)
	}
}

func TestWhatNeedsAnOrderNamesOne(t *testing.T) {
	t.Parallel()
	c := newCompany(t, func(o *fleet.Organisation) { o.OrderNeeded = true })
	if _, err := c.order(c.member, fleet.OnAccount{}); fleet.CodeOf(err) != fleet.CodeInvalid {
		t.Errorf("without one: %v", err)
	}
	_, err := c.order(c.member, fleet.OnAccount{PurchaseOrder: "PO-1"})
	c.must(err)
}

func TestAnApproverDecides(t *testing.T) {
	t.Parallel()
	c := newCompany(t, func(o *fleet.Organisation) { o.Approval, o.Credit = true, fleet.Pounds(1000) })
	first, err := c.order(c.member, fleet.OnAccount{})
	c.must(err)
	if !first.Funded.IsZero() || c.jobs("ask_approval") != 1 || c.jobs("lapse_approval") != 1 || c.jobs("settle_booking") != 0 {
		t.Errorf("funded %v before approval", first.Funded)
	}
	// Not by its member, nor by another organisation's approver.
	stranger := newPerson(c, fleet.AccountApprover)
	for _, other := range []fleet.UserID{c.member, stranger} {
		if _, err := c.terms.Decide(t.Context(), other, first.ID, 0, true, ""); fleet.CodeOf(err) != fleet.CodeNotFound {
			t.Errorf("decided by another: %v", err)
		}
	}
	waiting, err := schema.Organisations{DB: c.db}.Waiting(t.Context(), c.approver)
	if err != nil || len(waiting) != 1 || waiting[0].ID != first.ID {
		t.Errorf("%d wait, %v", len(waiting), err)
	}
	b, err := c.terms.Decide(t.Context(), c.approver, first.ID, 0, true, "")
	c.must(err)
	if b.Funded.IsZero() || c.jobs("booking_funded") != 1 {
		t.Errorf("approved, and funded %v", b.Funded)
	}
	if _, err := c.terms.Decide(t.Context(), c.approver, first.ID, 0, false, ""); fleet.CodeOf(err) != fleet.CodeConflict {
		t.Errorf("decided twice: %v", err)
	}
	// What nobody approves lapses; what was approved does not.
	second, err := c.order(c.member, fleet.OnAccount{})
	c.must(err)
	c.clock.Advance(time.Hour)
	for _, id := range []fleet.BookingID{first.ID, second.ID} {
		c.must(c.terms.Lapse(t.Context(), id))
		c.must(c.terms.Lapse(t.Context(), id))
	}
	for id, want := range map[fleet.BookingID]fleet.BookingStatus{first.ID: fleet.Scheduled, second.ID: fleet.Cancelled} {
		if b, err := c.bookings.Get(t.Context(), id); err != nil || b.Status != want || b.Fee.Amount != 0 {
			t.Errorf("%s at %s, %v", b.Status, b.Fee, err)
		}
	}
	third, err := c.order(c.member, fleet.OnAccount{})
	c.must(err)
	if b, err := c.terms.Decide(t.Context(), c.approver, third.ID, 0, false, "too dear"); err != nil || b.Status != fleet.Cancelled || b.EndReason != "not approved: too dear" {
		t.Errorf("%s, %v", b.Status, err)
	}
	own, err := c.order(c.approver, fleet.OnAccount{}) // needs nobody's approval
	if err != nil || own.Funded.IsZero() {
		t.Errorf("an approver's own: %v, %v", own.Funded, err)
	}
}

// Who has put off what waits for approval has until its new start, and is not ended at the
// old one.
func TestWhatIsPutOffDoesNotLapse(t *testing.T) {
	t.Parallel()
	c := newCompany(t, func(o *fleet.Organisation) { o.Approval = true })
	b, err := c.order(c.member, fleet.OnAccount{})
	c.must(err)
	_, err = c.bookings.Change(t.Context(), b.ID, c.clock.Now(), func(tx *schema.BookingTx) error {
		tx.Start = tx.Start.Add(24 * time.Hour)
		return tx.Note(schema.Event{Kind: "edited"})
	})
	c.must(err)
	for _, step := range []struct {
		after time.Duration
		is    fleet.BookingStatus
	}{{time.Hour, fleet.Scheduled}, {24*time.Hour - time.Second, fleet.Scheduled}, {time.Second, fleet.Cancelled}} {
		c.clock.Advance(step.after)
		c.must(c.terms.Lapse(t.Context(), b.ID))
		if got, err := c.bookings.Get(t.Context(), b.ID); err != nil || got.Status != step.is {
			t.Errorf("%s before its start it is %s, %v", got.Start.Sub(c.clock.Now()), got.Status, err)
		}
	}
	if n := c.jobs("lapse_approval"); n != 3 {
		t.Errorf("%d jobs look again", n)
	}
}

// newPerson is a member of another organisation.
func newPerson(c *company, role fleet.AccountRole) fleet.UserID {
	c.Helper()
	other, err := c.terms.Add(c.Context(), fleet.Organisation{Name: "Other Ltd", VATNumber: "GB987654321", Address: []string{"3 The Street"}})
	c.must(err)
	id := c.principal()
	c.must(c.terms.SetMember(c.Context(), fleet.Member{User: id, Organisation: other.ID, Role: role}))
	if err := c.terms.SetMember(c.Context(), fleet.Member{User: id, Organisation: c.org.ID, Role: role}); fleet.CodeOf(err) != fleet.CodeConflict {
		c.Errorf("a member of two organisations: %v", err)
	}
	return id
}

// What keeps one organisation's statement from being made keeps no other's.
func TestStatementsAreMadeEachForItself(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	ctx, statements := t.Context(), schema.Statements{DB: c.db}
	orgs := []fleet.OrganisationID{c.org.ID}
	bookers := []fleet.UserID{c.member}
	for _, number := range []string{"GB987654321", "GB987654322"} {
		o, err := c.terms.Add(ctx, fleet.Organisation{Name: "Other Ltd", VATNumber: number, Address: []string{"3 The Street"}, Credit: fleet.Pounds(300), TermsDays: 30})
		c.must(err)
		user := c.principal()
		c.must(c.terms.SetMember(ctx, fleet.Member{User: user, Organisation: o.ID, Role: fleet.AccountMember}))
		orgs, bookers = append(orgs, o.ID), append(bookers, user)
	}
	for _, user := range bookers {
		b, err := c.order(user, fleet.OnAccount{PurchaseOrder: "PO-1", CostCentre: "17"})
		c.must(err)
		c.end(b.ID, fleet.Completed, fleet.Pounds(120), nil)
		c.issued(b.ID)
	}
	_, err := c.db.Pool().Exec(ctx, `ALTER TABLE statements ADD CHECK (organisation_id <> '`+orgs[1].String()+`')`)
	c.must(err)
	c.clock.Advance(31 * 24 * time.Hour)
	if err := c.terms.MakeStatements(ctx); err == nil || !strings.Contains(err.Error(), orgs[1].String()) {
		t.Errorf("of the one that fails it says %v", err)
	}
	for i, org := range orgs {
		if list, err := statements.List(ctx, org); err != nil || len(list) != 1-i%2 {
			t.Errorf("organisation %d has %d statements, %v", i, len(list), err)
		}
	}
}

// From a booking to the bank: invoice, statement, reminders, a blocked account, and
// the payment by which it is good again.
func TestAMonthOnAccount(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	ctx, statements := t.Context(), schema.Statements{DB: c.db}
	b, err := c.order(c.member, fleet.OnAccount{PurchaseOrder: "PO-1", CostCentre: "17"})
	c.must(err)
	c.end(b.ID, fleet.Completed, fleet.Pounds(120), nil)
	papers, documents := c.issued(b.ID)
	if d := documents[0]; d.Buyer.Name != "Acme Ltd" || d.Buyer.VATNumber != "GB123456789" || d.PurchaseOrder != "PO-1" || d.CostCentre != "17" || papers[0].Payer != c.org.ID {
		t.Errorf("%+v", d)
	}
	c.owes(120_00)
	c.must(c.terms.MakeStatements(ctx))
	if list, err := statements.List(ctx, c.org.ID); err != nil || len(list) != 0 {
		t.Fatalf("a statement of a month that is not over: %v, %v", list, err)
	}
	c.clock.Advance(time.Date(2026, 3, 31, 22, 30, 0, 0, time.UTC).Sub(c.clock.Now())) // 23:30 in London
	c.must(c.terms.MakeStatements(ctx))
	c.clock.Advance(time.Hour) // the first of April there, and March in UTC still
	c.must(c.terms.MakeStatements(ctx))
	c.must(c.terms.MakeStatements(ctx))
	list, err := statements.List(ctx, c.org.ID)
	if err != nil || len(list) != 1 || list[0].Total != fleet.Pounds(120) || list[0].Number != "STM-2026-000001" ||
		list[0].Month.Format("2006-01") != "2026-03" || list[0].Due.Format(time.DateOnly) != "2026-05-01" {
		t.Fatalf("%+v, %v", list, err)
	}
	invoices := schema.Invoices{DB: c.db}
	var d paper.Paper
	i, err := invoices.Get(ctx, schema.InvoiceReader{User: c.approver}, list[0].ID)
	c.must(err)
	c.must(json.Unmarshal(i.Document, &d))
	if len(d.Lines) != 1 || d.Total != fleet.Pounds(120) || d.Lines[0].Detail != "1 March 2026, PO-1, 17" {
		t.Errorf("%+v", d)
	}
	if _, err := d.PDF(); err != nil {
		t.Error(err)
	}
	for _, other := range []fleet.UserID{c.member, newPerson(c, fleet.AccountApprover)} {
		if _, err := invoices.Get(ctx, schema.InvoiceReader{User: other}, list[0].ID); fleet.CodeOf(err) != fleet.CodeNotFound {
			t.Errorf("a statement that is another's: %v", err)
		}
	}
	finance := c.person(fleet.RoleFinance)
	for _, step := range []struct {
		day, reminded int
		blocked       bool
	}{{0, 0, false}, {1, 1, false}, {7, 2, false}, {13, 2, false}, {14, 3, true}, {20, 3, true}} {
		c.clock.Advance(time.Date(2026, 5, 1+step.day, 12, 0, 0, 0, time.UTC).Sub(c.clock.Now()))
		c.must(c.terms.MakeStatements(ctx))
		c.must(c.terms.MakeStatements(ctx))
		list, err := statements.List(ctx, c.org.ID)
		c.must(err)
		o, err := schema.Organisations{DB: c.db}.Get(ctx, c.org.ID)
		c.must(err)
		if list[0].Reminded != step.reminded || o.Blocked.IsZero() == step.blocked {
			t.Errorf("on day %d: %d reminders, blocked %v", step.day, list[0].Reminded, o.Blocked)
		}
	}
	told := map[string]int{}
	notices, err := schema.Notices{DB: c.db}.List(ctx, fleet.UserID{}, fleet.NoticeID{}, 100)
	c.must(err)
	for _, n := range notices {
		if n.Notice.Channel == fleet.MailChannel {
			told[n.Notice.Kind+" "+n.Notice.User.String()]++
		}
	}
	if told["payment_overdue "+c.approver.String()] != 3 || told["payment_blocked "+finance.String()] != 1 || told["payment_statement "+c.approver.String()] != 1 {
		t.Errorf("told %v", told)
	}
	if _, err := c.order(c.member, fleet.OnAccount{}); fleet.CodeOf(err) != fleet.CodeConflict {
		t.Errorf("booked on a blocked account: %v", err)
	}
	_, err = c.terms.Paid(ctx, list[0].ID, finance, "BACS 1")
	c.must(err)
	if _, err = c.terms.Paid(ctx, list[0].ID, finance, "BACS 2"); fleet.CodeOf(err) != fleet.CodeConflict {
		t.Errorf("paid twice: %v", err)
	}
	c.owes(0)
	_, err = c.order(c.member, fleet.OnAccount{})
	c.must(err)
}

// What is credited once it is on a statement is on the next one, below zero.
func TestAStatementTakesBackWhatWasCredited(t *testing.T) {
	t.Parallel()
	c := newCompany(t)
	month := func() {
		t.Helper()
		c.clock.Advance(32 * 24 * time.Hour)
		c.must(c.terms.MakeStatements(t.Context()))
	}
	first, err := c.order(c.member, fleet.OnAccount{})
	c.must(err)
	c.end(first.ID, fleet.Cancelled, fleet.Pounds(60), nil)
	c.issued(first.ID)
	month()
	_, err = c.bookings.Change(t.Context(), first.ID, c.clock.Now(), func(tx *schema.BookingTx) error {
		tx.Fee = fleet.Pence(0)
		return tx.Note(schema.Event{Kind: fleet.EventFeeWaived})
	})
	c.must(err)
	c.issued(first.ID)
	c.owes(0)
	month() // nothing to pay: it waits
	second, err := c.order(c.member, fleet.OnAccount{})
	c.must(err)
	c.end(second.ID, fleet.Completed, fleet.Pounds(120), nil)
	c.issued(second.ID)
	month()
	list, err := schema.Statements{DB: c.db}.List(t.Context(), c.org.ID)
	if err != nil || len(list) != 2 || list[0].Total != fleet.Pounds(60) || list[1].Total != fleet.Pounds(60) {
		t.Errorf("%+v, %v", list, err)
	}
	c.owes(120_00)
}

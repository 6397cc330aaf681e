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
	"armora/schema/schematest"
	"armora/tariff"
)

// issueDay is when the tests' clock starts.
var issueDay = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// office is where papers are issued, on a database of its own.
type office struct {
	*testing.T
	db       *schema.DB
	clock    *fleet.ManualClock
	bookings schema.Bookings
	papers   schema.Invoices
	invoices *payment.Invoices
}

func newOffice(t *testing.T) *office {
	t.Helper()
	db, clock := schematest.Plain(t), fleet.NewManualClock(issueDay)
	return &office{
		T: t, db: db, clock: clock, bookings: schema.Bookings{DB: db}, papers: schema.Invoices{DB: db},
		invoices: payment.NewInvoices(payment.InvoicesConfig{
			DB: db, Seller: paper.Party{Name: "ARMORA Ltd"}, Seal: asItIs, Clock: clock, Log: slog.New(slog.DiscardHandler),
		}),
	}
}

// asItIs seals nothing, so that a test can read what was told.
func asItIs(plain []byte, _ string) []byte { return plain }

func (o *office) must(err error) {
	o.Helper()
	if err != nil {
		o.Fatal(err)
	}
}

func (o *office) principal() fleet.UserID { return o.person(fleet.RoleRider) }

func (o *office) person(roles ...fleet.Role) fleet.UserID {
	o.Helper()
	id := fleet.NewID[fleet.User]()
	o.must(schema.Users{DB: o.db}.Create(o.Context(), fleet.User{
		ID: id, Email: id.String() + "@example.com", EmailVerified: issueDay, Name: "Ada Vale", Roles: roles, Created: issueDay,
	}, ""))
	return id
}

// draft is a booking of two hours and four miles, at £120 with one officer.
func (o *office) draft(user fleet.UserID, team int) fleet.Booking {
	o.Helper()
	table := tariff.Default()
	b := fleet.Booking{ID: fleet.NewID[fleet.Booking](), User: user, Created: o.clock.Now(), Funded: o.clock.Now(),
		Order: fleet.Order{Start: o.clock.Now().Add(time.Hour), Zone: "Europe/London", LocalStart: "2026-03-01T13:00", Minutes: 120, Type: fleet.AtTheirSide,
			Tier: fleet.Essential, Level: fleet.LevelStandard, Pickup: fleet.Place{Lat: 51.5, Lon: -0.1}, Officers: team}}
	b.Metres = 6437
	price, err := table.Quote(tariff.Trip{Tier: b.Tier, Start: b.Start, Zone: b.Zone, Time: b.Booked(), Metres: b.Metres, Officers: team})
	o.must(err)
	b.Total, b.Tariff, b.Price = price.Total, raw(o, table), raw(o, price)
	return b
}

// book places a booking as drafted, of one officer unless it says otherwise.
func (o *office) book(user fleet.UserID, officers ...int) fleet.Booking {
	o.Helper()
	b := o.draft(user, append(officers, 1)[0])
	o.must(o.bookings.Place(o.Context(), &b, fleet.Actor{Kind: fleet.ByPrincipal, User: user}))
	return b
}

// jobs counts the jobs of a kind that wait.
func (o *office) jobs(kind string) (n int) {
	o.Helper()
	o.must(o.db.Pool().QueryRow(o.Context(), `SELECT count(*) FROM river_job WHERE kind = $1`, kind).Scan(&n))
	return n
}

func raw(o *office, v any) json.RawMessage {
	o.Helper()
	text, err := json.Marshal(v)
	o.must(err)
	return text
}

// end ends a booking, at a fee and with what its event says.
func (o *office) end(id fleet.BookingID, to fleet.BookingStatus, fee fleet.Money, data any) {
	o.Helper()
	_, err := o.bookings.Change(o.Context(), id, o.clock.Now(), func(c *schema.BookingTx) error {
		way := []fleet.BookingStatus{fleet.Assigned, fleet.EnRoute, fleet.Arrived}
		switch to {
		case fleet.Completed:
			way = append(way, fleet.InProgress)
		case fleet.Cancelled:
			way = nil
		}
		for _, s := range way {
			if err := c.Move(s, schema.Event{Kind: string(s)}); err != nil {
				return err
			}
		}
		c.Fee = fee
		return c.Move(to, schema.Event{Kind: string(to), Data: data})
	})
	o.must(err)
}

// issued settles a booking and returns its papers.
func (o *office) issued(id fleet.BookingID) (papers []schema.Caused, documents []paper.Paper) {
	o.Helper()
	o.must(o.invoices.Settle(o.Context(), id))
	papers, err := o.papers.OfBooking(o.Context(), id)
	o.must(err)
	documents = make([]paper.Paper, len(papers))
	for i, p := range papers {
		o.must(json.Unmarshal(p.Document, &documents[i]))
	}
	return papers, documents
}

func TestAnInvoiceIsOfWhatABookingHasCost(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	table := tariff.Default()
	longer, err := table.Quote(tariff.Trip{Tier: fleet.Essential, Start: issueDay, Zone: "Europe/London", Time: 3 * time.Hour, Metres: 6437, Officers: 1})
	o.must(err)
	fee := func(percent int, reason tariff.FeeReason) tariff.Fee {
		return tariff.Fee{Amount: fleet.Pence(120_00 * int64(percent) / 100), Percent: percent, Reason: reason}
	}
	for name, c := range map[string]struct {
		to    fleet.BookingStatus
		fee   fleet.Money
		data  any
		lines []string
	}{
		"completed":             {fleet.Completed, longer.Total, map[string]any{"price": longer}, []string{"Protection 3 h £150.00", "Mileage 4.0 miles £10.00", "Booking fee  £10.00"}},
		"completed, no price":   {fleet.Completed, fleet.Pounds(120), map[string]any{"price_as_quoted": true}, []string{"Protection 2 h £100.00", "Mileage 4.0 miles £10.00", "Booking fee  £10.00"}},
		"completed, other sum":  {fleet.Completed, fleet.Pounds(99), map[string]any{"price": longer}, []string{"Protection  £99.00"}},
		"cancelled":             {fleet.Cancelled, fleet.Pounds(60), map[string]any{"fee": fee(50, tariff.FeeByNotice)}, []string{"Cancellation fee 50% of £120.00 £60.00"}},
		"cancelled, no reason":  {fleet.Cancelled, fleet.Pounds(60), nil, []string{"Cancellation fee  £60.00"}},
		"nobody came":           {fleet.NoShow, fleet.Pounds(120), map[string]any{"fee": fee(100, tariff.FeeNoShow)}, []string{"Fee: the principal did not come 100% of £120.00 £120.00"}},
		"cancelled for nothing": {fleet.Cancelled, fleet.Pence(0), nil, nil},
		"unfulfilled":           {fleet.Unfulfilled, fleet.Pence(0), nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			b := o.book(o.principal())
			if papers, _ := o.issued(b.ID); len(papers) != 0 {
				t.Fatal("an invoice before the end")
			}
			if c.to == fleet.Unfulfilled {
				_, err := o.bookings.Change(t.Context(), b.ID, issueDay, func(tx *schema.BookingTx) error { return tx.Move(c.to, schema.Event{Kind: "unfulfilled"}) })
				o.must(err)
			} else {
				o.end(b.ID, c.to, c.fee, c.data)
			}
			papers, documents := o.issued(b.ID)
			if len(c.lines) == 0 {
				if len(papers) != 0 {
					t.Errorf("%+v", documents)
				}
				return
			}
			d := documents[0]
			var lines []string
			for _, l := range d.Lines {
				lines = append(lines, l.Text+" "+l.Detail+" "+l.Amount.String())
			}
			if strings.Join(lines, "; ") != strings.Join(c.lines, "; ") {
				t.Errorf("lines %q", lines)
			}
			if papers[0].Total != c.fee || d.Total != c.fee || papers[0].VAT != table.VATIn(c.fee) || d.Net.Amount+d.VAT.Amount != d.Total.Amount || d.Buyer.Name != "Ada Vale" {
				t.Errorf("%+v, %+v", papers[0], d)
			}
			if again, _ := o.issued(b.ID); len(again) != 1 {
				t.Errorf("%d papers at the second run", len(again))
			}
		})
	}
}

// Whoever is run twice at once issues one invoice, and tells of it once by each
// way.
func TestTwoAtOnceIssueOneInvoice(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	user := o.principal()
	b := o.book(user)
	o.end(b.ID, fleet.Completed, fleet.Pounds(120), nil)
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			if err := o.invoices.Settle(t.Context(), b.ID); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	papers, _ := o.issued(b.ID)
	if len(papers) != 1 || papers[0].Number != "ARM-2026-000001" {
		t.Fatalf("%d papers", len(papers))
	}
	notices, err := schema.Notices{DB: o.db}.List(t.Context(), fleet.UserID{}, fleet.NoticeID{}, 10)
	o.must(err)
	if len(notices) != 2 { // the inbox and the mail; there is no app to push to
		t.Fatalf("%d notices", len(notices))
	}
	for _, status := range notices {
		n, err := schema.Notices{DB: o.db}.Get(t.Context(), status.Notice.ID)
		o.must(err)
		var data map[string]string
		o.must(json.Unmarshal(n.Sealed, &data))
		name, file, err := o.invoices.Attached(t.Context(), &n, data)
		if err != nil || name != "ARM-2026-000001.pdf" || !strings.HasPrefix(string(file), "%PDF-") || data["total"] != "£120.00" {
			t.Errorf("%s with %q: %v, %v", n.Channel, name, data, err)
		}
		// Another's paper comes with nobody's mail.
		n.User = o.principal()
		if _, _, err := o.invoices.Attached(t.Context(), &n, data); fleet.CodeOf(err) != fleet.CodeNotFound {
			t.Errorf("attached to another's: %v", err)
		}
	}
}

func TestAWaiverIsCreditedOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	b := o.book(o.principal())
	o.end(b.ID, fleet.Cancelled, fleet.Pounds(60), nil)
	o.issued(b.ID)
	_, err := o.bookings.Change(t.Context(), b.ID, issueDay, func(c *schema.BookingTx) error {
		c.Fee = fleet.Pence(0)
		return c.Note(schema.Event{Kind: fleet.EventFeeWaived})
	})
	o.must(err)
	o.issued(b.ID)
	papers, documents := o.issued(b.ID)
	if len(papers) != 2 || papers[1].Kind != fleet.CreditNote || papers[1].Total != fleet.Pounds(60) || papers[1].VAT != papers[0].VAT ||
		documents[1].Corrects != papers[0].Number || documents[1].Number != "CRN-2026-000001" {
		t.Errorf("%+v", documents)
	}
}

// captured makes a payment of a booking that was captured.
func (o *office) captured(c *schema.BookingTx, amount int64) fleet.Payment {
	o.Helper()
	p := fleet.Payment{Purpose: fleet.ForInitial, Amount: fleet.Pence(amount)}
	o.must(c.AddPayment(&p))
	p.State, p.Captured, p.Stripe = fleet.PaymentCaptured, amount, "pi_"+p.ID.String()
	o.must(c.SetPayment(&p))
	return p
}

func TestARefundIsCreditedOnceItHasSucceeded(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	b := o.book(o.principal())
	o.end(b.ID, fleet.Completed, fleet.Pounds(120), nil)
	refund := func(pounds int64, excess bool, states ...fleet.RefundState) {
		t.Helper()
		_, err := o.bookings.Change(t.Context(), b.ID, issueDay, func(c *schema.BookingTx) error {
			p := o.captured(c, 12_000)
			r := fleet.Refund{Payment: p.ID, Amount: fleet.Pounds(pounds), State: fleet.RefundNew, Reason: "It was late.", Excess: excess}
			if err := c.AddRefund(&r); err != nil {
				return err
			}
			for _, r.State = range states {
				r.Stripe = "re_" + r.ID.String()
				if err := c.SetRefund(&r); err != nil {
					return err
				}
			}
			return nil
		})
		o.must(err)
	}
	refund(30, false, fleet.RefundPending)
	refund(30, false, fleet.RefundFailed)
	refund(30, true, fleet.RefundSucceeded)
	if papers, _ := o.issued(b.ID); len(papers) != 1 {
		t.Fatalf("%d papers", len(papers))
	}
	refund(30, false, fleet.RefundSucceeded)
	o.issued(b.ID)
	refund(100, false, fleet.RefundSucceeded) // more than is left of the invoice
	refund(5, false, fleet.RefundSucceeded)   // of which nothing is left
	papers, documents := o.issued(b.ID)
	if len(papers) != 3 || papers[1].Total != fleet.Pounds(30) || papers[1].VAT != fleet.Pounds(5) || papers[2].Total != fleet.Pounds(90) ||
		papers[1].VAT.Amount+papers[2].VAT.Amount != papers[0].VAT.Amount || documents[1].Reason != "It was late." {
		t.Errorf("%+v", documents)
	}
	// The change itself leaves the job: of a capture one, of a refund that succeeds another.
	before := o.jobs("invoice_booking")
	refund(1, false, fleet.RefundPending)
	pending := o.jobs("invoice_booking")
	refund(1, false, fleet.RefundPending, fleet.RefundSucceeded)
	if done := o.jobs("invoice_booking"); pending-before != 1 || done-pending != 2 {
		t.Errorf("%d jobs, then %d, then %d", before, pending, done)
	}
}

// The year of a number is that of London's calendar.
func TestNumbersBeginAnewEachYear(t *testing.T) {
	t.Parallel()
	o := newOffice(t)
	o.clock.Advance(time.Date(2026, 12, 31, 23, 59, 0, 0, time.UTC).Sub(issueDay))
	first := o.book(o.principal())
	o.end(first.ID, fleet.Completed, fleet.Pounds(120), nil)
	old, _ := o.issued(first.ID)
	o.clock.Advance(2 * time.Minute)
	second := o.book(o.principal())
	o.end(second.ID, fleet.Completed, fleet.Pounds(120), nil)
	young, documents := o.issued(second.ID)
	if old[0].Number != "ARM-2026-000001" || young[0].Number != "ARM-2027-000001" || documents[0].Issued != "2027-01-01" {
		t.Errorf("%s, then %s of %s", old[0].Number, young[0].Number, documents[0].Issued)
	}
}

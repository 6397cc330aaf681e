package payment

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"slices"

	"github.com/riverqueue/river"

	"armora/fleet"
	"armora/payment/paper"
	"armora/schema"
	"armora/tariff"
)

// InvoicesConfig is what Invoices needs. All is required.
type InvoicesConfig struct {
	DB     *schema.DB
	Seller paper.Party
	Seal   func(plain []byte, purpose string) []byte // what notices hold
	Clock  fleet.Clock
	Log    *slog.Logger
}

// The kinds of the notices that come with a paper.
const (
	InvoiceNotice   = "payment_invoice"
	CreditNotice    = "payment_credit"
	DebitNotice     = "payment_debit"
	ReceiptNotice   = "payment_receipt"
	StatementNotice = "payment_statement"
)

var noticeOf = map[fleet.InvoiceKind]string{
	fleet.PlainInvoice: InvoiceNotice, fleet.CreditNote: CreditNotice, fleet.DebitNote: DebitNotice, fleet.Receipt: ReceiptNotice,
	fleet.Statement: StatementNotice,
}

// numberKey is where the data of such a notice names the paper.
const numberKey = "number"

// Invoices issues the papers of bookings: one invoice for what a booking has cost,
// once it is over, and credit notes for what of it is taken back. It compares what
// should have been issued with what has been, and so may be run as often as one
// likes. It is safe for concurrent use.
type Invoices struct {
	river.WorkerDefaults[fleet.InvoiceBooking]
	teller
	store    schema.Invoices
	bookings schema.Bookings
	payments schema.Payments
	debts    schema.Debts

	organisations schema.Organisations
	users         schema.Users
	seller        paper.Party
	log           *slog.Logger
}

// NewInvoices returns the invoices of a hub.
func NewInvoices(cfg InvoicesConfig) *Invoices {
	return &Invoices{
		teller: teller{cfg.Seal, cfg.Clock}, store: schema.Invoices{DB: cfg.DB}, bookings: schema.Bookings{DB: cfg.DB},
		payments: schema.Payments{DB: cfg.DB}, debts: schema.Debts{DB: cfg.DB}, organisations: schema.Organisations{DB: cfg.DB}, users: schema.Users{DB: cfg.DB}, seller: cfg.Seller, log: cfg.Log,
	}
}

// AddWorkers adds the worker that issues papers.
func (i *Invoices) AddWorkers(workers *river.Workers) { river.AddWorker(workers, i) }

// Work implements river.Worker.
func (i *Invoices) Work(ctx context.Context, job *river.Job[fleet.InvoiceBooking]) error {
	err := i.Settle(ctx, job.Args.Booking)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return nil // retention took it
	}
	return err
}

// Settle issues what a booking lacks.
func (i *Invoices) Settle(ctx context.Context, id fleet.BookingID) error {
	b, err := i.bookings.Get(ctx, id)
	if err != nil || !b.Status.Ended() {
		return err
	}
	papers, err := i.store.OfBooking(ctx, id)
	if err == nil && len(papers) == 0 && b.Fee.Amount > 0 {
		if err = i.invoice(ctx, &b); err == nil {
			papers, err = i.store.OfBooking(ctx, id)
		}
	}
	if err != nil || len(papers) == 0 {
		return err
	}
	of := papers[0].Invoice // the first of a booking's is its invoice, and the others are about it
	due, err := i.credits(ctx, &b, &of)
	if err != nil {
		return err
	}
	for _, c := range due {
		// Read again: each credit note is of what those before have left.
		if papers, err = i.store.OfBooking(ctx, id); err != nil {
			return err
		}
		if err := i.credit(ctx, &of, papers, c); err != nil {
			return err
		}
	}
	return i.receipt(ctx, &b, &of, papers)
}

// credits are for what something of an invoice is to be taken back: the price was
// lowered since (ops let the principal off), or staff have refunded. Money that was
// taken beyond the price, and given back, was never invoiced. What was credited by a
// refund that has failed since is debited first.
func (i *Invoices) credits(ctx context.Context, b *fleet.Booking, of *fleet.Invoice) ([]credit, error) {
	var due []credit
	if lowered := of.Total.Amount - b.Fee.Amount; lowered > 0 {
		due = append(due, credit{cause: "waiver/" + b.ID.String(), amount: lowered, reason: "The fee was waived.", posted: posted})
	}
	refunds, err := i.payments.Refunds(ctx, b.ID)
	for n := 0; n < len(refunds) && err == nil; n++ {
		switch r := &refunds[n]; {
		case r.State == fleet.RefundSucceeded && !r.Excess:
			due = append(due, credit{cause: creditCause(r.ID), amount: r.Amount.Amount, reason: r.Reason, posted: posted})
		case r.State == fleet.RefundFailed:
			var papers []schema.Caused
			if papers, err = i.store.OfBooking(ctx, b.ID); err == nil {
				err = i.debit(ctx, of, papers, creditCause(r.ID), "refund_failed/"+r.ID.String(), posted)
			}
		}
	}
	return due, err
}

// invoice issues the invoice of a booking that is over, once it is known what of it
// was paid. A job that finds one issued meanwhile leaves it at that.
func (i *Invoices) invoice(ctx context.Context, b *fleet.Booking) error {
	paid, byCard, err := i.accountOf(ctx, b)
	if err != nil || byCard && paid.waits(b, i.clock.Now()) {
		return err
	}
	var table tariff.Table
	if err := json.Unmarshal(b.Tariff, &table); err != nil {
		return fmt.Errorf("the tariff of booking %s: %w", b.ID, err)
	}
	lines, err := i.lines(ctx, b, &table)
	if err != nil {
		return err
	}
	now := i.clock.Now()
	d := paper.Paper{
		Kind: fleet.PlainInvoice, Issued: paper.Date(now), Supplied: paper.Date(b.Ended), Seller: i.seller, Booking: b.ID, Lines: lines,
	}
	payer, err := i.address(ctx, b, &d)
	if err != nil {
		return err
	}
	d.Sum(&table)
	if byCard {
		d.Paid, d.PaidAmount = paid.says(d.Total), fleet.Money{Amount: paid.taken, Currency: d.Total.Currency}
	}
	invoice := fleet.Invoice{ID: fleet.NewID[fleet.Invoice](), Kind: d.Kind, User: b.User, Booking: b.ID, Payer: payer, Issued: now}
	return i.issue(ctx, "booking/"+b.ID.String(), invoice, d, posted)
}

// address says to whom an invoice is, and how it is paid; by which organisation, if
// by one.
func (i *Invoices) address(ctx context.Context, b *fleet.Booking, d *paper.Paper) (payer fleet.OrganisationID, err error) {
	account, on, err := i.organisations.OnAccount(ctx, b.ID)
	if err != nil {
		return payer, err
	}
	if on {
		o, err := i.organisations.Get(ctx, account.Organisation)
		d.Buyer, d.Paid = buyer(&o), "On account: it is on the statement of its month."
		d.PurchaseOrder, d.CostCentre = account.PurchaseOrder, account.CostCentre
		return o.ID, err
	}
	d.Paid = "On your account."
	d.Buyer, err = i.personal(ctx, b.User)
	return payer, err
}

// personal is a person as a buyer.
func (i *Invoices) personal(ctx context.Context, user fleet.UserID) (paper.Party, error) {
	u, err := i.users.Get(ctx, user)
	if u.Name == "" {
		u.Name = "The principal"
	}
	return paper.Party{Name: u.Name, Email: u.Email}, err
}

func buyer(o *fleet.Organisation) paper.Party {
	return paper.Party{Name: o.Name, Address: o.Address, VATNumber: o.VATNumber}
}

// posted is what the ledger says of a paper on an organisation's account: it owes
// what was sold. What is paid by card is posted where it is charged.
func posted(i fleet.Invoice) []fleet.Posting {
	if i.Payer.IsZero() {
		return nil
	}
	key, sign := "due/"+i.Booking.String()+"/account", int64(1)
	if i.Kind == fleet.CreditNote {
		key, sign = "credit/"+i.ID.String(), -1
	}
	entry := func(account fleet.Account, amount int64) fleet.Entry {
		return fleet.Entry{Account: account, Amount: fleet.Money{Amount: sign * amount, Currency: i.Total.Currency}}
	}
	return []fleet.Posting{{Key: key, At: i.Issued, Booking: i.Booking, Entries: []fleet.Entry{
		entry(fleet.OrganisationAccount(i.Payer), i.Total.Amount),
		entry(fleet.AccountRevenue, i.VAT.Amount-i.Total.Amount), entry(fleet.AccountVAT, -i.VAT.Amount),
	}}}
}

// lines are what a booking has cost in the end, item by item, by the event of its
// end. What does not sum to that is one line: an invoice is never about another
// amount than is charged.
func (i *Invoices) lines(ctx context.Context, b *fleet.Booking, table *tariff.Table) ([]paper.Item, error) {
	end, err := i.bookings.Ended(ctx, b.ID)
	if err != nil {
		return nil, err
	}
	var said struct {
		Price *tariff.Price `json:"price"`
		Fee   *tariff.Fee   `json:"fee"`
	}
	if len(end.Data) > 0 {
		if err := json.Unmarshal(end.Data, &said); err != nil {
			i.log.Warn("the end of a booking cannot be read, its invoice has one line", "booking", b.ID, "error", err)
		}
	}
	if b.Status != fleet.Completed {
		if said.Fee != nil && said.Fee.Amount == b.Fee {
			return []paper.Item{paper.FeeLine(*said.Fee, b.Total)}, nil
		}
		return []paper.Item{{Text: "Cancellation fee", Amount: b.Fee}}, nil
	}
	price := said.Price
	if price == nil { // the final one could not be worked out
		price = new(tariff.Price)
		if err := json.Unmarshal(b.Price, price); err != nil {
			price = nil
		}
	}
	if price == nil || price.Total != b.Fee {
		return []paper.Item{{Text: "Protection", Amount: b.Fee}}, nil
	}
	return paper.PriceLines(*price, table), nil
}

// credit is what of an invoice is to be taken back.
type credit struct {
	cause, reason string
	amount        int64
	posted        func(fleet.Invoice) []fleet.Posting
}

// credit issues a credit note, of what is left of the invoice at most: what has
// been credited already, by whatever cause, is not credited twice.
func (i *Invoices) credit(ctx context.Context, of *fleet.Invoice, papers []schema.Caused, c credit) error {
	if slices.ContainsFunc(papers, func(p schema.Caused) bool { return p.Cause == c.cause }) {
		return nil
	}
	left, leftVAT := left(of, papers)
	amount := fleet.Money{Amount: min(c.amount, left), Currency: of.Total.Currency}
	if amount.Amount <= 0 {
		return nil
	}
	var was paper.Paper
	if err := json.Unmarshal(of.Document, &was); err != nil {
		return fmt.Errorf("invoice %s: %w", of.Number, err)
	}
	d := i.about(of, &was, fleet.CreditNote, c.reason)
	d.Lines, d.Total = []paper.Item{{Text: "Credit for invoice " + of.Number, Amount: amount}}, amount
	d.SetVAT(vatUntil(left-amount.Amount, leftVAT, of.Total.Currency, was.VATPercent), was.VATPercent)
	return i.issueAbout(ctx, c.cause, of, d, c.posted)
}

// issue issues a document under the next number of its series, with what the ledger
// says of it, and tells its reader.
func (i *Invoices) issue(ctx context.Context, cause string, as fleet.Invoice, d paper.Paper, posted func(fleet.Invoice) []fleet.Posting) error {
	as.Total, as.VAT = d.Total, d.VAT
	kind, told := noticeOf[d.Kind], map[string]string{"total": d.Total.String()}
	if d.Corrects != "" {
		told["corrects"] = d.Corrects
	}
	_, err := i.store.Issue(ctx, schema.Paper{
		Series: d.Kind.Series(paper.Year(as.Issued)), Cause: cause,
		Write: func(number string) (fleet.Invoice, error) {
			d.Number, as.Number = number, number
			var err error
			as.Document, err = json.Marshal(d)
			return as, err
		},
		Posted: posted,
		Told: func(to fleet.User) ([]fleet.Notice, error) {
			told[numberKey] = d.Number
			return i.telling(kind, told)(to)
		},
	})
	return err
}

// Attached is the paper of a notice, as a file: what cmd has notify attach to mail.
func (i *Invoices) Attached(ctx context.Context, n *fleet.Notice, data map[string]string) (name string, content []byte, err error) {
	if !slices.Contains(slices.Collect(maps.Values(noticeOf)), n.Kind) {
		return "", nil, nil
	}
	issued, err := i.store.Number(ctx, schema.InvoiceReader{User: n.User}, data[numberKey])
	if err != nil {
		return "", nil, err
	}
	return PDF(&issued)
}

// PDF writes a paper as a file.
func PDF(i *fleet.Invoice) (name string, content []byte, err error) {
	var d paper.Paper
	if err := json.Unmarshal(i.Document, &d); err != nil {
		return "", nil, fmt.Errorf("paper %s: %w", i.Number, err)
	}
	content, err = d.PDF()
	return i.Number + ".pdf", content, err
}

package payment

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"
	"github.com/stripe/stripe-go/v76"

	"armora/fleet"
	"armora/schema"
)

const (
	booksEvery   = time.Hour
	booksOverlap = 24 * time.Hour      // that is read again each time: lines may appear behind others
	booksSince   = 35 * 24 * time.Hour // what is compared: a month and its refunds
	booksGrace   = time.Hour           // before what we have posted has to be in Stripe's book
	booksLimit   = 100                 // differences that are seen to, or shown, at a time
	eventsKept   = 30 * 24 * time.Hour
)

// Books compare the ledger with Stripe's own book about our balance, line by line.
// What the hub has missed is made good, since each line says where to look; what is
// left is for ops. They are safe for concurrent use.
type Books struct {
	*Cashier
	book   schema.StripeBook
	ledger schema.Ledger
	alerts schema.Alerts
	papers *Invoices
	differ prometheus.Gauge
}

// NewBooks returns books of a cashier, and the papers of what is first seen in Stripe's;
// metrics may be nil.
func NewBooks(c *Cashier, papers *Invoices, metrics prometheus.Registerer) (*Books, error) {
	b := &Books{
		Cashier: c, book: schema.StripeBook{DB: c.cfg.DB}, ledger: schema.Ledger{DB: c.cfg.DB}, alerts: schema.Alerts{DB: c.cfg.DB}, papers: papers,
		differ: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "armora_stripe_differences", Help: "Where the ledger and Stripe's book did not agree when they were last compared.",
		}),
	}
	if metrics == nil {
		return b, nil
	}
	return b, metrics.Register(b.differ)
}

// Reconcile reads what is new in Stripe's book, makes good what the hub has missed,
// and tells ops of what does not agree.
func (b *Books) Reconcile(ctx context.Context) error {
	if err := b.read(ctx); err != nil {
		return err
	}
	r, err := b.Report(ctx)
	if err != nil {
		return err
	}
	for i := range r.Differences {
		if err := b.mend(ctx, &r.Differences[i]); err != nil {
			return err
		}
	}
	if err := b.book.Match(ctx); err != nil {
		return err
	}
	if r, err = b.Report(ctx); err != nil {
		return err
	}
	b.differ.Set(float64(len(r.Differences)))
	if err := b.tellOps(ctx, &r); err != nil {
		return err
	}
	return schema.StripeEvents{DB: b.cfg.DB}.Prune(ctx, b.cfg.Clock.Now().Add(-eventsKept))
}

// Report is how the ledger and Stripe's book stand, as far as that was read.
func (b *Books) Report(ctx context.Context) (fleet.Reconciliation, error) {
	now := b.cfg.Clock.Now()
	return b.book.Compare(ctx, now.Add(-booksSince), now.Add(-booksGrace), fleet.GBP, booksLimit)
}

// corrections are the accounts to which a correction of the ledger may be posted.
var corrections = []fleet.Account{fleet.AccountFees, fleet.AccountBank, fleet.AccountDisputes, fleet.AccountWrittenOff}

// Know keeps why there is a difference, so that it is not reported again: as long as it
// is of that amount. With an account, the ledger is made to say what Stripe does, by a
// posting to it. More than who says so may refund takes a second person, if there is
// one, who says the same.
func (b *Books) Know(ctx context.Context, by Staff, line, reason string, account fleet.Account) (k fleet.KnownDifference, err error) {
	if account != "" && !slices.Contains(corrections, account) {
		return k, &fleet.Error{Code: fleet.CodeInvalid, Message: "nothing is corrected by that account"}
	}
	r, err := b.Report(ctx)
	if err != nil {
		return k, err
	}
	i := slices.IndexFunc(r.Differences, func(d fleet.Difference) bool { return d.Line() == line })
	if i < 0 {
		return k, &fleet.Error{Code: fleet.CodeNotFound, Message: "no such difference"}
	}
	d := &r.Differences[i]
	now := b.cfg.Clock.Now()
	k = fleet.KnownDifference{
		Line: line, Amount: fleet.Money{Amount: d.Stripe.Amount - d.Ledger.Amount, Currency: d.Stripe.Currency},
		Reason: reason, Account: account, SaidBy: by.User, Said: now,
	}
	second, err := schema.Approvals{DB: b.cfg.DB}.Needed(ctx, by.User, fleet.ApproveRefund.Deciders())
	if err != nil {
		return k, err
	}
	if !second || max(k.Amount.Amount, -k.Amount.Amount) <= by.limit() {
		k.AgreedBy, k.Agreed = by.User, now
	}
	return k, b.book.Know(ctx, &k)
}

// read stores the lines that Stripe has added since the last time.
func (b *Books) read(ctx context.Context) error {
	now := b.cfg.Clock.Now()
	newest, err := b.book.Newest(ctx)
	if err != nil {
		return err
	}
	params := &stripe.BalanceTransactionListParams{}
	params.Context, params.Limit = ctx, stripe.Int64(100)
	if !newest.IsZero() {
		params.CreatedRange = &stripe.RangeQueryParams{GreaterThanOrEqual: newest.Add(-booksOverlap).Unix()}
	}
	var lines []fleet.StripeTransaction
	var own []fleet.Posting
	list := b.stripe.BalanceTransactions.List(params)
	for list.Next() {
		l := lineOf(list.BalanceTransaction())
		if p, ok := bookedHere(&l); ok {
			own = append(own, p)
		}
		lines = append(lines, l)
	}
	a := reduce(list.Err())
	if err := a.failure(); err != nil {
		return err
	}
	// The newest first is how they come; stored the oldest first, an end halfway is
	// gone on from.
	for i, j := 0, len(lines)-1; i < j; i, j = i+1, j-1 {
		lines[i], lines[j] = lines[j], lines[i]
	}
	if err := b.ledger.Post(ctx, own...); err != nil {
		return err
	}
	if err := b.book.Add(ctx, lines); err != nil {
		return err
	}
	if err := b.book.Match(ctx); err != nil {
		return err
	}
	return b.book.Read(ctx, now)
}

// lineOf is a line of Stripe's book, with the key of the posting that tells of it
// where the line itself says which that is.
func lineOf(t *stripe.BalanceTransaction) fleet.StripeTransaction {
	l := fleet.StripeTransaction{
		ID: t.ID, Type: string(t.Type), Amount: fleet.Money{Amount: t.Amount, Currency: currencyOf(t.Currency)}, Fee: t.Fee,
		Created: time.Unix(t.Created, 0).UTC(),
	}
	if t.Source != nil {
		l.Source = t.Source.ID
	}
	switch {
	case l.Type == "transfer":
		l.Key = transferKey(l.Source)
	case l.Type == "transfer_refund":
		l.Key = transferBackKey(l.Source)
	case strings.HasPrefix(l.Source, "dp_"), strings.HasPrefix(l.Source, "du_"):
		l.Key = disputeKey(l.ID)
	case l.Type == "payout", l.Type == "payout_cancel", l.Type == "payout_failure", l.Type == "stripe_fee", l.Type == "topup":
		l.Key = "line/" + l.ID
	}
	return l
}

// bookedHere is the posting of a line that nothing else tells of: what goes to the
// bank and comes from there, and what Stripe charges besides.
func bookedHere(l *fleet.StripeTransaction) (fleet.Posting, bool) {
	if l.Key != "line/"+l.ID {
		return fleet.Posting{}, false
	}
	other := fleet.AccountBank
	if l.Type == "stripe_fee" {
		other = fleet.AccountFees
	}
	return fleet.Post(l.Key, l.Created, fleet.Money{Amount: l.Net(), Currency: l.Amount.Currency}, other, fleet.AccountStripe), true
}

// mend looks anew at what a line is about, of which the ledger says something else:
// the webhook may have been lost, or may still be on its way.
func (b *Books) mend(ctx context.Context, d *fleet.Difference) error {
	prefix, _, _ := strings.Cut(d.Source, "_")
	switch prefix {
	case "ch", "py":
		return b.mendCharge(ctx, d.Source)
	case "re", "pyr":
		if err := b.SeeRefund(ctx, d.Source); err != nil {
			return err
		}
		return b.creditDues(ctx, d.Source)
	case "dp", "du":
		return b.SeeDispute(ctx, d.Source)
	case "tr":
		return b.SeeTransfer(ctx, d.Source)
	}
	return nil
}

// mendCharge looks at the intent of a charge, which the hub may know without it, or
// books what it is for if it is a member's.
func (b *Books) mendCharge(ctx context.Context, charge string) error {
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.ChargeParams{}
	params.Context = asking
	params.AddExpand("balance_transaction")
	from, err := b.stripe.Charges.Get(charge, params)
	a := reduce(err)
	if err := a.failure(); err != nil {
		return ifNotOurs(err)
	}
	if from.Invoice != nil {
		return b.bookDues(ctx, from)
	}
	if from.PaymentIntent == nil {
		return nil
	}
	return b.SeeIntent(ctx, from.PaymentIntent.ID)
}

// tellOps raises the alert that the books differ, or closes it.
func (b *Books) tellOps(ctx context.Context, r *fleet.Reconciliation) error {
	now := b.cfg.Clock.Now()
	if len(r.Differences) == 0 {
		return b.alerts.Settle(ctx, fleet.AlertBooks, fleet.BookingID{}, fleet.DriverID{}, "the books agree", now)
	}
	b.log.Warn("the ledger and Stripe's book differ", "differences", len(r.Differences), "stripe", r.Stripe, "ledger", r.Ledger)
	data, err := json.Marshal(map[string]any{"differences": len(r.Differences), "stripe": r.Stripe.Amount, "ledger": r.Ledger.Amount})
	if err != nil {
		return err
	}
	return b.alerts.Raise(ctx, fleet.Alert{ID: fleet.NewID[fleet.Alert](), Kind: fleet.AlertBooks, Data: data, Raised: now})
}

// reconcileBooks is the job of comparing the books.
type reconcileBooks struct{}

// Kind names the job.
func (reconcileBooks) Kind() string { return "reconcile_books" }

// Reconciling has the books compared every hour, on one of the hubs that share a
// database.
func Reconciling() *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(booksEvery), func() (river.JobArgs, *river.InsertOpts) {
		return reconcileBooks{}, &river.InsertOpts{MaxAttempts: 3}
	}, &river.PeriodicJobOpts{RunOnStart: true})
}

// AddWorkers adds the worker of the books. That of nil books does nothing.
func (b *Books) AddWorkers(workers *river.Workers) {
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, _ *river.Job[reconcileBooks]) error {
		if b == nil {
			return nil
		}
		return b.again(b.Reconcile(ctx))
	}))
}

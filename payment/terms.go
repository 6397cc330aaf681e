package payment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"armora/fleet"
	"armora/payment/paper"
	"armora/schema"
)

// Terms look after the organisations that pay by invoice: who they are, what waits
// for their approvers, what they owe month by month, and what is overdue. It is safe
// for concurrent use.
type Terms struct {
	teller
	organisations schema.Organisations
	statements    schema.Statements
	bookings      schema.Bookings
	seller        paper.Party
	log           *slog.Logger
}

// NewTerms returns the terms of a hub.
func NewTerms(cfg InvoicesConfig) *Terms {
	return &Terms{
		teller: teller{cfg.Seal, cfg.Clock}, organisations: schema.Organisations{DB: cfg.DB}, statements: schema.Statements{DB: cfg.DB},
		bookings: schema.Bookings{DB: cfg.DB}, seller: cfg.Seller, log: cfg.Log,
	}
}

// vatNumbers are the forms of a VAT number: the United Kingdom's (a company's, a
// branch's, a government's or health authority's), and those of the European Union.
var vatNumbers = regexp.MustCompile(`^(GB(\d{9}|\d{12}|GD[0-4]\d{2}|HA[5-9]\d{2})|XI\d{9}|(AT|BE|BG|CY|CZ|DE|DK|EE|EL|ES|FI|FR|HR|HU|IE|IT|LT|LU|LV|MT|NL|PL|PT|RO|SE|SI|SK)[0-9A-Z+*]{2,12})$`)

// VATNumber returns a VAT number as it is written down: without spaces, dots and
// hyphens. One that has not the form of any is CodeInvalid.
func VATNumber(text string) (string, error) {
	number := strings.ToUpper(strings.NewReplacer(" ", "", ".", "", "-", "").Replace(text))
	if !vatNumbers.MatchString(number) {
		return "", &fleet.Error{Code: fleet.CodeInvalid, Message: "this is no VAT number",
			Flaws: []fleet.Flaw{{Location: "vat_number", Message: "looks like GB123456789"}}}
	}
	return number, nil
}

// Add adds an organisation.
func (t *Terms) Add(ctx context.Context, o fleet.Organisation) (_ fleet.Organisation, err error) {
	if o.VATNumber, err = VATNumber(o.VATNumber); err != nil {
		return o, err
	}
	o.ID, o.Created = fleet.NewID[fleet.Organisation](), t.clock.Now()
	return o, t.organisations.Add(ctx, &o)
}

// Set changes an organisation, of a version; 0 for any.
func (t *Terms) Set(ctx context.Context, o fleet.Organisation, version int64) (_ fleet.Organisation, err error) {
	if o.VATNumber, err = VATNumber(o.VATNumber); err != nil {
		return o, err
	}
	if err := t.organisations.Set(ctx, &o, version); err != nil {
		return o, err
	}
	return t.organisations.Get(ctx, o.ID)
}

// SetMember makes somebody a member of an organisation, or changes their role.
func (t *Terms) SetMember(ctx context.Context, m fleet.Member) error {
	m.Added = t.clock.Now()
	return t.organisations.SetMember(ctx, m)
}

// Decide approves or refuses a booking that waits for an approver, as it was seen in a
// version; 0 for any. One that is refused is cancelled, and costs nothing.
func (t *Terms) Decide(ctx context.Context, approver fleet.UserID, id fleet.BookingID, version int64, approve bool, reason string) (fleet.Booking, error) {
	return t.bookings.ChangeAsApprover(ctx, approver, id, t.clock.Now(), func(c *schema.BookingTx) error {
		if version != 0 && version != c.Version {
			return &fleet.Error{Code: fleet.CodeVersionMismatch, Message: "the assignment has changed since you read it: read it again"}
		}
		if approve {
			return c.Approve(approver)
		}
		if c.Status != fleet.Scheduled || !c.Funded.IsZero() {
			return &fleet.Error{Code: fleet.CodeConflict, Message: "this assignment does not wait for approval"}
		}
		c.EndedBy, c.EndReason = fleet.BySystem, "not approved: "+reason
		return c.Move(fleet.Cancelled, schema.Event{Kind: "cancelled", Data: map[string]string{"reason": c.EndReason}})
	})
}

// AddWorkers adds those who do the jobs of accounts.
func (t *Terms) AddWorkers(to *river.Workers) {
	river.AddWorker(to, river.WorkFunc(func(ctx context.Context, job *river.Job[fleet.AskApproval]) error {
		return gone(t.ask(ctx, job.Args.Booking))
	}))
	river.AddWorker(to, river.WorkFunc(func(ctx context.Context, job *river.Job[fleet.LapseApproval]) error {
		return gone(t.Lapse(ctx, job.Args.Booking))
	}))
	river.AddWorker(to, river.WorkFunc(func(ctx context.Context, _ *river.Job[fleet.MakeStatements]) error {
		return t.MakeStatements(ctx)
	}))
}

// gone is nil for what is there no more.
func gone(err error) error {
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return nil
	}
	return err
}

// ask tells the approvers of a booking that waits for them.
func (t *Terms) ask(ctx context.Context, id fleet.BookingID) error {
	b, err := t.bookings.Get(ctx, id)
	if err != nil {
		return err
	}
	a, on, err := t.organisations.OnAccount(ctx, id)
	if err != nil || !on || b.Status != fleet.Scheduled || !b.Funded.IsZero() {
		return err
	}
	return t.organisations.TellApprovers(ctx, a.Organisation, t.telling("payment_approval", map[string]string{
		"total": b.Total.String(), "order": a.PurchaseOrder, "start": b.Start.UTC().Format(time.RFC3339),
	}))
}

// Lapse ends a booking that nobody has approved in time. It costs nothing. One that
// was put off meanwhile, or asked for again, has its time.
func (t *Terms) Lapse(ctx context.Context, id fleet.BookingID) error {
	_, err := t.bookings.Change(ctx, id, t.clock.Now(), func(c *schema.BookingTx) error {
		switch {
		case c.Status != fleet.Scheduled || !c.Funded.IsZero():
			return nil
		case c.Now.Before(c.Lapses()):
			return c.Enqueue(t.bookings.DB, fleet.LapseApproval{Booking: c.ID}, c.Lapses())
		}
		c.EndedBy, c.EndReason = fleet.BySystem, "not approved in time"
		return c.Move(fleet.Cancelled, schema.Event{Kind: "cancelled", Data: map[string]string{"reason": c.EndReason}})
	})
	return err
}

// statementsEvery is how often statements are looked at.
const statementsEvery = 6 * time.Hour

// MakingStatements makes the job of looking at statements.
func MakingStatements() *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(statementsEvery), func() (river.JobArgs, *river.InsertOpts) {
		return fleet.MakeStatements{}, &river.InsertOpts{UniqueOpts: river.UniqueOpts{ByPeriod: statementsEvery}}
	}, &river.PeriodicJobOpts{RunOnStart: true})
}

// MakeStatements issues the statements of the month that is over in London, of
// whatever is on none yet, and reminds of those that are overdue.
func (t *Terms) MakeStatements(ctx context.Context) error {
	local := t.clock.Now().In(paper.London)
	thisMonth := time.Date(local.Year(), local.Month(), 1, 0, 0, 0, 0, paper.London)
	owing, err := t.statements.Unstated(ctx, thisMonth)
	if err != nil {
		return err
	}
	var failed error // what fails for one is no other's trouble
	for _, id := range owing {
		if err := t.state(ctx, id, thisMonth); err != nil {
			failed = errors.Join(failed, fmt.Errorf("statement of %s: %w", id, err))
		}
	}
	return errors.Join(failed, t.remind(ctx, local))
}

// state issues an organisation's statement of the month before.
func (t *Terms) state(ctx context.Context, id fleet.OrganisationID, before time.Time) error {
	o, err := t.organisations.Get(ctx, id)
	if err != nil {
		return err
	}
	now, month := t.clock.Now(), before.AddDate(0, -1, 0)
	due := now.In(paper.London).AddDate(0, 0, o.TermsDays)
	s := fleet.StatementOf{Organisation: id, Month: month, Due: due, Total: fleet.Money{Currency: o.Credit.Currency}}
	data := map[string]string{"month": month.Format("January 2006"), "due": due.Format(time.RFC3339)}
	_, err = t.statements.Issue(ctx, s, before, schema.Paper{
		Series: fleet.Statement.Series(paper.Year(now)), Cause: "statement/" + id.String() + "/" + month.Format("2006-01"),
		Told: func(to fleet.User) ([]fleet.Notice, error) { return t.telling(StatementNotice, data)(to) },
	}, func(number string, lines []schema.Stated) (fleet.Invoice, error) {
		d := paper.Paper{
			Kind: fleet.Statement, Number: number, Issued: paper.Date(now), Due: paper.Date(due), Seller: t.seller, Buyer: buyer(&o),
			Total: fleet.Money{Currency: o.Credit.Currency}, Reason: month.Format("January 2006"),
		}
		for _, l := range lines {
			item := paper.Item{Text: "Invoice " + l.Invoice, Detail: l.Ended.In(paper.London).Format("2 January 2006"), Amount: fleet.Money{Amount: l.Amount, Currency: d.Total.Currency}}
			for _, more := range []string{l.PurchaseOrder, l.CostCentre} {
				if more != "" {
					item.Detail += ", " + more
				}
			}
			d.Lines, d.Total = append(d.Lines, item), d.Total.Plus(item.Amount)
		}
		data[numberKey], data["total"] = number, d.Total.String()
		document, err := json.Marshal(d)
		return fleet.Invoice{
			ID: fleet.NewID[fleet.Invoice](), Number: number, Kind: d.Kind, Payer: id, Issued: now, Total: d.Total,
			VAT: fleet.Money{Currency: d.Total.Currency}, Document: document,
		}, err
	})
	return err
}

// dunning is on which days of being overdue a reminder of a statement is sent. With the last one
// nothing new is booked on the account, and the staff are told.
var dunning = []int{1, 7, 14}

// remind sends the reminders that are due, each once.
func (t *Terms) remind(ctx context.Context, local time.Time) error {
	for n := len(dunning); n > 0; n-- { // the last that is due speaks for those before it
		late, err := t.statements.Overdue(ctx, local.AddDate(0, 0, 1-dunning[n-1]), n)
		if err != nil {
			return err
		}
		for i := range late {
			s := &late[i]
			o, err := t.organisations.Get(ctx, s.Organisation)
			if err != nil {
				return err
			}
			data := map[string]string{"number": s.Number, "total": s.Total.String(), "due": s.Due.Format(time.RFC3339), "organisation": o.Name}
			last := n == len(dunning)
			if last {
				t.log.Warn("an organisation has not paid a statement, and books nothing new", "organisation", o.ID, "statement", s.Number)
			}
			err = t.statements.Remind(ctx, s, n, last, t.clock.Now(), t.telling("payment_overdue", data), t.telling("payment_blocked", data))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// Paid keeps that a statement was paid.
func (t *Terms) Paid(ctx context.Context, id fleet.InvoiceID, by fleet.UserID, reference string) (fleet.StatementOf, error) {
	return t.statements.Pay(ctx, id, by, reference, t.clock.Now())
}

package api

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/account"
	"armora/fleet"
	"armora/payment/paper"
	"armora/schema"
	"armora/tariff"
)

// Earning is something that an officer is owed.
type Earning struct {
	ID        fleet.EarningID   `json:"id" format:"uuid"`
	BookingID fleet.BookingID   `json:"booking_id" format:"uuid"`
	Kind      fleet.EarningKind `json:"kind" enum:"work,fee" doc:"Protection, or a share of the fee of what was cancelled"`
	PaidBy    fleet.Payout      `json:"paid_by" enum:"payroll,transfer" doc:"Decided when it was written down"`
	Paid      bool              `json:"paid" doc:"By transfer: Stripe has passed on all that is to be of the assignment. What payroll has paid, payroll knows"`
	Amount    fleet.Money       `json:"amount" doc:"Below zero: owed less than was written down before"`
	Minutes   int               `json:"minutes,omitempty" doc:"Of work that was billed"`
	Rates     tariff.PayRates   `json:"rates" doc:"By which it was worked out: those of when the officer accepted"`
	EarnedAt  time.Time         `json:"earned_at" doc:"When it was written down, which says the period that it is of"`
}

// EarningsPage is a page of earnings, with the sum of all of the period.
type EarningsPage struct {
	From  time.Time   `json:"from"`
	To    time.Time   `json:"to"`
	Total fleet.Money `json:"total"`
	Items []Earning   `json:"items"`
	Next  string      `json:"next_cursor,omitempty" doc:"Gives the next page; absent on the last"`
}

// PeriodQuery is a period of money.
type PeriodQuery struct {
	From time.Time `query:"from" doc:"From then on, RFC 3339; absent: since the first of this month in London"`
	To   time.Time `query:"to" doc:"Before this time; absent: now"`
}

// period completes a period.
func (q *PeriodQuery) period(now time.Time) (from, to time.Time, err error) {
	from, to = q.From, q.To
	if to.IsZero() {
		to = now.Add(time.Second)
	}
	if from.IsZero() {
		local := to.In(paper.London)
		from = time.Date(local.Year(), local.Month(), 1, 0, 0, 0, 0, paper.London)
	}
	if !from.Before(to) {
		err = outOfRange("from is not before to")
	}
	return from, to, err
}

type payRatesOutput struct {
	ETag string `header:"ETag"`
	Body tariff.PayRates
}

type putPayRatesInput struct {
	IfMatch
	Body tariff.Pay
}

type listEarningsInput struct {
	PageQuery
	PeriodQuery
}

type earningsOutput struct{ Body EarningsPage }

func (s *Server) addEarnings() {
	tags := []string{"earnings"}
	finance := only(fleet.RoleFinance, fleet.RoleAdmin)
	route(s, only(fleet.RoleDriver, fleet.RoleDispatcher, fleet.RoleFinance, fleet.RoleAdmin), huma.Operation{
		OperationID: "get-pay-rates", Method: http.MethodGet, Path: "/api/pay-rates",
		Summary: "What officers who accept now get of what is charged", Tags: tags,
	}, s.getPayRates)
	route(s, finance.afresh(), huma.Operation{
		OperationID: "put-pay-rates", Method: http.MethodPut, Path: "/api/pay-rates",
		Summary: "Set what officers get of what is charged, for whoever accepts from now on", Tags: tags,
	}, s.putPayRates)
	route(s, only(fleet.RoleDriver), huma.Operation{
		OperationID: "list-own-earnings", Method: http.MethodGet, Path: "/api/drivers/me/earnings",
		Summary: "What you have earned in a period, the newest first, and its sum", Tags: tags,
	}, s.listOwnEarnings)
	route(s, finance.afresh(), huma.Operation{
		OperationID: "export-earnings", Method: http.MethodGet, Path: "/api/earnings/export",
		Summary:     "What all officers have earned in a period and are paid by payroll, as CSV in one stream",
		Description: "What a past period holds never changes: what turns out to be less is a line of the period in which it does. A stream that fails midway ends without its last chunk.",
		Tags:        tags, Responses: map[string]*huma.Response{"200": {Description: "The lines", Content: map[string]*huma.MediaType{"text/csv": {}}}},
	}, s.exportEarnings)
}

func (s *Server) getPayRates(ctx context.Context, _ *struct{}) (*payRatesOutput, error) {
	r, err := s.cfg.Earnings.Rates(ctx)
	return &payRatesOutput{ETag: etag(int64(r.Version)), Body: r}, err
}

func (s *Server) putPayRates(ctx context.Context, in *putPayRatesInput) (*payRatesOutput, error) {
	version, err := in.wanted()
	if err != nil {
		return nil, err
	}
	r, err := s.cfg.Earnings.SetRates(ctx, callerOf(ctx).User, version, tariff.PayRates{Pay: in.Body})
	return &payRatesOutput{ETag: etag(int64(r.Version)), Body: r}, err
}

func showEarning(e schema.OwnEarning) (Earning, error) {
	shown := Earning{ID: e.ID, BookingID: e.Booking, Kind: e.Kind, PaidBy: e.Payout, Paid: e.Transferred, Amount: e.Amount, Minutes: e.Minutes, EarnedAt: e.Earned}
	return shown, json.Unmarshal(e.Rates, &shown.Rates)
}

func (s *Server) listOwnEarnings(ctx context.Context, in *listEarningsInput) (*earningsOutput, error) {
	from, to, err := in.period(s.clock.Now())
	if err != nil {
		return nil, err
	}
	q := schema.EarningQuery{From: from, To: to, Limit: in.Limit + 1}
	if err := readCursor(in.Cursor, &q.Before); err != nil {
		return nil, err
	}
	user := callerOf(ctx).User
	rows, err := s.tables.earnings.Own(ctx, user, q)
	if err != nil {
		return nil, err
	}
	total, err := s.tables.earnings.OwnTotal(ctx, user, q, fleet.GBP)
	if err != nil {
		return nil, err
	}
	shown := make([]Earning, len(rows))
	for i, row := range rows {
		if shown[i], err = showEarning(row); err != nil {
			return nil, err
		}
	}
	list, err := newPage(shown, in.Limit, func(e Earning) Earning { return e }, func(e Earning) any { return e.ID })
	if err != nil {
		return nil, err
	}
	return &earningsOutput{Body: EarningsPage{From: from.UTC(), To: to.UTC(), Total: total, Items: list.Body.Items, Next: list.Body.Next}}, nil
}

// payrollHead names the columns of the export. Amounts are in the smallest unit.
var payrollHead = []string{"officer_id", "officer", "earning_id", "booking_id", "kind", "minutes", "amount", "currency", "rates_version", "earned_at"}

func (s *Server) exportEarnings(ctx context.Context, in *PeriodQuery) (*huma.StreamResponse, error) {
	from, to, err := in.period(s.clock.Now())
	if err != nil {
		return nil, err
	}
	if err := s.audited(ctx, "read_payroll", "payroll", nil, timeRange{from.UTC(), to.UTC()}); err != nil {
		return nil, err
	}
	name := "payroll-" + paper.Date(from) + ".csv"
	return s.stream("text/csv; charset=utf-8; header=present", name, func(ctx context.Context, w io.Writer) error {
		out := csv.NewWriter(w)
		if err := out.Write(payrollHead); err != nil {
			return err
		}
		err := s.tables.earnings.Payroll(ctx, from, to, func(l schema.PayrollLine) error {
			var rates tariff.PayRates
			if err := json.Unmarshal(l.Rates, &rates); err != nil {
				return err
			}
			return out.Write([]string{
				l.Driver.String(), account.Unformulated(l.Name), l.ID.String(), l.Booking.String(), string(l.Kind), strconv.Itoa(l.Minutes),
				strconv.FormatInt(l.Amount.Amount, 10), string(l.Amount.Currency), strconv.Itoa(rates.Version), l.Earned.Format(time.RFC3339),
			})
		})
		if err != nil {
			return err
		}
		out.Flush()
		return out.Error()
	})
}

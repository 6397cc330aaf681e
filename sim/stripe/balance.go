package stripe

import (
	"slices"
	"time"
)

// BalanceTransaction is a line of the account's book: all money that came or went.
type BalanceTransaction struct {
	Head
	Amount            int64  `json:"amount"`
	AvailableOn       int64  `json:"available_on"`
	Currency          string `json:"currency"`
	Fee               int64  `json:"fee"`
	FeeDetails        []Fee  `json:"fee_details"`
	Net               int64  `json:"net"`
	ReportingCategory string `json:"reporting_category"`
	Source            ref    `json:"source"`
	Status            string `json:"status"` // pending, available
	Type              string `json:"type"`   // charge, refund, refund_failure, adjustment, transfer, transfer_refund
}

// Fee is a part of what Stripe keeps.
type Fee struct {
	Amount      int64  `json:"amount"`
	Currency    string `json:"currency"`
	Description string `json:"description"`
	Type        string `json:"type"`
}

const pendingFor = 3 * 24 * time.Hour

// book writes a line and returns its id.
func (s *Server) book(kind, category, source, currency string, amount, fee int64, pending bool) string {
	o := &BalanceTransaction{
		Head: s.fresh("txn", "balance_transaction"), Amount: amount, AvailableOn: s.moment.Unix(), Currency: currency, Fee: fee, FeeDetails: []Fee{},
		Net: amount - fee, ReportingCategory: category, Source: ref(source), Status: "available", Type: kind,
	}
	if fee > 0 {
		o.FeeDetails = append(o.FeeDetails, Fee{Amount: fee, Currency: currency, Description: "Stripe processing fees", Type: "stripe_fee"})
	}
	if pending {
		o.Status, o.AvailableOn = "pending", s.moment.Add(pendingFor).Unix()
	}
	s.add(o)
	s.foresee(o)
	return o.ID
}

// funds are what the account has in a currency: available, and pending.
func (s *Server) funds(currency string) (available, pending int64) {
	for _, o := range every(s, func(o *BalanceTransaction) bool { return o.Currency == currency }) {
		if o.Status == "available" {
			available += o.Net
		} else {
			pending += o.Net
		}
	}
	return available, pending
}

type sum struct {
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

func getBalance(c *call) (any, error) {
	var currencies []string
	for _, o := range every(c.Server, func(*BalanceTransaction) bool { return true }) {
		if !slices.Contains(currencies, o.Currency) {
			currencies = append(currencies, o.Currency)
		}
	}
	free, waiting := []sum{}, []sum{}
	for _, currency := range currencies {
		available, pending := c.funds(currency)
		free, waiting = append(free, sum{available, currency}), append(waiting, sum{pending, currency})
	}
	return map[string]any{"object": "balance", "livemode": false, "available": free, "pending": waiting}, nil
}

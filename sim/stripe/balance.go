package stripe

import (
	"slices"
	"strings"
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

// Account is a connected account, as far as transfers need one.
type Account struct {
	Head
	Type             string            `json:"type"`
	Country          string            `json:"country"`
	Email            ref               `json:"email"`
	ChargesEnabled   bool              `json:"charges_enabled"`
	PayoutsEnabled   bool              `json:"payouts_enabled"`
	DetailsSubmitted bool              `json:"details_submitted"`
	Metadata         map[string]string `json:"metadata"`
}

func createAccount(c *call) (any, error) {
	o := &Account{
		Head: c.fresh("acct", "account"), Type: c.or("type", "custom"), Country: c.or("country", "GB"), Email: ref(c.str("email")),
		ChargesEnabled: true, PayoutsEnabled: true, DetailsSubmitted: true, Metadata: c.amend(nil),
	}
	c.add(o)
	return o, nil
}

// Transfer passes money on to a connected account.
type Transfer struct {
	Head
	Amount             int64             `json:"amount"`
	AmountReversed     int64             `json:"amount_reversed"`
	BalanceTransaction ref               `json:"balance_transaction"`
	Currency           string            `json:"currency"`
	Description        ref               `json:"description"`
	Destination        string            `json:"destination"`
	Metadata           map[string]string `json:"metadata"`
	Reversed           bool              `json:"reversed"`
	SourceTransaction  ref               `json:"source_transaction"`
	TransferGroup      ref               `json:"transfer_group"`
}

func createTransfer(c *call) (any, error) {
	amount, currency := c.num("amount"), strings.ToLower(c.str("currency"))
	if _, err := find[Account](c.Server, c.str("destination"), "destination"); err != nil {
		return nil, err
	}
	if amount < 1 {
		return nil, invalid("parameter_invalid_integer", "amount", "This value must be greater than or equal to 1.")
	}
	o := &Transfer{
		Head: c.fresh("tr", "transfer"), Amount: amount, Currency: currency, Description: ref(c.str("description")), Destination: c.str("destination"),
		Metadata: c.amend(nil), SourceTransaction: ref(c.str("source_transaction")), TransferGroup: ref(c.str("transfer_group")),
	}
	if o.SourceTransaction == "" {
		if available, _ := c.funds(currency); available < amount {
			return nil, invalid("balance_insufficient", "", "You have insufficient available funds in your Stripe account.")
		}
	} else {
		ch, err := find[Charge](c.Server, string(o.SourceTransaction), "source_transaction")
		if err != nil {
			return nil, err
		}
		switch {
		case ch.Currency != currency:
			return nil, invalid("", "currency", "The currency of source_transaction's balance transaction (%s) must be the same as the transfer currency (%s)", ch.Currency, currency)
		case ch.transferred+amount > ch.AmountCaptured:
			return nil, invalid("", "source_transaction", "The transfers from the source_transaction exceed its amount.")
		}
		ch.transferred += amount
		if o.TransferGroup == "" {
			o.TransferGroup = ch.TransferGroup
		}
	}
	o.BalanceTransaction = ref(c.book("transfer", "transfer", o.ID, currency, -amount, 0, false))
	c.add(o)
	c.emit("transfer.created", o)
	return o, nil
}

// Reversal takes a part of a transfer back.
type Reversal struct {
	Head
	Amount             int64             `json:"amount"`
	BalanceTransaction ref               `json:"balance_transaction"`
	Currency           string            `json:"currency"`
	Metadata           map[string]string `json:"metadata"`
	Transfer           string            `json:"transfer"`
}

func reverseTransfer(c *call) (any, error) {
	of, err := find[Transfer](c.Server, c.id, "id")
	if err != nil {
		return nil, err
	}
	amount := of.Amount - of.AmountReversed
	if c.has("amount") {
		amount = c.num("amount")
	}
	if amount < 1 || amount > of.Amount-of.AmountReversed {
		return nil, invalid("", "amount", "Reversal amount (%d) is greater than the remaining amount (%d) on transfer", amount, of.Amount-of.AmountReversed)
	}
	o := &Reversal{Head: c.fresh("trr", "transfer_reversal"), Amount: amount, Currency: of.Currency, Metadata: c.amend(nil), Transfer: of.ID}
	o.BalanceTransaction = ref(c.book("transfer_refund", "transfer_reversal", o.ID, o.Currency, amount, 0, false))
	of.AmountReversed += amount
	of.Reversed = of.AmountReversed == of.Amount
	if ch, ok := c.index[string(of.SourceTransaction)].(*Charge); ok {
		ch.transferred -= amount
	}
	c.add(o)
	c.emit("transfer.reversed", of)
	return o, nil
}

package stripe

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Account is a connected account: somebody to whom money is passed on.
type Account struct {
	Head
	Type             string            `json:"type"`
	Country          string            `json:"country"`
	Email            ref               `json:"email"`
	Capabilities     map[string]string `json:"capabilities"` // transfers: inactive, active
	ChargesEnabled   bool              `json:"charges_enabled"`
	PayoutsEnabled   bool              `json:"payouts_enabled"`
	DetailsSubmitted bool              `json:"details_submitted"`
	Metadata         map[string]string `json:"metadata"`

	balance int64
}

// createAccount makes an account. A custom one is taken for one whose platform has
// told all about it; who has another has to be seen by Stripe first.
func createAccount(c *call) (any, error) {
	o := &Account{
		Head: c.fresh("acct", "account"), Type: c.or("type", "custom"), Country: c.or("country", "GB"), Email: ref(c.str("email")),
		Capabilities: map[string]string{}, Metadata: c.amend(nil),
	}
	if o.Type == "custom" || c.yes("capabilities[transfers][requested]") {
		o.Capabilities["transfers"] = "inactive"
	}
	if o.Type == "custom" {
		o.clear(true)
	}
	c.add(o)
	return o, nil
}

// clear says whether an account may be paid.
func (o *Account) clear(may bool) {
	o.ChargesEnabled, o.PayoutsEnabled = may, may
	o.DetailsSubmitted = o.DetailsSubmitted || may
	if _, asked := o.Capabilities["transfers"]; asked {
		o.Capabilities["transfers"] = map[bool]string{true: "active", false: "inactive"}[may]
	}
}

// deleteAccount forgets an account, unless it has money.
func deleteAccount(c *call) (any, error) {
	o, err := find[Account](c.Server, c.id, "id")
	if err != nil {
		return nil, err
	}
	if o.balance != 0 {
		return nil, invalid("", "", "This account has a balance and cannot be deleted.")
	}
	c.remove(o.ID)
	return gone{ID: o.ID, Object: "account", Deleted: true}, nil
}

// linkLife is for how long an account link is good, once.
const linkLife = 5 * time.Minute

// link is an open page of Stripe's on which the holder of an account says who they
// are.
type link struct {
	Head
	ExpiresAt int64  `json:"expires_at"`
	URL       string `json:"url"`

	account, back, again string
}

func createLink(c *call) (any, error) {
	o, err := find[Account](c.Server, c.str("account"), "account")
	if err != nil {
		return nil, err
	}
	if o.Type == "standard" && c.str("type") == "account_update" {
		return nil, invalid("", "type", "You cannot create `account_update` type Account Links for this account.")
	}
	l := &link{
		Head: Head{ID: rand.Text(), Object: "account_link", Created: c.moment.Unix()}, ExpiresAt: c.moment.Add(linkLife).Unix(),
		account: o.ID, back: c.str("return_url"), again: c.str("refresh_url"),
	}
	l.URL = c.base + "/onboarding/" + l.ID
	c.add(l)
	return map[string]any{"object": l.Object, "created": l.Created, "expires_at": l.ExpiresAt, "url": l.URL}, nil
}

// onboarding is the page of a link: seen by who holds the account.
func (s *Server) onboarding(w http.ResponseWriter, r *http.Request) {
	l := s.openLink(r.PathValue("id"), false)
	if l == nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = fmt.Fprint(w, `<!doctype html><html lang="en"><title>Onboarding</title><h1>Who is to be paid</h1>
<form method="post"><button name="outcome" value="complete">Complete</button> <button name="outcome" value="later">Later</button></form>`)
}

// onboarded is a button of that page. A link is good once.
func (s *Server) onboarded(w http.ResponseWriter, r *http.Request) {
	l := s.openLink(r.PathValue("id"), true)
	if l == nil {
		http.NotFound(w, r)
		return
	}
	if r.PostFormValue("outcome") == "complete" {
		s.Clear(l.account, true)
	}
	http.Redirect(w, r, l.back, http.StatusSeeOther)
}

func (s *Server) openLink(id string, used bool) (found *link) {
	s.locked(func() {
		if l, ok := s.index[id].(*link); ok && s.moment.Unix() < l.ExpiresAt {
			found = l
			if used {
				s.remove(id)
			}
		}
	})
	return found
}

// Clear says that an account may be paid, or may not any more.
func (s *Server) Clear(account string, may bool) {
	s.locked(func() {
		if o, ok := s.index[account].(*Account); ok {
			o.clear(may)
			s.changes++
			s.emitFor(o.ID, "account.updated", o)
		}
	})
}

// PayOut pays out to its bank what an account has, so that nothing of it can be
// reversed.
func (s *Server) PayOut(account string) {
	s.locked(func() {
		if o, ok := s.index[account].(*Account); ok {
			o.balance = 0
			s.changes++
		}
	})
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
	to, err := find[Account](c.Server, c.str("destination"), "destination")
	switch {
	case err != nil:
		return nil, err
	case amount < 1:
		return nil, invalid("parameter_invalid_integer", "amount", "This value must be greater than or equal to 1.")
	case to.Capabilities["transfers"] != "active":
		return nil, invalid("insufficient_capabilities_for_transfer", "", "Your destination account needs to have at least one of the following capabilities enabled: transfers, crypto_transfers, legacy_payments")
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
	to.balance += amount
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
	to, known := c.index[of.Destination].(*Account)
	if known && to.balance < amount {
		return nil, invalid("balance_insufficient", "", "The connected account does not have sufficient funds to cover the reversal.")
	}
	o := &Reversal{Head: c.fresh("trr", "transfer_reversal"), Amount: amount, Currency: of.Currency, Metadata: c.amend(nil), Transfer: of.ID}
	o.BalanceTransaction = ref(c.book("transfer_refund", "transfer_reversal", o.ID, o.Currency, amount, 0, false))
	of.AmountReversed += amount
	of.Reversed = of.AmountReversed == of.Amount
	if known {
		to.balance -= amount
	}
	if ch, ok := c.index[string(of.SourceTransaction)].(*Charge); ok {
		ch.transferred -= amount
	}
	c.add(o)
	c.emit("transfer.reversed", of)
	return o, nil
}

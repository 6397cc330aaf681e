package payment

import (
	"context"
	"strings"

	"github.com/stripe/stripe-go/v76"

	"armora/fleet"
	"armora/schema"
)

// Reservation is how far the hold of a booking's amount has come, and what its
// principal has to do for it. The secret is read from Stripe each time and stored
// nowhere.
type Reservation struct {
	Payment      fleet.Payment
	Planned      bool   // the amount is held a day before the start
	ClientSecret string // "": the client has nothing to confirm
	NextAction   string // what: authenticate, confirm or set_up_card; "": nothing
	URL          string // of the bank's page, where there is one
}

// What a client has to do.
const (
	ActAuthenticate = "authenticate" // the principal's bank asks for them
	ActConfirm      = "confirm"      // the client's card form confirms the payment with a card
	ActSetUpCard    = "set_up_card"  // likewise, and the card is kept for later
)

// Reserve has the amount of a booking of the user's own held, with the principal
// there: by the card that they name, else the one that they prefer, else by one that
// they give the client's card form. Of a booking that starts later the card is kept,
// and the amount held a day before. It may be asked again at any time, and says how
// far it has come.
func (c *Cashier) Reserve(ctx context.Context, user fleet.UserID, booking fleet.BookingID, method string) (Reservation, error) {
	if _, err := c.bookings.Of(ctx, user, booking); err != nil {
		return Reservation{}, err
	}
	card, err := c.chosen(ctx, user, method)
	if err != nil {
		return Reservation{}, err
	}
	var early bool
	_, err = c.bookings.ChangeOf(ctx, user, booking, c.cfg.Clock.Now(), func(tx *schema.BookingTx) error {
		m, ok, err := c.read(tx)
		switch {
		case err != nil:
			return err
		case !ok:
			return &fleet.Error{Code: fleet.CodeConflict, Message: "this assignment is invoiced: there is nothing to reserve"}
		case tx.Status.Ended():
			return &fleet.Error{Code: fleet.CodeConflict, Message: "this assignment is over: what is due is taken or is a debt"}
		}
		if card != "" {
			m.money.Method, m.cards = card, append([]string{card}, m.cards...)
		}
		early = m.early()
		pending := m.pending()
		asked := pending != nil && pending.State == fleet.PaymentNeedsAction && pending.Code == "" // by the bank, and not answered yet
		switch {
		case early && pending == nil && tx.Funded.IsZero():
			p := fleet.Payment{Purpose: fleet.ForInitial, Method: m.card(), Amount: tx.Total}
			if err := tx.AddPayment(&p); err != nil {
				return err
			}
		case !early && m.wanting() && (!asked || card != ""):
			m.money.Session = true
		}
		if err := tx.SetMoney(&m.money); err != nil {
			return err
		}
		return tx.LookAtMoney()
	})
	if err != nil {
		return Reservation{}, err
	}
	if err := c.Settle(ctx, booking); err != nil {
		return Reservation{}, err
	}
	return c.reservation(ctx, user, booking, early)
}

// wanting reports whether there is something to hold: what is next if the principal
// were there.
func (m *matter) wanting() bool {
	with := *m
	with.money.Session = true
	if len(with.cards) == 0 {
		return m.pending() == nil
	}
	switch with.secure().do {
	case open, create, confirm, cancel:
		return true
	}
	return false
}

// chosen is Stripe's id of the card that a person names: the hub's id of one of
// theirs, or one that the client has just made by Stripe's card form.
func (c *Cashier) chosen(ctx context.Context, user fleet.UserID, method string) (string, error) {
	if method == "" {
		return "", nil
	}
	if id, err := fleet.ParseID[fleet.PaymentMethod](method); err == nil {
		card, err := c.cards.Of(ctx, user, id)
		return card.Stripe, err
	}
	others, err := c.cards.Others(ctx, user, method)
	if err == nil && (others || !strings.HasPrefix(method, "pm_") || len(method) > 100) {
		err = &fleet.Error{Code: fleet.CodeNotFound, Message: "no such payment method"}
	}
	return method, err
}

// reservation says how far the hold has come.
func (c *Cashier) reservation(ctx context.Context, user fleet.UserID, booking fleet.BookingID, early bool) (r Reservation, err error) {
	payments, err := c.payments.OfBooking(ctx, booking)
	if err != nil {
		return r, err
	}
	for _, p := range payments { // what is pending, else what is held, else the last
		if r.Payment.ID.IsZero() || r.Payment.State.Ended() || p.State == fleet.PaymentHeld || !p.State.Ended() && r.Payment.State != fleet.PaymentHeld {
			r.Payment = p
		}
	}
	p := &r.Payment
	switch {
	case p.ID.IsZero():
		return r, &fleet.Error{Code: fleet.CodeConflict, Message: "there is nothing to reserve for this assignment"}
	case early && p.State == fleet.PaymentNew:
		return c.planned(ctx, user, r)
	case !unready(p):
		return r, nil
	}
	intent, err := c.intent(ctx, p.Stripe)
	if err != nil {
		return r, err
	}
	return r.confirming(intent), nil
}

// confirming is a reservation that the client has to confirm.
func (r Reservation) confirming(intent *stripe.PaymentIntent) Reservation {
	r.ClientSecret, r.NextAction = intent.ClientSecret, ActConfirm
	if next := intent.NextAction; intent.Status == stripe.PaymentIntentStatusRequiresAction && next != nil {
		r.NextAction = ActAuthenticate
		if next.RedirectToURL != nil {
			r.URL = next.RedirectToURL.URL
		}
	}
	return r
}

// planned is a reservation of what is held later: a card has to be kept until then.
func (c *Cashier) planned(ctx context.Context, user fleet.UserID, r Reservation) (Reservation, error) {
	cards, err := c.Methods(ctx, user)
	r.Planned = true
	if err != nil || len(cards) > 0 {
		return r, err
	}
	_, r.ClientSecret, err = c.SetUp(ctx, user)
	r.NextAction = ActSetUpCard
	return r, err
}

// Charge captures a hold before its booking is over, for those of the staff who see
// to money: what the booking costs, at most what is held; the rest is released. What
// turns out to have been too much is given back at the end. One that is captured
// already stays as it is.
func (c *Cashier) Charge(ctx context.Context, by Staff, id fleet.PaymentID) (fleet.Payment, error) {
	p, err := c.payments.VisibleTo(ctx, by.User, id)
	if err != nil || p.State == fleet.PaymentCaptured {
		return p, err
	}
	_, err = c.bookings.Change(ctx, p.Booking, c.cfg.Clock.Now(), func(tx *schema.BookingTx) error {
		now, err := paymentIn(tx, id)
		if err != nil {
			return err
		}
		if now.State != fleet.PaymentHeld {
			return &fleet.Error{Code: fleet.CodeConflict, Message: "nothing is held by this payment: it is " + string(now.State)}
		}
		now.CaptureNow = true
		if err := tx.SetPayment(now); err != nil {
			return err
		}
		return tx.LookAtMoney()
	})
	if err != nil {
		return p, err
	}
	if err := c.Settle(ctx, p.Booking); err != nil {
		return p, err
	}
	return c.payments.Get(ctx, id)
}

// PayDebt lets a person pay a debt of theirs, by a card of theirs or the client's
// card form.
func (c *Cashier) PayDebt(ctx context.Context, user fleet.UserID, id fleet.DebtID, method string) (Reservation, error) {
	d, err := c.debts.Of(ctx, user, id)
	if err != nil {
		return Reservation{}, err
	}
	if d.State != fleet.DebtOpen {
		return Reservation{}, &fleet.Error{Code: fleet.CodeConflict, Message: "this debt is " + string(d.State) + " already"}
	}
	card, err := c.chosen(ctx, user, method)
	if err != nil {
		return Reservation{}, err
	}
	_, err = c.bookings.ChangeOf(ctx, user, d.Booking, c.cfg.Clock.Now(), func(tx *schema.BookingTx) error {
		m, ok, err := c.read(tx)
		if err != nil || !ok {
			return err
		}
		p := m.paying(id)
		if p == nil {
			p = &fleet.Payment{Purpose: fleet.ForDebt, Amount: d.Amount, Debt: d.ID}
			if err := tx.AddPayment(p); err != nil {
				return err
			}
		}
		if card != "" {
			m.money.Method = card
		}
		m.money.Session = p.State != fleet.PaymentNeedsAction || p.Code != "" || card != ""
		if err := tx.SetMoney(&m.money); err != nil {
			return err
		}
		return tx.LookAtMoney()
	})
	if err != nil {
		return Reservation{}, err
	}
	if err := c.Settle(ctx, d.Booking); err != nil {
		return Reservation{}, err
	}
	return c.debtReservation(ctx, &d)
}

// paying is the payment by which a debt is being paid.
func (m *matter) paying(id fleet.DebtID) *fleet.Payment {
	for i := range m.payments {
		if p := &m.payments[i]; p.Debt == id && !p.State.Ended() {
			return p
		}
	}
	return nil
}

func (c *Cashier) debtReservation(ctx context.Context, d *fleet.Debt) (r Reservation, err error) {
	payments, err := c.payments.OfBooking(ctx, d.Booking)
	for _, p := range payments {
		if p.Debt == d.ID {
			r.Payment = p
		}
	}
	if err != nil || !unready(&r.Payment) {
		return r, err
	}
	intent, err := c.intent(ctx, r.Payment.Stripe)
	if err != nil {
		return r, err
	}
	return r.confirming(intent), nil
}

// Paid is what was held, taken and given back for a booking.
type Paid struct {
	User     fleet.UserID // the principal
	Payments []fleet.Payment
	Refunds  []fleet.Refund
	ByStaff  bool // it was read by one of the staff, and not by the principal
}

// Paid returns what was paid for a booking to its principal, or to one of the staff
// who sees them.
func (c *Cashier) Paid(ctx context.Context, reader Staff, booking fleet.BookingID) (paid Paid, err error) {
	b, err := c.bookings.Of(ctx, reader.User, booking)
	if fleet.CodeOf(err) == fleet.CodeNotFound && err != nil && (reader.User.IsZero() || reader.limit() > 0) {
		paid.ByStaff = true
		b, err = c.bookings.VisibleTo(ctx, reader.User, booking)
	}
	if err != nil {
		return paid, err
	}
	paid.User = b.User
	if paid.Payments, err = c.payments.OfBooking(ctx, booking); err != nil {
		return paid, err
	}
	paid.Refunds, err = c.payments.Refunds(ctx, booking)
	return paid, err
}

// Debts returns up to limit debts of a person with ids before the given one, the
// newest first.
func (c *Cashier) Debts(ctx context.Context, user fleet.UserID, open bool, before fleet.DebtID, limit int) ([]fleet.Debt, error) {
	return c.debts.Own(ctx, user, open, before, limit)
}

// DebtsFor is Debts of everybody whom one of the staff sees, or of one of them if of
// is not zero.
func (c *Cashier) DebtsFor(ctx context.Context, reader Staff, of fleet.UserID, open bool, before fleet.DebtID, limit int) ([]fleet.Debt, error) {
	return c.debts.List(ctx, reader.User, of, open, before, limit)
}

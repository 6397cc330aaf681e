package fleet

import (
	"slices"
	"time"
)

type (
	// PaymentID identifies a payment.
	PaymentID = ID[Payment]
	// RefundID identifies a refund.
	RefundID = ID[Refund]
	// DebtID identifies a debt.
	DebtID = ID[Debt]
	// PaymentMethodID identifies a card that is kept.
	PaymentMethodID = ID[PaymentMethod]
	// CardSetupID identifies the keeping of a card.
	CardSetupID = ID[CardSetup]
)

// PaymentState is how far a payment has come.
type PaymentState string

// The states of a payment; the last four are ends. What happens to captured money
// is told by its refunds, not by its state.
const (
	PaymentNew         PaymentState = "new"          // saved; Stripe may know of it or not
	PaymentNeedsMethod PaymentState = "needs_method" // there is no card, or it was declined
	PaymentNeedsAction PaymentState = "needs_action" // the principal has to confirm it, on-session
	PaymentProcessing  PaymentState = "processing"   // the bank takes its time
	PaymentHeld        PaymentState = "held"         // the amount is reserved on the card
	PaymentCaptured    PaymentState = "captured"     // the money was taken: all of the hold, or a part, the rest released
	PaymentCancelled   PaymentState = "cancelled"    // given up by the hub: what was held is released
	PaymentExpired     PaymentState = "expired"      // given up by Stripe or the bank
	PaymentFailed      PaymentState = "failed"       // Stripe has refused to make it
)

// paymentMoves is the one transition table of payments: for each state, those that
// may follow it. payment_moves in the database is its mirror, and a trigger there
// refuses every other change. News that does not fit is old news, and is dropped:
// so it is that Stripe's answers and webhooks may come twice and out of order.
var paymentMoves = map[PaymentState][]PaymentState{
	PaymentNew: {PaymentNeedsMethod, PaymentNeedsAction, PaymentProcessing, PaymentHeld, PaymentCaptured,
		PaymentCancelled, PaymentExpired, PaymentFailed},
	PaymentNeedsMethod: {PaymentNeedsAction, PaymentProcessing, PaymentHeld, PaymentCaptured, PaymentCancelled, PaymentExpired},
	PaymentNeedsAction: {PaymentNeedsMethod, PaymentProcessing, PaymentHeld, PaymentCaptured, PaymentCancelled, PaymentExpired},
	PaymentProcessing:  {PaymentNeedsMethod, PaymentNeedsAction, PaymentHeld, PaymentCaptured, PaymentCancelled, PaymentExpired},
	PaymentHeld:        {PaymentCaptured, PaymentCancelled, PaymentExpired},
}

// PaymentStates lists every state in the order of a payment's way.
func PaymentStates() []PaymentState {
	return []PaymentState{PaymentNew, PaymentNeedsMethod, PaymentNeedsAction, PaymentProcessing, PaymentHeld,
		PaymentCaptured, PaymentCancelled, PaymentExpired, PaymentFailed}
}

// Next lists the states that may follow s; none after an end.
func (s PaymentState) Next() []PaymentState { return slices.Clone(paymentMoves[s]) }

// May reports whether s may be followed by to.
func (s PaymentState) May(to PaymentState) bool { return slices.Contains(paymentMoves[s], to) }

// Ended reports whether nothing follows s.
func (s PaymentState) Ended() bool { return len(paymentMoves[s]) == 0 }

// Purpose is what a payment is for.
type Purpose string

// The purposes.
const (
	ForInitial         Purpose = "initial"         // the hold of what was booked
	ForExtension       Purpose = "extension"       // a hold of what an extension costs more
	ForReauthorisation Purpose = "reauthorisation" // a hold in place of one that ran out, or is too small
	ForOverage         Purpose = "overage"         // what a completed assignment costs beyond what was held
	ForFee             Purpose = "fee"             // of a cancellation or a no-show, where nothing is held
	ForDebt            Purpose = "debt"            // the principal pays a debt
)

// Held reports whether such a payment is a hold first, captured later.
func (p Purpose) Held() bool { return p == ForInitial || p == ForExtension || p == ForReauthorisation }

// Payment is one payment intent of a booking. A booking has as many as it needs:
// (booking, purpose, number) names it, and its calls to Stripe are keyed by that.
type Payment struct {
	ID            PaymentID
	Booking       BookingID
	User          UserID // the principal, who pays
	Purpose       Purpose
	Number        int // from 1 within booking and purpose
	State         PaymentState
	Version       int64
	Amount        Money
	Captured      int64     // of Amount
	Refunded      int64     // of Captured: refunds that are asked for and have not failed
	Fee           int64     // Stripe's, of the capture, as far as it is known
	FeeKnown      bool      // it is
	CaptureBefore time.Time // when the hold runs out, as Stripe says; zero: not known
	Stripe        string    // id of the payment intent; "": it is not known
	Charge        string    // id of Stripe's charge, likewise
	Method        string    // Stripe's id of the card that it was last tried with
	Code          string    // Stripe's, of why it was refused last: card_declined
	Decline       string    // the bank's: insufficient_funds
	CaptureNow    bool      // staff want it captured before the booking's end
	Debt          DebtID    // that it pays; zero but for ForDebt
	Created       time.Time
	Changed       time.Time
}

// Net is what was taken and not given back.
func (p *Payment) Net() int64 { return p.Captured - p.Refunded }

// RefundState is how far a refund has come.
type RefundState string

// The states of a refund.
const (
	RefundWaiting   RefundState = "waiting"   // for a second person's approval
	RefundRejected  RefundState = "rejected"  // by that person, or nobody decided in time
	RefundNew       RefundState = "new"       // saved; Stripe may know of it or not
	RefundPending   RefundState = "pending"   // Stripe has it, the bank has not
	RefundSucceeded RefundState = "succeeded" // which may fail still, days later
	RefundFailed    RefundState = "failed"    // the money is back with us
)

// refundMoves is the transition table of refunds.
var refundMoves = map[RefundState][]RefundState{
	RefundWaiting:   {RefundNew, RefundRejected},
	RefundNew:       {RefundPending, RefundSucceeded, RefundFailed},
	RefundPending:   {RefundSucceeded, RefundFailed},
	RefundSucceeded: {RefundFailed},
}

// RefundStates lists every state in the order of a refund's way.
func RefundStates() []RefundState {
	return []RefundState{RefundWaiting, RefundRejected, RefundNew, RefundPending, RefundSucceeded, RefundFailed}
}

// May reports whether s may be followed by to.
func (s RefundState) May(to RefundState) bool { return slices.Contains(refundMoves[s], to) }

// Next lists the states that may follow s; none after an end.
func (s RefundState) Next() []RefundState { return slices.Clone(refundMoves[s]) }

// Counts reports whether a refund in this state takes from what can be refunded.
func (s RefundState) Counts() bool { return s != RefundRejected && s != RefundFailed }

// Refund gives captured money back, or a part of it.
type Refund struct {
	ID       RefundID
	Payment  PaymentID
	Booking  BookingID
	User     UserID // the principal, who gets it
	Number   int    // from 1 within the payment
	State    RefundState
	Amount   Money
	Reason   string     // in somebody's words
	By       UserID     // of the staff; zero: the hub itself, which had taken too much, or the bootstrap admin
	Excess   bool       // the hub had taken more than is due: nothing that was sold is taken back
	Approval ApprovalID // that it waited for; zero: none
	Stripe   string     // id of Stripe's refund
	Code     string     // Stripe's, of why it failed
	Created  time.Time
	Changed  time.Time
}

// DebtState is what became of a debt.
type DebtState string

// The states of a debt.
const (
	DebtOpen       DebtState = "open"
	DebtPaid       DebtState = "paid"
	DebtForgiven   DebtState = "forgiven"    // what it was for is not due any more
	DebtWrittenOff DebtState = "written_off" // less than can be taken by card, or given up by staff
)

// Debt is what is due for a booking and could not be taken. Who has an open one
// books nothing new; nobody's protection ends for it.
type Debt struct {
	ID      DebtID
	User    UserID
	Booking BookingID
	State   DebtState
	Amount  Money
	Reason  string // Stripe's code of why it could not be taken, or no_card, under_minimum
	Created time.Time
	Ended   time.Time // zero: it is open
	PaidBy  PaymentID // zero: not by a payment
}

// PaymentMethod is a card that Stripe keeps for a principal. The hub knows what is
// printed in its corner.
type PaymentMethod struct {
	ID                PaymentMethodID
	User              UserID
	Stripe            string // pm_…
	Brand, Last4      string
	ExpMonth, ExpYear int
	Preferred         bool // what is paid without being asked is paid by it
	Created           time.Time
}

// CardSetup is a card that is being kept, by a setup intent.
type CardSetup struct {
	ID      CardSetupID
	User    UserID
	Stripe  string // seti_…; "": Stripe may not know of it
	Created time.Time
	Done    time.Time // zero: it is under way
}

// PaymentCall is one request to Stripe that changes something. It is saved before
// it is made. Until it is answered nobody knows whether it was carried out, and it
// is made again under the same key.
type PaymentCall struct {
	Key      string // the Idempotency-Key: booking/purpose/number/step/attempt
	Booking  BookingID
	Payment  PaymentID
	Refund   RefundID   // zero: it is about the payment,
	Transfer TransferID // or about a transfer, likewise
	Step     CallStep
	Attempt  int
	Amount   int64  // that it asks for; 0 where it asks for none
	Method   string // Stripe's id of the card; "" where it names none
	Session  bool   // the principal is there, to be asked by their bank
	Saved    time.Time
	Answered time.Time // zero: it is open
	Code     string    // Stripe's code of a definite failure; "": it was done
	Decline  string
	Request  string // Stripe's id of the request
}

// CallStep is what a call asks Stripe to do.
type CallStep string

// The steps.
const (
	CallCreate  CallStep = "create"
	CallConfirm CallStep = "confirm"
	CallCapture CallStep = "capture"
	CallCancel  CallStep = "cancel"
	CallRefund  CallStep = "refund"

	CallTransfer CallStep = "transfer"
	CallReverse  CallStep = "reverse"
)

// Sends reports whether a step moves money as soon as Stripe has it, without an
// intent that could be asked what has become of it: a second request would be money.
func (s CallStep) Sends() bool { return s == CallRefund || s == CallTransfer || s == CallReverse }

// BookingMoney is what is to be seen to about the money of a booking that is paid
// by card. A booking without one has terms.
type BookingMoney struct {
	Booking  BookingID
	User     UserID
	Method   string    // Stripe's id of the card that was chosen for it; "": the preferred one
	Session  bool      // the principal is there: the next confirmation may ask them
	NextLook time.Time // zero: when something happens
	Reminded int       // how many reminders were sent
	Assigned bool      // officers have accepted it, if only once: from then on no payment ends it
}

// SettleBooking is the job of doing what is due about the money of a booking.
type SettleBooking struct {
	Booking BookingID `json:"booking"`
}

// Kind names the job.
func (SettleBooking) Kind() string { return "settle_booking" }

// BookingFunded is the job of looking for officers for a booking whose amount is
// held now, or of no longer doing so if it is not any more.
type BookingFunded struct {
	Booking BookingID `json:"booking"`
}

// Kind names the job.
func (BookingFunded) Kind() string { return "booking_funded" }

// CardsChanged is the job of trying again what waits for a principal's card.
type CardsChanged struct {
	User UserID `json:"user"`
}

// Kind names the job.
func (CardsChanged) Kind() string { return "cards_changed" }

package fleet

import "time"

// TransferID identifies a transfer.
type TransferID = ID[Transfer]

// Payout is how an officer is paid what they have earned.
type Payout string

// The ways.
const (
	ByPayroll  Payout = "payroll"
	ByTransfer Payout = "transfer" // by Stripe, to an account that is connected to ours
)

// PayoutAccount is who an officer is to Stripe, which has seen who they are and knows
// their bank. The hub knows its id.
type PayoutAccount struct {
	Driver  DriverID
	Attempt int    // of having it made, from 1: one more after a definite failure
	Stripe  string // acct_…; "": Stripe may not know of it
	Ready   bool   // Stripe may pay them
	Created time.Time
	Changed time.Time
}

// TransferState is how far a transfer has come.
type TransferState string

// The states of a transfer; the last two are ends.
const (
	TransferNew    TransferState = "new" // saved; Stripe may know of it or not
	TransferMade   TransferState = "made"
	TransferFailed TransferState = "failed" // Stripe has refused it
)

// Transfer passes on to an officer a part of what a payment has brought, or takes a
// part of another transfer back.
type Transfer struct {
	ID       TransferID
	Booking  BookingID
	Payment  PaymentID // whose money it is
	Seat     SeatID
	Driver   DriverID
	Reverses TransferID // zero: it is no reversal
	Number   int        // from 1 within the seat
	State    TransferState
	Amount   Money  // above zero, also of a reversal
	Account  string // Stripe's id of the officer's account
	Stripe   string // tr_…, of a reversal trr_…
	Code     string // Stripe's, of why it failed
	Created  time.Time
	Changed  time.Time
}

// Passed is what a transfer, as far as it has come, has taken from our balance: below
// zero, has brought back.
func (t *Transfer) Passed() int64 {
	switch {
	case t.State == TransferFailed:
		return 0
	case !t.Reverses.IsZero():
		return -t.Amount.Amount
	}
	return t.Amount.Amount
}

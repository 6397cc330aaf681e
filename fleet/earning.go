package fleet

import (
	"encoding/json"
	"time"
)

// EarningID identifies an earning.
type EarningID = ID[Earning]

// EarningKind is what an officer earned something by.
type EarningKind string

// The kinds.
const (
	EarnedWork EarningKind = "work" // protection
	EarnedFee  EarningKind = "fee"  // a share of the fee of what was cancelled, or of a no-show
)

// Earning is something that an officer is owed; below zero, that they are owed less.
type Earning struct {
	ID      EarningID
	Driver  DriverID
	Booking BookingID
	Seat    SeatID
	Number  int // from 1 within the seat
	Kind    EarningKind
	Payout  Payout
	Amount  Money
	Minutes int             // of work that was billed
	Rates   json.RawMessage // by which it was worked out, a tariff.PayRates
	Earned  time.Time       // when it was written down, which says the period that it is of
}

// EarnBooking is the job of writing down what a booking's officers are owed.
type EarnBooking struct {
	Booking BookingID `json:"booking"`
}

// Kind names the job.
func (EarnBooking) Kind() string { return "earn_booking" }

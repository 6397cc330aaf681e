package fleet

import (
	"fmt"
	"time"
)

// StripeEvent is what Stripe has told of, without what it told: that is read anew.
type StripeEvent struct {
	ID       string // evt_…
	Type     string // payment_intent.succeeded
	Object   string // id of what it is about
	Version  string // of the API, that it was told by
	Created  time.Time
	Received time.Time
	Applied  time.Time // zero: it is still to be looked at
}

// SeeStripe is the job of looking at what an event of Stripe's told of.
type SeeStripe struct {
	Event string `json:"event"`
}

// Kind names the job.
func (SeeStripe) Kind() string { return "see_stripe" }

// DisputeID identifies a dispute.
type DisputeID = ID[Dispute]

// DisputeState is how far a dispute has come, in Stripe's words.
type DisputeState string

// The states of a dispute; the last four are ends.
const (
	DisputeAsked         DisputeState = "warning_needs_response" // the bank asks, and has taken nothing
	DisputeAskedReview   DisputeState = "warning_under_review"
	DisputeNeedsResponse DisputeState = "needs_response" // the bank has taken the money
	DisputeUnderReview   DisputeState = "under_review"
	DisputeAskedClosed   DisputeState = "warning_closed"
	DisputeRefunded      DisputeState = "charge_refunded"
	DisputeWon           DisputeState = "won"
	DisputeLost          DisputeState = "lost"
)

// Ended reports whether nothing follows s.
func (s DisputeState) Ended() bool {
	switch s {
	case DisputeAskedClosed, DisputeRefunded, DisputeWon, DisputeLost:
		return true
	default:
		return false
	}
}

// Dispute is a charge that its principal contests with their bank.
type Dispute struct {
	ID       DisputeID
	Stripe   string // dp_…
	Charge   string // ch_…
	Payment  PaymentID
	Booking  BookingID
	User     UserID
	State    DisputeState
	Reason   string // Stripe's: fraudulent
	Amount   Money
	Due      time.Time // until when evidence is taken; zero: it is not
	Opened   time.Time
	Closed   time.Time // zero: it is open
	Postings []Posting // of the money that it has moved so far
}

// StripeTransaction is a line of Stripe's own book about our balance.
type StripeTransaction struct {
	ID        string // txn_…
	Type      string // charge, refund, refund_failure, adjustment, transfer, payout…
	Source    string // id of what it is about; "": of nothing
	Amount    Money  // above zero it came
	Fee       int64  // of Stripe's, in the same currency, taken from it
	Created   time.Time
	Key, Fees string // of the postings that tell of it in the ledger, "": they are not known
}

// Net is what the line adds to our balance.
func (t *StripeTransaction) Net() int64 { return t.Amount.Amount - t.Fee }

// Difference is where the ledger and Stripe's book do not agree.
type Difference struct {
	Transaction string // Stripe's; "": it knows nothing of what we posted
	Type        string
	Source      string
	Key         string // of our posting; "": there is none
	Stripe      Money  // what Stripe says, fees taken off
	Ledger      Money  // what we say
	At          time.Time
	Known       *KnownDifference // somebody knows why, and a second person has to agree; nil: nobody does
}

// Line names a difference: Stripe's transaction or, where there is none, our posting.
func (d *Difference) Line() string {
	if d.Transaction != "" {
		return d.Transaction
	}
	return d.Key
}

// KnownDifference is a difference of which finance knows why it is there.
type KnownDifference struct {
	Line     string
	Amount   Money // by which Stripe has more than the ledger
	Reason   string
	Account  Account // which the correction in the ledger is posted to; "": it needs none
	SaidBy   UserID  // zero: the bootstrap admin
	Said     time.Time
	AgreedBy UserID
	Agreed   time.Time // zero: a second person is waited for
}

// CorrectionKey is that of the posting which makes the ledger say what Stripe does.
func (k *KnownDifference) CorrectionKey() string {
	return fmt.Sprintf("correction/%s/%d", k.Line, k.Amount.Amount)
}

// Reconciliation is what a comparison of the ledger with Stripe's book has found.
type Reconciliation struct {
	Checked     time.Time // when Stripe's book was read last; zero: never
	Stripe      Money     // the sum of what was read of it
	Ledger      Money     // the balance of our account of it
	Differences []Difference
}

package fleet

import (
	"encoding/json"
	"time"
)

// AlertID identifies an alert.
type AlertID = ID[Alert]

// Alert is something that ops have to look at. It stays until one of them has.
type Alert struct {
	ID       AlertID
	Kind     AlertKind
	Booking  BookingID // zero: it is not about one
	Driver   DriverID  // zero: it is not about one
	Data     json.RawMessage
	Raised   time.Time
	Closed   time.Time // zero: it is open
	ClosedBy string    // the caller's name; empty: the hub, since its cause is gone
	Note     string    // what was done about it
}

// AlertKind is what an alert is about.
type AlertKind string

// The kinds of dispatch.
const (
	AlertUnfulfilled AlertKind = "unfulfilled" // no officer was found for a booking
	AlertUnplanned   AlertKind = "unplanned"   // nobody is seen who could have a booking that starts later
	AlertLate        AlertKind = "late"        // an officer will not be there in time
	AlertSilent      AlertKind = "silent"      // the officer of a trip is not heard of
	AlertUnfit       AlertKind = "unfit"       // the officer of a trip may not work any more
	AlertConflict    AlertKind = "conflict"    // what an officer's app told does not fit the trip
	AlertRelief      AlertKind = "relief"      // an officer has to be relieved
	AlertPayment     AlertKind = "payment"     // Stripe does not do what has to be done about the money of a booking
	AlertSOS         AlertKind = "sos"         // of safety: its id is that of the SOS, which ends it
)

// The kinds of safety's automatic alarms, about an officer of a trip. That nothing is
// heard of one is AlertSilent.
const (
	AlertOffRoute AlertKind = "off_route"      // the principal is taken elsewhere than along the way
	AlertStop     AlertKind = "unplanned_stop" // and has stopped where no stop was planned
	AlertApart    AlertKind = "apart"          // the car is not where the officer's phone is
	AlertSpeed    AlertKind = "speeding"
)

// The kinds of what Stripe tells; but for a dispute of a booking's charge they are
// about no booking.
const (
	AlertDispute       AlertKind = "dispute"        // a principal contests a charge, or their bank has decided
	AlertStripeVersion AlertKind = "stripe_version" // the webhook is registered with another version of the API
	AlertBooks         AlertKind = "books_differ"   // the ledger and Stripe's book do not agree
)

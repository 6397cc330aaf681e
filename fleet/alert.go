package fleet

import (
	"encoding/json"
	"slices"
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

	Steps   int       // by how many steps ops were told of an alarm, or called for it
	Calls   bool      // the rota is called for it
	Acked   time.Time // zero: nobody sees to it yet
	AckedBy string    // the caller's name
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

// Alarm reports whether ops are told of an alert of this kind when it is raised, and
// are not left to find it in their list.
func (k AlertKind) Alarm() bool {
	return slices.Contains([]AlertKind{AlertSilent, AlertUnfit, AlertOffRoute, AlertStop, AlertApart, AlertSpeed}, k)
}

// Danger reports whether the rota is called for an alarm, beside the others about the
// same officer that are open: taken elsewhere and stopped there is worse than either.
func (k AlertKind) Danger(beside ...AlertKind) bool {
	switch k {
	case AlertSilent, AlertApart:
		return true
	case AlertOffRoute, AlertStop:
		return slices.Contains(beside, k.pair())
	}
	return false
}

// pair is the kind that makes a danger of this one; "": none does.
func (k AlertKind) pair() AlertKind {
	switch k {
	case AlertOffRoute:
		return AlertStop
	case AlertStop:
		return AlertOffRoute
	}
	return ""
}

// Pairs reports whether two kinds are a danger together: for both the rota is called once.
func (k AlertKind) Pairs(other AlertKind) bool { return other != "" && k.pair() == other }

// AlarmJob is the job of a step of telling ops of an alarm: by 0 all of them, by each
// later one who the rota says.
type AlarmJob struct {
	Alert AlertID `json:"alert"`
	Step  int     `json:"step"`
}

// Kind names the job.
func (AlarmJob) Kind() string { return "alarm" }

// The kinds of what Stripe tells; but for a dispute of a booking's charge they are
// about no booking.
const (
	AlertDispute       AlertKind = "dispute"        // a principal contests a charge, or their bank has decided
	AlertStripeVersion AlertKind = "stripe_version" // the webhook is registered with another version of the API
	AlertBooks         AlertKind = "books_differ"   // the ledger and Stripe's book do not agree
)

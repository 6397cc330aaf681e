package fleet

import "time"

// ShareID identifies a share.
type ShareID = ID[Share]

// ShareUntil is how long a share lets somebody watch.
type ShareUntil string

// The ends of shares. Each ends with the trip at the latest.
const (
	ShareHalfHour ShareUntil = "30_min"
	ShareHour     ShareUntil = "1_h"
	ShareArrival  ShareUntil = "arrival" // when the lead reaches the destination
	ShareTrip     ShareUntil = "trip_end"
)

// Share is a link by which a principal lets others watch a trip.
type Share struct {
	ID      ShareID
	Booking BookingID
	User    UserID // who shares: the principal
	Label   string // for whom, in the principal's words
	Until   ShareUntil
	Created time.Time
	Expires time.Time // zero: when it ends is seen then
	Revoked time.Time
	Opened  time.Time // last; zero: never
	Times   int       // how often it was opened
}

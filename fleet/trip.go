package fleet

import "time"

// TripCommandID identifies a command. Whoever gives it makes it up, so that a
// command that is given twice is carried out once.
type TripCommandID = ID[TripCommand]

// TripCommand is what somebody wants of a booking that has its officers: an
// officer's tap on their phone, maybe made while it had no network; what the
// principal asks for; what ops do in somebody's place.
type TripCommand struct {
	ID       TripCommandID
	Booking  BookingID
	Kind     TripCommandKind
	By       Actor
	Driver   DriverID  // whose tap it is, or whom it is about; zero: the lead
	Occurred time.Time // by the clock of who gave it; zero: now
	Received time.Time
	Code     string // of a start: what the principal has shown; never kept
	Reason   string
	Minutes  int // of an extension
	// Conflict says why a tap does not fit what has become of the trip; empty: it
	// was carried out. It is so until it is resolved, by ops or by another tap
	// that it had to wait for.
	Conflict   string
	Resolved   time.Time
	Resolution string
}

// TripCommandKind is what a command is for.
type TripCommandKind string

// The kinds. The first five are an officer's taps: each says that something has
// happened, and is kept if it does not fit. The others are asked for, and refused
// if they cannot be.
const (
	TapEnRoute  TripCommandKind = "en_route"
	TapArrive   TripCommandKind = "arrive"
	TapStart    TripCommandKind = "start"
	TapComplete TripCommandKind = "complete"
	TapNoShow   TripCommandKind = "no_show"

	AskRelease  TripCommandKind = "release"  // the officer gives the assignment back before it begins
	AskRelief   TripCommandKind = "relief"   // the officer cannot go on
	AskHandover TripCommandKind = "handover" // the officer who relieves another takes over
	AskExtend   TripCommandKind = "extend"   // the principal is to be protected for longer
)

// Tap reports whether the kind is of what has happened already.
func (k TripCommandKind) Tap() bool {
	switch k {
	case TapEnRoute, TapArrive, TapStart, TapComplete, TapNoShow:
		return true
	}
	return false
}

// TripPlace is a place of a trip that is watched.
type TripPlace string

// The places.
const (
	AtPickup      TripPlace = "pickup"
	AtDestination TripPlace = "destination"
)

// TripPresence is whether an officer of a trip is at one of its places.
type TripPresence struct {
	Booking  BookingID
	Driver   DriverID
	Place    TripPlace
	Lat, Lon float64 // where the place was then
	Inside   bool
	Since    time.Time // by the first fix on this side
}

// At returns one of the places of a booking; false if it has no such place.
func (b *Booking) At(place TripPlace) (Place, bool) {
	switch {
	case place == AtPickup:
		return b.Pickup, true
	case b.Destination != nil:
		return *b.Destination, true
	}
	return Place{}, false
}

package fleet

import "time"

// HoldID identifies a legal hold.
type HoldID = ID[Hold]

// Hold keeps what is known of a person or of a device from being deleted, however
// old it is, for as long as the law needs it.
type Hold struct {
	ID         HoldID
	User       UserID    // whose data; zero: a device's
	Device     DeviceID  // zero: a person's
	From       time.Time // of the points that are kept
	To         time.Time // zero: no end
	Reason     string
	PlacedBy   string // the caller's name
	Placed     time.Time
	ReleasedBy string
	Released   time.Time // zero: it stands
}

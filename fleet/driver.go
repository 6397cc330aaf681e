package fleet

import (
	"encoding/json"
	"time"
)

// Driver is a protection officer.
type Driver struct {
	ID   DriverID
	Name string
	Tier Tier   // the officer's main one
	User UserID // as whom they sign in; zero if they have no account
}

// DriverProfile is what is known of a driver besides. What the driver may say of
// themselves is Personal; the rest is the staff's to set.
type DriverProfile struct {
	Driver
	Tiers    []Tier            // beyond the main one
	Coverage []json.RawMessage // where they work: shapes, as in live/fence
	Personal
}

// Personal is what a driver says of themselves. None of it bears on whether they
// are fit to work.
type Personal struct {
	Languages []string // BCP 47
	Gender    Gender
	Bio       string
	Photo     FileID
}

// Gender is what a driver gives as theirs.
type Gender string

// The genders.
const (
	GenderUnsaid Gender = ""
	GenderFemale Gender = "female"
	GenderMale   Gender = "male"
	GenderOther  Gender = "other"
)

// Vehicle is a car of the fleet.
type Vehicle struct {
	ID           VehicleID
	Registration string
	Driver       DriverID // who drives it now; zero if nobody
}

// Assignment is who drove a vehicle, and when.
type Assignment struct {
	Vehicle VehicleID
	Driver  DriverID
	From    time.Time
	To      time.Time // zero: still
}

// Binding is what a device reported for, and when.
type Binding struct {
	Device  DeviceID
	Driver  DriverID
	Vehicle VehicleID
	User    UserID // who had enrolled it
	From    time.Time
	To      time.Time // zero: still
}

// Tier is the grade of protection that an officer may be offered for.
type Tier string

// The tiers. Client vehicle is an officer without a car of the fleet.
const (
	Essential     Tier = "essential"
	Executive     Tier = "executive"
	Shadow        Tier = "shadow"
	ClientVehicle Tier = "client_vehicle"
)

// Duty is whether a driver works.
type Duty string

// The states of duty. On a break a driver is at work, and offered nothing.
const (
	OnDuty  Duty = "on_duty"
	OnBreak Duty = "break"
	OffDuty Duty = "off_duty"
)

// Spell is a time in which the phone of a person may be followed.
type Spell struct{ From, To Millis } // To is not part of it; zero: it has not ended

// Holds reports whether a moment lies in the spell.
func (s Spell) Holds(at Millis) bool { return at >= s.From && (s.To == 0 || at < s.To) }

package fleet

import (
	"encoding/json"
	"time"
)

// Profile is what a user says of themselves.
type Profile struct {
	Version  int64  // each change adds one; 1: never saved
	Title    string // "" if none
	Language string // BCP 47
	Zone     string // IANA
	Photo    FileID // zero if none
	Changed  time.Time
}

// FilledForm is a JSON document that a user fills in by a form. Old documents stay
// readable when there is a newer form.
type FilledForm struct {
	Version int64 // each change adds one; 1: never saved
	Form    int   // the version of the JSON Schema by which it was filled in; 0: never saved
	Body    json.RawMessage
	Changed time.Time
}

// Questionnaire is a user's security assessment.
type Questionnaire struct {
	FilledForm          // its body holds the answers by step, some of them sealed
	Risk       RiskBand // "" until the threats were answered
	Completed  time.Time
}

// RiskBand is how much threat a user lives under, for matching.
type RiskBand string

// The bands, from calm to grave.
const (
	RiskGreen  RiskBand = "green"
	RiskYellow RiskBand = "yellow"
	RiskOrange RiskBand = "orange"
	RiskRed    RiskBand = "red"
)

// AddressID identifies a saved address.
type AddressID = ID[Address]

// Address is a place that a user has saved: their home, an office.
type Address struct {
	ID       AddressID
	Label    string
	Text     string // as one writes it on a letter
	Lat, Lon float64
	Created  time.Time
}

// ContactID identifies an emergency contact.
type ContactID = ID[Contact]

// Contact is somebody who is told when something happens to a user, once they
// have agreed to be.
type Contact struct {
	ID       ContactID
	Name     string
	Relation string
	Email    string // "" if none; an e-mail address or a phone number there is
	Phone    string // E.164
	State    ContactState
	Answered time.Time // zero: not yet
	Created  time.Time
}

// ContactState is whether a contact has agreed to be told.
type ContactState string

// The states. Only who has opted in is sent anything but the invitation.
const (
	ContactInvited  ContactState = "invited"
	ContactOptedIn  ContactState = "opted_in"
	ContactDeclined ContactState = "declined"
)

package fleet

import "time"

// DocumentID identifies a document.
type DocumentID = ID[Document]

// Document is what shows that a driver, or a vehicle, may do their work: a
// licence, an insurance, the result of a check. It counts once staff have
// verified it against its issuer, and for as long as neither it nor the
// verification has run out.
type Document struct {
	ID          DocumentID
	Driver      DriverID  // of either one
	Vehicle     VehicleID // or the other
	Kind        DocumentKind
	Number      string
	Category    string // of a licence: what for; of a certification: in what
	Issued      time.Time
	Expires     time.Time // zero: never
	File        FileID
	Status      DocumentStatus
	Reason      string // why it was rejected, suspended or revoked
	Submitted   time.Time
	SubmittedBy string // a name of the audit log
	Verified    time.Time
	VerifiedBy  string
	Reverify    time.Time // when staff have to look again
}

// DocumentKind says what a document shows.
type DocumentKind string

// The kinds of document.
const (
	SIALicence         DocumentKind = "sia_licence" // of the Security Industry Authority
	BackgroundCheck    DocumentKind = "background_check"
	RightToWork        DocumentKind = "right_to_work"
	DrivingLicence     DocumentKind = "driving_licence"
	PrivateHireDriver  DocumentKind = "private_hire_driver"
	Certification      DocumentKind = "certification" // first aid, evasive driving and their like
	Insurance          DocumentKind = "insurance"
	MOT                DocumentKind = "mot"
	PrivateHireVehicle DocumentKind = "private_hire_vehicle"
	OtherDocument      DocumentKind = "other"
)

// CloseProtection is the category of SIA licence that an officer needs.
const CloseProtection = "close_protection"

// DocumentStatus is what staff have said of a document.
type DocumentStatus string

// The statuses. Of a licence, verified is what its register calls active.
const (
	Submitted DocumentStatus = "submitted"
	Verified  DocumentStatus = "verified"
	Rejected  DocumentStatus = "rejected"
	Suspended DocumentStatus = "suspended"
	Revoked   DocumentStatus = "revoked"
)

// From lists the statuses from which staff may move a document to s.
func (s DocumentStatus) From() []DocumentStatus {
	switch s {
	case Verified:
		return []DocumentStatus{Submitted, Verified, Suspended}
	case Rejected:
		return []DocumentStatus{Submitted}
	case Suspended:
		return []DocumentStatus{Verified}
	case Revoked:
		return []DocumentStatus{Verified, Suspended}
	}
	return nil
}

// Deadline is when the document stops counting unless something is done; zero:
// never.
func (d *Document) Deadline() time.Time {
	if d.Expires.IsZero() || !d.Reverify.IsZero() && d.Reverify.Before(d.Expires) {
		return d.Reverify
	}
	return d.Expires
}

// Counts reports whether the document is good at a time.
func (d *Document) Counts(at time.Time) bool { return d.flaw(at) == "" }

func (d *Document) flaw(at time.Time) Defect {
	switch {
	case d.Status == Submitted:
		return DefectUnverified
	case d.Status != Verified:
		return Defect(d.Status)
	case !d.Expires.IsZero() && !at.Before(d.Expires):
		return DefectExpired
	case !d.Reverify.IsZero() && !at.Before(d.Reverify):
		return DefectUnverified
	}
	return ""
}

// Defect is what is wrong with a document, or the lack of one.
type Defect string

// The defects. A document that was rejected, suspended or revoked has its status.
const (
	DefectMissing    Defect = "missing"
	DefectUnverified Defect = "unverified"
	DefectExpired    Defect = "expired"
	DefectAccount    Defect = "account" // it is not a document: the account is suspended, or is no driver's
)

// FitnessRecord is all that decides whether a driver is fit to work.
type FitnessRecord struct {
	Driver    DriverID
	Tiers     []Tier // all of them
	Duty      Duty   // "" of a driver who has never said
	Closed    bool   // the driver's account may not work: suspended, erased, or without the role
	Documents []Document
	Cars      []Car // that they drive now
}

// Car is a vehicle with its documents.
type Car struct {
	ID        VehicleID
	Documents []Document
}

// Reason is why a driver is not fit to work.
type Reason struct {
	Kind     DocumentKind // "" if it is not about a document
	Defect   Defect
	Document DocumentID // zero if there is none
	Vehicle  VehicleID  // zero if it is the driver's own
}

// Fitness returns why the driver may not be offered work at a time; nothing if
// they may. Of each kind that is required one document has to count, and so it
// has of a private-hire licence that was ever verified. Who drives a car needs
// one that is fit; who drives none needs none.
func Fitness(r *FitnessRecord, at time.Time) []Reason {
	var reasons []Reason
	if r.Closed {
		reasons = append(reasons, Reason{Defect: DefectAccount})
	}
	reasons = lacking(reasons, r.Documents, at, VehicleID{}, PrivateHireDriver, SIALicence, BackgroundCheck, RightToWork)
	var unfit []Reason
	for i := range r.Cars {
		of := lacking(nil, r.Cars[i].Documents, at, r.Cars[i].ID, PrivateHireVehicle, Insurance, MOT)
		if len(of) == 0 {
			return reasons
		}
		unfit = append(unfit, of...)
	}
	return append(reasons, unfit...)
}

// lacking adds a reason for each kind of which no document counts.
func lacking(to []Reason, documents []Document, at time.Time, car VehicleID, optional DocumentKind, required ...DocumentKind) []Reason {
	for _, kind := range append(required, optional) {
		worst := Reason{Kind: kind, Defect: DefectMissing, Vehicle: car}
		good, held := false, kind != optional
		for i := range documents {
			d := &documents[i]
			if d.Kind != kind || kind == SIALicence && d.Category != CloseProtection {
				continue
			}
			held = held || !d.Verified.IsZero()
			if flaw := d.flaw(at); flaw == "" {
				good = true
			} else {
				worst.Defect, worst.Document = flaw, d.ID // of several, the last submitted
			}
		}
		if held && !good {
			to = append(to, worst)
		}
	}
	return to
}

package account

import (
	"context"
	"regexp"
	"slices"
	"time"

	"armora/fleet"
	"armora/schema"
)

const (
	// verificationLife is how long staff's word on a document is good, when they
	// do not say otherwise, and maxVerification the longest that they may say.
	verificationLife = 365 * 24 * time.Hour
	maxVerification  = 3 * verificationLife
)

var siaNumber = regexp.MustCompile(`^[0-9]{16}$`)

// ofDrivers and ofVehicles are the kinds of document that each may have.
var (
	ofDrivers = []fleet.DocumentKind{fleet.SIALicence, fleet.BackgroundCheck, fleet.RightToWork, fleet.DrivingLicence,
		fleet.PrivateHireDriver, fleet.Certification, fleet.OtherDocument}
	ofVehicles = []fleet.DocumentKind{fleet.Insurance, fleet.MOT, fleet.PrivateHireVehicle, fleet.OtherDocument}
)

// expiring are the kinds of document that always run out.
var expiring = []fleet.DocumentKind{fleet.SIALicence, fleet.Insurance, fleet.MOT, fleet.PrivateHireDriver, fleet.PrivateHireVehicle}

// Submit takes in a document of a driver or a vehicle, for staff to verify. It may
// rest on a file of the owner's; zero: of anybody's, which is for staff.
func (o *Officers) Submit(ctx context.Context, by string, owner fleet.UserID, d fleet.Document) (fleet.Document, error) {
	kinds := ofDrivers
	if d.Driver.IsZero() {
		kinds = ofVehicles
	}
	switch {
	case !slices.Contains(kinds, d.Kind):
		return d, invalid("a document of kind %q is not one of these", d.Kind)
	case d.Kind == fleet.SIALicence && !siaNumber.MatchString(d.Number):
		return d, invalid("the number of an SIA licence has 16 digits")
	case d.Kind == fleet.SIALicence && d.Category == "":
		return d, invalid("category is missing: it is what the licence is for, such as %s", fleet.CloseProtection)
	case slices.Contains(expiring, d.Kind) && d.Expires.IsZero():
		return d, invalid("expires_at is missing: this kind of document runs out")
	case !d.Expires.IsZero() && !d.Issued.Before(d.Expires):
		return d, invalid("the document expires before it is issued")
	}
	d.ID, d.Status = fleet.NewID[fleet.Document](), fleet.Submitted
	d.Submitted, d.SubmittedBy = o.clock.Now(), by
	if err := o.documents.Submit(ctx, d, owner); err != nil {
		return d, err
	}
	o.refresh(ctx, d.Driver) // a reason may read otherwise
	return d, nil
}

// Decide records what staff have found of a document, and who it makes fit or
// unfit is so at once. Staff are told of what is suspended or revoked. A zero
// reverify is after a year.
func (o *Officers) Decide(ctx context.Context, caller *Caller, id fleet.DocumentID, status fleet.DocumentStatus, reason string, reverify time.Time) (fleet.Document, error) {
	now := o.clock.Now()
	switch {
	case status != fleet.Verified && reason == "":
		return fleet.Document{}, invalid("reason is missing: whoever is turned down is told why")
	case reverify.IsZero():
		reverify = now.Add(verificationLife)
	case !reverify.After(now) || reverify.After(now.Add(maxVerification)):
		return fleet.Document{}, invalid("reverify_at is not within three years from now")
	}
	notices, err := o.alarm(ctx, id, status, reason)
	if err != nil {
		return fleet.Document{}, err
	}
	d, err := o.documents.Decide(ctx, id, schema.Examination{
		Status: status, Reason: reason, Reverify: reverify, At: now, By: caller.Name, User: caller.User, Notices: notices,
	})
	if err != nil {
		return d, err
	}
	driver := d.Driver
	if driver.IsZero() {
		vehicle, err := o.vehicles.Get(ctx, d.Vehicle)
		if err != nil {
			o.log.Warn("who drives a vehicle could not be looked up, it is in a minute", "vehicle", d.Vehicle, "error", err)
		}
		driver = vehicle.Driver
	}
	o.refresh(ctx, driver)
	return d, nil
}

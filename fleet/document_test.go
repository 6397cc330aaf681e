package fleet

import (
	"slices"
	"testing"
	"time"
)

// papers are all that an officer needs, verified, until a year from at.
func papers(at time.Time) []Document {
	var all []Document
	for _, kind := range []DocumentKind{SIALicence, BackgroundCheck, RightToWork} {
		all = append(all, Document{
			ID: NewID[Document](), Kind: kind, Category: CloseProtection, Status: Verified,
			Verified: at, Expires: at.AddDate(1, 0, 0), Reverify: at.AddDate(2, 0, 0),
		})
	}
	return all
}

func carPapers(at time.Time) []Document {
	return []Document{
		{ID: NewID[Document](), Kind: Insurance, Status: Verified, Verified: at, Expires: at.AddDate(1, 0, 0)},
		{ID: NewID[Document](), Kind: MOT, Status: Verified, Verified: at, Expires: at.AddDate(1, 0, 0)},
	}
}

func TestFitness(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	car, spare := NewID[Vehicle](), NewID[Vehicle]()
	later := func(d Document, status DocumentStatus) Document {
		d.ID, d.Status = NewID[Document](), status
		return d
	}
	for name, c := range map[string]struct {
		change func(r *FitnessRecord)
		want   []Defect
	}{
		"with all papers":   {func(*FitnessRecord) {}, nil},
		"with none":         {func(r *FitnessRecord) { r.Documents = nil }, []Defect{DefectMissing, DefectMissing, DefectMissing}},
		"a closed account":  {func(r *FitnessRecord) { r.Closed = true }, []Defect{DefectAccount}},
		"a moment before":   {func(r *FitnessRecord) { r.Documents[0].Expires = at.Add(1) }, nil},
		"expired":           {func(r *FitnessRecord) { r.Documents[0].Expires = at }, []Defect{DefectExpired}},
		"never expires":     {func(r *FitnessRecord) { r.Documents[2].Expires = time.Time{} }, nil},
		"to be looked at":   {func(r *FitnessRecord) { r.Documents[1].Reverify = at }, []Defect{DefectUnverified}},
		"not looked at":     {func(r *FitnessRecord) { r.Documents[1].Status = Submitted }, []Defect{DefectUnverified}},
		"rejected":          {func(r *FitnessRecord) { r.Documents[1].Status = Rejected }, []Defect{Defect(Rejected)}},
		"suspended":         {func(r *FitnessRecord) { r.Documents[0].Status = Suspended }, []Defect{Defect(Suspended)}},
		"for another work":  {func(r *FitnessRecord) { r.Documents[0].Category = "door_supervision" }, []Defect{DefectMissing}},
		"a newer one waits": {func(r *FitnessRecord) { r.Documents = append(r.Documents, later(r.Documents[0], Submitted)) }, nil},
		"a newer one is good": {func(r *FitnessRecord) {
			r.Documents = append(r.Documents, later(r.Documents[0], Verified))
			r.Documents[0].Status = Revoked
		}, nil},
		"first aid has run out": {func(r *FitnessRecord) {
			r.Documents = append(r.Documents, Document{Kind: Certification, Status: Verified, Verified: at, Expires: at})
		}, nil},
		"private hire, asked for": {func(r *FitnessRecord) {
			r.Documents = append(r.Documents, Document{Kind: PrivateHireDriver, Status: Submitted})
		}, nil},
		"private hire, run out": {func(r *FitnessRecord) {
			r.Documents = append(r.Documents, Document{Kind: PrivateHireDriver, Status: Verified, Verified: at, Expires: at})
		}, []Defect{DefectExpired}},
		"a car without papers": {func(r *FitnessRecord) { r.Cars = []Car{{ID: car}} }, []Defect{DefectMissing, DefectMissing}},
		"a car with papers":    {func(r *FitnessRecord) { r.Cars = []Car{{ID: car, Documents: carPapers(at)}} }, nil},
		"another car is good":  {func(r *FitnessRecord) { r.Cars = []Car{{ID: spare}, {ID: car, Documents: carPapers(at)}} }, nil},
		"the car's hire licence is revoked": {func(r *FitnessRecord) {
			r.Cars = []Car{{ID: car, Documents: append(carPapers(at), Document{Kind: PrivateHireVehicle, Status: Revoked, Verified: at})}}
		}, []Defect{Defect(Revoked)}},
	} {
		r := FitnessRecord{Documents: papers(at)}
		c.change(&r)
		var got []Defect
		for _, reason := range Fitness(&r, at) {
			got = append(got, reason.Defect)
			if (reason.Vehicle == car) != (len(r.Cars) > 0) {
				t.Errorf("%s: about the vehicle %v", name, reason.Vehicle)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestDeadlineIsTheEarlier(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct{ expires, reverify, want time.Time }{
		{}, {at, time.Time{}, at}, {time.Time{}, at, at}, {at, at.Add(1), at}, {at.Add(1), at, at},
	} {
		if got := (&Document{Expires: c.expires, Reverify: c.reverify}).Deadline(); !got.Equal(c.want) {
			t.Errorf("%v and %v: %v", c.expires, c.reverify, got)
		}
	}
}

func TestStaffDecideInOrder(t *testing.T) {
	t.Parallel()
	for to, from := range map[DocumentStatus][]DocumentStatus{
		Submitted: nil, Rejected: {Submitted}, Suspended: {Verified}, Revoked: {Verified, Suspended}, Verified: {Submitted, Verified, Suspended},
	} {
		if !slices.Equal(to.From(), from) {
			t.Errorf("to %s from %v", to, to.From())
		}
	}
}

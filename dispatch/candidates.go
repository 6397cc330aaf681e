package dispatch

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"armora/fleet"
	"armora/schema"
)

// roster is what is known of officers. Of whom something may have changed it is
// forgotten: the hub looks at everybody's standing once a minute, and at once when
// something of it changes. It is safe for concurrent use.
type roster struct {
	drivers schema.Drivers
	clock   fleet.Clock
	mu      sync.Mutex
	known   map[fleet.DriverID]*schema.Candidate // never changed, only replaced
	forgets int                                  // how often something was forgotten
}

func (r *roster) forget(driver fleet.DriverID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forgets++
	delete(r.known, driver)
}

// get returns what is known of the officers who exist.
func (r *roster) get(ctx context.Context, ids []fleet.DriverID) (map[fleet.DriverID]*schema.Candidate, error) {
	found := make(map[fleet.DriverID]*schema.Candidate, len(ids))
	var unknown []fleet.DriverID
	r.mu.Lock()
	forgets := r.forgets
	for _, id := range ids {
		if c := r.known[id]; c != nil {
			found[id] = c
		} else {
			unknown = append(unknown, id)
		}
	}
	r.mu.Unlock()
	if len(unknown) == 0 {
		return found, nil
	}
	read, err := r.drivers.Candidates(ctx, unknown, r.clock.Now().Add(-lately))
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = make(map[fleet.DriverID]*schema.Candidate)
	}
	for i := range read {
		found[read[i].Driver] = &read[i]
		if r.forgets == forgets { // else it may be what is to be forgotten
			r.known[read[i].Driver] = &read[i]
		}
	}
	return found, nil
}

// unsuited says why an officer cannot have a seat, whatever the time; "" if they
// can. Licences have to be good until the end.
func unsuited(o *fleet.Order, lead bool, c *schema.Candidate, until time.Time) string {
	switch {
	case !slices.Contains(c.Tiers, o.Tier):
		return "tier"
	case len(fleet.Fitness(&c.FitnessRecord, until)) > 0:
		return "unfit"
	case o.Gender != fleet.GenderUnsaid && o.Gender != c.Gender:
		return "gender"
	case lead && len(o.Languages) > 0 && !slices.ContainsFunc(o.Languages, func(l string) bool { return speaks(c.Languages, l) }):
		return "language"
	case lead && !o.ClientVehicle && o.Tier != fleet.ClientVehicle && vehicleOf(c, until).IsZero():
		return "vehicle"
	}
	for _, name := range o.Certifications {
		if !certified(c, name, until) {
			return "certification"
		}
	}
	return ""
}

// speaks reports whether one of the languages has the primary subtag of another:
// who speaks en-GB speaks en.
func speaks(languages []string, wanted string) bool {
	primary := func(tag string) string {
		tag, _, _ = strings.Cut(tag, "-")
		return strings.ToLower(tag)
	}
	return slices.ContainsFunc(languages, func(l string) bool { return primary(l) == primary(wanted) })
}

func certified(c *schema.Candidate, name string, until time.Time) bool {
	return slices.ContainsFunc(c.Documents, func(d fleet.Document) bool {
		return d.Kind == fleet.Certification && strings.EqualFold(d.Category, name) && d.Counts(until)
	})
}

// vehicleOf returns the car that an officer drives and that is fit until a time;
// zero if there is none.
func vehicleOf(c *schema.Candidate, until time.Time) fleet.VehicleID {
	alone := c.FitnessRecord
	for _, car := range c.Cars {
		alone.Cars = []fleet.Car{car}
		if len(fleet.Fitness(&alone, until)) == 0 {
			return car.ID
		}
	}
	return fleet.VehicleID{}
}

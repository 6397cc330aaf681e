package account

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/text/language"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
)

// standingEvery is how often it is looked who is still fit to work: how late an
// expiry may be noticed.
const standingEvery = time.Minute

// OfficersConfig is what Officers needs. All is required.
type OfficersConfig struct {
	DB      *schema.DB
	Keyring *Keyring
	Devices *Devices
	Bus     *bus.Bus
	Clock   fleet.Clock
	Log     *slog.Logger
}

// Officers are the drivers, their documents, their cars and their duty: who is
// fit to work, and who is at work. It is safe for concurrent use.
type Officers struct {
	drivers   schema.Drivers
	vehicles  schema.Vehicles
	documents schema.Documents
	duty      schema.DutySpells
	users     schema.Users
	keyring   *Keyring
	devices   *Devices
	bus       *bus.Bus
	clock     fleet.Clock
	log       *slog.Logger

	// telling is held from the reading of standings to their publishing, so
	// that what was read first is not told last.
	telling sync.Mutex
	untold  map[fleet.UserID]bool // whose spells could not be read; guarded by telling

	accounts changedPeople // as officers
	followed changedPeople // as principals, or in an emergency that is over
}

// NewOfficers returns the officers of a hub.
func NewOfficers(cfg OfficersConfig) *Officers {
	return &Officers{
		drivers: schema.Drivers{DB: cfg.DB}, vehicles: schema.Vehicles{DB: cfg.DB}, documents: schema.Documents{DB: cfg.DB},
		duty: schema.DutySpells{DB: cfg.DB}, users: schema.Users{DB: cfg.DB}, keyring: cfg.Keyring, devices: cfg.Devices, bus: cfg.Bus, clock: cfg.Clock, log: cfg.Log,
		untold: make(map[fleet.UserID]bool), accounts: newChangedPeople(), followed: newChangedPeople(),
	}
}

// Run keeps standings true as accounts change and time passes, and when the phones
// of principals may be followed as their trips go; it warns of what runs out. It
// returns when ctx ends.
func (o *Officers) Run(ctx context.Context) {
	defer o.bus.Accounts.Subscribe(o.accounts.add)()
	defer o.bus.Bookings.Subscribe(o.followTrip)()
	defer o.bus.SOS.Subscribe(func(s bus.SOSChange) {
		if s.Over && !s.User.IsZero() {
			o.followed.add(s.User)
		}
	})()
	for {
		fired, stop := o.clock.NewTimer(standingEvery)
		for due := false; !due; {
			select {
			case <-ctx.Done():
				stop()
				return
			case <-o.accounts.wake:
				o.refreshAccounts(ctx, o.accounts.take())
			case <-o.followed.wake:
				for _, user := range o.followed.take() {
					o.followUser(ctx, user)
				}
			case <-fired:
				due = true
			}
		}
		if err := o.TellAll(ctx); err != nil && ctx.Err() == nil {
			o.log.Warn("which officers are fit to work could not be looked up, it is tried again in a minute", "error", err)
		}
		if err := o.Warn(ctx); err != nil && ctx.Err() == nil {
			o.log.Warn("people could not be told of documents that run out, it is tried again in a minute", "error", err)
		}
	}
}

// TellAll publishes the standing of every officer.
func (o *Officers) TellAll(ctx context.Context) error {
	o.tellUntold(ctx)
	const page = 1000
	for last := (fleet.DriverID{}); ; {
		n, err := o.tell(func() (records []fleet.FitnessRecord, err error) {
			records, err = o.drivers.FitnessAfter(ctx, last, page)
			if len(records) > 0 {
				last = records[len(records)-1].Driver
			}
			return records, err
		})
		if err != nil || n < page {
			return err
		}
	}
}

// refresh publishes the standing of those officers of whom something has
// changed. The change is made whatever comes of it: what fails here is made
// good by the next round of Run.
func (o *Officers) refresh(ctx context.Context, drivers ...fleet.DriverID) {
	for _, driver := range drivers {
		if driver.IsZero() {
			continue
		}
		_, err := o.tell(func() ([]fleet.FitnessRecord, error) {
			record, err := o.drivers.Fitness(ctx, driver)
			return []fleet.FitnessRecord{record}, err
		})
		if err != nil {
			o.log.Warn("whether an officer is fit to work could not be looked up, it is in a minute", "driver", driver, "error", err)
		}
	}
}

func (o *Officers) tell(read func() ([]fleet.FitnessRecord, error)) (n int, err error) {
	o.telling.Lock()
	defer o.telling.Unlock()
	records, err := read()
	if err != nil {
		return 0, err
	}
	now := o.clock.Now()
	for i := range records {
		r := &records[i]
		standing := bus.Standing{Driver: r.Driver, Duty: r.Duty}
		if len(fleet.Fitness(r, now)) == 0 {
			standing.Tiers = r.Tiers
		}
		o.bus.Standings.Publish(standing)
	}
	return len(records), nil
}

// Fitness returns why an officer is not fit to work now; nothing if they are.
func (o *Officers) Fitness(ctx context.Context, driver fleet.DriverID) ([]fleet.Reason, error) {
	record, err := o.drivers.Fitness(ctx, driver)
	if err != nil {
		return nil, err
	}
	return fleet.Fitness(&record, o.clock.Now()), nil
}

// Add adds an officer.
func (o *Officers) Add(ctx context.Context, name string, tier fleet.Tier, user fleet.UserID) (fleet.Driver, error) {
	d := fleet.Driver{ID: fleet.NewID[fleet.Driver](), Name: name, Tier: tier, User: user}
	if err := o.drivers.Create(ctx, d); err != nil {
		return d, err
	}
	o.refresh(ctx, d.ID)
	return d, nil
}

// Describe replaces what the officer who signs in as a user says of themselves.
func (o *Officers) Describe(ctx context.Context, user fleet.UserID, p fleet.Personal) (fleet.DriverProfile, error) {
	for _, tag := range p.Languages {
		if _, err := language.Parse(tag); err != nil || len(tag) > 35 {
			return fleet.DriverProfile{}, invalid("languages are BCP 47 tags, such as en or fr-CA")
		}
	}
	return o.drivers.Describe(ctx, user, p)
}

// AddVehicle adds a vehicle, and whoever drives it needs its papers to be in
// order.
func (o *Officers) AddVehicle(ctx context.Context, v fleet.Vehicle) error {
	if err := o.vehicles.Create(ctx, v, o.clock.Now()); err != nil {
		return err
	}
	o.refresh(ctx, v.Driver)
	return nil
}

// Change replaces what staff say of an officer; nobody does of themselves. With the
// account the phones that were the officer's come back as what they are now.
func (o *Officers) Change(ctx context.Context, by fleet.UserID, p *fleet.DriverProfile) error {
	before, err := o.drivers.Get(ctx, p.ID)
	if err != nil {
		return err
	}
	if !by.IsZero() && (by == before.User || by == p.User) {
		return &fleet.Error{Code: fleet.CodeForbidden, Message: "nobody says of themselves what staff say of an officer: somebody else does"}
	}
	if err := o.drivers.Change(ctx, p); err != nil {
		return err
	}
	if before.User != p.User {
		if err := o.devices.relink(ctx, p.ID); err != nil {
			return err
		}
		if !before.User.IsZero() {
			o.bus.Spells.Publish(bus.Spells{User: before.User})
		}
		o.tellSpells(ctx, p.ID)
	}
	o.refresh(ctx, p.ID)
	return nil
}

// Assign says who drives a vehicle from now on; a zero driver is nobody.
func (o *Officers) Assign(ctx context.Context, vehicle fleet.VehicleID, driver fleet.DriverID) error {
	before, devices, err := o.vehicles.Assign(ctx, vehicle, driver, o.clock.Now())
	if err != nil {
		return err
	}
	var failed error
	for _, device := range devices {
		failed = errors.Join(failed, o.devices.rebound(ctx, device, fleet.UnitOf(device, before, vehicle)))
	}
	o.refresh(ctx, before, driver)
	return failed
}

// SetDuty says whether an officer works from now on. It counts also when the clock has
// been set back since their duty changed last.
func (o *Officers) SetDuty(ctx context.Context, driver fleet.DriverID, duty fleet.Duty) error {
	return o.changed(ctx, driver, o.duty.Set(ctx, driver, duty, o.clock.Now()))
}

// OffDuty takes an officer off duty, on a dispatcher's word.
func (o *Officers) OffDuty(ctx context.Context, term schema.Term, driver fleet.DriverID) error {
	return o.changed(ctx, driver, o.duty.End(ctx, term, driver, o.clock.Now()))
}

// lateDuty is how late an officer's word on their duty may come: it is as long as
// the points of a phone are kept.
const lateDuty = 24 * time.Hour

// SayDuty is SetDuty since a time: the phone had no connection. If the officer's
// duty has changed since, by whomever, that stands. Of a time to come, it is now:
// the phone's clock is fast.
func (o *Officers) SayDuty(ctx context.Context, driver fleet.DriverID, duty fleet.Duty, since time.Time) error {
	switch now := o.clock.Now(); {
	case since.Before(now.Add(-lateDuty)):
		return invalid("the duty of more than %v ago is not changed", lateDuty)
	case since.Before(now):
		return o.changed(ctx, driver, o.duty.SetSince(ctx, driver, duty, since))
	}
	return o.SetDuty(ctx, driver, duty)
}

// changed tells the others that an officer's duty has changed, unless that failed.
func (o *Officers) changed(ctx context.Context, driver fleet.DriverID, failed error) error {
	if failed != nil {
		return failed
	}
	o.tellSpells(ctx, driver)
	o.refresh(ctx, driver)
	return nil
}

// spellsKept is how far back it is known when an officer's phone may be followed.
// It is longer than points of phones are kept.
const spellsKept = 30 * 24 * time.Hour

// tellSpells publishes when an officer's phone may be followed. What fails is
// made good by the next round of Run.
func (o *Officers) tellSpells(ctx context.Context, driver fleet.DriverID) {
	d, err := o.drivers.Get(ctx, driver)
	switch {
	case err == nil && !d.User.IsZero():
		o.followUser(ctx, d.User)
	case err != nil:
		o.log.Error("as whom an officer signs in could not be read", "driver", driver, "error", err)
	}
}

// followUser publishes when a person's phone may be followed: an officer's duty, or
// a principal's trip, has changed, or an emergency of theirs is over. A phone that is
// shown, and may not be followed now, leaves the map. What fails is made good by the
// next round of Run.
func (o *Officers) followUser(ctx context.Context, user fleet.UserID) {
	o.telling.Lock()
	defer o.telling.Unlock()
	spells, err := o.duty.Of(ctx, user, o.clock.Now().Add(-spellsKept))
	var shown []bus.Move
	if n := len(spells); err == nil && (n == 0 || spells[n-1].To != 0) {
		shown, err = o.shown(ctx, user)
	}
	if err != nil {
		o.log.Error("when a phone may be followed could not be read, it is tried again in a minute", "user", user, "error", err)
		o.untold[user] = true
		return
	}
	delete(o.untold, user)
	o.bus.Spells.Publish(bus.Spells{User: user, Spells: spells})
	for _, phone := range shown {
		o.bus.Moves.Publish(phone)
	}
}

// shown are the phones of a person with the units that the map shows them as: an
// officer's as the officer, the others as themselves.
func (o *Officers) shown(ctx context.Context, user fleet.UserID) (all []bus.Move, err error) {
	devices := schema.Devices{DB: o.duty.DB}
	phones, err := devices.OfUser(ctx, user)
	for _, phone := range phones {
		all = append(all, bus.Move{Device: phone, From: fleet.Unit(phone)})
	}
	if err != nil {
		return nil, err
	}
	own, err := o.drivers.Own(ctx, user)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return all, nil
	}
	if err == nil {
		phones, err = devices.OfDriver(ctx, own.ID)
	}
	for _, phone := range phones {
		all = append(all, bus.Move{Device: phone, From: fleet.Unit(own.ID)})
	}
	return all, err
}

func (o *Officers) tellUntold(ctx context.Context) {
	o.telling.Lock()
	users := slices.Collect(maps.Keys(o.untold))
	o.telling.Unlock()
	for _, user := range users {
		o.followUser(ctx, user)
	}
}

// Spells returns when the phones of people may be followed.
func (o *Officers) Spells(ctx context.Context) (map[fleet.UserID][]fleet.Spell, error) {
	return o.duty.Since(ctx, o.clock.Now().Add(-spellsKept))
}

package schema_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func newUser(t *testing.T, db *schema.DB, roles ...fleet.Role) fleet.UserID {
	t.Helper()
	id := fleet.NewID[fleet.User]()
	must(t, schema.Users{DB: db}.Create(t.Context(), fleet.User{
		ID: id, Email: id.String() + "@example.com", EmailVerified: noon, Name: "Ada", Roles: roles, Created: noon,
	}, ""))
	return id
}

func newDriver(t *testing.T, db *schema.DB, user fleet.UserID) fleet.DriverID {
	t.Helper()
	id := fleet.NewID[fleet.Driver]()
	must(t, schema.Drivers{DB: db}.Create(t.Context(), fleet.Driver{ID: id, Name: "Ada Vale", Tier: fleet.Shadow, User: user}))
	return id
}

func newFile(t *testing.T, db *schema.DB, owner fleet.UserID, purpose fleet.FilePurpose) fleet.FileID {
	t.Helper()
	f := fleet.File{ID: fleet.NewID[fleet.File](), Owner: owner, Purpose: purpose, MediaType: "image/png", Size: 1, SHA256: []byte{1}, Created: noon}
	must(t, schema.Files{DB: db}.Add(t.Context(), f, []byte{2}, 100))
	return f.ID
}

// A file that a document rests on stays while the document may count, and leaves
// with its owner.
func TestWhatADocumentRestsOn(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, documents, files := t.Context(), schema.Documents{DB: db}, schema.Files{DB: db}
		user, other := newUser(t, db, fleet.RoleDriver), newUser(t, db, fleet.RoleDriver)
		id := newDriver(t, db, user)
		submit := func(file fleet.FileID, owner fleet.UserID) (fleet.DocumentID, error) {
			d := fleet.Document{ID: fleet.NewID[fleet.Document](), Driver: id, Kind: fleet.RightToWork, File: file, Submitted: noon, SubmittedBy: "x"}
			return d.ID, documents.Submit(ctx, d, owner)
		}
		for _, file := range []fleet.FileID{newFile(t, db, user, fleet.AvatarFile), newFile(t, db, other, fleet.DocumentFile), fleet.NewID[fleet.File]()} {
			_, err := submit(file, user)
			wantCode(t, err, fleet.CodeInvalid)
		}
		_, err := submit(newFile(t, db, other, fleet.DocumentFile), fleet.UserID{}) // by staff
		must(t, err)
		first, second := newFile(t, db, user, fleet.DocumentFile), newFile(t, db, user, fleet.DocumentFile)
		refused, err := submit(first, user)
		must(t, err)
		kept, err := submit(second, user)
		must(t, err)
		wantCode(t, files.Delete(ctx, other, first), fleet.CodeNotFound)
		wantCode(t, files.Delete(ctx, user, first), fleet.CodeConflict)
		_, err = documents.Decide(ctx, refused, schema.Examination{Status: fleet.Rejected, Reason: "blurred", At: noon, By: "x"})
		must(t, err)
		must(t, files.Delete(ctx, user, first))
		_, err = documents.Decide(ctx, kept, schema.Examination{Status: fleet.Verified, At: noon, Reverify: noon.Add(time.Hour), By: "x"})
		must(t, err)
		wantCode(t, files.Delete(ctx, user, second), fleet.CodeConflict)
		must(t, files.DeleteAll(ctx, user))
		list, err := documents.OfDriver(ctx, id)
		must(t, err)
		for _, d := range list[1:] { // the other's file is there
			if !d.File.IsZero() {
				t.Errorf("a document rests on what is gone: %+v", d)
			}
		}
		if len(list) != 3 || list[0].File.IsZero() {
			t.Errorf("documents %+v", list)
		}
	})
}

func TestDriverProfiles(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, drivers := t.Context(), schema.Drivers{DB: db}
		user, rider := newUser(t, db, fleet.RoleDriver), newUser(t, db, fleet.RoleRider)
		id := newDriver(t, db, user)
		wantCode(t, drivers.Create(ctx, fleet.Driver{ID: fleet.NewID[fleet.Driver](), Tier: fleet.Shadow, User: rider}), fleet.CodeInvalid)
		wantCode(t, drivers.Create(ctx, fleet.Driver{ID: fleet.NewID[fleet.Driver](), Tier: fleet.Shadow, User: user}), fleet.CodeConflict)

		personal := fleet.Personal{Languages: []string{"en", "fr-CA"}, Gender: fleet.GenderOther, Bio: "a\x00b", Photo: newFile(t, db, user, fleet.AvatarFile)}
		got, err := drivers.Describe(ctx, user, personal)
		must(t, err)
		if got.ID != id || got.Bio != "a\uFFFDb" || got.Photo != personal.Photo || !slices.Equal(got.Languages, personal.Languages) {
			t.Errorf("described as %+v", got)
		}
		for _, photo := range []fleet.FileID{
			newFile(t, db, rider, fleet.AvatarFile), newFile(t, db, user, fleet.DocumentFile), fleet.NewID[fleet.File](),
		} {
			_, err = drivers.Describe(ctx, user, fleet.Personal{Photo: photo})
			wantCode(t, err, fleet.CodeInvalid)
		}
		_, err = drivers.Describe(ctx, rider, fleet.Personal{})
		wantCode(t, err, fleet.CodeNotFound)
		// A photo that its owner deletes is shown no more.
		must(t, schema.Files{DB: db}.Delete(ctx, user, personal.Photo))
		if got, err = drivers.Own(ctx, user); err != nil || !got.Photo.IsZero() {
			t.Errorf("without the photo: %+v, %v", got, err)
		}
		_, err = drivers.Own(ctx, fleet.UserID{})
		wantCode(t, err, fleet.CodeNotFound)

		change := fleet.DriverProfile{
			Driver: fleet.Driver{ID: id, Name: "Ada V", Tier: fleet.Executive, User: user},
			Tiers:  []fleet.Tier{fleet.Essential}, Coverage: []json.RawMessage{json.RawMessage(`{"type":"Circle"}`)},
		}
		must(t, drivers.Change(ctx, &change))
		own, err := drivers.Own(ctx, user)
		must(t, err)
		if own.Name != "Ada V" || own.Tier != fleet.Executive || !slices.Equal(own.Tiers, change.Tiers) || len(own.Coverage) != 1 || own.Gender != fleet.GenderOther {
			t.Errorf("changed to %+v", own)
		}
		change.User = rider
		wantCode(t, drivers.Change(ctx, &change), fleet.CodeInvalid)
		change.ID = fleet.NewID[fleet.Driver]()
		wantCode(t, drivers.Change(ctx, &change), fleet.CodeNotFound)
	})
}

func TestWhatDecidesFitness(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, documents, vehicles := t.Context(), schema.Documents{DB: db}, schema.Vehicles{DB: db}
		user := newUser(t, db, fleet.RoleDriver)
		id := newDriver(t, db, user)
		other := newDriver(t, db, fleet.UserID{})
		car := fleet.Vehicle{ID: fleet.NewID[fleet.Vehicle](), Registration: "AR23 MRA", Driver: id}
		must(t, vehicles.Create(ctx, car, noon))
		licence := fleet.Document{ID: fleet.NewID[fleet.Document](), Driver: id, Kind: fleet.SIALicence, Number: "1", Category: "c",
			Issued: noon.Add(-time.Hour), Expires: noon.Add(time.Hour), File: newFile(t, db, user, fleet.DocumentFile), Status: fleet.Submitted, Submitted: noon, SubmittedBy: "x"}
		mot := fleet.Document{ID: fleet.NewID[fleet.Document](), Vehicle: car.ID, Kind: fleet.MOT, Status: fleet.Submitted, Submitted: noon, SubmittedBy: "x"}
		must(t, documents.Submit(ctx, licence, user))
		must(t, documents.Submit(ctx, mot, fleet.UserID{}))
		nobody := licence
		nobody.ID, nobody.Driver = fleet.NewID[fleet.Document](), fleet.NewID[fleet.Driver]()
		wantCode(t, documents.Submit(ctx, nobody, fleet.UserID{}), fleet.CodeNotFound)

		got, err := schema.Drivers{DB: db}.Fitness(ctx, id)
		must(t, err)
		if got.Closed || len(got.Documents) != 1 || got.Documents[0] != licence || len(got.Cars) != 1 || got.Cars[0].ID != car.ID ||
			len(got.Cars[0].Documents) != 1 || got.Cars[0].Documents[0] != mot || got.Duty != "" {
			t.Fatalf("record %+v", got)
		}
		all, err := schema.Drivers{DB: db}.FitnessAfter(ctx, fleet.DriverID{}, 10)
		must(t, err)
		if len(all) != 2 || all[0].Driver != id || all[1].Driver != other || len(all[1].Documents)+len(all[1].Cars) != 0 {
			t.Errorf("records %+v", all)
		}
		_, err = schema.Drivers{DB: db}.Fitness(ctx, fleet.NewID[fleet.Driver]())
		wantCode(t, err, fleet.CodeNotFound)
		listed, err := documents.List(ctx, fleet.Submitted, licence.ID, 10)
		must(t, err)
		ofCar, err := documents.OfVehicle(ctx, car.ID)
		must(t, err)
		if len(listed) != 1 || listed[0] != mot || len(ofCar) != 1 || ofCar[0] != mot {
			t.Errorf("listed %v and %v", listed, ofCar)
		}
		_, err = db.Pool().Exec(ctx, `UPDATE users SET suspended = created`)
		must(t, err)
		if got, err = (schema.Drivers{DB: db}).Fitness(ctx, id); err != nil || !got.Closed {
			t.Errorf("a suspended user's: %+v, %v", got, err)
		}
	})
}

func TestVehiclesKeepTheHistoryOfTheirDrivers(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, vehicles := t.Context(), schema.Vehicles{DB: db}
		a, b := newDriver(t, db, fleet.UserID{}), newDriver(t, db, fleet.UserID{})
		car := fleet.Vehicle{ID: fleet.NewID[fleet.Vehicle](), Registration: "AR23 MRA", Driver: a}
		must(t, vehicles.Create(ctx, car, noon))
		tracker := fleet.Device{ID: fleet.NewID[fleet.Device](), Kind: fleet.Tracker, Name: "x", Vehicle: car.ID, Created: noon}
		must(t, schema.Devices{DB: db}.Create(ctx, tracker))
		before, devices, err := vehicles.Assign(ctx, car.ID, b, noon.Add(time.Hour))
		must(t, err)
		if before != a || !slices.Equal(devices, []fleet.DeviceID{tracker.ID}) {
			t.Errorf("before %v, devices %v", before, devices)
		}
		if _, devices, err = vehicles.Assign(ctx, car.ID, b, noon.Add(2*time.Hour)); err != nil || devices != nil {
			t.Errorf("assigned again: %v, %v", devices, err)
		}
		_, _, err = vehicles.Assign(ctx, car.ID, fleet.DriverID{}, noon.Add(-time.Hour)) // by a clock that was set back
		must(t, err)
		history, err := vehicles.Assignments(ctx, car.ID, 10)
		must(t, err)
		at := noon.Add(time.Hour)
		if want := []fleet.Assignment{{Vehicle: car.ID, Driver: b, From: at, To: at}, {Vehicle: car.ID, Driver: a, From: noon, To: at}}; !slices.Equal(history, want) {
			t.Errorf("history %v, want %v", history, want)
		}
		_, _, err = vehicles.Assign(ctx, fleet.NewID[fleet.Vehicle](), b, noon)
		wantCode(t, err, fleet.CodeNotFound)
		_, _, err = vehicles.Assign(ctx, car.ID, fleet.NewID[fleet.Driver](), noon)
		wantCode(t, err, fleet.CodeInvalid)
	})
}

// A dispatcher takes nobody off duty when another has taken over.
func TestDutyIsEndedInTheTerm(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, duty, dispatchers := t.Context(), schema.DutySpells{DB: db}, schema.Dispatchers{DB: db}
		driver := newDriver(t, db, fleet.UserID{})
		must(t, duty.Set(ctx, driver, fleet.OnDuty, noon))
		old, err := dispatchers.Begin(ctx, "all", "one", noon)
		must(t, err)
		next, err := dispatchers.Begin(ctx, "all", "two", noon)
		must(t, err)
		for _, c := range []struct {
			term schema.Term
			want error
			open int
		}{{old, schema.ErrTermOver, 1}, {next, nil, 0}} {
			if err := duty.End(ctx, c.term, driver, noon.Add(time.Minute)); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			at, err := duty.OnDutySince(ctx, noon.Add(time.Hour))
			must(t, err)
			if len(at) != c.open {
				t.Errorf("at work are %v, want %d", at, c.open)
			}
		}
	})
}

func TestDutySpells(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, duty := t.Context(), schema.DutySpells{DB: db}
		user := newUser(t, db, fleet.RoleDriver)
		id, other := newDriver(t, db, user), newDriver(t, db, fleet.UserID{})
		at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
		ms := func(minutes int) fleet.Millis { return fleet.MillisOf(at(minutes)) }
		must(t, duty.Set(ctx, id, fleet.OffDuty, at(0)))
		for minutes, d := range []fleet.Duty{fleet.OnDuty, fleet.OnDuty, fleet.OnBreak, fleet.OnDuty, fleet.OffDuty, fleet.OffDuty} {
			must(t, duty.Set(ctx, id, d, at(minutes)))
		}
		must(t, duty.Set(ctx, other, fleet.OnDuty, at(0)))
		must(t, duty.Set(ctx, id, fleet.OnDuty, at(1))) // by a clock that was set back: it does not overlap
		want := []fleet.Spell{{From: ms(0), To: ms(2)}, {From: ms(2), To: ms(3)}, {From: ms(3), To: ms(4)}, {From: ms(4)}}
		spells, err := duty.Of(ctx, user, at(-60))
		must(t, err)
		if !slices.Equal(spells, want) {
			t.Errorf("worked %v, want %v", spells, want)
		}
		since, err := duty.Since(ctx, at(3))
		must(t, err)
		if !maps.EqualFunc(since, map[fleet.UserID][]fleet.Spell{user: want[2:]}, slices.Equal[[]fleet.Spell]) {
			t.Errorf("since: %v", since)
		}
		record, err := schema.Drivers{DB: db}.Fitness(ctx, id)
		must(t, err)
		if record.Duty != fleet.OnDuty {
			t.Errorf("duty %q", record.Duty)
		}
		wantCode(t, duty.Set(ctx, fleet.NewID[fleet.Driver](), fleet.OnDuty, noon), fleet.CodeNotFound)
	})
}

// The phone of a principal is followed from when an officer sets out to them to the
// end of the trip, that of an officer who is a principal too at both times.
func TestPrincipalsAreFollowedOnTheirTrips(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, duty, bookings := t.Context(), schema.DutySpells{DB: db}, schema.Bookings{DB: db}
		rider, both := newUser(t, db), newUser(t, db, fleet.RoleRider, fleet.RoleDriver)
		at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
		spell := func(from, to int) fleet.Spell {
			return fleet.Spell{From: fleet.MillisOf(at(from)), To: fleet.MillisOf(at(to))}
		}
		must(t, duty.Set(ctx, newDriver(t, db, both), fleet.OnDuty, at(0)))
		trip := func(user fleet.UserID, from, to int) {
			b := newBooking(t, db, user, noon, 1)
			for _, s := range []struct {
				to fleet.BookingStatus
				at int
			}{{fleet.Assigned, from - 1}, {fleet.EnRoute, from}, {fleet.Arrived, from + 1}, {fleet.InProgress, from + 2}, {fleet.Completed, to}} {
				_, err := bookings.Change(ctx, b.ID, at(s.at), func(c *schema.BookingTx) error { return c.Move(s.to, schema.Event{Kind: string(s.to)}) })
				must(t, err)
			}
		}
		trip(rider, 10, 20)
		trip(rider, 40, 50)
		trip(both, 10, 20)
		for user, want := range map[fleet.UserID][]fleet.Spell{rider: {spell(10, 20), spell(40, 50)}, both: {{From: fleet.MillisOf(noon)}}} {
			spells, err := duty.Of(ctx, user, at(-60))
			if err != nil || !slices.Equal(spells, want) {
				t.Errorf("followed %v, want %v, error %v", spells, want, err)
			}
		}
		if since, err := duty.Since(ctx, at(30)); err != nil || !slices.Equal(since[rider], []fleet.Spell{spell(40, 50)}) {
			t.Errorf("since: %v, error %v", since, err)
		}
	})
}

// What a phone said without a connection comes late, perhaps after what was said
// later, and perhaps twice.
func TestDutyThatComesLate(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, duty := t.Context(), schema.DutySpells{DB: db}
		user := newUser(t, db, fleet.RoleDriver)
		id := newDriver(t, db, user)
		at := func(minutes int) time.Time { return noon.Add(time.Duration(minutes) * time.Minute) }
		spell := func(from, to int) fleet.Spell {
			s := fleet.Spell{From: fleet.MillisOf(at(from))}
			if to > 0 {
				s.To = fleet.MillisOf(at(to))
			}
			return s
		}
		for i, step := range []struct {
			duty fleet.Duty
			at   int
			want []fleet.Spell
		}{
			{fleet.OffDuty, 1, nil},
			{fleet.OnDuty, 2, []fleet.Spell{spell(2, 0)}},
			{fleet.OnDuty, 2, []fleet.Spell{spell(2, 0)}},
			{fleet.OnDuty, 3, []fleet.Spell{spell(2, 0)}},
			{fleet.OffDuty, 5, []fleet.Spell{spell(2, 5)}},
			{fleet.OnDuty, 2, []fleet.Spell{spell(2, 5)}}, // again
			{fleet.OnDuty, 4, []fleet.Spell{spell(2, 5)}},
			{fleet.OnDuty, 5, []fleet.Spell{spell(2, 5)}},
			{fleet.OnBreak, 6, []fleet.Spell{spell(2, 5), spell(6, 0)}},
			{fleet.OffDuty, 3, []fleet.Spell{spell(2, 5), spell(6, 0)}}, // said before the break
			{fleet.OffDuty, 7, []fleet.Spell{spell(2, 5), spell(6, 7)}},
		} {
			must(t, duty.SetSince(ctx, id, step.duty, at(step.at)))
			spells, err := duty.Of(ctx, user, at(-60))
			must(t, err)
			if !slices.Equal(spells, step.want) {
				t.Errorf("step %d: %s since %d: worked %v, want %v", i, step.duty, step.at, spells, step.want)
			}
		}
		wantCode(t, duty.SetSince(ctx, fleet.NewID[fleet.Driver](), fleet.OnDuty, noon), fleet.CodeNotFound)
	})
}

func TestBindings(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, devices := t.Context(), schema.Devices{DB: db}
		user := newUser(t, db, fleet.RoleDriver)
		own, hired := newDriver(t, db, user), newDriver(t, db, fleet.UserID{})
		phone := schema.Enrolment{Device: fleet.NewID[fleet.Device](), User: user, Name: "x", Platform: "ios", App: "1", At: noon}
		must(t, devices.Enrol(ctx, phone))
		whose, err := devices.PersonalPhones(ctx)
		must(t, err)
		if !maps.Equal(whose, map[fleet.DeviceID]fleet.UserID{phone.Device: user}) {
			t.Errorf("phones %v", whose)
		}
		before, err := devices.Bind(ctx, phone.Device, own, fleet.VehicleID{}, noon.Add(time.Minute))
		must(t, err)
		if d, err := devices.Own(ctx, phone.Device, user); before != fleet.Unit(own) || err != nil || d.Driver != own {
			t.Errorf("bound to its own: %v, %+v, %v", before, d, err)
		}
		_, err = devices.Bind(ctx, phone.Device, hired, fleet.VehicleID{}, noon.Add(2*time.Minute))
		must(t, err)
		_, err = devices.Own(ctx, phone.Device, user)
		wantCode(t, err, fleet.CodeNotFound)
		_, _, err = devices.EnrolAgain(ctx, phone)
		wantCode(t, err, fleet.CodeNotFound)
		_, err = devices.Bind(ctx, phone.Device, fleet.DriverID{}, fleet.VehicleID{}, noon.Add(3*time.Minute))
		must(t, err)
		history, err := devices.Bindings(ctx, phone.Device, 10)
		must(t, err)
		want := []fleet.Binding{
			{Device: phone.Device, Driver: hired, From: noon.Add(2 * time.Minute), To: noon.Add(3 * time.Minute)},
			{Device: phone.Device, Driver: own, User: user, From: noon.Add(time.Minute), To: noon.Add(2 * time.Minute)},
			{Device: phone.Device, Driver: own, User: user, From: noon, To: noon.Add(time.Minute)},
		}
		if !slices.Equal(history, want) {
			t.Errorf("history %+v", history)
		}
		_, err = devices.Bind(ctx, phone.Device, fleet.DriverID{}, fleet.NewID[fleet.Vehicle](), noon)
		wantCode(t, err, fleet.CodeInvalid)
		_, err = devices.Bind(ctx, fleet.NewID[fleet.Device](), own, fleet.VehicleID{}, noon)
		wantCode(t, err, fleet.CodeNotFound)
	})
}

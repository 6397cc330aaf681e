package schema

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Drivers are the protection officers.
type Drivers struct{ DB *DB }

const (
	driverColumns  = `id, name, tier, user_id`
	profileColumns = driverColumns + `, tiers, coverage, languages, gender, bio, photo`
)

func scanDriver(row pgx.CollectableRow) (d fleet.Driver, err error) {
	err = row.Scan(&d.ID, &d.Name, &d.Tier, &d.User)
	return d, err
}

func scanProfile(row pgx.CollectableRow) (p fleet.DriverProfile, err error) {
	var coverage string
	err = row.Scan(&p.ID, &p.Name, &p.Tier, &p.User, &p.Tiers, &coverage, &p.Languages, &p.Gender, &p.Bio, &p.Photo)
	if err == nil {
		err = json.Unmarshal([]byte(coverage), &p.Coverage)
	}
	return p, err
}

// Create adds a driver. Who has an account as a user must have the driver role
// there; a user who is a driver already is CodeConflict.
func (t Drivers) Create(ctx context.Context, d fleet.Driver) error {
	return t.link(d.User, t.DB.exec(ctx, "driver", `
		INSERT INTO drivers (id, name, tier, user_id)
		SELECT $1::uuid, $2, $3, $4::uuid
		WHERE $4::uuid IS NULL OR EXISTS (`+mayDrive+`)`, d.ID, d.Name, d.Tier, d.User))
}

// Change replaces what staff say of a driver, under the rule of Create.
func (t Drivers) Change(ctx context.Context, p *fleet.DriverProfile) error {
	coverage, err := json.Marshal(p.Coverage)
	if err != nil {
		return err
	}
	if _, err := t.Get(ctx, p.ID); err != nil {
		return err
	}
	return t.link(p.User, t.DB.exec(ctx, "driver", `
		UPDATE drivers SET name = $2, tier = $3, user_id = $4, tiers = $5::text[], coverage = $6
		WHERE id = $1 AND ($4::uuid IS NULL OR EXISTS (`+mayDrive+`))`,
		p.ID, p.Name, p.Tier, p.User, texts(p.Tiers), string(coverage)))
}

// mayDrive selects the user $4 if they have a driver's account.
const mayDrive = `SELECT FROM users u WHERE u.id = $4 AND 'driver' = ANY(u.roles) AND u.suspended IS NULL AND u.erased IS NULL`

// link says what it means that a statement with mayDrive found no row.
func (t Drivers) link(user fleet.UserID, err error) error {
	if fleet.CodeOf(err) == fleet.CodeNotFound && !user.IsZero() {
		return &fleet.Error{Code: fleet.CodeInvalid, Message: "the user does not exist, or has not the driver role"}
	}
	return err
}

// Get returns one driver.
func (t Drivers) Get(ctx context.Context, id fleet.DriverID) (fleet.Driver, error) {
	return one(ctx, t.DB, "driver", scanDriver, `SELECT `+driverColumns+` FROM drivers WHERE id = $1`, id)
}

// Profile returns all that is said of a driver.
func (t Drivers) Profile(ctx context.Context, id fleet.DriverID) (fleet.DriverProfile, error) {
	return one(ctx, t.DB, "driver", scanProfile, `SELECT `+profileColumns+` FROM drivers WHERE id = $1`, id)
}

// Own returns the profile of the driver who signs in as a user.
func (t Drivers) Own(ctx context.Context, user fleet.UserID) (fleet.DriverProfile, error) {
	return one(ctx, t.DB, "driver", scanProfile, `SELECT `+profileColumns+` FROM drivers WHERE user_id = $1`, user)
}

// Describe replaces what the driver who signs in as a user says of themselves.
// The photo is an avatar of the user's own, or else it is CodeInvalid.
func (t Drivers) Describe(ctx context.Context, user fleet.UserID, p fleet.Personal) (fleet.DriverProfile, error) {
	if err := Files(t).check(ctx, p.Photo, fleet.AvatarFile, user, notOwnAvatar); err != nil {
		return fleet.DriverProfile{}, err
	}
	return one(ctx, t.DB, "driver", scanProfile, `
		UPDATE drivers SET languages = $2::text[], gender = $3, bio = $4, photo = $5
		WHERE user_id = $1 RETURNING `+profileColumns, user, texts(p.Languages), p.Gender, text(p.Bio), p.Photo)
}

// Link says as which user a driver signs in.
func (t Drivers) Link(ctx context.Context, id fleet.DriverID, user fleet.UserID) error {
	return t.DB.exec(ctx, "driver", `UPDATE drivers SET user_id = $2 WHERE id = $1`, id, user)
}

// List returns up to limit drivers with ids after the given one, in order of id.
func (t Drivers) List(ctx context.Context, after fleet.DriverID, limit int) ([]fleet.Driver, error) {
	return all(ctx, t.DB, "driver", scanDriver, `
		SELECT `+driverColumns+` FROM drivers WHERE $1::uuid IS NULL OR id > $1 ORDER BY id LIMIT $2`, after, limit)
}

// ByIDs returns those of the drivers that exist, in order of id.
func (t Drivers) ByIDs(ctx context.Context, ids []fleet.DriverID) ([]fleet.Driver, error) {
	return all(ctx, t.DB, "driver", scanDriver,
		`SELECT `+driverColumns+` FROM drivers WHERE id = ANY($1::uuid[]) ORDER BY id`, idStrings(ids))
}

// Fitness returns what decides whether a driver is fit to work.
func (t Drivers) Fitness(ctx context.Context, id fleet.DriverID) (fleet.FitnessRecord, error) {
	records, err := t.fitness(ctx, `d.id = $1`, id)
	if err == nil && len(records) == 0 {
		err = translate("driver", pgx.ErrNoRows)
	}
	if err != nil {
		return fleet.FitnessRecord{}, err
	}
	return records[0], nil
}

// FitnessAfter is Fitness of up to limit drivers with ids after the given one, in
// order of id.
func (t Drivers) FitnessAfter(ctx context.Context, after fleet.DriverID, limit int) ([]fleet.FitnessRecord, error) {
	return t.fitness(ctx, `$1::uuid IS NULL OR d.id > $1 ORDER BY d.id LIMIT $2`, after, limit)
}

func (t Drivers) fitness(ctx context.Context, which string, args ...any) ([]fleet.FitnessRecord, error) {
	scan := func(row pgx.CollectableRow) (r fleet.FitnessRecord, err error) {
		err = row.Scan(&r.Driver, &r.Tiers, &r.Duty, &r.Closed)
		return r, err
	}
	records, err := all(ctx, t.DB, "driver", scan, `
		SELECT d.id, d.tier || d.tiers,
		       coalesce((SELECT s.duty FROM duty_spells s WHERE s.driver = d.id AND s.ended IS NULL),
		                (SELECT 'off_duty' FROM duty_spells s WHERE s.driver = d.id LIMIT 1), ''),
		       u.id IS NOT NULL AND (u.suspended IS NOT NULL OR u.erased IS NOT NULL OR NOT 'driver' = ANY(u.roles))
		FROM drivers d LEFT JOIN users u ON u.id = d.user_id WHERE `+which, args...)
	if err != nil {
		return nil, err
	}
	byDriver := make(map[fleet.DriverID]*fleet.FitnessRecord, len(records))
	ids := make([]fleet.DriverID, len(records))
	for i := range records {
		ids[i] = records[i].Driver
		byDriver[ids[i]] = &records[i]
	}
	owned, err := Documents(t).of(ctx, `d.driver = ANY($1::uuid[])`, idStrings(ids))
	if err != nil {
		return nil, err
	}
	for _, d := range owned {
		r := byDriver[d.Driver]
		r.Documents = append(r.Documents, d)
	}
	return records, t.cars(ctx, byDriver, ids)
}

// cars adds the cars that drivers drive to their records.
func (t Drivers) cars(ctx context.Context, byDriver map[fleet.DriverID]*fleet.FitnessRecord, ids []fleet.DriverID) error {
	vehicles, err := all(ctx, t.DB, "vehicle", scanVehicle,
		`SELECT id, registration, driver FROM vehicles WHERE driver = ANY($1::uuid[]) ORDER BY id`, idStrings(ids))
	if err != nil {
		return err
	}
	documents, err := Documents(t).of(ctx,
		`d.vehicle IN (SELECT v.id FROM vehicles v WHERE v.driver = ANY($1::uuid[]))`, idStrings(ids))
	if err != nil {
		return err
	}
	byVehicle := make(map[fleet.VehicleID][]fleet.Document, len(vehicles))
	for _, d := range documents {
		byVehicle[d.Vehicle] = append(byVehicle[d.Vehicle], d)
	}
	for _, v := range vehicles {
		r := byDriver[v.Driver]
		r.Cars = append(r.Cars, fleet.Car{ID: v.ID, Documents: byVehicle[v.ID]})
	}
	return nil
}

func idStrings[K any](ids []fleet.ID[K]) []string {
	s := make([]string, len(ids))
	for i, id := range ids {
		s[i] = id.String()
	}
	return s
}

// texts are words as PostgreSQL's text[], never NULL.
func texts[S ~string](words []S) []string {
	s := make([]string, len(words))
	for i, word := range words {
		s[i] = text(string(word))
	}
	return s
}

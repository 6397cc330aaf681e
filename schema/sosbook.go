package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// SOSBook is what a hub must know by heart to see to emergencies while its database
// is away: who is on which trip, by what they are let in, and how ops and contacts
// are reached. What is sealed in the database is sealed here too.
type SOSBook struct {
	Taken    time.Time
	Ops      []SOSPerson     // all who may see to an SOS
	Rota     []fleet.SOSStep // in order
	Officers []SOSOfficer    // all who sign in
	Trips    []SOSTrip       // that are under way, or about to be
	Contacts []SOSContact    // who have opted in, of those on trips, and of those with an open SOS
	Duress   []SOSDuress     // everybody's

	// By these the people on trips, officers on duty, ops, and their phones, are let in.
	Keys     []SigningKey
	Sessions []SignedIn
	Devices  []DeviceLogin
}

// SOSPerson is somebody of ops.
type SOSPerson struct {
	User  fleet.UserID
	Name  string
	Email string // "" unless it is verified
	Phone string // likewise
	Apps  []SealedPushToken
}

// SOSOfficer says as which user an officer signs in.
type SOSOfficer struct {
	Driver fleet.DriverID
	User   fleet.UserID
}

// SOSTrip is a trip with those who are on it.
type SOSTrip struct {
	Booking   fleet.BookingID
	Principal fleet.UserID
	Drivers   []fleet.DriverID
	Active    bool // the lead has set out
}

// SOSContact is an emergency contact, and whose.
type SOSContact struct {
	SealedContact
	Owner string // their name
}

// SOSDuress is the keyed hash of a code.
type SOSDuress struct {
	User fleet.UserID
	Hash []byte
}

// SOSBooks makes books.
type SOSBooks struct{ DB *DB }

// sosTripAhead is how long before its start a trip is in the book.
const sosTripAhead = 2 * time.Hour

// Take writes a book, as the database is at one moment.
func (t SOSBooks) Take(ctx context.Context, now time.Time) (b SOSBook, err error) {
	b.Taken = now
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, t.DB.pool, options, func(tx pgx.Tx) error {
		w := bookWriter{ctx: ctx, tx: tx, now: now, book: &b}
		for _, write := range []func() error{w.ops, w.rota, w.officers, w.trips, w.contacts, w.duress, w.keys, w.sessions, w.devices} {
			if err := write(); err != nil {
				return err
			}
		}
		return nil
	})
	return b, translate("book of emergencies", err)
}

// bookWriter fills a book from one transaction.
type bookWriter struct {
	ctx  context.Context
	tx   pgx.Tx
	now  time.Time
	book *SOSBook
}

func collect[T any](w *bookWriter, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	rows, err := w.tx.Query(w.ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scan)
}

func (w *bookWriter) ops() (err error) {
	w.book.Ops, err = collect(w, func(row pgx.CollectableRow) (p SOSPerson, err error) {
		return p, row.Scan(&p.User, &p.Name, &p.Email, &p.Phone)
	}, `SELECT u.id, u.name, CASE WHEN u.email_verified IS NOT NULL THEN u.email ELSE '' END,
			CASE WHEN u.phone_verified IS NOT NULL THEN u.phone ELSE '' END
		FROM users u WHERE `+isOps+` ORDER BY u.id`)
	if err != nil {
		return err
	}
	apps, err := collect(w, func(row pgx.CollectableRow) (p SealedPushToken, err error) {
		return p, row.Scan(&p.ID, &p.User, &p.Sealed)
	}, `SELECT p.id, p.user_id, p.sealed FROM push_tokens p JOIN user_sessions s ON s.id = p.session JOIN users u ON u.id = p.user_id
		WHERE `+isOps+` AND s.ended IS NULL AND s.expires > $1 ORDER BY p.created DESC`, w.now)
	for _, app := range apps {
		for i := range w.book.Ops {
			if p := &w.book.Ops[i]; p.User == app.User {
				p.Apps = append(p.Apps, app)
			}
		}
	}
	return err
}

func (w *bookWriter) rota() (err error) {
	w.book.Rota, err = rotaOf(w.ctx, w.tx)
	return err
}

func (w *bookWriter) officers() (err error) {
	w.book.Officers, err = collect(w, func(row pgx.CollectableRow) (o SOSOfficer, err error) {
		return o, row.Scan(&o.Driver, &o.User)
	}, `SELECT id, user_id FROM drivers WHERE user_id IS NOT NULL ORDER BY id`)
	return err
}

func (w *bookWriter) trips() (err error) {
	w.book.Trips, err = collect(w, func(row pgx.CollectableRow) (t SOSTrip, err error) {
		var drivers []string
		if err := row.Scan(&t.Booking, &t.Principal, &t.Active, &drivers); err != nil {
			return t, err
		}
		for _, text := range drivers {
			id, err := fleet.ParseID[fleet.Driver](text)
			if err != nil {
				return t, err
			}
			t.Drivers = append(t.Drivers, id)
		}
		return t, nil
	}, `SELECT b.id, b.user_id, b.status <> 'assigned', ARRAY(
			SELECT s.driver_id::text FROM booking_seats s
			WHERE s.booking_id = b.id AND s.state IN ('committed', 'active') AND s.driver_id IS NOT NULL ORDER BY s.id)
		FROM bookings b
		WHERE b.status IN ('en_route', 'arrived', 'in_progress') OR b.status = 'assigned' AND b.starts < $1
		ORDER BY b.id`, w.now.Add(sosTripAhead))
	return err
}

func (w *bookWriter) contacts() (err error) {
	w.book.Contacts, err = collect(w, func(row pgx.CollectableRow) (c SOSContact, err error) {
		var answered *time.Time
		err = row.Scan(&c.ID, &c.User, &c.Sealed, &c.State, &answered, &c.Created, &c.Owner)
		c.Answered, c.Created = orZero(answered), c.Created.UTC()
		return c, err
	}, `SELECT `+contactColumns+`, (SELECT name FROM users WHERE id = user_id) FROM contacts
		WHERE state = 'opted_in' AND (user_id = ANY($1::uuid[]) OR user_id IN (SELECT user_id FROM sos WHERE ended IS NULL))
		ORDER BY user_id, created, id`, idStrings(w.onTrips()))
	return err
}

func (w *bookWriter) duress() (err error) {
	w.book.Duress, err = collect(w, func(row pgx.CollectableRow) (d SOSDuress, err error) {
		return d, row.Scan(&d.User, &d.Hash)
	}, `SELECT user_id, hash FROM duress_codes ORDER BY user_id`)
	return err
}

// onTrips are the people on the trips of the book.
func (w *bookWriter) onTrips() []fleet.UserID {
	users := make(map[fleet.DriverID]fleet.UserID, len(w.book.Officers))
	for _, o := range w.book.Officers {
		users[o.Driver] = o.User
	}
	var who []fleet.UserID
	for i := range w.book.Trips {
		t := &w.book.Trips[i]
		who = append(who, t.Principal)
		for _, d := range t.Drivers {
			if u, ok := users[d]; ok {
				who = append(who, u)
			}
		}
	}
	return who
}

// letIn selects the people who are let in while the database is away; $1 are those
// on trips.
const letIn = `(
	SELECT u.id FROM users u WHERE u.id = ANY($1::uuid[]) OR ` + isOps + `
	UNION SELECT o.user_id FROM duty_spells d JOIN drivers o ON o.id = d.driver WHERE d.ended IS NULL AND o.user_id IS NOT NULL
	UNION SELECT s.user_id FROM sos s WHERE s.ended IS NULL AND s.user_id IS NOT NULL)`

func (w *bookWriter) keys() (err error) {
	w.book.Keys, err = collect(w, scanSigningKey, signingKeys)
	return err
}

func (w *bookWriter) sessions() (err error) {
	w.book.Sessions, err = collect(w, scanSignedIn, signedIn+`
		WHERE s.user_id IN `+letIn+` AND s.ended IS NULL AND s.expires > $2 ORDER BY s.id`, idStrings(w.onTrips()), w.now)
	return err
}

// devices are the phones of those who are let in, and the trackers of the cars that
// officers among them drive.
func (w *bookWriter) devices() (err error) {
	const theirs = ` WHERE ` + whosePhone + ` IN ` + letIn + ` OR d.driver IN (SELECT driver FROM duty_spells WHERE ended IS NULL)
		OR v.driver IN (SELECT o.id FROM drivers o WHERE o.user_id IN ` + letIn + `)`
	identities, err := collect(w, scanIdentity, identityOf+theirs+` ORDER BY d.id`, idStrings(w.onTrips()))
	if err != nil {
		return err
	}
	ids, at := make([]fleet.DeviceID, len(identities)), make(map[fleet.DeviceID]int, len(identities))
	w.book.Devices = make([]DeviceLogin, len(identities))
	for i, identity := range identities {
		ids[i], at[identity.Device], w.book.Devices[i].Identity = identity.Device, i, identity
	}
	credentials, err := collect(w, scanCredential, `
		SELECT `+credentialColumns+` FROM credentials WHERE device = ANY($1::uuid[]) AND revoked IS NULL ORDER BY created, id`, idStrings(ids))
	for _, c := range credentials {
		d := &w.book.Devices[at[c.Device]]
		d.Credentials = append(d.Credentials, c)
	}
	return err
}

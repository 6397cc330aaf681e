package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Documents are the licences and papers of drivers and vehicles.
type Documents struct{ DB *DB }

const documentColumns = `d.id, d.driver, d.vehicle, d.kind, d.number, d.category, d.issued, d.expires, d.file, d.status, d.reason,
	d.submitted, d.submitted_by, d.verified, d.verified_by, d.reverify`

func scanDocument(row pgx.CollectableRow) (d fleet.Document, err error) {
	var issued, expires, verified, reverify *time.Time
	err = row.Scan(&d.ID, &d.Driver, &d.Vehicle, &d.Kind, &d.Number, &d.Category, &issued, &expires, &d.File, &d.Status, &d.Reason,
		&d.Submitted, &d.SubmittedBy, &verified, &d.VerifiedBy, &reverify)
	d.Issued, d.Expires, d.Verified, d.Reverify = orZero(issued), orZero(expires), orZero(verified), orZero(reverify)
	d.Submitted = d.Submitted.UTC()
	return d, err
}

// Submit adds a document that nobody has verified. Of a driver or vehicle that
// does not exist it is CodeNotFound. Its file, if it has one, was uploaded as a
// document by the owner, or by anybody if that is zero; else it is CodeInvalid.
func (t Documents) Submit(ctx context.Context, d fleet.Document, owner fleet.UserID) error {
	if err := Files(t).check(ctx, d.File, fleet.DocumentFile, owner, "the file is not one that was uploaded as a document"); err != nil {
		return err
	}
	noun, subject := "driver", `SELECT FROM drivers WHERE id = $2`
	if d.Driver.IsZero() {
		noun, subject = "vehicle", `SELECT FROM vehicles WHERE id = $3`
	}
	return t.DB.exec(ctx, noun, `
		INSERT INTO documents (id, driver, vehicle, kind, number, category, issued, expires, file, status, submitted, submitted_by)
		SELECT $1::uuid, $2::uuid, $3::uuid, $4, $5, $6, $7::timestamptz, $8::timestamptz, $9::uuid, 'submitted', $10::timestamptz, $11
		WHERE EXISTS (`+subject+`)`,
		d.ID, d.Driver, d.Vehicle, d.Kind, text(d.Number), text(d.Category), null(d.Issued), null(d.Expires), d.File,
		d.Submitted, d.SubmittedBy)
}

// Examination is what staff say of a document.
type Examination struct {
	Status   fleet.DocumentStatus
	Reason   string
	Reverify time.Time // when it is verified
	At       time.Time
	By       string         // a name of the audit log
	User     fleet.UserID   // who decides: never about what is their own; zero for the bootstrap admin
	Notices  []fleet.Notice // that tell of it
}

// Decide moves a document to another status, and returns it. One whose status
// does not allow that is CodeConflict; the decider's own is CodeForbidden.
func (t Documents) Decide(ctx context.Context, id fleet.DocumentID, v Examination) (d fleet.Document, err error) {
	var verified, reverify *time.Time
	if v.Status == fleet.Verified {
		verified, reverify = &v.At, null(v.Reverify)
	}
	err = t.DB.transact(ctx, "document", func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `
			UPDATE documents d
			SET status = $2, reason = $3, verified = coalesce($4, verified), reverify = coalesce($5, reverify),
			    verified_by = CASE WHEN $4::timestamptz IS NULL THEN verified_by ELSE $6 END
			WHERE id = $1 AND status = ANY($7::text[])
			  AND NOT EXISTS (SELECT FROM drivers o WHERE o.id = d.driver AND o.user_id = $8)
			RETURNING `+documentColumns, id, v.Status, text(v.Reason), verified, reverify, v.By, texts(v.Status.From()), v.User)
		if err != nil {
			return err
		}
		if d, err = pgx.CollectExactlyOneRow(rows, scanDocument); err != nil {
			return err
		}
		return t.DB.notify(ctx, tx, v.Notices...)
	})
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		err = t.undecided(ctx, id, v.User)
	}
	return d, err
}

// undecided says why nobody could decide about a document.
func (t Documents) undecided(ctx context.Context, id fleet.DocumentID, user fleet.UserID) error {
	own, err := one(ctx, t.DB, "document", pgx.RowTo[bool], `
		SELECT EXISTS (SELECT FROM drivers o WHERE o.id = d.driver AND o.user_id = $2) FROM documents d WHERE d.id = $1`, id, user)
	switch {
	case err != nil:
		return err
	case own:
		return &fleet.Error{Code: fleet.CodeForbidden, Message: "nobody decides about their own documents"}
	default:
		return &fleet.Error{Code: fleet.CodeConflict, Message: "the document's status does not allow this"}
	}
}

// Subject is a document with whom it is about.
type Subject struct {
	fleet.Document
	Registration string       // of the vehicle, if it is a vehicle's
	Name         string       // of the driver, or of who drives the vehicle; "" if nobody does
	User         fleet.UserID // likewise; zero if they have no account
	Email        string
}

// Subject returns a document with whom it is about.
func (t Documents) Subject(ctx context.Context, id fleet.DocumentID) (Subject, error) {
	return one(ctx, t.DB, "document", scanSubject, subjects+` WHERE d.id = $1`, id)
}

// Expiring returns up to limit documents that stop counting by a time, of which
// nobody was told. What a newer document of the same kind replaces is not among
// them.
func (t Documents) Expiring(ctx context.Context, by time.Time, limit int) ([]Subject, error) {
	return all(ctx, t.DB, "document", scanSubject, subjects+`
		WHERE d.status = 'verified' AND least(d.expires, d.reverify) <= $1
		  AND d.warned IS DISTINCT FROM least(d.expires, d.reverify)
		  AND NOT EXISTS (
			SELECT FROM documents n
			WHERE (n.driver = d.driver OR n.vehicle = d.vehicle) AND (n.kind, n.category) = (d.kind, d.category)
			  AND n.status = 'verified' AND least(n.expires, n.reverify) > $1)
		ORDER BY least(d.expires, d.reverify), d.id LIMIT $2`, by, limit)
}

const subjects = `
	SELECT ` + documentColumns + `, coalesce(v.registration, ''), coalesce(o.name, ''), u.id, coalesce(u.email, '')
	FROM documents d LEFT JOIN vehicles v ON v.id = d.vehicle
	LEFT JOIN drivers o ON o.id = coalesce(d.driver, v.driver)
	LEFT JOIN users u ON u.id = o.user_id AND u.suspended IS NULL AND u.erased IS NULL`

func scanSubject(row pgx.CollectableRow) (s Subject, err error) {
	s.Document, err = scanDocument(furtherRow{row, []any{&s.Registration, &s.Name, &s.User, &s.Email}})
	return s, err
}

// furtherRow is a row with more columns than its reader knows.
type furtherRow struct {
	pgx.CollectableRow
	further []any
}

// Scan implements pgx.CollectableRow.
func (r furtherRow) Scan(dest ...any) error {
	return r.CollectableRow.Scan(append(dest, r.further...)...)
}

// Warned notes that people are told of a document's deadline, and tells them. If
// that was done before, or the deadline has moved, it does nothing.
func (t Documents) Warned(ctx context.Context, id fleet.DocumentID, deadline time.Time, notices []fleet.Notice) error {
	return t.DB.transact(ctx, "document", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			UPDATE documents SET warned = $2
			WHERE id = $1 AND status = 'verified' AND least(expires, reverify) = $2 AND warned IS DISTINCT FROM $2`, id, deadline)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		return t.DB.notify(ctx, tx, notices...)
	})
}

// OfDriver returns a driver's documents, the oldest first.
func (t Documents) OfDriver(ctx context.Context, id fleet.DriverID) ([]fleet.Document, error) {
	return t.of(ctx, `d.driver = $1`, id)
}

// OfVehicle returns a vehicle's documents, the oldest first.
func (t Documents) OfVehicle(ctx context.Context, id fleet.VehicleID) ([]fleet.Document, error) {
	return t.of(ctx, `d.vehicle = $1`, id)
}

// List returns up to limit documents of a status with ids after the given one,
// in order of id.
func (t Documents) List(ctx context.Context, status fleet.DocumentStatus, after fleet.DocumentID, limit int) ([]fleet.Document, error) {
	return all(ctx, t.DB, "document", scanDocument, `
		SELECT `+documentColumns+` FROM documents d
		WHERE d.status = $1 AND ($2::uuid IS NULL OR d.id > $2) ORDER BY d.id LIMIT $3`, status, after, limit)
}

func (t Documents) of(ctx context.Context, which string, args ...any) ([]fleet.Document, error) {
	return all(ctx, t.DB, "document", scanDocument,
		`SELECT `+documentColumns+` FROM documents d WHERE `+which+` ORDER BY d.id`, args...)
}

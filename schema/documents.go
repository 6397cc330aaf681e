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
// does not exist it is CodeNotFound.
func (t Documents) Submit(ctx context.Context, d fleet.Document) error {
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
	By       string       // a name of the audit log
	User     fleet.UserID // who decides: never about what is their own; zero for the bootstrap admin
}

// Decide moves a document to another status, and returns it. One whose status
// does not allow that is CodeConflict; the decider's own is CodeForbidden.
func (t Documents) Decide(ctx context.Context, id fleet.DocumentID, v Examination) (fleet.Document, error) {
	var verified, reverify *time.Time
	if v.Status == fleet.Verified {
		verified, reverify = &v.At, null(v.Reverify)
	}
	d, err := one(ctx, t.DB, "document", scanDocument, `
		UPDATE documents d
		SET status = $2, reason = $3, verified = coalesce($4, verified), reverify = coalesce($5, reverify),
		    verified_by = CASE WHEN $4::timestamptz IS NULL THEN verified_by ELSE $6 END
		WHERE id = $1 AND status = ANY($7::text[])
		  AND NOT EXISTS (SELECT FROM drivers o WHERE o.id = d.driver AND o.user_id = $8)
		RETURNING `+documentColumns, id, v.Status, text(v.Reason), verified, reverify, v.By, texts(v.Status.From()), v.User)
	if fleet.CodeOf(err) != fleet.CodeNotFound {
		return d, err
	}
	own, err := one(ctx, t.DB, "document", pgx.RowTo[bool], `
		SELECT EXISTS (SELECT FROM drivers o WHERE o.id = d.driver AND o.user_id = $2) FROM documents d WHERE d.id = $1`, id, v.User)
	switch {
	case err != nil:
		return d, err
	case own:
		return d, &fleet.Error{Code: fleet.CodeForbidden, Message: "nobody decides about their own documents"}
	default:
		return d, &fleet.Error{Code: fleet.CodeConflict, Message: "the document's status does not allow this"}
	}
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

package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

const erasureColumns = `id, user_id, asked, replayed, done, held`

func scanErasure(row pgx.CollectableRow) (e fleet.Erasure, err error) {
	var replayed, done *time.Time
	err = row.Scan(&e.ID, &e.User, &e.Asked, &replayed, &done, &e.Held)
	e.Asked, e.Replayed, e.Done = e.Asked.UTC(), orZero(replayed), orZero(done)
	return e, err
}

// Get returns one erasure.
func (t Erasures) Get(ctx context.Context, id fleet.ErasureID) (fleet.Erasure, error) {
	return one(ctx, t.DB, "erasure", scanErasure, `SELECT `+erasureColumns+` FROM erasures WHERE id = $1`, id)
}

// List returns every erasure, the oldest first.
func (t Erasures) List(ctx context.Context) ([]fleet.Erasure, error) {
	return all(ctx, t.DB, "erasure", scanErasure, `SELECT `+erasureColumns+` FROM erasures ORDER BY asked, id`)
}

// Proofs returns what an erasure did, in its order.
func (t Erasures) Proofs(ctx context.Context, id fleet.ErasureID) ([]fleet.ErasureProof, error) {
	scan := func(row pgx.CollectableRow) (p fleet.ErasureProof, err error) {
		err = row.Scan(&p.Subject, &p.Act, &p.Count, &p.Note, &p.At)
		p.At = p.At.UTC()
		return p, err
	}
	return all(ctx, t.DB, "proof", scan, `
		SELECT subject, act, coalesce(count, 0), note, at FROM erasure_proofs WHERE erasure = $1 ORDER BY at, subject, act`, id)
}

// ToCall returns an erasure and by what, sealed, its processors know the person.
// A processor that was called already is CodeNotFound.
func (t Erasures) ToCall(ctx context.Context, id fleet.ErasureID, processor string) (e fleet.Erasure, contact []byte, err error) {
	scan := func(row pgx.CollectableRow) (e fleet.Erasure, err error) {
		err = row.Scan(&e.ID, &e.User, &e.Asked, &contact)
		e.Asked = e.Asked.UTC()
		return e, err
	}
	e, err = one(ctx, t.DB, "call", scan, `SELECT id, user_id, asked, contact FROM erasures WHERE id = $1 AND $2 = ANY(calls)`, id, processor)
	return e, contact, err
}

// Called notes that a processor was called, and what it said. After the last of
// them, nothing is left by which they know the person.
func (t Erasures) Called(ctx context.Context, id fleet.ErasureID, processor, note string, now time.Time) error {
	return t.DB.transact(ctx, "call", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			UPDATE erasures SET calls = array_remove(calls, $2), contact = CASE WHEN calls <@ ARRAY[$2::text] THEN NULL ELSE contact END
			WHERE id = $1 AND $2 = ANY(calls)`, id, processor)
		if err != nil || tag.RowsAffected() == 0 {
			return err // somebody else has called it
		}
		return prove(ctx, tx, id, fleet.ErasureProof{Subject: processor, Act: fleet.ErasureCalled, Note: note, At: now})
	})
}

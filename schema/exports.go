package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Exports are what people asked to be given of all that is known of them.
type Exports struct{ DB *DB }

const exportColumns = `id, user_id, asked, ready, expires, file, size`

func scanExport(row pgx.CollectableRow) (e fleet.Export, err error) {
	var ready, expires *time.Time
	err = row.Scan(&e.ID, &e.User, &e.Asked, &ready, &expires, &e.File, &e.Size)
	e.Asked, e.Ready, e.Expires = e.Asked.UTC(), orZero(ready), orZero(expires)
	return e, err
}

// Ask makes an export and the job that fills it. While one of the person's is
// being made, it is CodeConflict.
func (t Exports) Ask(ctx context.Context, e fleet.Export, tell Telling) error {
	return t.DB.transact(ctx, "export", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, `
			INSERT INTO exports (id, user_id, asked) SELECT $1, id, $3 FROM users WHERE id = $2 AND erased IS NULL
			ON CONFLICT (user_id) WHERE ready IS NULL DO NOTHING`, e.ID, e.User, e.Asked)
		if err != nil {
			return err
		}
		if tag.RowsAffected() == 0 {
			return &fleet.Error{Code: fleet.CodeConflict, Message: "an export is being made already: wait for it"}
		}
		if err := t.DB.tell(ctx, tx, e.User, tell); err != nil {
			return err
		}
		return t.DB.enqueue(ctx, tx, fleet.ExportJob{ID: e.ID}, time.Time{})
	})
}

// Claim begins to make an export, whosever it is, whose file will be draft, and
// returns the draft of whoever began before and did not finish, if any: it is
// nobody's now. One that is ready, or gone with its person, is CodeNotFound.
func (t Exports) Claim(ctx context.Context, id fleet.ExportID, draft fleet.FileID) (e fleet.Export, before fleet.FileID, err error) {
	scan := func(row pgx.CollectableRow) (e fleet.Export, err error) {
		err = row.Scan(&e.ID, &e.User, &e.Asked, &before)
		e.Asked = e.Asked.UTC()
		return e, err
	}
	e, err = one(ctx, t.DB, "export", scan, `
		UPDATE exports n SET draft = $2 FROM (SELECT id, draft FROM exports WHERE id = $1 AND ready IS NULL FOR UPDATE) o
		WHERE n.id = o.id RETURNING n.id, n.user_id, n.asked, o.draft`, id, draft)
	return e, before, err
}

// Own returns a user's own export.
func (t Exports) Own(ctx context.Context, user fleet.UserID, id fleet.ExportID) (fleet.Export, error) {
	return one(ctx, t.DB, "export", scanExport, `SELECT `+exportColumns+` FROM exports WHERE id = $2 AND user_id = $1`, user, id)
}

// List returns a user's exports, the newest first. There are as many as could be
// asked for while they were kept.
func (t Exports) List(ctx context.Context, user fleet.UserID) ([]fleet.Export, error) {
	return all(ctx, t.DB, "export", scanExport, `SELECT `+exportColumns+` FROM exports WHERE user_id = $1 ORDER BY id DESC`, user)
}

// Finish keeps the draft of an export and tells the person. One that somebody else
// makes, or that is gone with its person, is CodeNotFound: the draft is nobody's.
func (t Exports) Finish(ctx context.Context, id fleet.ExportID, f fleet.File, key []byte, tell Telling) error {
	return t.DB.transact(ctx, "export", func(tx pgx.Tx) error {
		// The person first, as an erasure does.
		var user fleet.UserID
		err := tx.QueryRow(ctx, `
			SELECT u.id FROM users u JOIN exports e ON e.user_id = u.id
			WHERE e.id = $1 AND e.draft = $2 AND e.ready IS NULL AND u.erased IS NULL FOR NO KEY UPDATE OF u, e`, id, f.ID).Scan(&user)
		if err != nil {
			return err
		}
		if err := addFile(ctx, tx, &f, key); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, `UPDATE exports SET ready = $2, expires = $3, file = $4, size = $5 WHERE id = $1`,
			id, f.Created, f.Created.Add(ExportKept), f.ID, f.Size)
		if err != nil {
			return err
		}
		return t.DB.tell(ctx, tx, user, tell)
	})
}

// File returns the file of a user's own export, and its sealed key.
func (t Exports) File(ctx context.Context, user fleet.UserID, id fleet.ExportID, now time.Time) (fleet.File, []byte, error) {
	var key []byte
	scan := func(row pgx.CollectableRow) (f fleet.File, err error) {
		err = row.Scan(&f.ID, &f.Owner, &f.Purpose, &f.Name, &f.MediaType, &f.Size, &f.SHA256, &f.Created, &key)
		f.Created = f.Created.UTC()
		return f, err
	}
	f, err := one(ctx, t.DB, "export", scan, `
		SELECT `+fileColumns+`, f.key FROM files f JOIN exports e ON e.file = f.id
		WHERE e.id = $2 AND e.user_id = $1 AND f.user_id = $1 AND e.expires > $3`, user, id, now)
	return f, key, err
}

// expire deletes the exports that were kept long enough, and their files.
func (t Exports) expire(ctx context.Context, now time.Time) error {
	return pgx.BeginFunc(ctx, t.DB.pool, func(tx pgx.Tx) error {
		_, err := Files(t).deleteIn(ctx, tx, `
			DELETE FROM files WHERE id IN (SELECT file FROM exports WHERE expires <= $1) RETURNING id`, now)
		if err == nil {
			_, err = tx.Exec(ctx, `DELETE FROM exports WHERE expires <= $1 OR ready IS NULL AND asked <= $2`, now, now.Add(-ExportKept))
		}
		return err
	})
}

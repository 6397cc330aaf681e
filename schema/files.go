package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Files are what is known of private files besides their content.
type Files struct{ DB *DB }

const fileColumns = `f.id, f.user_id, f.purpose, f.name, f.media_type, f.size, f.sha256, f.created`

func scanFile(row pgx.CollectableRow) (f fleet.File, err error) {
	err = row.Scan(&f.ID, &f.Owner, &f.Purpose, &f.Name, &f.MediaType, &f.Size, &f.SHA256, &f.Created)
	f.Created = f.Created.UTC()
	return f, err
}

// Add adds a file with its sealed key, unless its owner has as many as limit.
func (t Files) Add(ctx context.Context, f fleet.File, key []byte, limit int) error {
	return t.DB.addOwned(ctx, "file", f.Owner, `SELECT count(*) FROM files WHERE user_id = $1 AND purpose <> 'export'`, limit, func(tx pgx.Tx) error {
		return addFile(ctx, tx, &f, key)
	})
}

func addFile(ctx context.Context, tx pgx.Tx, f *fleet.File, key []byte) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO files (id, user_id, purpose, name, media_type, size, sha256, key, created)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		f.ID, f.Owner, f.Purpose, text(f.Name), f.MediaType, f.Size, f.SHA256, key, f.Created)
	return err
}

// Get returns a file and its sealed key to its owner, and to staff who may read
// the files of others that are for the given purposes.
func (t Files) Get(ctx context.Context, viewer fleet.UserID, may []fleet.FilePurpose, id fleet.FileID) (fleet.File, []byte, error) {
	purposes := make([]string, len(may))
	for i, purpose := range may {
		purposes[i] = string(purpose)
	}
	var key []byte
	scan := func(row pgx.CollectableRow) (f fleet.File, err error) {
		err = row.Scan(&f.ID, &f.Owner, &f.Purpose, &f.Name, &f.MediaType, &f.Size, &f.SHA256, &f.Created, &key)
		f.Created = f.Created.UTC()
		return f, err
	}
	f, err := one(ctx, t.DB, "file", scan, `
		SELECT `+fileColumns+`, f.key FROM files f JOIN users u ON u.id = f.user_id
		WHERE f.id = $2 AND f.purpose <> 'export' AND (f.user_id = $1 OR f.purpose = ANY($3::text[]) AND `+visible+`)`, viewer, id, purposes)
	return f, key, err
}

// List returns a user's files, the oldest first.
func (t Files) List(ctx context.Context, user fleet.UserID) ([]fleet.File, error) {
	return all(ctx, t.DB, "file", scanFile, `SELECT `+fileColumns+` FROM files f WHERE f.user_id = $1 AND f.purpose <> 'export' ORDER BY f.created, f.id`, user)
}

// check reports whether a file is there, for a purpose and of an owner; a zero
// owner is anybody. One that is not is CodeInvalid, and so says what. No file is
// right too.
func (t Files) check(ctx context.Context, id fleet.FileID, purpose fleet.FilePurpose, owner fleet.UserID, what string) error {
	if id.IsZero() {
		return nil
	}
	there, err := one(ctx, t.DB, "file", pgx.RowTo[bool], `
		SELECT EXISTS (SELECT FROM files WHERE id = $1 AND purpose = $2 AND ($3::uuid IS NULL OR user_id = $3))`, id, purpose, owner)
	if err == nil && !there {
		return &fleet.Error{Code: fleet.CodeInvalid, Message: what}
	}
	return err
}

// Delete deletes a file of the user's, and leaves the job to delete its blob. A
// profile that shows it shows nothing from then on. One that a document rests on
// that staff have not turned down is CodeConflict.
func (t Files) Delete(ctx context.Context, user fleet.UserID, id fleet.FileID) error {
	return t.DB.transact(ctx, "file", func(tx pgx.Tx) error {
		// The lock: no document comes to rest on it meanwhile.
		var locked fleet.FileID
		if err := tx.QueryRow(ctx, `SELECT id FROM files WHERE user_id = $1 AND id = $2 AND purpose <> 'export' FOR UPDATE`, user, id).Scan(&locked); err != nil {
			return err
		}
		var needed bool
		err := tx.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM documents WHERE file = $1 AND status IN ('submitted', 'verified', 'suspended'))`, id).Scan(&needed)
		switch {
		case err != nil:
			return err
		case needed:
			return &fleet.Error{Code: fleet.CodeConflict, Message: "a document that was submitted rests on this file"}
		}
		_, err = t.deleteIn(ctx, tx, `DELETE FROM files WHERE id = $1 RETURNING id`, id)
		return err
	})
}

// DeleteAll deletes all files of a user, whatever rests on them. A user without
// files is CodeNotFound.
func (t Files) DeleteAll(ctx context.Context, user fleet.UserID) error {
	return t.DB.transact(ctx, "file", func(tx pgx.Tx) error {
		gone, err := t.deleteIn(ctx, tx, `DELETE FROM files WHERE user_id = $1 RETURNING id`, user)
		if err == nil && gone == 0 {
			err = pgx.ErrNoRows
		}
		return err
	})
}

// deleteIn runs a statement that deletes files and returns their ids, and leaves
// the jobs that delete their blobs.
func (t Files) deleteIn(ctx context.Context, tx pgx.Tx, sql string, args ...any) (int, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return 0, err
	}
	gone, err := pgx.CollectRows(rows, pgx.RowTo[fleet.FileID])
	if err != nil {
		return 0, err
	}
	for _, id := range gone {
		if err := t.DB.enqueue(ctx, tx, fleet.DropBlob{File: id}, time.Time{}); err != nil {
			return 0, err
		}
	}
	return len(gone), nil
}

// Unknown returns those of the ids that no file has.
func (t Files) Unknown(ctx context.Context, ids []fleet.FileID) ([]fleet.FileID, error) {
	texts := make([]string, len(ids))
	for i, id := range ids {
		texts[i] = id.String()
	}
	return all(ctx, t.DB, "file", pgx.RowTo[fleet.FileID], `
		SELECT blob FROM unnest($1::text[]::uuid[]) AS blob WHERE NOT EXISTS (SELECT FROM files WHERE id = blob)`, texts)
}

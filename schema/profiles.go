package schema

import (
	"context"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Profiles are what users say of themselves.
type Profiles struct{ DB *DB }

// Get returns a user's profile; one that was never saved is empty, its version 1.
func (t Profiles) Get(ctx context.Context, user fleet.UserID) (fleet.Profile, error) {
	scan := func(row pgx.CollectableRow) (p fleet.Profile, err error) {
		err = row.Scan(&p.Version, &p.Title, &p.Language, &p.Zone, &p.Photo, &p.Changed)
		p.Changed = p.Changed.UTC()
		return p, err
	}
	p, err := one(ctx, t.DB, "profile", scan, `
		SELECT version, title, language, zone, photo, changed FROM profiles WHERE user_id = $1`, user)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return fleet.Profile{Version: 1}, nil
	}
	return p, err
}

// Put saves a user's profile and name in place of the profile of p.Version; of
// another version by now, it is CodeVersionMismatch. The photo is an avatar of the
// user's own, or else it is CodeInvalid.
func (t Profiles) Put(ctx context.Context, user fleet.UserID, name string, p fleet.Profile) error {
	if err := Files(t).check(ctx, p.Photo, fleet.AvatarFile, user, notOwnAvatar); err != nil {
		return err
	}
	return t.DB.swap(ctx, "profile", `
		WITH saved AS (
			INSERT INTO profiles AS p (user_id, version, title, language, zone, photo, changed)
			SELECT u.id, $2::bigint + 1, $3, $4, $5,
			       (SELECT f.id FROM files f WHERE f.id = $6 AND f.user_id = $1 AND f.purpose = 'avatar'), $7::timestamptz
			FROM users u
			WHERE u.id = $1 AND u.erased IS NULL AND ($2 = 1 OR EXISTS (SELECT FROM profiles WHERE user_id = $1))
			ON CONFLICT (user_id) DO UPDATE
			SET version = excluded.version, title = excluded.title, language = excluded.language, zone = excluded.zone,
			    photo = excluded.photo, changed = excluded.changed
			WHERE p.version = $2
			RETURNING user_id
		)
		UPDATE users SET name = $8 FROM saved WHERE users.id = saved.user_id`,
		user, p.Version, p.Title, p.Language, p.Zone, p.Photo, p.Changed, name)
}

// notOwnAvatar says what is wrong with a photo.
const notOwnAvatar = "the photo is not an avatar of one's own"

// Preferences are the documents in which users say how they like things.
type Preferences struct{ DB *DB }

// Get returns a user's preferences; those that were never saved have version 1.
func (t Preferences) Get(ctx context.Context, user fleet.UserID) (fleet.FilledForm, error) {
	scan := func(row pgx.CollectableRow) (d fleet.FilledForm, err error) {
		err = row.Scan(&d.Version, &d.Form, &d.Body, &d.Changed)
		d.Changed = d.Changed.UTC()
		return d, err
	}
	d, err := one(ctx, t.DB, "preferences", scan, `
		SELECT version, form, document, changed FROM preferences WHERE user_id = $1`, user)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return fleet.FilledForm{Version: 1}, nil
	}
	return d, err
}

// Put saves a user's preferences in place of those of d.Version; of another
// version by now, it is CodeVersionMismatch.
func (t Preferences) Put(ctx context.Context, user fleet.UserID, d fleet.FilledForm) error {
	return t.DB.swap(ctx, "preferences", `
		INSERT INTO preferences AS p (user_id, version, form, document, changed)
		SELECT u.id, $2::bigint + 1, $3, $4::jsonb, $5 FROM users u
		WHERE u.id = $1 AND u.erased IS NULL AND ($2 = 1 OR EXISTS (SELECT FROM preferences WHERE user_id = $1))
		ON CONFLICT (user_id) DO UPDATE
		SET version = excluded.version, form = excluded.form, document = excluded.document, changed = excluded.changed
		WHERE p.version = $2`,
		user, d.Version, d.Form, string(d.Body), d.Changed)
}

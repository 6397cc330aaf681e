package schema

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// LinkedIdentities are who users are at providers of OpenID Connect.
type LinkedIdentities struct{ DB *DB }

const linkedIdentityColumns = `id, user_id, provider, issuer, subject, email, created, used`

func scanLinkedIdentity(row pgx.CollectableRow) (l fleet.LinkedIdentity, err error) {
	err = row.Scan(&l.ID, &l.User, &l.Provider, &l.Issuer, &l.Subject, &l.Email, &l.Created, &l.Used)
	l.Created, l.Used = l.Created.UTC(), l.Used.UTC()
	return l, err
}

// Owner returns whose an identity is. One that is linked to nobody is
// CodeNotFound.
func (t LinkedIdentities) Owner(ctx context.Context, issuer, subject string) (fleet.UserID, error) {
	return one(ctx, t.DB, "linked identity", pgx.RowTo[fleet.UserID],
		`SELECT user_id FROM linked_identities WHERE issuer = $1 AND subject = $2`, issuer, subject)
}

// Used notes when an identity signed its user in, and with which address.
func (t LinkedIdentities) Used(ctx context.Context, l fleet.LinkedIdentity) error {
	return t.DB.exec(ctx, "linked identity",
		`UPDATE linked_identities SET used = $3, email = $4 WHERE issuer = $1 AND subject = $2`, l.Issuer, l.Subject, l.Used, text(l.Email))
}

// Join makes an account for who signs in for the first time, and links the
// identity to it. An address that has an account is CodeConflict: its owner has
// to prove who they are and link the identity. An account whose address was
// never verified has no owner yet; whoever proves the address gets it, without
// what strangers may have put there. It returns whose account it is.
func (t LinkedIdentities) Join(ctx context.Context, l fleet.LinkedIdentity, u fleet.User) (id fleet.UserID, err error) {
	err = t.DB.transact(ctx, "account", func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, `
			INSERT INTO users AS u (id, email, email_verified, name, roles, created) VALUES ($1, $2, $3, $4, $5::text[], $3)
			ON CONFLICT (email) DO UPDATE SET email_verified = excluded.email_verified, name = excluded.name, password = NULL
			WHERE u.email_verified IS NULL AND u.suspended IS NULL AND u.erased IS NULL
			RETURNING id`, u.ID, u.Email, u.EmailVerified, text(u.Name), roleStrings(u.Roles)).Scan(&id)
		if errors.Is(err, pgx.ErrNoRows) {
			return &fleet.Error{Code: fleet.CodeConflict, Message: "this address has an account"}
		}
		if err != nil {
			return err
		}
		// A code may be on its way with a stranger's password.
		if _, err := tx.Exec(ctx, `DELETE FROM codes WHERE user_id = $1`, id); err != nil {
			return err
		}
		l.User = id
		return addLinkedIdentity(ctx, tx, l)
	})
	return id, err
}

// Link links an identity to a user, who is told. One that is linked already, to
// whomever, is CodeConflict.
func (t LinkedIdentities) Link(ctx context.Context, l fleet.LinkedIdentity, told Telling) error {
	return t.DB.transact(ctx, "linked identity", func(tx pgx.Tx) error {
		if err := addLinkedIdentity(ctx, tx, l); err != nil {
			return err
		}
		return t.DB.tell(ctx, tx, l.User, told)
	})
}

func addLinkedIdentity(ctx context.Context, tx pgx.Tx, l fleet.LinkedIdentity) error {
	_, err := tx.Exec(ctx, `
		INSERT INTO linked_identities (id, user_id, provider, issuer, subject, email, created, used)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		l.ID, l.User, l.Provider, l.Issuer, l.Subject, text(l.Email), l.Created, l.Used)
	return err
}

// List returns a user's linked identities, the oldest first.
func (t LinkedIdentities) List(ctx context.Context, user fleet.UserID) ([]fleet.LinkedIdentity, error) {
	return all(ctx, t.DB, "linked identity", scanLinkedIdentity,
		`SELECT `+linkedIdentityColumns+` FROM linked_identities WHERE user_id = $1 ORDER BY created, id`, user)
}

// Unlink takes an identity from a user. The last way in which a user without a
// password can sign in is CodeConflict.
func (t LinkedIdentities) Unlink(ctx context.Context, user fleet.UserID, id fleet.LinkedIdentityID, told func(provider string) Telling) error {
	return t.DB.transact(ctx, "linked identity", func(tx pgx.Tx) error {
		var hasPassword bool // the lock: two who unlink at once come one after the other
		err := tx.QueryRow(ctx, `SELECT password IS NOT NULL FROM users WHERE id = $1 FOR UPDATE`, user).Scan(&hasPassword)
		if err != nil {
			return err
		}
		var provider string
		err = tx.QueryRow(ctx, `DELETE FROM linked_identities WHERE id = $2 AND user_id = $1 RETURNING provider`, user, id).Scan(&provider)
		if err != nil {
			return err
		}
		var others bool
		err = tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM linked_identities WHERE user_id = $1)`, user).Scan(&others)
		if err == nil && !others && !hasPassword {
			return &fleet.Error{Code: fleet.CodeConflict, Message: "this is the only way in which you can sign in: set a password first"}
		}
		if err != nil {
			return err
		}
		return t.DB.tell(ctx, tx, user, told(provider))
	})
}

// OIDCFlow is a sign-in at a provider that is under way.
type OIDCFlow struct {
	State     []byte // keyed hash
	Provider  string
	Secrets   []byte // sealed: what the hub told the provider and keeps to itself
	Redirect  string // where the app waits
	Challenge string // the app's (PKCE, S256)
	AppState  string // the app's own
	Outcome   []byte // sealed: whom the provider vouched for
}

// OIDCFlows are the sign-ins at providers that are under way.
type OIDCFlows struct{ DB *DB }

// Begin adds a flow.
func (t OIDCFlows) Begin(ctx context.Context, f OIDCFlow, expires time.Time) error {
	return t.DB.exec(ctx, "sign-in", `
		INSERT INTO oidc_flows (state, provider, secrets, redirect, challenge, app_state, expires)
		VALUES ($1, $2, $3, $4, $5, $6, $7)`, f.State, f.Provider, f.Secrets, f.Redirect, f.Challenge, f.AppState, expires)
}

// Return takes the flow with which a person comes back from a provider: once.
func (t OIDCFlows) Return(ctx context.Context, state []byte, provider string, now time.Time) (OIDCFlow, error) {
	scan := func(row pgx.CollectableRow) (f OIDCFlow, err error) {
		err = row.Scan(&f.State, &f.Provider, &f.Secrets, &f.Redirect, &f.Challenge, &f.AppState)
		return f, err
	}
	return one(ctx, t.DB, "sign-in", scan, `
		UPDATE oidc_flows SET returned = true
		WHERE state = $1 AND provider = $2 AND NOT returned AND expires > $3
		RETURNING state, provider, secrets, redirect, challenge, app_state`, state, provider, now)
}

// Vouch keeps whom the provider vouched for, for the app that shows the code.
func (t OIDCFlows) Vouch(ctx context.Context, state, code, outcome []byte, expires time.Time) error {
	return t.DB.exec(ctx, "sign-in", `
		UPDATE oidc_flows SET code = $2, outcome = $3, expires = $4
		WHERE state = $1 AND returned AND code IS NULL`, state, code, outcome, expires)
}

// ByCode returns the flow of a code.
func (t OIDCFlows) ByCode(ctx context.Context, code []byte, now time.Time) (OIDCFlow, error) {
	scan := func(row pgx.CollectableRow) (f OIDCFlow, err error) {
		err = row.Scan(&f.State, &f.Provider, &f.Challenge, &f.Outcome)
		return f, err
	}
	return one(ctx, t.DB, "sign-in", scan, `
		SELECT state, provider, challenge, outcome FROM oidc_flows WHERE code = $1 AND expires > $2`, code, now)
}

// Take ends the flow of a code. One that has ended is CodeNotFound.
func (t OIDCFlows) Take(ctx context.Context, code []byte) error {
	return t.DB.exec(ctx, "sign-in", `DELETE FROM oidc_flows WHERE code = $1`, code)
}

// TakeToken notes that an id token was taken. One that was before is
// CodeConflict.
func (t OIDCFlows) TakeToken(ctx context.Context, hash []byte, expires time.Time) error {
	return t.DB.exec(ctx, "id token", `INSERT INTO oidc_tokens_taken (hash, expires) VALUES ($1, $2)`, hash, expires)
}

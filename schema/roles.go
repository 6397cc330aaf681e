package schema

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// HasAdmin reports whether a person is admin.
func (t Users) HasAdmin(ctx context.Context) (bool, error) {
	return one(ctx, t.DB, "user", pgx.RowTo[bool], `SELECT EXISTS (SELECT FROM users WHERE 'admin' = ANY(roles) AND erased IS NULL)`)
}

// SetRoles changes a person's roles, tells them, and ends their sessions, which
// it returns. Where somebody else than the asker is admin it changes nothing and
// asks for the approval, which it returns with what is to happen; else that is nil.
func (t Users) SetRoles(ctx context.Context, user fleet.UserID, roles []fleet.Role, a fleet.Approval, changed, asked Telling) (waits *fleet.Approval, ended []fleet.UserSessionID, err error) {
	err = t.DB.transact(ctx, "user", func(tx pgx.Tx) error {
		person, err := lockWithAdmins(ctx, tx, user)
		if err != nil || sameRoles(person.roles, roles) {
			return err
		}
		if !slices.ContainsFunc(person.admins, func(id fleet.UserID) bool { return id != a.AskedBy }) {
			if ended, err = person.change(ctx, tx, roles, a.Asked); err != nil {
				return err
			}
			return t.DB.tell(ctx, tx, user, changed)
		}
		a.Subject = user.String()
		if a.Payload, err = json.Marshal(fleet.RolesChange{From: person.roles, To: roles}); err != nil {
			return err
		}
		waits = &a
		return t.DB.ask(ctx, tx, a, asked)
	})
	return waits, ended, err
}

// personWithAdmins is a person whose row, and those of all admins, are locked:
// of two who change what admins there are, one comes after the other.
type personWithAdmins struct {
	user   fleet.UserID
	roles  []fleet.Role
	admins []fleet.UserID // suspended ones too
	active []fleet.UserID // those that are not
}

// lockWithAdmins locks in one order, so that nobody waits for each other.
func lockWithAdmins(ctx context.Context, tx pgx.Tx, user fleet.UserID) (p personWithAdmins, err error) {
	rows, err := tx.Query(ctx, `
		SELECT id, roles, 'admin' = ANY(roles), suspended IS NOT NULL FROM users
		WHERE erased IS NULL AND (id = $1 OR 'admin' = ANY(roles)) ORDER BY id FOR NO KEY UPDATE`, user)
	if err != nil {
		return p, err
	}
	var id fleet.UserID
	var roles []fleet.Role
	var admin, suspended bool
	_, err = pgx.ForEachRow(rows, []any{&id, &roles, &admin, &suspended}, func() error {
		if id == user {
			p.user, p.roles = id, slices.Clone(roles)
		}
		if admin {
			p.admins = append(p.admins, id)
		}
		if admin && !suspended {
			p.active = append(p.active, id)
		}
		return nil
	})
	if err == nil && p.user.IsZero() {
		err = pgx.ErrNoRows
	}
	return p, err
}

// isLastAdmin reports whether nobody who is not suspended is admin but this person.
func (p *personWithAdmins) isLastAdmin() bool {
	return slices.Contains(p.roles, fleet.RoleAdmin) && !slices.ContainsFunc(p.active, func(id fleet.UserID) bool { return id != p.user })
}

// change gives the person other roles. Somebody stays admin.
func (p *personWithAdmins) change(ctx context.Context, tx pgx.Tx, roles []fleet.Role, now time.Time) ([]fleet.UserSessionID, error) {
	if p.isLastAdmin() && !slices.Contains(roles, fleet.RoleAdmin) {
		return nil, &fleet.Error{Code: fleet.CodeConflict, Message: "this is the last admin: make another first"}
	}
	if _, err := tx.Exec(ctx, `UPDATE users SET roles = $2::text[] WHERE id = $1`, p.user, roleStrings(roles)); err != nil {
		return nil, err
	}
	return endSessions(ctx, tx, p.user, fleet.UserSessionID{}, fleet.EndedByRoles, now)
}

// sameRoles compares sets.
func sameRoles(a, b []fleet.Role) bool {
	within := func(a, b []fleet.Role) bool {
		return !slices.ContainsFunc(a, func(r fleet.Role) bool { return !slices.Contains(b, r) })
	}
	return within(a, b) && within(b, a)
}

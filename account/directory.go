package account

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"armora/fleet"
	"armora/schema"
)

// Directory is what staff see of people, and do to their accounts. It is safe
// for concurrent use.
type Directory struct {
	users    schema.Users
	sessions *Sessions
	teller

	mu       sync.Mutex
	hasAdmin bool      // as the database last said
	asked    time.Time // when; zero: never
}

// NewDirectory returns the directory of a hub.
func NewDirectory(db *schema.DB, sessions *Sessions, clock fleet.Clock) *Directory {
	return &Directory{users: schema.Users{DB: db}, sessions: sessions, teller: teller{sessions.keyring, clock}}
}

// HasAdmin reports whether a person is admin. That there is one is remembered
// for Freshness; that there is none is asked again each time, so that the
// bootstrap ends at once. While the database is away, what it said last holds
// for Staleness.
func (d *Directory) HasAdmin(ctx context.Context) (bool, error) {
	d.mu.Lock()
	has, asked := d.hasAdmin, d.asked
	d.mu.Unlock()
	now := d.clock.Now()
	if has && now.Sub(asked) < Freshness {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	is, err := d.users.HasAdmin(ctx)
	if fleet.CodeOf(err) == fleet.CodeUnavailable && !asked.IsZero() && now.Sub(asked) < Staleness {
		return has, nil
	}
	if err != nil {
		return false, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.hasAdmin, d.asked = is, now
	return is, nil
}

// List returns the people that the caller may see, the oldest first.
func (d *Directory) List(ctx context.Context, c *Caller, q schema.UserQuery) ([]fleet.User, error) {
	return d.users.List(ctx, c.User, q)
}

// Get returns a person. One who is restricted is seen only by those who were
// named for it.
func (d *Directory) Get(ctx context.Context, c *Caller, id fleet.UserID) (fleet.User, error) {
	return d.users.Visible(ctx, c.User, id)
}

// SetRoles changes a person's roles, tells them, and ends their sessions. Where
// there is another admin, it waits for that one's approval, which is returned.
func (d *Directory) SetRoles(ctx context.Context, c *Caller, id fleet.UserID, roles []fleet.Role, reason string) (*fleet.Approval, error) {
	roles = slices.Compact(slices.Sorted(slices.Values(roles)))
	approval := newApproval(c, fleet.ApproveRoles, reason, d.clock.Now())
	waits, ended, err := d.users.SetRoles(ctx, id, roles, approval, d.rolesChanged(), d.asking(&approval))
	if err == nil && waits == nil {
		d.sessions.changed(id, ended)
	}
	return waits, err
}

// rolesChanged tells a person of the roles that they have by then.
func (t teller) rolesChanged() schema.Telling {
	return t.tellingOf("role_changed", func(to *fleet.User) map[string]string {
		return map[string]string{"roles": strings.Join(names(to.Roles), ", ")}
	})
}

// names are roles as people say them.
func names(roles []fleet.Role) []string {
	said := map[fleet.Role]string{fleet.RoleRider: "principal", fleet.RoleDriver: "protection officer"}
	list := make([]string, len(roles))
	for i, role := range roles {
		list[i] = cmp.Or(said[role], string(role))
	}
	return list
}

// Suspend keeps a person out until they are reinstated, and ends their sessions.
func (d *Directory) Suspend(ctx context.Context, c *Caller, id fleet.UserID, reason string) error {
	if id == c.User {
		return invalid("nobody suspends themselves")
	}
	ended, err := d.users.Suspend(ctx, id, fleet.Suspension{Reason: reason, By: c.User, Since: d.clock.Now()})
	if err == nil {
		d.sessions.changed(id, ended)
	}
	return err
}

// Reinstate ends a person's suspension.
func (d *Directory) Reinstate(ctx context.Context, c *Caller, id fleet.UserID, reason string) error {
	err := d.users.Reinstate(ctx, id, c.User, reason, d.clock.Now())
	if err == nil {
		d.sessions.changed(id, nil)
	}
	return err
}

// Suspensions returns those of a person, the newest first.
func (d *Directory) Suspensions(ctx context.Context, c *Caller, id fleet.UserID) ([]fleet.Suspension, error) {
	return d.users.Suspensions(ctx, c.User, id)
}

// Restrict makes a person visible to named staff alone, or, by one of them, to all
// staff again.
func (d *Directory) Restrict(ctx context.Context, c *Caller, id fleet.UserID, restricted bool) error {
	return d.shownAnew(id, d.users.Restrict(ctx, c.User, id, restricted))
}

// AddViewer names a member of the staff who sees a restricted person. Admins
// name others.
func (d *Directory) AddViewer(ctx context.Context, c *Caller, id, staff fleet.UserID) error {
	if staff == c.User {
		return &fleet.Error{Code: fleet.CodeForbidden, Message: "nobody names themselves"}
	}
	return d.users.AddViewer(ctx, id, staff, c.User, d.clock.Now())
}

// RemoveViewer takes that back.
func (d *Directory) RemoveViewer(ctx context.Context, id, staff fleet.UserID) error {
	return d.shownAnew(id, d.users.RemoveViewer(ctx, id, staff))
}

// shownAnew tells the others, if it was done, that fewer of the staff may see a person.
func (d *Directory) shownAnew(id fleet.UserID, err error) error {
	if err == nil {
		d.sessions.bus.Viewers.Publish(id)
	}
	return err
}

// Viewers returns who was named to see a person.
func (d *Directory) Viewers(ctx context.Context, id fleet.UserID) ([]fleet.UserID, error) {
	return d.users.Viewers(ctx, id)
}

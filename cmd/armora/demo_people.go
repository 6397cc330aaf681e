package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"armora/account"
	"armora/fleet"
	"armora/schema"
)

// demoPerson is a login of the demo.
type demoPerson struct {
	Email    string       `json:"email"`
	Name     string       `json:"name"`
	Password string       `json:"password"`
	Secret   string       `json:"totp_secret,omitempty"`
	Roles    []fleet.Role `json:"roles"`
}

// demoCast are those who can sign in to the demo. The officers are the first two.
func demoCast() []demoPerson {
	person := func(mailbox, name string, roles ...fleet.Role) demoPerson {
		return demoPerson{Email: mailbox + "@demo.armora.example", Name: name, Roles: roles}
	}
	return []demoPerson{
		person("rider", "Ada Vale", fleet.RoleRider),
		person("officer1", "Bo Finch", fleet.RoleDriver),
		person("officer2", "Cy Marsh", fleet.RoleDriver),
		person("dispatcher", "Dee Holt", fleet.RoleDispatcher),
		person("admin", "Eve Stone", fleet.RoleAdmin),
	}
}

// enlistCast gives everybody of the cast an account: verified, and with a second
// factor where the role needs one.
func (h *hub) enlistCast(ctx context.Context) ([]demoPerson, error) {
	drivers, err := (schema.Drivers{DB: h.db}).List(ctx, fleet.DriverID{}, 2)
	if err != nil {
		return nil, err
	}
	cast := demoCast()
	for i := range cast {
		p := &cast[i]
		made, err := h.people.Enlist(ctx, account.Enlisting{Email: p.Email, Name: p.Name, Roles: p.Roles, Anew: true})
		if err != nil {
			return nil, fmt.Errorf("enlist %s: %w", p.Email, err)
		}
		p.Password, p.Secret = made.Password, made.Secret
		if slices.Contains(p.Roles, fleet.RoleDriver) && len(drivers) > 0 {
			driver := drivers[0].ID
			drivers = drivers[1:]
			if err := (schema.Drivers{DB: h.db}).Link(ctx, driver, made.User); err != nil {
				return nil, err
			}
			// With an account, an officer's phone is followed on duty alone.
			if err := h.officers.SetDuty(ctx, driver, fleet.OnDuty); err != nil {
				return nil, err
			}
		}
	}
	return cast, nil
}

// castAgrees has the cast agree to what is required of them now: a folder may be of a
// demo that required less.
func (h *hub) castAgrees(ctx context.Context, cast []demoPerson) error {
	for _, p := range cast {
		known, err := (schema.Passwords{DB: h.db}).Proof(ctx, p.Email)
		if err != nil {
			return err
		}
		if err := h.agree(ctx, known.User.ID); err != nil {
			return err
		}
	}
	return nil
}

// castOnCall has ops on call for emergencies, unless somebody is: by ways that need no
// telephone, which a demo has not.
func (h *hub) castOnCall(ctx context.Context, cast []demoPerson) error {
	rota, err := h.watch.Rota(ctx)
	if err != nil || len(rota) > 0 {
		return err
	}
	var later []fleet.SOSStep
	for _, p := range cast {
		known, err := (schema.Passwords{DB: h.db}).Proof(ctx, p.Email)
		if err != nil {
			return err
		}
		switch id := known.User.ID; {
		case slices.Contains(p.Roles, fleet.RoleDispatcher):
			rota = append(rota, fleet.SOSStep{Channel: fleet.ConsoleChannel, User: id}, fleet.SOSStep{Channel: fleet.PushChannel, User: id}, fleet.SOSStep{Channel: fleet.MailChannel, User: id})
		case slices.Contains(p.Roles, fleet.RoleAdmin):
			later = append(later, fleet.SOSStep{Channel: fleet.MailChannel, User: id})
		}
	}
	return h.watch.SetRota(ctx, append(rota, later...))
}

// introduce says who can sign in, and how.
func introduce(out io.Writer, api string, cast []demoPerson) {
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(out, format, args...) }
	say("\n  %-34s %-28s %s\n", "sign in as", "password", "second factor (TOTP secret)")
	for _, p := range cast {
		say("  %-34s %-28s %s\n", p.Email, p.Password, p.Secret)
	}
	say("\n  curl -H 'Content-Type: application/json' -d '{\"email\":\"%s\",\"password\":\"%s\"}' %s/api/auth/login\n",
		cast[0].Email, cast[0].Password, api)
}

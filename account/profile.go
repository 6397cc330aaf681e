package account

import (
	"context"
	"encoding/json"
	"strings"

	"armora/fleet"
	"armora/schema"
)

// AnyVersion is what somebody says who changes a thing whatever its version.
const AnyVersion = 0

// Profiles are what people say of themselves, and how they like things. It is
// safe for concurrent use.
type Profiles struct {
	users       schema.Users
	profiles    schema.Profiles
	preferences schema.Preferences
	forms       forms
	clock       fleet.Clock
}

// NewProfiles returns the profiles of a hub.
func NewProfiles(db *schema.DB, clock fleet.Clock) (*Profiles, error) {
	all, err := loadForms(formFiles, "preferences")
	return &Profiles{
		users: schema.Users{DB: db}, profiles: schema.Profiles{DB: db}, preferences: schema.Preferences{DB: db},
		forms: all, clock: clock,
	}, err
}

// Get returns a user and what they say of themselves.
func (p *Profiles) Get(ctx context.Context, user fleet.UserID) (fleet.User, fleet.Profile, error) {
	u, err := p.users.Get(ctx, user)
	if err != nil {
		return u, fleet.Profile{}, err
	}
	profile, err := p.profiles.Get(ctx, user)
	return u, profile, err
}

// Put saves a user's name and profile in place of those of the given version.
func (p *Profiles) Put(ctx context.Context, user fleet.UserID, version int64, name string, profile fleet.Profile) error {
	name = strings.TrimSpace(name)
	if name == "" {
		return invalid("the name is empty")
	}
	if profile.Language != "" && checkLanguage(profile.Language) != nil {
		return invalid("language is not a language tag (BCP 47), en-GB for example")
	}
	if profile.Zone != "" && checkZone(profile.Zone) != nil {
		return invalid("zone is not the name of an IANA time zone, Europe/London for example")
	}
	profile.Changed = p.clock.Now()
	return lastWins(version, func() error {
		stored, err := p.profiles.Get(ctx, user)
		if err != nil {
			return err
		}
		if profile.Version = stored.Version; version != AnyVersion && version != stored.Version {
			return changed("profile")
		}
		return p.profiles.Put(ctx, user, name, profile)
	})
}

// Preferences returns how a user likes things.
func (p *Profiles) Preferences(ctx context.Context, user fleet.UserID) (fleet.FilledForm, error) {
	d, err := p.preferences.Get(ctx, user)
	if d.Form == 0 {
		d.Form, d.Body = p.forms.newest().version, json.RawMessage("{}")
	}
	return d, err
}

// PutPreferences saves how a user likes things in place of the given version.
func (p *Profiles) PutPreferences(ctx context.Context, user fleet.UserID, version int64, document json.RawMessage) error {
	f := p.forms.newest()
	if err := refused("the preferences", validate(f.whole, "", document)); err != nil {
		return err
	}
	return lastWins(version, func() error {
		stored, err := p.preferences.Get(ctx, user)
		if err != nil {
			return err
		}
		if version != AnyVersion && version != stored.Version {
			return changed("preferences")
		}
		return p.preferences.Put(ctx, user, fleet.FilledForm{
			Version: stored.Version, Form: f.version, Body: document, Changed: p.clock.Now(),
		})
	})
}

// lastWins makes a change of the given version. Whoever takes any version wins
// over what was changed meanwhile: the change is made again.
func lastWins(version int64, change func() error) error {
	const tries = 10 // each is lost to somebody else's success
	for try := 1; ; try++ {
		err := change()
		if fleet.CodeOf(err) != fleet.CodeVersionMismatch || version != AnyVersion || try == tries {
			return err
		}
	}
}

func changed(noun string) error {
	return &fleet.Error{Code: fleet.CodeVersionMismatch, Message: "the " + noun + " has changed since it was read: read it again"}
}

package dispatch

import (
	"context"

	"armora/fleet"
	"armora/schema"
)

// Officers returns up to limit officers whom a principal may ask for, or of whom
// they have said what they wish, after a given one. Who they are is not said: they
// have an alias.
func (d *Desk) Officers(ctx context.Context, user fleet.UserID, choice schema.Choice, after fleet.DriverID, limit int) ([]fleet.Officer, error) {
	list, err := d.officers.List(ctx, user, choice, after, limit)
	for i := range list {
		o := &list[i]
		*o = fleet.Officer{
			ID: o.ID, Alias: o.Alias, Tiers: o.Tiers, Languages: o.Languages, Stars: o.Stars, Ratings: o.Ratings, Approved: o.Approved, Wish: o.Wish,
		}
		if o.Alias == "" { // so that one can tell them apart
			id := o.ID.String()
			o.Alias = "Officer " + id[len(id)-4:]
		}
	}
	return list, err
}

// Wish keeps what a principal wishes about an officer whom they know.
func (d *Desk) Wish(ctx context.Context, user fleet.UserID, driver fleet.DriverID, wish fleet.Wish) error {
	return d.officers.Wish(ctx, user, driver, wish, d.cfg.Clock.Now())
}

// Approve lets every principal choose an officer, under an alias, or no longer.
func (d *Desk) Approve(ctx context.Context, driver fleet.DriverID, alias string, approved bool) error {
	if approved && alias == "" {
		return &fleet.Error{Code: fleet.CodeInvalid, Message: "an officer who is listed has an alias",
			Flaws: []fleet.Flaw{{Location: "alias", Message: "it is needed with the approval"}}}
	}
	return d.officers.Approve(ctx, driver, alias, approved, d.cfg.Clock.Now())
}

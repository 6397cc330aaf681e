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
		list[i] = nameless(&list[i])
	}
	return list, err
}

// nameless returns what a principal is told of an officer before they have accepted.
func nameless(o *fleet.Officer) fleet.Officer {
	told := fleet.Officer{
		ID: o.ID, Alias: o.Alias, Tiers: o.Tiers, Languages: o.Languages, Stars: o.Stars, Ratings: o.Ratings, Approved: o.Approved, Wish: o.Wish,
	}
	if told.Alias == "" { // so that one can tell them apart
		id := o.ID.String()
		told.Alias = "Officer " + id[len(id)-4:]
	}
	return told
}

// reviewsShown is how many reviews of an officer are shown.
const reviewsShown = 20

// Officer returns an officer whom a principal may ask for, or of whom they have said
// what they wish, with the newest of what principals let others read of them.
func (d *Desk) Officer(ctx context.Context, user fleet.UserID, id fleet.DriverID) (fleet.Officer, []fleet.Review, error) {
	o, err := d.officers.Known(ctx, user, id)
	if err != nil {
		return fleet.Officer{}, nil, err
	}
	reviews, err := d.reviews.Of(ctx, id, reviewsShown)
	return nameless(&o), reviews, err
}

// Reviews returns up to limit reviews that staff have to decide on, after that of a
// booking.
func (d *Desk) Reviews(ctx context.Context, after fleet.BookingID, limit int) ([]fleet.Review, error) {
	return d.reviews.Waiting(ctx, after, limit)
}

// DecideReview shows a review to principals, or refuses it.
func (d *Desk) DecideReview(ctx context.Context, id fleet.BookingID, shown bool) error {
	state := fleet.ReviewRefused
	if shown {
		state = fleet.ReviewShown
	}
	return d.reviews.Decide(ctx, id, state)
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

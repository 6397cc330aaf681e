package dispatch

import (
	"cmp"
	"context"
	"time"

	"armora/dispatch/eta"
	"armora/fleet"
)

// QuoteLife is how long a quote is good.
const QuoteLife = 15 * time.Minute

// Quote says what an order costs, keeps it, and says it again until it expires.
func (d *Desk) Quote(ctx context.Context, user fleet.UserID, r Request) (fleet.Quote, error) {
	terms, err := d.quote(ctx, user, &r)
	if err != nil {
		return fleet.Quote{}, err
	}
	now := d.cfg.Clock.Now()
	q := fleet.Quote{ID: fleet.NewID[fleet.Quote](), User: user, Order: r.Order, Created: now, Expires: now.Add(QuoteLife), Terms: terms}
	return q, d.quotes.Add(ctx, &q)
}

// quote checks and completes a request, and prices it by the tariff of now.
func (d *Desk) quote(ctx context.Context, user fleet.UserID, r *Request) (fleet.Terms, error) {
	table, err := d.Tariff(ctx)
	if err != nil {
		return fleet.Terms{}, err
	}
	if err := d.prepare(ctx, user, r, &table); err != nil {
		return fleet.Terms{}, err
	}
	member := false
	if d.cfg.Member != nil {
		if member, err = d.cfg.Member(ctx, user); err != nil {
			return fleet.Terms{}, err
		}
	}
	return termsOf(&r.Order, &table, member, d.metres(ctx, &r.Order))
}

// Pickup is how long the nearest officer would take to a place, who is on duty
// and may be offered for a tier; false if there is none. It is rounded up to
// minutes.
func (d *Desk) Pickup(ctx context.Context, tier fleet.Tier, at fleet.Place) (time.Duration, bool) {
	const far = 50_000 // metres
	found := d.onDuty(tier, at.Lat, at.Lon, far, 1)
	if len(found) == 0 {
		return 0, false
	}
	way := d.cfg.Way(ctx, d.cfg.Clock.Now(), eta.Point{Lat: found[0].Lat, Lon: found[0].Lon}, eta.Point{Lat: at.Lat, Lon: at.Lon})
	return (way.Time + time.Minute - 1).Truncate(time.Minute), true
}

// Details are what a principal may add to a quote that they book.
type Details struct {
	Notes, Discretion, Vehicle string

	Account *fleet.OnAccount // nil: the principal pays
}

// BookQuote places the order of a quote, at its price, once.
func (d *Desk) BookQuote(ctx context.Context, user fleet.UserID, id fleet.QuoteID, more Details) (View, error) {
	q, err := d.quotes.Of(ctx, user, id)
	if err != nil {
		return View{}, err
	}
	now := d.cfg.Clock.Now()
	if !now.Before(q.Expires) {
		return View{}, &fleet.Error{Code: fleet.CodeConflict, Message: "this quote has expired: ask for another"}
	}
	if err := d.mayBook(ctx, user); err != nil {
		return View{}, err
	}
	o := &q.Order
	if o.Now() {
		o.Start = now.UTC().Truncate(time.Second)
	}
	var f flaws
	f.when(o.Start.Before(now.Truncate(time.Second)), "quote_id", "its start is in the past")
	if err := f.err(); err != nil {
		return View{}, err
	}
	o.Notes, o.Discretion, o.Vehicle = cmp.Or(more.Notes, o.Notes), cmp.Or(more.Discretion, o.Discretion), cmp.Or(more.Vehicle, o.Vehicle)
	o.ClientVehicle = o.ClientVehicle || o.Vehicle != ""
	return d.place(ctx, &fleet.Booking{User: user, Quote: q.ID, Order: *o, Terms: q.Terms, Account: more.Account})
}

// Book places an order, at the price of now.
func (d *Desk) Book(ctx context.Context, user fleet.UserID, r Request) (View, error) {
	terms, err := d.quote(ctx, user, &r)
	if err != nil {
		return View{}, err
	}
	return d.place(ctx, &fleet.Booking{User: user, Order: r.Order, Terms: terms, Account: r.Account})
}

func (d *Desk) place(ctx context.Context, b *fleet.Booking) (View, error) {
	if err := d.agreed(ctx, b.User); err != nil {
		return View{}, err
	}
	b.ID, b.Created = fleet.NewID[fleet.Booking](), d.cfg.Clock.Now()
	if err := d.fund(ctx, b); err != nil {
		return View{}, err
	}
	if err := d.book.Place(ctx, b, fleet.Actor{Kind: fleet.ByPrincipal, User: b.User}); err != nil {
		return View{}, err
	}
	d.book.tell(b)
	return d.view(ctx, b, AsPrincipal, b.User)
}

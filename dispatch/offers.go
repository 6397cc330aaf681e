package dispatch

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/tariff"
)

const (
	// HoldFor is how long the seat of one who has accepted is held while the
	// others of the team have not.
	HoldFor = 3 * time.Minute
	// maxLapses is how many offers in a row an officer may let pass on duty.
	maxLapses = 3
)

// OfferMessage is what an officer is told of an offer: enough to decide, and
// neither whom it is for nor where exactly.
type OfferMessage struct {
	Offer   fleet.OfferID `json:"offer_id"`
	Area    Cell          `json:"area"` // its middle; at least 500 m wide
	Start   time.Time     `json:"starts_at"`
	Zone    string        `json:"zone"`
	Minutes int           `json:"minutes"`
	Tier    fleet.Tier    `json:"tier"`
	Risk    string        `json:"risk,omitempty"`
	Lead    bool          `json:"lead"`
	Team    int           `json:"officers"`
	Pay     *fleet.Money  `json:"pay_estimate,omitempty"`
	Pickup  int           `json:"pickup_seconds"`
	Expires time.Time     `json:"expires_at"`
}

func offerMessage(b *fleet.Booking, o *fleet.Offer, seat *fleet.Seat) OfferMessage {
	g := GlimpseOf(b)
	return OfferMessage{
		Offer: o.ID, Area: g.Area, Start: g.Start, Zone: g.Zone, Minutes: g.Minutes, Tier: g.Tier, Risk: g.Risk, Lead: seat.Number == 1, Team: b.Officers, Pay: pay(b),
		Pickup: int(o.Pickup / time.Second), Expires: o.Expires,
	}
}

// pay is what each officer of a booking is paid, as quoted; nil if nobody can say.
func pay(b *fleet.Booking) *fleet.Money {
	var table tariff.Table
	var price tariff.Price
	if json.Unmarshal(b.Tariff, &table) != nil || json.Unmarshal(b.Price, &price) != nil || len(price.Lines) == 0 {
		return nil
	}
	return new(table.PayFor(price))
}

// offer asks the officers who are to have the seats of a booking, all of them or none.
func (e *Engine) offer(ctx context.Context, term schema.Term, party []*request) error {
	for _, q := range party {
		if q.got.stage == yields {
			if err := e.takeFrom(ctx, term, q.got.seat); err != nil {
				return err
			}
		}
	}
	_, err := e.changeIn(ctx, term, party[0].booking.ID, func(c *schema.BookingTx) error {
		for _, q := range party {
			if err := makeOffer(c, q); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		e.metrics.offers.WithLabelValues("made").Add(float64(len(party)))
	}
	return err
}

func makeOffer(c *schema.BookingTx, q *request) error {
	seat := c.Seat(q.seat.ID)
	wanted := seat != nil && seat.State == fleet.SeatOpen && c.Status != fleet.Scheduled
	if q.holder != nil {
		wanted = replaceable(c, seat, q.seat.Driver)
	}
	if !wanted || !sameWork(&c.Order, &q.booking.Order) {
		return errChanged
	}
	o := fleet.Offer{
		ID: fleet.NewID[fleet.Offer](), Booking: c.ID, Seat: seat.ID, Driver: q.got.driver, Replaces: q.seat.Driver, State: fleet.OfferOpen,
		Created: c.Now, Expires: c.Now.Add(fleet.OfferLife), Pickup: q.got.Pickup, From: q.got.from, To: q.got.to,
	}
	if err := c.Offer(o); err != nil {
		return err
	}
	err := c.Tell(schema.OfficerMessage{
		Driver: o.Driver, Kind: "offer", Expires: o.Expires, Offer: o.ID, Body: offerMessage(&c.Booking, &o, seat),
	})
	if err != nil {
		return err
	}
	event := schema.Event{Kind: "offered", Data: seatEvent{Seat: seat.ID, Driver: o.Driver, Offer: o.ID}}
	if q.holder != nil {
		event.Kind = "swap_offered"
	}
	if c.Status == fleet.Searching {
		return c.Move(fleet.Offered, event)
	}
	return c.Note(event)
}

// errChanged refuses what was decided on a booking that is another by now.
var errChanged = &fleet.Error{Code: fleet.CodeConflict, Message: "the booking has changed meanwhile"}

// sameWork reports whether what was found out for one order holds for the other.
func sameWork(a, b *fleet.Order) bool {
	return a.Start.Equal(b.Start) && a.Minutes == b.Minutes && a.Pickup == b.Pickup && a.Tier == b.Tier && a.Gender == b.Gender &&
		slices.Equal(a.Certifications, b.Certifications) && slices.Equal(a.Languages, b.Languages) && a.ClientVehicle == b.ClientVehicle
}

// expireOffers ends the offers whose time is over, and returns those that are
// open.
func (e *Engine) expireOffers(ctx context.Context, term schema.Term) (*openOffers, error) {
	all, err := e.offers.Open(ctx)
	if err != nil {
		return nil, err
	}
	now := e.clock.Now()
	open := &openOffers{
		seats: make(map[fleet.SeatID]fleet.Offer), drivers: make(map[fleet.DriverID]bool), of: make(map[fleet.BookingID]int),
	}
	var over []fleet.Offer
	for _, o := range all {
		if !now.Before(o.Expires) {
			over = append(over, o)
			continue
		}
		open.seats[o.Seat], open.drivers[o.Driver] = o, true
		open.of[o.Booking]++
	}
	return open, inParallel(len(over), func(i int) error { return e.expire(ctx, term, &over[i]) })
}

func (e *Engine) expire(ctx context.Context, term schema.Term, o *fleet.Offer) error {
	_, err := e.changeIn(ctx, term, o.Booking, func(c *schema.BookingTx) error {
		return answer(c, o, fleet.OfferExpired, "", schema.Event{Kind: "offer_expired"})
	})
	if err != nil {
		return err
	}
	e.metrics.offers.WithLabelValues("expired").Inc()
	lapses, err := e.offers.LapsedInARow(ctx, o.Driver)
	if err != nil || lapses < maxLapses {
		return err
	}
	e.log.Info("an officer lets offers pass and goes off duty", "driver", o.Driver, "offers", lapses)
	return e.cfg.OffDuty(ctx, term, o.Driver)
}

// errAnswered says that an offer is not open any more.
var errAnswered = &fleet.Error{Code: fleet.CodeConflict, Message: "the offer is not open any more"}

// answer ends an offer that is open. A booking of which no offer is left is
// searched for again.
func answer(c *schema.BookingTx, o *fleet.Offer, state fleet.OfferState, reason string, event schema.Event) error {
	open, err := c.OpenOffers()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(open, func(other fleet.Offer) bool { return other.ID == o.ID }) {
		return errAnswered
	}
	if err := c.EndOffers(state, reason, func(other fleet.Offer) bool { return other.ID == o.ID }); err != nil {
		return err
	}
	event.Data = seatEvent{Seat: o.Seat, Driver: o.Driver, Offer: o.ID, Reason: reason}
	if state != fleet.OfferAccepted && len(open) == 1 && c.Status == fleet.Offered {
		return c.Move(fleet.Searching, event)
	}
	return c.Note(event)
}

// Decline refuses an offer on the officer's behalf. They are not asked for this
// booking again.
func (e *Engine) Decline(ctx context.Context, driver fleet.DriverID, id fleet.OfferID, by fleet.Actor, reason string) (fleet.Offer, error) {
	o, err := e.offers.Of(ctx, driver, id)
	if err != nil {
		return o, err
	}
	_, err = e.change(ctx, o.Booking, func(c *schema.BookingTx) error {
		if err := c.Exclude(driver, "declined"); err != nil {
			return err
		}
		return answer(c, &o, fleet.OfferDeclined, reason, schema.Event{Kind: "declined", By: by})
	})
	if err == nil {
		e.metrics.offers.WithLabelValues("declined").Inc()
	}
	return e.answered(ctx, &o, fleet.OfferDeclined, err)
}

// answered returns what became of an offer. That it was answered so before, is
// the same answer.
func (e *Engine) answered(ctx context.Context, o *fleet.Offer, as fleet.OfferState, err error) (fleet.Offer, error) {
	if err != nil && fleet.CodeOf(err) != fleet.CodeConflict {
		return fleet.Offer{}, err
	}
	now, failed := e.offers.Of(ctx, o.Driver, o.ID)
	switch {
	case failed != nil:
		return now, failed
	case now.State == as:
		return now, nil
	case now.State == fleet.OfferExpired, now.State == fleet.OfferOpen && !e.clock.Now().Before(now.Expires):
		return now, &fleet.Error{Code: fleet.CodeConflict, Message: "the offer has expired"}
	case now.State == fleet.OfferWithdrawn:
		return now, &fleet.Error{Code: fleet.CodeConflict, Message: "the offer was withdrawn: the seat is taken, or not needed any more"}
	case now.State == fleet.OfferAccepted:
		return now, &fleet.Error{Code: fleet.CodeConflict, Message: "you have accepted the offer: to give it back, cancel the assignment"}
	case now.State == fleet.OfferDeclined:
		return now, &fleet.Error{Code: fleet.CodeConflict, Message: "you have declined the offer"}
	}
	return now, err
}

// OwnOffer is an offer with what its officer may know of the booking.
type OwnOffer struct {
	fleet.Offer
	Glimpse
	Lead bool
	Pay  *fleet.Money
}

// Offers returns up to limit offers of a driver with ids before the given one, the
// newest first. The zero id starts with the newest.
func (e *Engine) Offers(ctx context.Context, driver fleet.DriverID, before fleet.OfferID, limit int) ([]OwnOffer, error) {
	offers, err := e.offers.OfDriver(ctx, driver, before, limit)
	if err != nil {
		return nil, err
	}
	ids := make([]fleet.BookingID, len(offers))
	for i, o := range offers {
		ids[i] = o.Booking
	}
	bookings, err := e.ByIDs(ctx, ids)
	if err != nil {
		return nil, err
	}
	own := make([]OwnOffer, 0, len(offers))
	for _, o := range offers {
		i := slices.IndexFunc(bookings, func(b fleet.Booking) bool { return b.ID == o.Booking })
		if i < 0 {
			continue
		}
		b := &bookings[i]
		lead := slices.ContainsFunc(b.Seats, func(s fleet.Seat) bool { return s.ID == o.Seat && s.Number == 1 })
		own = append(own, OwnOffer{Offer: o, Glimpse: GlimpseOf(b), Lead: lead, Pay: pay(b)})
	}
	return own, nil
}

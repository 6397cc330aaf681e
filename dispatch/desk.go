package dispatch

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"time"

	"armora/bus"
	"armora/dispatch/eta"
	"armora/fleet"
	"armora/live"
	"armora/schema"
	"armora/tariff"
)

// DeskConfig is what Desk needs. Way, Terms and Lacking may be nil; the rest is required.
type DeskConfig struct {
	DB    *schema.DB
	Bus   *bus.Bus
	Map   *live.Index
	Hash  func(string) []byte // keyed by what nobody knows: start codes are made by it
	Clock fleet.Clock
	Log   *slog.Logger

	// Member reports whether a person pays as a member; nil: nobody does. What is
	// quoted and booked keeps what it said.
	Member func(ctx context.Context, user fleet.UserID) (bool, error)

	// Way is how far and how long it is through some places, setting out at a
	// time; nil: as the built-in model says.
	Way func(ctx context.Context, at time.Time, places ...eta.Point) eta.Leg

	// Terms reports whether an account is invoiced, so that its bookings are funded
	// when they are placed; the others are once their amount is held. Nil: every
	// account is, on a hub without payments.
	Terms func(ctx context.Context, user fleet.UserID) (bool, error)

	// Lacking are the documents to which a person has to agree before they book, and
	// has not; nil: there are none.
	Lacking func(context.Context, fleet.UserID) ([]fleet.ConsentDocument, error)
}

// Desk takes what principals want: quotes, bookings, series, their changes and
// their ends. It says who sees what of a booking. It is safe for concurrent use.
type Desk struct {
	book           book
	quotes         schema.Quotes
	users          schema.Users
	questionnaires schema.Questionnaires
	officers       schema.Officers
	reviews        schema.Reviews
	series         schema.Series
	tariffs        schema.Tariffs
	rates          schema.PayRates
	debts          schema.Debts
	cfg            DeskConfig
	log            *slog.Logger
}

// NewDesk returns the desk of a hub.
func NewDesk(cfg DeskConfig) *Desk {
	if cfg.Way == nil {
		cfg.Way = modelWay
	}
	return &Desk{
		book:   book{Bookings: schema.Bookings{DB: cfg.DB}, bus: cfg.Bus, clock: cfg.Clock},
		quotes: schema.Quotes{DB: cfg.DB}, users: schema.Users{DB: cfg.DB}, questionnaires: schema.Questionnaires{DB: cfg.DB},
		officers: schema.Officers{DB: cfg.DB}, reviews: schema.Reviews{DB: cfg.DB}, series: schema.Series{DB: cfg.DB}, tariffs: schema.Tariffs{DB: cfg.DB},
		rates: schema.PayRates{DB: cfg.DB},
		debts: schema.Debts{DB: cfg.DB}, cfg: cfg, log: cfg.Log,
	}
}

// modelWay is the way by the built-in model.
func modelWay(_ context.Context, at time.Time, places ...eta.Point) eta.Leg {
	way := eta.Leg{Source: eta.FromModel}
	for i := 1; i < len(places); i++ {
		leg := eta.Default().Leg(at.Hour(), places[i-1], places[i])
		way.Time, way.Metres = way.Time+leg.Time, way.Metres+leg.Metres
	}
	return way
}

// StartCode is the code of a booking that the principal shows the officer: six
// digits, made of the booking's id by a keyed hash.
func StartCode(hash func(string) []byte, id fleet.BookingID) string {
	return fmt.Sprintf("%06d", binary.BigEndian.Uint64(hash("start code of "+id.String()))%1_000_000)
}

// StartCode is the code that the principal shows the officer.
func (d *Desk) StartCode(id fleet.BookingID) string { return StartCode(d.cfg.Hash, id) }

// fund lets a booking be dispatched whose account has terms. Another one is once its
// amount is held.
func (d *Desk) fund(ctx context.Context, b *fleet.Booking) error {
	if d.cfg.Terms != nil {
		if terms, err := d.cfg.Terms(ctx, b.User); err != nil || !terms {
			return err
		}
	}
	b.Funded = d.cfg.Clock.Now()
	return nil
}

// mayBook reports why a person may not book: nil if they may.
func (d *Desk) mayBook(ctx context.Context, user fleet.UserID) error {
	u, err := d.users.Get(ctx, user)
	switch {
	case err != nil:
		return err
	case !u.Suspended.IsZero() || !u.Erased.IsZero() || !u.Has(fleet.RoleRider):
		return &fleet.Error{Code: fleet.CodeForbidden, Message: "this account cannot book protection"}
	case u.EmailVerified.IsZero():
		return &fleet.Error{Code: fleet.CodeForbidden, Message: "verify your e-mail address before you book"}
	}
	owes, err := d.debts.Indebted(ctx, user)
	if err == nil && owes {
		err = &fleet.Error{Code: fleet.CodePaymentDue, Message: "an earlier assignment is not paid for: pay what is due before you book another"}
	}
	return err
}

// agreed reports to what a person has yet to agree before they may book: nil if it
// is nothing. What is booked already stays, whatever they take back.
func (d *Desk) agreed(ctx context.Context, user fleet.UserID) error {
	if d.cfg.Lacking == nil {
		return nil
	}
	lacking, err := d.cfg.Lacking(ctx, user)
	if err != nil || len(lacking) == 0 {
		return err
	}
	refusal := &fleet.Error{Code: fleet.CodeConsentNeeded, Message: "before you book, agree to what is required: see /api/users/consents"}
	for _, document := range lacking {
		refusal.Flaws = append(refusal.Flaws, fleet.Flaw{
			Location: "consents." + document.Kind, Message: fmt.Sprintf("%s, version %d", document.Title, document.Version),
		})
	}
	return refusal
}

// termsOf prices an order by a tariff, of a way so long.
func termsOf(o *fleet.Order, table *tariff.Table, member bool, metres int) (fleet.Terms, error) {
	price, err := table.Quote(tariff.Trip{
		Tier: o.Tier, Start: o.Start, Zone: o.Zone, Time: o.Booked(), Metres: metres, Officers: o.Officers, Member: member,
	})
	if err != nil {
		return fleet.Terms{}, err
	}
	t := fleet.Terms{Total: price.Total, Metres: metres, Member: member}
	if t.Tariff, err = json.Marshal(table); err != nil {
		return t, err
	}
	t.Price, err = json.Marshal(price)
	return t, err
}

// metres is the way that is paid for: from the commencement point through the
// stops to the destination, if there is one.
func (d *Desk) metres(ctx context.Context, o *fleet.Order) int {
	places := []fleet.Place{o.Pickup}
	places = append(places, o.Stops...)
	if o.Destination != nil {
		places = append(places, *o.Destination)
	}
	points := make([]eta.Point, len(places))
	for i, p := range places {
		points[i] = eta.Point{Lat: p.Lat, Lon: p.Lon}
	}
	return int(math.Round(min(d.cfg.Way(ctx, o.Start, points...).Metres, tariff.MaxMetres)))
}

// tariffOf is the tariff that a booking keeps.
func tariffOf(b *fleet.Booking) (table tariff.Table, err error) {
	err = json.Unmarshal(b.Tariff, &table)
	return table, err
}

// changeOf changes a booking of the user's own, and changeFor one whose principal
// a member of the staff sees. wanted is the version that was read, 0 for any.
func (d *Desk) changeOf(ctx context.Context, user fleet.UserID, id fleet.BookingID, wanted int64, do func(*schema.BookingTx) error) (fleet.Booking, error) {
	return d.book.changeOf(ctx, user, id, ifMatch(wanted, do))
}

func (d *Desk) changeFor(ctx context.Context, staff fleet.UserID, id fleet.BookingID, wanted int64, do func(*schema.BookingTx) error) (fleet.Booking, error) {
	return d.book.changeFor(ctx, staff, id, ifMatch(wanted, do))
}

func ifMatch(wanted int64, do func(*schema.BookingTx) error) func(*schema.BookingTx) error {
	return func(c *schema.BookingTx) error {
		if wanted != 0 && wanted != c.Version {
			return &fleet.Error{Code: fleet.CodeVersionMismatch, Message: "the assignment has changed since you read it: read it again"}
		}
		return do(c)
	}
}

// Reader is who wants something of a booking.
type Reader struct {
	User fleet.UserID // zero: the bootstrap admin
	Ops  bool
}

// find returns a booking and as whom the reader sees it: first as its principal,
// then as one of its officers, then as ops. Who is none of these finds nothing.
func (d *Desk) find(ctx context.Context, who Reader, id fleet.BookingID) (b fleet.Booking, as Viewer, err error) {
	if !who.User.IsZero() {
		if b, err = d.book.Of(ctx, who.User, id); fleet.CodeOf(err) != fleet.CodeNotFound || err == nil {
			return b, AsPrincipal, err
		}
		if b, err = d.book.ByOfficer(ctx, who.User, id); fleet.CodeOf(err) != fleet.CodeNotFound || err == nil {
			return b, AsOfficer, err
		}
	}
	if !who.Ops {
		return b, "", &fleet.Error{Code: fleet.CodeNotFound, Message: "no such booking"}
	}
	b, err = d.book.VisibleTo(ctx, who.User, id)
	return b, AsOps, err
}

// Read returns a booking as the reader may see it.
func (d *Desk) Read(ctx context.Context, who Reader, id fleet.BookingID) (View, error) {
	b, as, err := d.find(ctx, who, id)
	if err != nil {
		return View{}, err
	}
	return d.view(ctx, &b, as, who.User)
}

func (d *Desk) view(ctx context.Context, b *fleet.Booking, as Viewer, user fleet.UserID) (View, error) {
	views, err := d.views(ctx, []fleet.Booking{*b}, as, user)
	if err != nil {
		return View{}, err
	}
	return views[0], nil
}

// views shows bookings to a user.
func (d *Desk) views(ctx context.Context, bookings []fleet.Booking, as Viewer, user fleet.UserID) ([]View, error) {
	if len(bookings) == 0 {
		return nil, nil
	}
	var ids []fleet.BookingID
	var users []fleet.UserID
	var drivers []fleet.DriverID
	for i := range bookings {
		ids, users = append(ids, bookings[i].ID), append(users, bookings[i].User)
		for _, s := range bookings[i].Seats {
			if !s.Driver.IsZero() {
				drivers = append(drivers, s.Driver)
			}
		}
	}
	principals, err := d.officers.Principals(ctx, distinct(users))
	if err != nil {
		return nil, err
	}
	officers, err := d.officers.ByIDs(ctx, distinct(drivers))
	if err != nil {
		return nil, err
	}
	ratings, err := d.book.Ratings(ctx, ids)
	if err != nil {
		return nil, err
	}
	var driver fleet.DriverID
	if as == AsOfficer {
		own, err := schema.Drivers{DB: d.cfg.DB}.Own(ctx, user)
		if err != nil {
			return nil, err
		}
		driver = own.ID
	}
	now, views := d.cfg.Clock.Now(), make([]View, len(bookings))
	for i := range bookings {
		b := &bookings[i]
		with := parties{principal: principals[b.User], officers: officers, startCode: d.StartCode(b.ID)}
		if r, ok := ratings[b.ID]; ok {
			with.rating = &r
		}
		views[i] = viewOf(b, as, driver, &with, now)
	}
	return views, nil
}

func distinct[K any](ids []fleet.ID[K]) []fleet.ID[K] {
	slices.SortFunc(ids, func(a, b fleet.ID[K]) int { return slices.Compare(a[:], b[:]) })
	return slices.Compact(ids)
}

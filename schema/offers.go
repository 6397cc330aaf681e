package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Offers ask officers to take seats. They change with their booking, through
// BookingTx.
type Offers struct{ DB *DB }

const offerColumns = `o.id, o.booking_id, o.seat_id, o.driver_id, o.state, o.reason, o.created, o.delivered, o.expires, o.ended,
	o.pickup_s, lower(o.during), upper(o.during), o.replaces`

func scanOffer(row pgx.CollectableRow) (o fleet.Offer, err error) {
	var delivered, ended *time.Time
	var pickup int64
	err = row.Scan(&o.ID, &o.Booking, &o.Seat, &o.Driver, &o.State, &o.Reason, &o.Created, &delivered, &o.Expires, &ended, &pickup, &o.From, &o.To, &o.Replaces)
	o.Created, o.Expires, o.From, o.To = o.Created.UTC(), o.Expires.UTC(), o.From.UTC(), o.To.UTC()
	o.Delivered, o.Ended, o.Pickup = orZero(delivered), orZero(ended), time.Duration(pickup)*time.Second
	return o, err
}

// Of returns an offer that was made to a driver.
func (t Offers) Of(ctx context.Context, driver fleet.DriverID, id fleet.OfferID) (fleet.Offer, error) {
	return one(ctx, t.DB, "offer", scanOffer, `SELECT `+offerColumns+` FROM offers o WHERE o.id = $1 AND o.driver_id = $2`, id, driver)
}

// Open returns the offers that are open, in the order in which they expire.
func (t Offers) Open(ctx context.Context) ([]fleet.Offer, error) {
	return all(ctx, t.DB, "offer", scanOffer, `SELECT `+offerColumns+` FROM offers o WHERE o.state = 'open' ORDER BY o.expires, o.id`)
}

// OfDriver returns up to limit offers of a driver with ids before the given one,
// the newest first. The zero id starts with the newest.
func (t Offers) OfDriver(ctx context.Context, driver fleet.DriverID, before fleet.OfferID, limit int) ([]fleet.Offer, error) {
	return all(ctx, t.DB, "offer", scanOffer, `
		SELECT `+offerColumns+` FROM offers o WHERE o.driver_id = $1 AND ($2::uuid IS NULL OR o.id < $2) ORDER BY o.id DESC LIMIT $3`,
		driver, before, limit)
}

// delivered notes that an offer that is open has reached the officer's phone, and
// ends it sooner: OfferAfterDelivery from then. Told again it changes nothing.
func delivered(ctx context.Context, tx pgx.Tx, id fleet.OfferID, at time.Time) error {
	_, err := tx.Exec(ctx, `
		UPDATE offers SET delivered = $2, expires = least(expires, $3)
		WHERE id = $1 AND state = 'open' AND delivered IS NULL`, id, at, at.Add(fleet.OfferAfterDelivery))
	return err
}

// Offer asks a driver to take a seat of the booking. A driver, or a seat, that has
// an open offer already is CodeConflict.
func (c *BookingTx) Offer(o fleet.Offer) error {
	_, err := c.tx.Exec(c.ctx, `
		INSERT INTO offers (id, booking_id, seat_id, driver_id, state, created, expires, pickup_s, during, replaces)
		VALUES ($1, $2, $3, $4, 'open', $5, $6, $7, tstzrange($8, $9), $10)`,
		o.ID, c.ID, o.Seat, o.Driver, o.Created, o.Expires, int64(o.Pickup/time.Second), o.From, o.To, o.Replaces)
	if sqlState(err) == uniqueViolation {
		return &fleet.Error{Code: fleet.CodeConflict, Message: "the officer is being asked already, or the seat offered", Err: err}
	}
	return err
}

// OpenOffers returns the offers of the booking that are open.
func (c *BookingTx) OpenOffers() ([]fleet.Offer, error) {
	rows, err := c.tx.Query(c.ctx, `SELECT `+offerColumns+` FROM offers o WHERE o.booking_id = $1 AND o.state = 'open' ORDER BY o.id`, c.ID)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, scanOffer)
}

// EndOffers ends those open offers of the booking of which is is true; nil: all.
// Their officers are told.
func (c *BookingTx) EndOffers(state fleet.OfferState, reason string, is func(fleet.Offer) bool) error {
	open, err := c.OpenOffers()
	if err != nil {
		return err
	}
	for _, o := range open {
		if is != nil && !is(o) {
			continue
		}
		_, err := c.tx.Exec(c.ctx, `UPDATE offers SET state = $2, reason = $3, ended = $4 WHERE id = $1`, o.ID, state, text(reason), c.Now)
		if err == nil {
			err = c.Tell(OfficerMessage{Driver: o.Driver, Kind: "offer_result", Expires: c.Now.Add(toldFor), Body: offerResult{o.ID, c.ID, state, reason}})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// toldFor is how long an officer's phone is told of what has happened.
const toldFor = 24 * time.Hour

// offerResult is what became of an offer, as the officer's phone is told.
type offerResult struct {
	Offer   fleet.OfferID    `json:"offer_id"`
	Booking fleet.BookingID  `json:"booking_id"`
	Result  fleet.OfferState `json:"result"`
	Reason  string           `json:"reason,omitempty"`
}

// Lapsed returns how many offers of each booking a driver let expire.
func (t Offers) Lapsed(ctx context.Context, ids []fleet.BookingID) (map[fleet.BookingID]map[fleet.DriverID]int, error) {
	rows, err := t.DB.pool.Query(ctx, `
		SELECT booking_id, driver_id, count(*) FROM offers WHERE booking_id = ANY($1::uuid[]) AND state = 'expired' GROUP BY 1, 2`, idStrings(ids))
	if err != nil {
		return nil, translate("offer", err)
	}
	lapsed := make(map[fleet.BookingID]map[fleet.DriverID]int)
	var booking fleet.BookingID
	var driver fleet.DriverID
	var n int
	_, err = pgx.ForEachRow(rows, []any{&booking, &driver, &n}, func() error {
		if lapsed[booking] == nil {
			lapsed[booking] = make(map[fleet.DriverID]int)
		}
		lapsed[booking][driver] = n
		return nil
	})
	return lapsed, translate("offer", err)
}

// LapsedInARow returns how many of the last offers to a driver expired, one after
// the other, since they came on duty. What the hub withdrew does not count.
func (t Offers) LapsedInARow(ctx context.Context, driver fleet.DriverID) (int, error) {
	return one(ctx, t.DB, "offer", pgx.RowTo[int], `
		SELECT count(*) FROM offers o
		WHERE o.driver_id = $1 AND o.state = 'expired'
		  AND o.id > ALL (SELECT a.id FROM offers a WHERE a.driver_id = $1 AND a.state IN ('accepted', 'declined'))
		  AND o.created >= coalesce((SELECT max(s.began) FROM duty_spells s WHERE s.driver = $1 AND s.ended IS NULL), '-infinity')`, driver)
}

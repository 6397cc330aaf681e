package schema

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Earnings are what officers are owed. They are added to and never changed.
type Earnings struct{ DB *DB }

const earningColumns = `e.id, e.driver_id, e.booking_id, e.seat_id, e.number, e.kind, e.payout, e.amount, e.currency, e.minutes, e.rates::text, e.earned`

func scanEarning(row pgx.CollectableRow) (e fleet.Earning, err error) {
	var rates string
	err = row.Scan(&e.ID, &e.Driver, &e.Booking, &e.Seat, &e.Number, &e.Kind, &e.Payout, &e.Amount.Amount, &e.Amount.Currency, &e.Minutes, &rates, &e.Earned)
	e.Rates, e.Earned = json.RawMessage(rates), e.Earned.UTC()
	return e, err
}

// Earned returns what was written down of the booking.
func (c *BookingTx) Earned() ([]fleet.Earning, error) {
	return ofBooking(c, scanEarning, `SELECT `+earningColumns+` FROM earnings e WHERE e.booking_id = $1 ORDER BY e.seat_id, e.number`)
}

// Earn writes down what the officer of a seat of the booking is owed more, or less,
// and posts it: pay is a cost, and owed to officers.
func (c *BookingTx) Earn(e *fleet.Earning) error {
	e.ID, e.Booking, e.Earned = fleet.NewID[fleet.Earning](), c.ID, c.Now
	err := c.tx.QueryRow(c.ctx, `
		INSERT INTO earnings (id, driver_id, booking_id, seat_id, number, kind, amount, currency, minutes, rates, earned, payout)
		SELECT $1::uuid, $2::uuid, $3::uuid, $4::uuid, coalesce(max(number), 0) + 1, $5::text, $6::bigint, $7::text, $8::integer, $9::text::jsonb, $10::timestamptz, $11::text
		FROM earnings WHERE seat_id = $4 RETURNING number`,
		e.ID, e.Driver, e.Booking, e.Seat, e.Kind, e.Amount.Amount, e.Amount.Currency, e.Minutes, string(e.Rates), e.Earned, e.Payout).Scan(&e.Number)
	if err == nil && e.Payout == fleet.ByTransfer {
		err = c.LookAtMoney() // which passes it on
	}
	if err != nil {
		return err
	}
	return c.Post(fleet.Post("earned/"+e.ID.String(), c.Now, e.Amount, fleet.AccountOfficers, fleet.AccountPay))
}

// EarningQuery says which earnings: from a time on, and before another.
type EarningQuery struct {
	From, To time.Time
	Before   fleet.EarningID // zero: from the newest
	Limit    int
}

const ownEarnings = `e.driver_id = (SELECT id FROM drivers WHERE user_id = $1) AND e.earned >= $2 AND e.earned < $3`

// OwnEarning is an earning as its officer sees it.
type OwnEarning struct {
	fleet.Earning
	Transferred bool // by Stripe: all that is to be of the seat
}

// Own returns what the officer who signs in as a user has earned, the newest first.
func (t Earnings) Own(ctx context.Context, user fleet.UserID, q EarningQuery) ([]OwnEarning, error) {
	scan := func(row pgx.CollectableRow) (o OwnEarning, err error) {
		var rates string
		e := &o.Earning
		err = row.Scan(&e.ID, &e.Driver, &e.Booking, &e.Seat, &e.Number, &e.Kind, &e.Payout, &e.Amount.Amount, &e.Amount.Currency, &e.Minutes, &rates, &e.Earned, &o.Transferred)
		e.Rates, e.Earned = json.RawMessage(rates), e.Earned.UTC()
		return o, err
	}
	return all(ctx, t.DB, "earning", scan, `
		SELECT `+earningColumns+`, e.payout = 'transfer'
			AND (SELECT coalesce(sum(amount), 0) FROM earnings o WHERE o.seat_id = e.seat_id AND o.payout = 'transfer')
			  = (SELECT coalesce(sum(CASE WHEN t.reverses IS NULL THEN t.amount ELSE -t.amount END), 0) FROM transfers t WHERE t.seat_id = e.seat_id AND t.state = 'made')
		FROM earnings e WHERE `+ownEarnings+` AND ($4::uuid IS NULL OR e.id < $4) ORDER BY e.id DESC LIMIT $5`,
		user, q.From, q.To, q.Before, q.Limit)
}

// OwnTotal is the sum of all that Own goes through, in the currency of the newest; nothing is
// in the given one.
func (t Earnings) OwnTotal(ctx context.Context, user fleet.UserID, q EarningQuery, currency fleet.Currency) (fleet.Money, error) {
	return one(ctx, t.DB, "earning", pgx.RowToStructByPos[fleet.Money], `
		WITH own AS (SELECT e.id, e.amount, e.currency FROM earnings e WHERE `+ownEarnings+`),
			c AS (SELECT coalesce((SELECT currency FROM own ORDER BY id DESC LIMIT 1), $4::text) AS currency)
		SELECT (SELECT coalesce(sum(amount), 0)::bigint FROM own WHERE own.currency = c.currency), c.currency FROM c`, user, q.From, q.To, currency)
}

// PayrollLine is an earning with whose it is.
type PayrollLine struct {
	fleet.Earning
	Name string
	User fleet.UserID // zero: the officer does not sign in
}

// Payroll gives what all officers have earned in a time, but for what they are paid by
// transfer, in the order of officer and earning, as the database gives it.
func (t Earnings) Payroll(ctx context.Context, from, to time.Time, yield func(PayrollLine) error) error {
	rows, err := t.DB.pool.Query(ctx, `
		SELECT `+earningColumns+`, d.name, d.user_id FROM earnings e JOIN drivers d ON d.id = e.driver_id
		WHERE e.earned >= $1 AND e.earned < $2 AND e.payout = 'payroll' ORDER BY e.driver_id, e.id`, from, to)
	if err != nil {
		return translate("earning", err)
	}
	defer rows.Close()
	for rows.Next() {
		var l PayrollLine
		var rates string
		err := rows.Scan(&l.ID, &l.Driver, &l.Booking, &l.Seat, &l.Number, &l.Kind, &l.Payout, &l.Amount.Amount, &l.Amount.Currency, &l.Minutes, &rates, &l.Earned, &l.Name, &l.User)
		if err != nil {
			return translate("earning", err)
		}
		l.Rates, l.Earned = json.RawMessage(rates), l.Earned.UTC()
		if err := yield(l); err != nil {
			return err
		}
	}
	return translate("earning", rows.Err())
}

// HandOver is that one officer of a booking took over from another.
type HandOver struct {
	Number   int // of the seat
	Relieved fleet.DriverID
	At       time.Time // as the officers say
}

// HandedOver returns who took over from whom, in order.
func (t Bookings) HandedOver(ctx context.Context, id fleet.BookingID) ([]HandOver, error) {
	events, err := t.events(ctx, `kind = 'handed_over'`, id, 0, 1000)
	if err != nil {
		return nil, err
	}
	changes := make([]HandOver, 0, len(events))
	for _, e := range events {
		var said struct {
			Seat     int            `json:"seat"`
			Relieved fleet.DriverID `json:"relieved"`
		}
		if len(e.Data) == 0 {
			continue // the principal was erased: what was earned is written down
		}
		if err := json.Unmarshal(e.Data, &said); err != nil {
			return nil, err
		}
		changes = append(changes, HandOver{Number: said.Seat, Relieved: said.Relieved, At: e.Occurred})
	}
	return changes, nil
}

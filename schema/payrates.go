package schema

import (
	"context"
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// PayRates are the editions of what officers get of what is charged.
type PayRates struct{ DB *DB }

// thePayRates is the newest edition with its version in it.
const thePayRates = `(SELECT body || jsonb_build_object('version', version) FROM pay_rates ORDER BY version DESC LIMIT 1)`

// Current returns the newest edition, its version in it.
func (t PayRates) Current(ctx context.Context) (json.RawMessage, error) {
	body, err := one(ctx, t.DB, "pay rates", pgx.RowTo[string], `SELECT `+thePayRates+`::text`)
	return json.RawMessage(body), err
}

// Add adds an edition. Unless its version follows that of the newest it is
// CodeVersionMismatch.
func (t PayRates) Add(ctx context.Context, version int, body json.RawMessage, by fleet.UserID, now time.Time) error {
	err := t.DB.swap(ctx, "pay rates", `
		INSERT INTO pay_rates (version, body, set_by, since)
		SELECT $1::integer, $2::text::jsonb, $3::uuid, $4 WHERE $1 = (SELECT max(version) FROM pay_rates) + 1`, version, string(body), by, now)
	if fleet.CodeOf(err) == fleet.CodeConflict { // by two at once
		err = &fleet.Error{Code: fleet.CodeVersionMismatch, Message: "the pay rates have changed since they were read: read them again", Err: err}
	}
	return err
}

// SeatPay returns the editions by which the officers of the booking's seats are
// paid. One who accepted before there were editions has none.
func (c *BookingTx) SeatPay() (map[fleet.SeatID]json.RawMessage, error) {
	rows, err := c.tx.Query(c.ctx, `SELECT id, pay::text FROM booking_seats WHERE booking_id = $1 AND pay IS NOT NULL`, c.ID)
	if err != nil {
		return nil, err
	}
	pay := make(map[fleet.SeatID]json.RawMessage)
	var id fleet.SeatID
	var body string
	_, err = pgx.ForEachRow(rows, []any{&id, &body}, func() error {
		pay[id] = json.RawMessage(body)
		return nil
	})
	return pay, err
}

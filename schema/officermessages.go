package schema

import (
	"encoding/json"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// OfficerMessage is what the phones of an officer are told about a booking.
type OfficerMessage struct {
	Driver  fleet.DriverID
	Kind    string
	Body    any // JSON
	Expires time.Time
	// Offer is the one that the message makes: it is delivered with it. Zero for
	// every other message.
	Offer fleet.OfferID
}

// Tell puts a message into the outbox of each of the officer's phones, in one
// transaction with the change that it tells of: no phone hears of what has not
// happened. An officer without a phone is told nothing. An offer goes to their apps
// as a push too.
func (c *BookingTx) Tell(m OfficerMessage) error {
	content, err := json.Marshal(m.Body)
	if err != nil {
		return err
	}
	rows, err := c.tx.Query(c.ctx, `
		WITH next AS (
			UPDATE devices SET command_seq = command_seq + 1 WHERE driver = $1 AND kind = 'phone' RETURNING id, command_seq
		)
		INSERT INTO commands (device, seq, driver, kind, body, created, expires, offer)
		SELECT id, command_seq, $1::uuid, $2::text, $3::json, $4::timestamptz, $5::timestamptz, $6::uuid FROM next
		RETURNING device`, m.Driver, m.Kind, body(content), c.Now, m.Expires, m.Offer)
	if err != nil {
		return err
	}
	devices, err := pgx.CollectRows(rows, pgx.RowTo[fleet.DeviceID])
	c.told = append(c.told, devices...)
	if err != nil || m.Offer.IsZero() {
		return err
	}
	return c.push(m)
}

// push makes an offer known to the officer's apps, also to those that do not run.
// It says no more than that there is one.
func (c *BookingTx) push(m OfficerMessage) error {
	var user fleet.UserID
	err := c.tx.QueryRow(c.ctx, `SELECT user_id FROM drivers WHERE id = $1`, m.Driver).Scan(&user)
	if err != nil || user.IsZero() {
		return err
	}
	return c.db.notify(c.ctx, c.tx, fleet.Notice{
		ID: fleet.NewID[fleet.Notice](), User: user, Channel: fleet.PushChannel, Kind: "offer", Offer: m.Offer,
		Created: c.Now, Expires: m.Expires,
	})
}

// Told returns the phones that have something in their outbox once the change is
// committed.
func (c *BookingTx) Told() []fleet.DeviceID { return c.told }

package schema

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Sessions are the MQTT sessions that outlive the hub.
type Sessions struct{ DB *DB }

// Load returns every session that was saved and not deleted, expired ones too.
func (t Sessions) Load(ctx context.Context) ([]fleet.Session, error) {
	scan := func(row pgx.CollectableRow) (s fleet.Session, err error) {
		var expiry int64
		var disconnected *time.Time
		var subscriptions string
		var version int16
		err = row.Scan(&s.ClientID, &s.Device, &version, &expiry, &disconnected, &subscriptions)
		if err != nil {
			return s, err
		}
		s.Version, s.Expiry, s.Disconnected = byte(version), time.Duration(expiry)*time.Millisecond, orZero(disconnected)
		if err := json.Unmarshal([]byte(subscriptions), &s.Subscriptions); err != nil {
			return s, fmt.Errorf("subscriptions of session %q: %w", s.ClientID, err)
		}
		return s, nil
	}
	return all(ctx, t.DB, "session", scan, `
		SELECT client_id, device, version, expiry_ms, disconnected, subscriptions FROM sessions ORDER BY client_id`)
}

// Save keeps a session in place of what was kept under its client id.
func (t Sessions) Save(ctx context.Context, s fleet.Session) error {
	subscriptions, err := json.Marshal(s.Subscriptions)
	if err != nil {
		return err
	}
	return t.DB.exec(ctx, "session", `
		INSERT INTO sessions (client_id, device, version, expiry_ms, disconnected, subscriptions)
		VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (client_id) DO UPDATE
		SET device = excluded.device, version = excluded.version, expiry_ms = excluded.expiry_ms,
		    disconnected = excluded.disconnected, subscriptions = excluded.subscriptions`,
		s.ClientID, s.Device, int16(s.Version), s.Expiry.Milliseconds(), null(s.Disconnected), string(subscriptions))
}

// Delete forgets a session. One that is not there is no error.
func (t Sessions) Delete(ctx context.Context, clientID string) error {
	_, err := t.DB.pool.Exec(ctx, `DELETE FROM sessions WHERE client_id = $1`, clientID)
	return translate("session", err)
}

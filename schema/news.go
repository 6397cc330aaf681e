package schema

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// News is what hubs that share a database tell each other there and then; nothing of
// it is kept. It needs sessions: it cannot be had through a proxy that pools by
// transaction.
type News struct{ DB *DB }

// newsChannel is the channel of LISTEN and NOTIFY.
const newsChannel = "armora_news"

// Tell tells all that listen, oneself too.
func (t News) Tell(ctx context.Context, text string) error {
	_, err := t.DB.pool.Exec(ctx, `SELECT pg_notify($1, $2)`, newsChannel, text)
	return translate("news", err)
}

// Missed is one thing that was told: what does not open any more, or a device whose
// outbox has something new. One of the fields is set, or Device alone.
type Missed struct {
	Device     fleet.DeviceID
	Credential fleet.CredentialID // of Device; zero: all of its
	Session    fleet.UserSessionID
	Account    fleet.UserID
	Share      fleet.ShareID
	Partner    fleet.PartnerID
	Outbox     fleet.DeviceID
}

// Missed returns what was told since a time, for those who could not hear it, but for
// bookings and conversations, which are read again and again.
func (t News) Missed(ctx context.Context, since time.Time) ([]Missed, error) {
	scan := func(row pgx.CollectableRow) (m Missed, err error) {
		err = row.Scan(&m.Device, &m.Credential, &m.Session, &m.Account, &m.Share, &m.Partner, &m.Outbox)
		return m, err
	}
	return all(ctx, t.DB, "news", scan, `
		WITH anew AS ( -- report for another unit, or are new
			SELECT device FROM device_bindings WHERE began >= $1 OR ended >= $1
			UNION SELECT id FROM devices WHERE created >= $1 AND gateway IS NOT NULL
			UNION SELECT d.id FROM devices d JOIN vehicle_drivers a ON a.vehicle = d.vehicle WHERE a.began >= $1 OR a.ended >= $1)
		SELECT device, CASE WHEN EXISTS (SELECT FROM credentials o WHERE o.device = c.device AND o.revoked IS NULL AND (o.expires IS NULL OR o.expires > $1))
			THEN id END, NULL::uuid, NULL::uuid, NULL::uuid, NULL::uuid, NULL::uuid FROM credentials c WHERE revoked >= $1
		UNION SELECT device, NULL, NULL, NULL, NULL, NULL, NULL FROM anew
		UNION SELECT gateway, NULL, NULL, NULL, NULL, NULL, NULL FROM devices WHERE id IN (SELECT device FROM anew) AND gateway IS NOT NULL
		UNION SELECT NULL, NULL, id, NULL, NULL, NULL, NULL FROM user_sessions WHERE ended >= $1
		UNION SELECT NULL, NULL, NULL, user_id, NULL, NULL, NULL FROM user_sessions WHERE ended >= $1
		UNION SELECT NULL, NULL, NULL, id, NULL, NULL, NULL FROM users WHERE suspended >= $1 OR erased >= $1
		UNION SELECT NULL, NULL, NULL, NULL, id, NULL, NULL FROM shares WHERE revoked >= $1
		UNION SELECT NULL, NULL, NULL, NULL, NULL, id, NULL FROM partners WHERE revoked >= $1
		UNION SELECT NULL, NULL, NULL, NULL, NULL, NULL, device FROM commands WHERE created >= $1 AND acked IS NULL`, since)
}

// newsPulse is how often the connection is looked after while nothing is told: a
// machine that is gone does not say so.
const newsPulse = 10 * time.Second

// Listen calls ready once it listens, and hear with what is told from then on. It
// returns why it listens no more.
func (t News) Listen(ctx context.Context, ready func(), hear func(text string)) error {
	config := t.DB.pool.Config().ConnConfig.Copy()
	config.RuntimeParams["application_name"] = "armora news"
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return translate("news", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }() // the server sees the end of the connection
	if _, err := conn.Exec(ctx, `LISTEN `+newsChannel); err != nil {
		return translate("news", err)
	}
	ready()
	for {
		pulse, cancel := context.WithTimeout(ctx, newsPulse)
		n, err := conn.WaitForNotification(pulse)
		if err == nil {
			hear(n.Payload)
		} else if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			err = pinged(ctx, conn)
		}
		cancel()
		if err != nil {
			return translate("news", err)
		}
	}
}

func pinged(ctx context.Context, conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, newsPulse)
	defer cancel()
	return conn.Ping(ctx)
}

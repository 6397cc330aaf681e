package schema

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
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

package schema

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// Dispatchers are who dispatches which area.
type Dispatchers struct{ DB *DB }

// ErrTermOver refuses what is written in a term that another dispatcher has
// ended.
var ErrTermOver = &fleet.Error{Code: fleet.CodeConflict, Message: "another dispatcher has taken over"}

// Begin begins a term: from now on what an older one writes is refused.
func (t Dispatchers) Begin(ctx context.Context, area, holder string, now time.Time) (Term, error) {
	epoch, err := one(ctx, t.DB, "dispatcher", pgx.RowTo[int64], `
		INSERT INTO dispatchers (area, epoch, holder, since) VALUES ($1, 1, $2, $3)
		ON CONFLICT (area) DO UPDATE SET epoch = dispatchers.epoch + 1, holder = excluded.holder, since = excluded.since
		RETURNING epoch`, area, holder, now)
	return Term{Area: area, Epoch: epoch}, err
}

// Term is a dispatcher's time in office. The zero term is nobody's: a change that
// does not come from a dispatcher.
type Term struct {
	Area  string
	Epoch int64
}

// inTerm refuses what is written in a term that is over, and lets none end before the
// transaction does.
func inTerm(ctx context.Context, tx pgx.Tx, term Term) error {
	if term == (Term{}) {
		return nil
	}
	var epoch int64
	if err := tx.QueryRow(ctx, `SELECT epoch FROM dispatchers WHERE area = $1 FOR SHARE`, term.Area).Scan(&epoch); err != nil {
		return err
	}
	if epoch != term.Epoch {
		return ErrTermOver
	}
	return nil
}

// transactIn is transact by a dispatcher. One whose term is over is ErrTermOver.
func (db *DB) transactIn(ctx context.Context, term Term, noun string, do func(tx pgx.Tx) error) error {
	return db.transact(ctx, noun, func(tx pgx.Tx) error {
		if err := inTerm(ctx, tx, term); err != nil {
			return err
		}
		return do(tx)
	})
}

// LeaseTimeout is how long a leader that is not heard of keeps its lock. The
// server ends its session then: a process that was stopped keeps its connections,
// and would keep the lock with them.
const LeaseTimeout = 15 * time.Second

// Leader holds the lock of an area on a connection of its own, for as long as it
// beats. One goroutine at a time uses it.
type Leader struct {
	Term
	conn *pgx.Conn
}

// Lead takes the lock of an area and begins a term; nil if another has the lock.
// The lock needs a session: it cannot be had through a proxy that pools by
// transaction.
func (t Dispatchers) Lead(ctx context.Context, area, holder string, now time.Time) (*Leader, error) {
	ctx, cancel := context.WithTimeout(ctx, LeaseTimeout) // it may wait for one that stopped in its term
	defer cancel()
	config := t.DB.pool.Config().ConnConfig.Copy()
	for setting, value := range map[string]string{
		"application_name":        "armora dispatcher",
		"idle_session_timeout":    "15s", // LeaseTimeout
		"tcp_keepalives_idle":     "5",   // and of a machine that is gone
		"tcp_keepalives_interval": "5",
		"tcp_keepalives_count":    "2",
	} {
		config.RuntimeParams[setting] = value
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return nil, translate("dispatcher", err)
	}
	l := &Leader{conn: conn}
	var locked bool
	err = conn.QueryRow(ctx, `SELECT pg_try_advisory_lock(hashtext('armora dispatcher'), hashtext($1))`, area).Scan(&locked)
	if err == nil && locked {
		l.Term, err = t.Begin(ctx, area, holder, now)
	}
	if err != nil || !locked {
		l.Close(ctx)
		return nil, translate("dispatcher", err)
	}
	return l, nil
}

// Beat shows the server that the leader is alive. An error means that the lock is
// gone, or may be.
func (l *Leader) Beat(ctx context.Context) error {
	return translate("dispatcher", l.conn.Ping(ctx))
}

// Close gives up the lock.
func (l *Leader) Close(ctx context.Context) {
	_ = l.conn.Close(ctx) // the server sees the end of the connection
}

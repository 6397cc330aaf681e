package schema

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"

	"armora/fleet"
)

// Options tune a DB. The zero value is good for production.
type Options struct {
	MaxConns int32                 // 0: 10, or pool_max_conns of the DSN
	Keep     Keep                  // zero: DefaultKeep
	Log      *slog.Logger          // nil: discarded
	Metrics  prometheus.Registerer // nil: not registered
	Tracer   pgx.QueryTracer       // sees every statement; nil: nobody does
}

// DB is a pool of connections to one PostgreSQL database, with or without
// TimescaleDB. It is safe for concurrent use.
type DB struct {
	pool      *pgxpool.Pool
	keep      Keep
	log       *slog.Logger
	metrics   *metrics
	inserter  *river.Client[pgx.Tx]
	timescale bool
}

// Open connects to the database of dsn (a URL or key=value pairs). It neither
// migrates nor writes. Every connection has synchronous_commit on, whatever the
// server's default: an acknowledged point is on disk.
func Open(ctx context.Context, dsn string, opt Options) (*DB, error) {
	config, err := poolConfig(dsn, opt)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open database: %w", err)
	}
	db := &DB{pool: pool, keep: opt.Keep.orDefault(), log: opt.Log, metrics: newMetrics(opt.Metrics, pool)}
	if db.log == nil {
		db.log = slog.New(slog.DiscardHandler)
	}
	if db.inserter, err = newInserter(pool, db.log); err != nil {
		pool.Close()
		return nil, err
	}
	if db.timescale, err = detectTimescale(ctx, pool); err != nil {
		pool.Close()
		return nil, unreachable(config.ConnConfig, err)
	}
	return db, nil
}

// Nowhere is a database that is away: each statement fails with CodeUnavailable, at
// once. It is for a hub that sees to emergencies until it finds its database.
func Nowhere() (*DB, error) {
	config, err := poolConfig("host=/nowhere dbname=nothing", Options{})
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), config) // connects to nobody yet
	if err != nil {
		return nil, fmt.Errorf("open no database: %w", err)
	}
	db := &DB{pool: pool, keep: DefaultKeep(), log: slog.New(slog.DiscardHandler), metrics: newMetrics(nil, pool)}
	if db.inserter, err = newInserter(pool, db.log); err != nil {
		pool.Close()
		return nil, err
	}
	return db, nil
}

// stalledFor is how long a hub that stops in the middle of a transaction, or whose
// machine is gone, keeps its locks: others wait for them, and who takes over from a
// dispatcher for the row of its term.
const stalledFor = "30s"

func poolConfig(dsn string, opt Options) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(dsn)
	if err != nil { // pgx masks the password in this error
		return nil, &fleet.Error{Code: fleet.CodeInvalid, Message: "the database's address cannot be read; " +
			"it looks like postgres://user:password@host:5432/name", Err: err}
	}
	switch {
	case opt.MaxConns > 0:
		config.MaxConns = opt.MaxConns
	case !strings.Contains(dsn, "pool_max_conns"):
		config.MaxConns = 10
	}
	config.ConnConfig.Tracer = opt.Tracer
	params := config.ConnConfig.RuntimeParams
	params["synchronous_commit"] = "on"
	params["timezone"] = "UTC"
	for setting, value := range map[string]string{"application_name": "armora", "idle_in_transaction_session_timeout": stalledFor} {
		if params[setting] == "" {
			params[setting] = value
		}
	}
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	return config, nil
}

// unreachable says in one line what is wrong with the way to the database,
// without its password.
func unreachable(c *pgx.ConnConfig, err error) error {
	server := fmt.Sprintf("%s port %d", c.Host, c.Port)
	e := &fleet.Error{Code: fleet.CodeInvalid, Err: oneLine{err}}
	switch state := sqlState(err); {
	case strings.HasPrefix(state, "28"):
		e.Message = fmt.Sprintf("the database server at %s does not let %s in: check user and password in DATABASE_URL", server, c.User)
	case state == "3D000":
		e.Message = fmt.Sprintf("there is no database %s at %s: make it with createdb, or change DATABASE_URL", c.Database, server)
	default:
		e.Code = fleet.CodeUnavailable
		e.Message = fmt.Sprintf("the database %s at %s cannot be reached: check that it runs, and DATABASE_URL", c.Database, server)
	}
	return e
}

// oneLine is an error whose text is put on one line: pgx lists each address
// that it tried on its own.
type oneLine struct{ error }

func (e oneLine) Error() string { return strings.Join(strings.Fields(e.error.Error()), " ") }

func (e oneLine) Unwrap() error { return e.error }

// detectTimescale reports what points is, or is going to be: once it has been
// migrated as a plain table it stays one, even if the extension comes later.
func detectTimescale(ctx context.Context, pool *pgxpool.Pool) (bool, error) {
	var extension, plain bool
	err := pool.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb'),
		       coalesce((SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass('points')), false)`).
		Scan(&extension, &plain)
	return extension && !plain, err
}

// Close ends every connection and waits for those in use. It may be called
// more than once.
func (db *DB) Close() {
	db.pool.Close()
	db.metrics.unregister()
}

// Pool is the pool of connections, for what needs one itself (River, leader
// locks). SQL statements stay in this package.
func (db *DB) Pool() *pgxpool.Pool { return db.pool }

// Timescale reports whether points is a TimescaleDB hypertable, or will be
// once the database is migrated.
func (db *DB) Timescale() bool { return db.timescale }

// Ready reports why the database cannot be used now; nil if it can. A migration
// that is missing is a reason.
func (db *DB) Ready(ctx context.Context) error {
	current, err := db.version(ctx)
	if err != nil {
		return err
	}
	return compareVersions(current, latestVersion())
}

// Durability names each setting that lets a committed transaction be lost, as
// "name=value"; none on a durable server.
func (db *DB) Durability(ctx context.Context) ([]string, error) {
	// synchronous_commit is set to on by Open, so the server's default does not
	// matter; a role or a proxy that overrides it does.
	rows, err := db.pool.Query(ctx, `
		SELECT name || '=' || setting FROM pg_settings
		WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off'
		ORDER BY name`)
	if err != nil {
		return nil, translate("settings", err)
	}
	off, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return off, translate("settings", err)
}

// ClockOffset measures by how much the given clock is behind the database's, to
// within half of the time that the answer took, which it returns as well.
func (db *DB) ClockOffset(ctx context.Context, clock fleet.Clock) (offset, answered time.Duration, err error) {
	var theirs time.Time
	before := clock.Now()
	if err := db.pool.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&theirs); err != nil {
		return 0, 0, translate("clock", err)
	}
	answered = clock.Now().Sub(before)
	return theirs.Sub(before.Add(answered / 2)), answered, nil
}

// transact runs do in a transaction, which ends with it.
func (db *DB) transact(ctx context.Context, noun string, do func(tx pgx.Tx) error) error {
	return translate(noun, pgx.BeginFunc(ctx, db.pool, do))
}

// exec runs a statement that must touch at least one row; none is CodeNotFound.
func (db *DB) exec(ctx context.Context, noun, sql string, args ...any) error {
	tag, err := db.pool.Exec(ctx, sql, args...)
	if err == nil && tag.RowsAffected() == 0 {
		err = pgx.ErrNoRows
	}
	return translate(noun, err)
}

// swap runs a statement that changes what it names only if that is still of the
// version that the caller has read; else it is CodeVersionMismatch.
func (db *DB) swap(ctx context.Context, noun, sql string, args ...any) error {
	return db.transact(ctx, noun, func(tx pgx.Tx) error { return swap(ctx, tx, noun, sql, args...) })
}

// swap is DB.swap in a transaction.
func swap(ctx context.Context, tx pgx.Tx, noun, sql string, args ...any) error {
	tag, err := tx.Exec(ctx, sql, args...)
	if err == nil && tag.RowsAffected() == 0 {
		err = &fleet.Error{Code: fleet.CodeVersionMismatch, Message: "the " + noun + " has changed since it was read: read it again"}
	}
	return err
}

// addOwned adds something to what a user has, unless that is as much as limit
// already. The user's row is locked first, so that two that are added at once
// count each other.
func (db *DB) addOwned(ctx context.Context, noun string, user fleet.UserID, count string, limit int, add func(pgx.Tx) error) error {
	err := pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		var id fleet.UserID
		if err := tx.QueryRow(ctx, `SELECT id FROM users WHERE id = $1 AND erased IS NULL FOR UPDATE`, user).Scan(&id); err != nil {
			return translate("user", err)
		}
		var has int
		if err := tx.QueryRow(ctx, count, user).Scan(&has); err != nil {
			return err
		}
		if has >= limit {
			return &fleet.Error{Code: fleet.CodeTooMany, Message: fmt.Sprintf("one person has %d of these at most: delete one first", limit)}
		}
		return add(tx)
	})
	return translate(noun, err)
}

// one reads the one row that sql selects; none is CodeNotFound.
func one[T any](ctx context.Context, db *DB, noun string, scan pgx.RowToFunc[T], sql string, args ...any) (T, error) {
	rows, err := db.pool.Query(ctx, sql, args...)
	if err != nil {
		var zero T
		return zero, translate(noun, err)
	}
	value, err := pgx.CollectExactlyOneRow(rows, scan)
	return value, translate(noun, err)
}

// all reads every row that sql selects.
func all[T any](ctx context.Context, db *DB, noun string, scan pgx.RowToFunc[T], sql string, args ...any) ([]T, error) {
	rows, err := db.pool.Query(ctx, sql, args...)
	if err != nil {
		return nil, translate(noun, err)
	}
	values, err := pgx.CollectRows(rows, scan)
	return values, translate(noun, err)
}

// sqlState returns the SQLSTATE of err, "" if the server did not answer one.
func sqlState(err error) string {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		return e.Code
	}
	return ""
}

// null maps a zero time to NULL.
func null(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// orZero maps NULL to the zero time, anything else to UTC.
func orZero(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}

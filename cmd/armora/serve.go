package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"

	"armora/schema"
)

// serveCommand runs the hub until it is told to stop.
type serveCommand struct {
	settings `embed:""`
}

// Run implements the command.
func (c *serveCommand) Run(ctx context.Context, cli *cli, to console) error {
	log := cli.logger(to.err)
	h, err := openHub(ctx, c.settings, log)
	for err != nil && ctx.Err() == nil && c.standsBy(err) {
		log.Error("the hub cannot start, and stands by for emergencies", "error", explain(err))
		if err = c.standBy(ctx, log, to.out); err != nil || ctx.Err() != nil {
			return err
		}
		h, err = openHub(ctx, c.settings, log)
	}
	if err != nil {
		return err
	}
	h.announce(to.out)
	<-ctx.Done()
	log.Info("stopping")
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.ShutdownTimeout)
	defer cancel()
	return h.Close(closing)
}

// announce prints where everything is. Programs that start a hub read it.
func (h *hub) announce(out io.Writer) {
	line := func(what string, where any) { _, _ = fmt.Fprintf(out, "  %-16s %v\n", what, where) }
	_, _ = fmt.Fprintln(out, "ARMORA hub is up")
	if addr := h.broker.TCPAddr(); addr != nil {
		line("MQTT", "mqtt://"+addr.String())
	}
	if addr := h.broker.TLSAddr(); addr != nil {
		line("MQTT over TLS", "mqtts://"+addr.String())
	}
	if addr := h.broker.WSAddr(); addr != nil {
		line("MQTT over WS", "ws://"+addr.String())
	}
	line("API", "http://"+h.api.Addr().String())
	line("API docs", "http://"+h.api.Addr().String()+"/docs")
	if h.metrics != nil {
		line("metrics", "http://"+h.metrics.listener.Addr().String()+"/metrics")
	}
	store := "PostgreSQL"
	if h.db.Timescale() {
		store = "TimescaleDB"
	}
	if h.private != nil {
		store += ", private, in " + h.settings.dataDir()
	}
	line("database", store)
}

// migrateCommand brings the database to this version.
type migrateCommand struct {
	settings `embed:""`
}

// Run implements the command.
func (c *migrateCommand) Run(ctx context.Context, cli *cli, to console) error {
	return c.withDatabase(ctx, cli.logger(to.err), func(db *schema.DB) error {
		if err := db.Migrate(ctx); err != nil {
			return err
		}
		_, err := fmt.Fprintln(to.out, "the database is at this version of the hub")
		return err
	})
}

// withDatabase runs what needs the database and no hub: that of DATABASE_URL, or
// the private one, which no hub may be using.
func (s *settings) withDatabase(ctx context.Context, log *slog.Logger, do func(*schema.DB) error) (err error) {
	dsn := s.DatabaseURL
	if dsn == "" {
		private, failed := schema.StartPrivate(ctx, s.dataDir(), log)
		if failed != nil {
			return failed
		}
		defer func() {
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.ShutdownTimeout)
			defer cancel()
			err = errors.Join(err, private.Close(closing))
		}()
		dsn = private.DSN()
	}
	db, err := schema.Open(ctx, dsn, schema.Options{Log: log})
	if err != nil {
		return err
	}
	defer db.Close()
	return do(db)
}

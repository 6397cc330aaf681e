package main

import (
	"context"
	"errors"
	"fmt"
	"io"

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
func (c *migrateCommand) Run(ctx context.Context, cli *cli, to console) (err error) {
	log, dsn := cli.logger(to.err), c.DatabaseURL
	if dsn == "" {
		private, err := schema.StartPrivate(ctx, c.dataDir(), log)
		if err != nil {
			return err
		}
		defer func() {
			closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.ShutdownTimeout)
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
	if err := db.Migrate(ctx); err != nil {
		return err
	}
	_, err = fmt.Fprintln(to.out, "the database is at this version of the hub")
	return err
}

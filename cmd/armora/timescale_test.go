package main

import (
	"crypto/rand"
	"net/url"
	"os"
	"strings"
	"testing"

	"armora/schema"
)

// nativeTimescale returns a new database of the native TimescaleDB that
// ARMORA_TEST_TIMESCALE_DSN names.
func nativeTimescale(t *testing.T) (dsn string) {
	t.Helper()
	server := os.Getenv("ARMORA_TEST_TIMESCALE_DSN")
	if server == "" {
		t.Skip("ARMORA_TEST_TIMESCALE_DSN names no native TimescaleDB; its WebAssembly build has one backend, and a hub needs more")
	}
	name := "armora_hub_" + strings.ToLower(rand.Text())
	execute(t, server, `CREATE DATABASE `+name+` TEMPLATE template0`)
	t.Cleanup(func() { execute(t, server, `DROP DATABASE `+name+` WITH (FORCE)`) })
	address, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	address.Path = name
	execute(t, address.String(), `CREATE EXTENSION IF NOT EXISTS timescaledb`)
	return address.String()
}

func TestWholeHubOnTimescaleDB(t *testing.T) {
	t.Parallel()
	h := serve(t, "DATABASE_URL="+nativeTimescale(t))
	devices := h.devices(5)
	c := h.city(devices)
	for range 3 {
		c.acknowledged(300)
		h.kill()
		h.start()
	}
	c.acknowledged(300)
	c.stop()
	h.compare(devices, c.log.Entries())
}

func execute(t *testing.T, dsn, statement string) {
	t.Helper()
	ctx, cancel := contextOf(t)
	defer cancel()
	db, err := schema.Open(ctx, dsn, schema.Options{MaxConns: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Pool().Exec(ctx, statement); err != nil {
		t.Fatal(err)
	}
}

package main

import (
	"context"
	"syscall"
	"testing"
)

// contextOf outlives the test's own context, which ends before its cleanup.
func contextOf(t *testing.T) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	return ctx, cancel
}

// kills is how often a process is killed under load.
const kills = 10

func TestKilledHubLosesNothing(t *testing.T) {
	t.Parallel()
	h := serve(t)
	devices := h.devices(10)
	c := h.city(devices)
	for range kills {
		c.acknowledged(300)
		h.kill()
		h.start()
	}
	c.acknowledged(300)
	c.stop()
	h.compare(devices, c.log.Entries())
}

func TestKilledPostgreSQLLosesNothing(t *testing.T) {
	t.Parallel()
	h := serve(t)
	devices := h.devices(10)
	c := h.city(devices)
	killed := 0
	for range kills {
		c.acknowledged(300)
		pid := h.postmaster()
		if pid == 0 {
			t.Fatal("PostgreSQL is not running")
		}
		signalFamily(pid, syscall.SIGKILL)
		killed = pid
		waitFor(t, "PostgreSQL to be started again", func() bool { p := h.postmaster(); return p != 0 && p != killed })
	}
	c.acknowledged(300)
	c.stop()
	h.compare(devices, c.log.Entries())
}

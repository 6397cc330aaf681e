package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/schema"
	"armora/schema/schematest"
	"armora/sim"
)

// keepAlive is the hub's least.
const keepAlive = 5 * time.Second

func TestStoppedDatabase(t *testing.T) {
	t.Parallel()
	dir := schematest.Dir(t)
	server := startPostgreSQL(t, dir)
	outage(t, server.DSN(), func() (back func()) {
		if err := server.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		return func() { startPostgreSQL(t, dir) }
	})
}

func TestFrozenDatabase(t *testing.T) {
	t.Parallel()
	server := startPostgreSQL(t, schematest.Dir(t))
	outage(t, server.DSN(), func() (back func()) {
		pid := server.PID()
		thaw := func() { signalFamily(pid, syscall.SIGCONT) }
		t.Cleanup(thaw)
		signalFamily(pid, syscall.SIGSTOP)
		return thaw
	})
}

func startPostgreSQL(t *testing.T, dir string) *schema.Private {
	t.Helper()
	p, err := schema.StartPrivate(context.Background(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return p
}

// outage takes the database away for three keep-alive periods, while a fleet
// reports, a device watches its pings and acknowledgements, another is taken
// over, and a third floods.
func outage(t *testing.T, dsn string, takeAway func() (back func())) {
	h := serve(t, "DATABASE_URL="+dsn)
	devices, watcher, stranger, flooder := h.devices(5), h.device(sim.Tracker), h.device(sim.Tracker), h.device(sim.Tracker)
	c := h.city(devices)
	c.acknowledged(200)
	began := time.Now().Truncate(time.Second)
	first, _ := h.dial(watcher, 5)
	first.publish(watcher, 1, point(began, 0))
	first.expect(packets.Puback)

	back := takeAway()
	first.publish(watcher, 2, point(began, 10))
	flooded := h.flood(flooder)
	if h.pings(first, flooded) {
		t.Error("a point was acknowledged that is not stored")
	}
	h.unready()
	h.refusesNobodyForGood(stranger)

	// Taken over: known from before, so that nobody has to be asked.
	second, ack := h.dial(watcher, 5)
	if ack.ReasonCode != 0 || !ack.SessionPresent {
		t.Errorf("a device that was let in before is answered with %#x, session present %v", ack.ReasonCode, ack.SessionPresent)
	}
	first.ended()
	second.publish(watcher, 2, point(began, 10)) // the first copy waits for its commit
	second.publish(watcher, 3, point(began, 20))
	if h.pings(second, flooded) {
		t.Error("a repeat of what is not stored was acknowledged")
	}
	if limit, held := 256<<20, h.metric("armora_broker_inflight_bytes"); held > float64(limit) {
		t.Errorf("%v bytes wait, the limit is %d", held, limit)
	}
	// One connection holds 4 MiB at most, and the race detector's shadow is large;
	// TestMemoryIsBounded has many.
	if resident := h.resident(); resident > 1<<30 {
		t.Errorf("the hub has grown to %d MiB", resident>>20)
	}

	back()
	for _, id := range []uint16{2, 3} {
		if pk := second.expectAlive(packets.Puback); pk.PacketID != id {
			t.Errorf("packet %d was acknowledged, want %d", pk.PacketID, id)
		}
	}
	c.acknowledged(200)
	c.stop()
	h.compare(devices, c.log.Entries())
	if got := h.stored(watcher.ID); len(got) != 3 {
		t.Errorf("of the three points of the watcher %v is stored", got)
	}
	waitFor(t, "the hub to be ready", func() bool { return h.ready() == http.StatusOK })
}

// pings sends some over a keep-alive period and a half, and then until done, at
// the pace at which a client does, and reports whether anything was acknowledged
// meanwhile.
func (h *served) pings(c *client, done <-chan struct{}) (acknowledged bool) {
	h.t.Helper()
	tick := time.NewTicker(keepAlive / 2)
	defer tick.Stop()
	for i := 0; ; i++ {
		if i >= 3 {
			select {
			case <-done:
				return acknowledged
			default:
			}
		}
		<-tick.C
		c.ping()
		for answered := false; !answered; {
			pk, ok := c.next()
			if !ok {
				h.t.Fatal("the connection was ended")
			}
			answered = pk.FixedHeader.Type == packets.Pingresp
			acknowledged = acknowledged || pk.FixedHeader.Type == packets.Puback
		}
	}
}

// expectAlive is expect for what may take longer than a keep-alive period.
func (c *client) expectAlive(kind byte) packets.Packet {
	c.t.Helper()
	tick, deadline := time.NewTicker(keepAlive/2), time.After(answerTimeout)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.ping()
		case pk, ok := <-c.packets:
			switch {
			case !ok || pk.FixedHeader.Type != kind && pk.FixedHeader.Type != packets.Pingresp:
				c.t.Fatalf("got %s (open: %v, reason %#x)", packets.PacketNames[pk.FixedHeader.Type], ok, pk.ReasonCode)
			case pk.FixedHeader.Type == kind:
				return pk
			}
		case <-deadline:
			c.t.Fatal("no answer")
		}
	}
}

// flood publishes without regard to answers until the hub ends the connection.
func (h *served) flood(d sim.Device) (ended <-chan struct{}) {
	h.t.Helper()
	c, _ := h.dial(d, 4)
	done := make(chan struct{})
	go func() {
		defer close(done)
		var batch strings.Builder
		for id, at := uint16(1), time.Now(); ; id++ {
			batch.Reset()
			for i := range 10 {
				fmt.Fprintf(&batch, ",%s", point(at.Add(time.Duration(int(id)*10+i)*time.Millisecond), 0))
			}
			pk := packets.Packet{
				FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, ProtocolVersion: 4,
				TopicName: "v1/devices/" + d.ID + "/points", PacketID: max(id, 1), Payload: []byte("[" + batch.String()[1:] + "]"),
			}
			if writePacket(c.conn, &pk) != nil {
				return
			}
		}
	}()
	return done
}

func writePacket(w io.Writer, pk *packets.Packet) error {
	var out bytes.Buffer
	if err := pk.PublishEncode(&out); err != nil {
		return err
	}
	_, err := w.Write(out.Bytes())
	return err
}

// unready waits until the hub says that it is not ready, and why.
func (h *served) unready() {
	h.t.Helper()
	waitFor(h.t, "the hub to be unready", func() bool { return h.ready() == http.StatusServiceUnavailable })
}

func (h *served) ready() int {
	response, err := http.Get(h.api + "/readyz")
	if err != nil {
		return 0
	}
	_ = response.Body.Close() // its status is all that counts
	return response.StatusCode
}

// refusesNobodyForGood connects as a device that the hub would have to ask the
// database about.
func (h *served) refusesNobodyForGood(d sim.Device) {
	h.t.Helper()
	for version, want := range map[byte]byte{4: 3, 5: 0x88} {
		if _, ack := h.dial(d, version); ack.ReasonCode != want {
			h.t.Errorf("a login that cannot be checked is answered with %#x, want %#x (MQTT %d)", ack.ReasonCode, want, version)
		}
	}
}

// metric reads one of the hub's own.
func (h *served) metric(name string) float64 {
	h.t.Helper()
	response, err := http.Get(h.metrics)
	if err != nil {
		h.t.Fatal(err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(response.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + name + ` (\S+)$`).FindSubmatch(text)
	if found == nil {
		h.t.Fatalf("there is no metric %s", name)
	}
	value, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		h.t.Fatal(err)
	}
	return value
}

// resident is the memory of the hub's process, in bytes.
func (h *served) resident() int {
	h.t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", h.cmd.Process.Pid))
	if err != nil {
		h.t.Fatal(err)
	}
	pages, err := strconv.Atoi(strings.Fields(string(text))[1])
	if err != nil {
		h.t.Fatal(err)
	}
	return pages * os.Getpagesize()
}

package api

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"armora/account"
	"armora/fleet"
	"armora/schema"
)

func TestOfWhatWaitsTheNewestOfEachKeyIsKept(t *testing.T) {
	t.Parallel()
	var q outqueue
	q.init()
	for _, m := range []struct{ key, text string }{{"a", "a1"}, {"", "x"}, {"b", "b1"}, {"a", "a2"}, {"", "y"}, {"b", "b2"}} {
		if !q.put(m.key, []byte(m.text)) {
			t.Fatalf("%v did not fit", m)
		}
	}
	var got []string
	for data, ok := q.take(); ok; data, ok = q.take() {
		got = append(got, string(data))
	}
	if want := []string{"a2", "x", "b2", "y"}; !slices.Equal(got, want) {
		t.Errorf("took %v, want %v", got, want)
	}
	for range queueMessages {
		q.put("", nil)
	}
	if q.put("", nil) || !q.put("c", nil) {
		t.Error("a full queue took what must not be lost, or refused what may be")
	}
	if q.close(true); !q.put("", nil) {
		t.Error("a closed queue refuses")
	}
	if _, ok := q.take(); ok {
		t.Error("what was dropped is there")
	}
	var behind outqueue // of a reader that always has something to read
	behind.init()
	behind.put("", nil)
	for range 100 * queueMessages {
		behind.put("", nil)
		behind.take()
	}
	if n := cap(behind.wait); n > 4*queueMessages {
		t.Errorf("a queue in which one message waits has room for %d", n)
	}
	var bytes outqueue
	bytes.init()
	if !bytes.put("", make([]byte, queueBytes)) || bytes.put("", []byte("x")) {
		t.Error("the queue does not count bytes")
	}
}

// stream is a client of an event stream.
type stream struct {
	t    *testing.T
	body *bufio.Reader
	resp *http.Response
}

func (h *hub) stream(path string, header http.Header) *stream {
	h.t.Helper()
	r := h.request("GET", path, nil)
	r.Header = header
	if header == nil {
		r.Header = http.Header{}
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		h.t.Fatalf("event stream: %s %s", resp.Status, text)
	}
	return &stream{h.t, bufio.NewReader(resp.Body), resp}
}

// block reads up to the next empty line: an event or a comment.
func (s *stream) block() string {
	s.t.Helper()
	var lines []string
	for {
		line, err := s.body.ReadString('\n')
		if err != nil {
			s.t.Fatalf("the stream ended after %q: %v", lines, err)
		}
		if line = strings.TrimSuffix(line, "\n"); line == "" {
			return strings.Join(lines, "\n")
		}
		lines = append(lines, line)
	}
}

// event reads the next event.
func (s *stream) event() (kind, id, data string) {
	s.t.Helper()
	for {
		for line := range strings.Lines(s.block()) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			switch name {
			case "event":
				kind = value
			case "id":
				id = value
			case "data":
				data = value
			}
		}
		if kind != "" {
			return kind, id, data
		}
	}
}

func (p *person) ticket(opens string, trip fleet.BookingID) string {
	p.h.t.Helper()
	a := p.must(http.StatusCreated, "POST", "/api/tickets", map[string]any{"opens": opens, "trip_id": trip.String()})
	return as[Ticket](p.h.t, a).Ticket
}

func TestATripIsWatchedAsAnEventStream(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	rider, _, driver, id := h.trip()
	path := "/api/tracking/" + id.String() + "/events"
	ticket := rider.ticket("events", id)
	s := h.stream(path+"?ticket="+ticket, nil)
	if kind := s.resp.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		t.Errorf("content type %s", kind)
	}
	if s.block() != ": here" {
		t.Error("the stream does not begin with a sign of life")
	}
	kind, first, data := s.event()
	if kind != "snapshot" || first == "" || !strings.Contains(data, `"status":"en_route"`) {
		t.Errorf("got %s %s: %s", kind, first, data)
	}
	h.fix(driver, 1, 51.52)
	if kind, id, data := s.event(); kind != "position" || id != "" || !strings.Contains(data, `"lat":51.52`) {
		t.Errorf("got %s %s: %s", kind, id, data)
	}
	h.clock.Advance(heartbeatEvery)
	if s.block() != ": here" {
		t.Error("no sign of life")
	}
	if err := s.resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	seq := fmt.Sprint(h.move(id, fleet.Arrived, "arrived").Seq)
	s = h.stream(path+"?ticket="+ticket, http.Header{"Last-Event-Id": {first}}) // a browser comes back to the same URL
	if kind, id, data := s.event(); kind != "state" || id != seq || !strings.Contains(data, `"arrived"`) {
		t.Errorf("missed was %s %s: %s", kind, id, data)
	}
	if kind, id, _ := s.event(); kind != "snapshot" || id != seq {
		t.Errorf("then %s %s", kind, id)
	}
	h.move(id, fleet.InProgress, "started")
	h.move(id, fleet.Completed, "completed")
	for _, want := range []string{`"in_progress"`, `"completed"`} {
		if kind, _, data := s.event(); kind != "state" || !strings.Contains(data, want) {
			t.Errorf("then %s %s, want %s", kind, data, want)
		}
	}
	if kind, _, data := s.event(); kind != "end" || data != `{"code":4410,"reason":"trip_over"}` {
		t.Errorf("the end: %s %s", kind, data)
	}
	if rest, err := io.ReadAll(s.body); err != nil || len(rest) > 0 {
		t.Errorf("after the end: %q, %v", rest, err)
	}

	other, _, _, id2 := h.trip()
	s = h.stream("/api/tracking/"+id2.String()+"/events", bearerOf(other.token))
	s.event()
	if err := h.sessions.End(t.Context(), other.id, other.session, fleet.EndedByLogout); err != nil {
		t.Fatal(err)
	}
	if kind, _, data := s.event(); kind != "end" || !strings.Contains(data, "session_ended") {
		t.Errorf("after logging out: %s %s", kind, data)
	}
}

func TestTicketsOpenWhatTheyAreForAndNothingElse(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	rider, _, _, id := h.trip()
	path, another := "/api/tracking/"+id.String(), h.assigned(rider.id, h.employ(h.person(fleet.RoleDriver))).ID
	opens := func(path, ticket string) int {
		t.Helper()
		conn, resp, err := h.dial(path+"?ticket="+ticket, nil)
		if err == nil {
			_ = conn.Close()
		}
		if resp == nil {
			t.Fatal(err)
		}
		return resp.StatusCode
	}
	ticket := rider.ticket("tracking", id)
	for what, path := range map[string]string{"another trip": "/api/tracking/" + another.String(), "a stream": path + "/events"} {
		if status := opens(path, ticket); status != http.StatusUnauthorized {
			t.Errorf("%s: %d", what, status)
		}
	}
	if status := opens(path, rider.ticket("chat", id)); status != http.StatusUnauthorized {
		t.Errorf("a ticket for the conversation opened the trip: %d", status)
	}
	if status := opens(path, ticket); status != http.StatusSwitchingProtocols {
		t.Errorf("the ticket opens nothing: %d", status)
	}
	if status := opens(path, ticket); status != http.StatusUnauthorized {
		t.Errorf("the ticket is good twice: %d", status)
	}
	late := rider.ticket("tracking", id)
	h.clock.Advance(account.TicketLife)
	if status := opens(path, late); status != http.StatusUnauthorized {
		t.Errorf("a ticket that has expired: %d", status)
	}
	stale, events := rider.ticket("tracking", id), rider.ticket("events", id)
	if err := h.sessions.End(t.Context(), rider.id, rider.session, fleet.EndedByLogout); err != nil {
		t.Fatal(err)
	}
	if a, b := opens(path, stale), opens(path+"/events", events); a != http.StatusUnauthorized || b != http.StatusUnauthorized {
		t.Errorf("tickets outlive their session: %d, %d", a, b)
	}
	h.stop()
	if log := h.log.String(); strings.Contains(log, ticket) || strings.Contains(log, events) || !strings.Contains(log, "/api/tracking/:tripId") {
		t.Error("a ticket is in the log, or nothing is")
	}
}

// A watcher who does not read is sent away when what may not be lost would be, and
// those beside it are told everything.
func TestAStalledWatcherHarmsNobody(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	h := newHub(t, func(c *Config) { c.Metrics = registry })
	rider, _, _, id := h.trip()
	ops, other := h.person(fleet.RoleDispatcher), rider.watch(id, "")
	other.expect("snapshot")
	big := strings.Repeat("x", 200<<10)
	for path, asks := range map[string]string{
		"/api/tracking/" + id.String():             "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n",
		"/api/tracking/" + id.String() + "/events": "",
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		if err := conn.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer %s\r\n%s\r\n", path, ops.token, asks); err != nil {
			t.Fatal(err)
		}
		h.until("both watch", func() bool { return gathered(t, registry, "armora_api_lines") == 2 })
		sent, ended := 0, gathered(t, registry, "armora_api_lines_ended_total")
		for ; gathered(t, registry, "armora_api_lines_ended_total") == ended && sent < 200; sent++ {
			h.change(id, func(c *schema.BookingTx) error {
				return c.Note(schema.Event{Kind: "edited", By: fleet.Actor{Kind: fleet.ByPrincipal}, Data: map[string]any{"text": big}})
			})
			if m := other.expect("state"); m.Kind != "edited" {
				t.Fatalf("got %+v", m)
			}
		}
		if sent == 200 {
			t.Fatalf("%s: the stalled watcher is still there, and somebody keeps what it was told", path)
		}
		h.until("its line is gone", func() bool { return gathered(t, registry, "armora_api_lines") == 1 })
	}
}

// gathered sums a metric over its labels.
func gathered(t *testing.T, registry *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// Everybody is cut off at once and comes back at once: each is told what it missed,
// once, and what comes then.
func TestAReconnectStorm(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) { c.Lines = LineLimits{Person: 1000, Staff: 1000, Address: 1000, All: 1000} })
	rider, _, _, id := h.trip()
	const many = 100
	var all sync.WaitGroup
	storm := func(each func(w *spectator) *spectator, watchers []*spectator) {
		for i := range watchers {
			all.Go(func() { watchers[i] = each(watchers[i]) })
		}
		all.Wait()
	}
	watchers, seq := make([]*spectator, many), int64(0)
	storm(func(*spectator) *spectator {
		w := rider.watch(id, "")
		w.expect("snapshot")
		return w
	}, watchers)
	for _, w := range watchers {
		if err := w.conn.Close(); err != nil {
			t.Fatal(err)
		}
	}
	before := h.move(id, fleet.Arrived, "arrived").Seq
	storm(func(*spectator) *spectator { return rider.watch(id, fmt.Sprintf("?since=%d", before-1)) }, watchers)
	seq = h.move(id, fleet.InProgress, "started").Seq
	storm(func(w *spectator) *spectator {
		missed := w.expect("state")
		var snapshot heard
		next := w.next()
		if next.Type == "state" { // it was still on its way in
			next, snapshot = w.next(), next
			next, snapshot = snapshot, next
		} else {
			snapshot = next
			if snapshot.Seq < seq {
				next = w.expect("state")
			}
		}
		if missed.Seq != before || snapshot.Type != "snapshot" || next.Type == "state" && next.Seq != seq {
			t.Errorf("missed %+v, then %+v and %+v", missed, snapshot, next)
		}
		return w
	}, watchers)
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.stop()
	}()
	for _, w := range watchers {
		if before := w.ends(closedStopping); len(before) > 0 {
			t.Errorf("told again: %+v", before)
		}
	}
	<-done
}

func TestOnePersonOpensSoManyLines(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) { c.Lines = LineLimits{Person: 2, Staff: 3, Address: 100, All: 100} })
	rider, _, _, id := h.trip()
	first := rider.watch(id, "")
	h.stream("/api/tracking/"+id.String()+"/events", bearerOf(rider.token)).event()
	first.expect("snapshot")
	_, resp, err := h.dial("/api/tracking/"+id.String(), bearerOf(rider.token))
	if err == nil || resp == nil || resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" {
		t.Fatalf("a third: %v %v", resp, err)
	}
	if err := first.conn.Close(); err != nil {
		t.Fatal(err)
	}
	h.until("there is room again", func() bool {
		conn, _, err := h.dial("/api/tracking/"+id.String(), bearerOf(rider.token))
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
}

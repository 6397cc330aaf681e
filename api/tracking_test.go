package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/alexedwards/argon2id"

	"armora/account"
	"armora/fleet"
	"armora/live"
	"armora/schema"
)

// watchPatience is how long a test waits for what must come. No test measures it.
const watchPatience = 20 * time.Second

// heard is a message of a trip, of any type.
type heard struct {
	Type      string         `json:"type"`
	Trip      string         `json:"trip_id"`
	Seq       int64          `json:"seq"`
	Prev      int64          `json:"prev"`
	Kind      string         `json:"kind"`
	To        string         `json:"to"`
	Status    string         `json:"status"`
	Driver    fleet.DriverID `json:"driver_id"`
	Seat      int            `json:"seat"`
	Lead      bool           `json:"lead"`
	Lat       float64        `json:"lat"`
	Time      time.Time      `json:"time"`
	Officers  []heard        `json:"officers"`
	Positions []heard        `json:"positions"`
	Data      any            `json:"data"`
}

// spectator is a client that watches over a WebSocket.
type spectator struct {
	t    *testing.T
	conn *websocket.Conn
}

// dial asks for a WebSocket; header may be nil.
func (h *hub) dial(path string, header http.Header) (*websocket.Conn, *http.Response, error) {
	h.t.Helper()
	conn, resp, err := (&websocket.Dialer{HandshakeTimeout: watchPatience}).DialContext(h.t.Context(), "ws"+strings.TrimPrefix(h.url, "http")+path, header)
	if err == nil {
		h.t.Cleanup(func() { _ = conn.Close() })
	}
	return conn, resp, err
}

func bearerOf(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }

// watch opens a trip's WebSocket as the person.
func (p *person) watch(trip fleet.BookingID, query string) *spectator {
	p.h.t.Helper()
	conn, resp, err := p.h.dial("/api/tracking/"+trip.String()+query, bearerOf(p.token))
	if err != nil {
		p.h.t.Fatalf("watch: %v, %v", err, resp)
	}
	return &spectator{p.h.t, conn}
}

// next reads the next message.
func (s *spectator) next() (m heard) {
	s.t.Helper()
	if err := s.conn.SetReadDeadline(time.Now().Add(watchPatience)); err != nil {
		s.t.Fatal(err)
	}
	_, text, err := s.conn.ReadMessage()
	if err != nil {
		s.t.Fatalf("waiting for a message: %v", err)
	}
	if err := json.Unmarshal(text, &m); err != nil {
		s.t.Fatalf("%v in %s", err, text)
	}
	return m
}

// expect reads the next message, which has to be of a type.
func (s *spectator) expect(kind string) heard {
	s.t.Helper()
	m := s.next()
	if m.Type != kind {
		s.t.Fatalf("got %+v, not a %s", m, kind)
	}
	return m
}

// ends reads until the hub has closed the socket, which it has to in this way, and
// returns what came before.
func (s *spectator) ends(how closing) (before []heard) {
	s.t.Helper()
	for {
		if err := s.conn.SetReadDeadline(time.Now().Add(watchPatience)); err != nil {
			s.t.Fatal(err)
		}
		_, text, err := s.conn.ReadMessage()
		if closed, ok := errors.AsType[*websocket.CloseError](err); ok {
			if closed.Code != how.Code || closed.Text != how.Reason {
				s.t.Fatalf("closed with %d %s, want %v", closed.Code, closed.Text, how)
			}
			return before
		}
		if err != nil {
			s.t.Fatalf("ended without a word: %v", err)
		}
		var m heard
		if err := json.Unmarshal(text, &m); err != nil {
			s.t.Fatal(err)
		}
		before = append(before, m)
	}
}

// change changes a booking as dispatch does: the others are told.
func (h *hub) change(id fleet.BookingID, do func(*schema.BookingTx) error) fleet.Booking {
	h.t.Helper()
	b, err := (schema.Bookings{DB: h.db}).Change(h.t.Context(), id, h.clock.Now(), do)
	if err != nil {
		h.t.Fatal(err)
	}
	h.publish(b)
	return b
}

func (h *hub) move(id fleet.BookingID, to fleet.BookingStatus, kind string) fleet.Booking {
	h.t.Helper()
	return h.change(id, func(c *schema.BookingTx) error { return c.Move(to, schema.Event{Kind: kind}) })
}

// fix shows an officer on the map, at a latitude, so many seconds after noon.
func (h *hub) fix(driver fleet.DriverID, second int, lat float64) {
	at := fleet.MillisOf(noon.Add(time.Duration(second) * time.Second))
	h.cfg.Map.(*live.Index).Apply(live.Fix{Unit: fleet.Unit(driver), At: at, Received: at, Lat: lat, Lon: -0.12, Accuracy: 5, Speed: fleet.Unknown, Heading: fleet.Unknown})
}

// trip is a principal with an officer who has set out to them.
func (h *hub) trip() (rider, officer *person, driver fleet.DriverID, id fleet.BookingID) {
	h.t.Helper()
	rider, officer = h.person(fleet.RoleRider), h.person(fleet.RoleDriver)
	driver = h.employ(officer)
	id = h.assigned(rider.id, driver).ID
	h.move(id, fleet.EnRoute, "en_route")
	return rider, officer, driver, id
}

func TestATripIsWatchedByWebSocket(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	rider, officer, driver, id := h.trip()
	ops := h.person(fleet.RoleDispatcher)
	h.fix(driver, 1, 51.51)
	watchers := map[string]*spectator{"rider": rider.watch(id, ""), "officer": officer.watch(id, ""), "ops": ops.watch(id, "")}
	for who, w := range watchers {
		s := w.expect("snapshot")
		if s.Trip != id.String() || s.Status != "en_route" || s.Seq == 0 || len(s.Officers) != 1 || len(s.Positions) != 1 ||
			s.Positions[0].Driver != driver || s.Positions[0].Lat != 51.51 || !s.Positions[0].Lead {
			t.Errorf("the snapshot of %s: %+v", who, s)
		}
	}
	h.fix(driver, 2, 51.52)
	for who, w := range watchers {
		p := w.expect("position")
		if p.Lat != 51.52 || p.Driver != driver || p.Seat != 1 || !p.Lead || !p.Time.Equal(noon.Add(2*time.Second)) || p.Seq != 0 {
			t.Errorf("the position for %s: %+v", who, p)
		}
	}
	h.change(id, func(c *schema.BookingTx) error { // what only ops know, a fence, a status
		if err := c.Note(schema.Event{Kind: "conflict_resolved", By: fleet.Actor{Kind: fleet.ByOps}, Data: map[string]any{"x": 1}}); err != nil {
			return err
		}
		if err := c.Note(schema.Event{Kind: "left_pickup", Data: map[string]any{"driver": driver, "seat": 1}}); err != nil {
			return err
		}
		return c.Move(fleet.Arrived, schema.Event{Kind: "arrived"})
	})
	if m := watchers["ops"].expect("state"); m.Kind != "conflict_resolved" || m.Data == nil {
		t.Errorf("ops are told %+v", m)
	}
	for who, w := range watchers {
		left, arrived := w.expect("state"), w.expect("state")
		if left.Kind != "left_pickup" || left.Driver != driver || arrived.To != "arrived" || arrived.Prev != left.Seq || arrived.Seq != left.Seq+1 {
			t.Errorf("%s is told %+v, then %+v", who, left, arrived)
		}
		if hidden := who != "ops"; hidden && (left.Data != nil || left.Prev != left.Seq-2) {
			t.Errorf("%s is told %+v: it should say nothing of what is ops' own", who, left)
		}
	}
	h.move(id, fleet.InProgress, "started")
	h.move(id, fleet.Completed, "completed")
	for who, w := range watchers {
		before := w.ends(closedTripOver)
		if n := len(before); n != 2 || before[n-1].To != "completed" {
			t.Errorf("%s was told %+v before the end", who, before)
		}
	}
	h.fix(driver, 9, 51.6)
	again := rider.watch(id, "?since=1").ends(closedTripOver)
	if last := again[len(again)-1]; last.Type != "snapshot" || last.Status != "completed" || len(last.Positions) != 0 {
		t.Errorf("after the end: %+v", last)
	}
	entries, err := schema.Audit{DB: h.db}.List(t.Context(), fleet.UserID{}, schema.AuditQuery{Action: "watch_trip", Limit: 100})
	if err != nil || len(entries) != 2 { // the rider and ops; the officer sees himself, and after the end nobody is seen
		t.Errorf("%d entries in the audit log, %v", len(entries), err)
	}
}

// What happened meanwhile comes once, in order, before what comes live.
func TestAWatcherWhoComesBackMissesNothing(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	rider, _, _, id := h.trip()
	first := rider.watch(id, "?since=0")
	var seen []int64
	for {
		m := first.next()
		if m.Type == "snapshot" {
			if len(seen) == 0 || seen[len(seen)-1] > m.Seq {
				t.Fatalf("told %v before the snapshot of %d", seen, m.Seq)
			}
			break
		}
		if len(seen) > 0 && m.Prev != seen[len(seen)-1] {
			t.Errorf("%d says that %d is before it, and it is %d", m.Seq, m.Prev, seen[len(seen)-1])
		}
		seen = append(seen, m.Seq)
	}
	last := seen[len(seen)-1]
	if err := first.conn.Close(); err != nil {
		t.Fatal(err)
	}
	arrived := h.move(id, fleet.Arrived, "arrived").Seq
	second := rider.watch(id, fmt.Sprintf("?since=%d", last))
	if m := second.expect("state"); m.Seq != arrived || m.Prev != last {
		t.Errorf("missed was %+v, want %d after %d", m, arrived, last)
	}
	if s := second.expect("snapshot"); s.Seq != arrived {
		t.Errorf("the snapshot is of %d, not %d", s.Seq, arrived)
	}
	started := h.move(id, fleet.InProgress, "started").Seq
	if m := second.expect("state"); m.Seq != started || m.Prev != arrived {
		t.Errorf("then %+v, want %d after %d", m, started, arrived)
	}
}

func TestWhoHasNoRightToATripDoesNotWatchIt(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	rider, officer, driver, id := h.trip()
	path := "/api/tracking/" + id.String()
	refused := func(who string, header http.Header, status int) {
		t.Helper()
		for what, ask := range map[string]func() (*http.Response, error){
			"WebSocket": func() (*http.Response, error) {
				_, resp, err := h.dial(path, header)
				if resp == nil {
					return nil, err
				}
				return resp, nil
			},
			"events": func() (*http.Response, error) {
				r := h.request("GET", path+"/events", nil)
				r.Header = header.Clone()
				return h.send(r).Response, nil
			},
		} {
			if resp, err := ask(); err != nil || resp.StatusCode != status {
				t.Errorf("%s, %s: %v %v, want %d", who, what, resp, err, status)
			}
		}
	}
	refused("nobody", http.Header{}, http.StatusUnauthorized)
	refused("another rider", bearerOf(h.person(fleet.RoleRider).token), http.StatusNotFound)
	other := h.person(fleet.RoleDriver)
	h.employ(other)
	refused("another officer", bearerOf(other.token), http.StatusNotFound)
	refused("finance", bearerOf(h.person(fleet.RoleFinance).token), http.StatusForbidden)
	elsewhere := bearerOf(rider.token)
	elsewhere.Set("Origin", "https://evil.example")
	refused("another web site", elsewhere, http.StatusForbidden)
	here := bearerOf(rider.token)
	here.Set("Origin", "https://hub.example")
	if _, resp, err := h.dial(path, here); err != nil {
		t.Errorf("the hub's own pages: %v %v", resp, err)
	}
	if a := rider.do("GET", path, nil); a.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("no upgrade: %s", a.Status)
	}

	// The officer is replaced: told nothing more from then on, and is another's.
	w, watcher := officer.watch(id, ""), rider.watch(id, "")
	w.expect("snapshot")
	watcher.expect("snapshot")
	b := h.change(id, func(c *schema.BookingTx) error {
		if err := c.Move(fleet.Searching, schema.Event{Kind: "searching"}); err != nil {
			return err
		}
		return c.Release(c.Seats[0].ID, "released")
	})
	if before := w.ends(closedNotTheirs); len(before) != 0 {
		t.Errorf("the officer who was replaced was told %+v", before)
	}
	if m := watcher.expect("state"); m.Seq != b.Seq || m.To != "searching" {
		t.Errorf("the rider was told %+v", m)
	}
	refused("the former officer", bearerOf(officer.token), http.StatusNotFound)
	h.fix(driver, 5, 51.59)
	h.move(id, fleet.Cancelled, "cancelled")
	for _, m := range watcher.ends(closedTripOver) {
		if m.Type == "position" {
			t.Errorf("the rider was told where the former officer is: %+v", m)
		}
	}
}

// Ops who may not see the principal any more are told nothing from then on; who was
// named to is.
func TestOpsWatchWhomTheyMaySee(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	rider, _, driver, id := h.trip()
	named, other := h.person(fleet.RoleDispatcher), h.person(fleet.RoleDispatcher)
	viewer := "/api/users/" + rider.id.String() + "/viewers/" + named.id.String()
	h.must(http.StatusNoContent, "PUT", viewer, nil)
	w, ended, events := named.watch(id, ""), other.watch(id, ""), h.stream("/api/tracking/"+id.String()+"/events", bearerOf(other.token))
	w.expect("snapshot")
	ended.expect("snapshot")
	events.event()
	h.must(http.StatusNoContent, "PUT", "/api/users/"+rider.id.String()+"/restricted", map[string]any{"restricted": true})
	h.fix(driver, 5, 51.52)
	for _, m := range ended.ends(closedNotTheirs) {
		t.Errorf("who does not see the principal is told %+v", m)
	}
	if kind, _, data := events.event(); kind != "end" || !strings.Contains(data, "not_yours_any_more") {
		t.Errorf("the event stream says %s %s", kind, data)
	}
	w.expect("position")
	h.must(http.StatusNoContent, "DELETE", viewer, nil)
	h.fix(driver, 6, 51.53)
	for _, m := range w.ends(closedNotTheirs) {
		t.Errorf("who was named before is told %+v", m)
	}
}

// Whatever ends a session ends what it has opened, and so does what a token that
// expires does not renew.
func TestASocketEndsWithWhatOpenedIt(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	_, _, _, id := h.trip()
	watch := func() (*person, *spectator) {
		ops := h.person(fleet.RoleDispatcher)
		w := ops.watch(id, "")
		w.expect("snapshot")
		return ops, w
	}
	const password = "a long enough phrase"
	hash, err := argon2id.CreateHash(password, &argon2id.Params{Memory: 64, Iterations: 1, Parallelism: 1, SaltLength: 16, KeyLength: 32})
	if err != nil {
		t.Fatal(err)
	}
	for what, end := range map[string]func(p *person) error{
		"logout": func(p *person) error { return h.sessions.End(t.Context(), p.id, p.session, fleet.EndedByLogout) },
		"all sessions": func(p *person) error {
			return h.sessions.EndAll(t.Context(), p.id, fleet.UserSessionID{}, fleet.EndedByLogout)
		},
		"suspension": func(p *person) error {
			h.must(http.StatusNoContent, "POST", "/api/users/"+p.id.String()+"/suspend", map[string]any{"reason": "x"})
			return nil
		},
		"password": func(p *person) error {
			if _, err := h.db.Pool().Exec(t.Context(), `UPDATE users SET password = $2 WHERE id = $1`, p.id, hash); err != nil {
				return err
			}
			next := as[tokens](t, p.must(http.StatusOK, "POST", "/api/auth/change-password", map[string]any{"current_password": password, "new_password": "another long phrase"}))
			problem(t, p.do("GET", "/api/users/me", nil), http.StatusUnauthorized, fleet.CodeUnauthenticated)
			p.token = next.AccessToken
			p.must(http.StatusOK, "GET", "/api/users/me", nil)
			return nil
		},
		"erasure": func(p *person) error {
			p.must(http.StatusAccepted, "POST", "/api/users/erase", map[string]any{"confirm": p.id.String() + "@example.com"})
			return nil
		},
		"roles": func(p *person) error {
			h.must(http.StatusOK, "PUT", "/api/users/"+p.id.String()+"/roles", map[string]any{"roles": []string{"finance"}, "reason": "x"})
			return nil
		},
	} {
		p, w := watch()
		events := h.stream("/api/tracking/"+id.String()+"/events", bearerOf(p.token))
		chats := p.chats("/api/chat/" + id.String())
		if err := end(p); err != nil {
			t.Fatal(what, err)
		}
		w.ends(closedSession)
		(&spectator{t, chats.conn}).ends(closedSession)
		if rest, err := io.ReadAll(events.body); err != nil || !strings.Contains(string(rest), "event: end\n") {
			t.Errorf("%s: the event stream says %q, %v", what, rest, err)
		}
	}

	p, w := watch()
	_, other := watch()
	h.clock.Advance(account.AccessLife - 30*time.Second)
	w.expect("expiring")
	p.renew()
	w.say(map[string]any{"type": "authorize", "token": p.token})
	w.expect("authorized")
	h.clock.Advance(time.Minute)
	other.ends(closedExpired)
	w.say(map[string]any{"type": "authorize", "token": h.person(fleet.RoleDispatcher).token}) // another's
	w.ends(closedToken)
	_, w = watch()
	w.say(map[string]any{"type": "hello"})
	w.ends(closedMessage)
}

func (s *spectator) say(message any) {
	s.t.Helper()
	if err := s.conn.WriteJSON(message); err != nil {
		s.t.Fatal(err)
	}
}

// Who does not answer pings any more is taken for gone.
func TestASilentSocketIsEnded(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	rider, _, _, id := h.trip()
	w := rider.watch(id, "")
	w.expect("snapshot")
	pinged := make(chan struct{}, 2)
	w.conn.SetPingHandler(func(string) error {
		pinged <- struct{}{}
		return nil // and no pong
	})
	ended := make(chan error, 1)
	go func() {
		_, _, err := w.conn.ReadMessage()
		ended <- err
	}()
	h.clock.Advance(pingEvery)
	<-pinged // it has been asked
	h.clock.Advance(pongWithin)
	if err := <-ended; !websocket.IsCloseError(err, closedSilent.Code) {
		t.Fatal(err)
	}
}

// until waits for what has no signal.
func (h *hub) until(what string, ok func() bool) {
	h.t.Helper()
	tick, deadline := time.NewTicker(time.Millisecond), time.After(watchPatience)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			h.t.Fatalf("never: %s", what)
		}
	}
}

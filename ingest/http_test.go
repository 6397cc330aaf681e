package ingest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"armora/fleet"
)

// doorman knows one device.
type doorman struct {
	identity           fleet.Identity
	username, password string
	err                error
}

func (d *doorman) Authenticate(_ context.Context, login fleet.Login) (fleet.Identity, error) {
	if d.err != nil {
		return fleet.Identity{}, d.err
	}
	if login.Username != d.username || login.Password != d.password || login.Remote == "" {
		return fleet.Identity{}, &fleet.Error{Code: fleet.CodeUnauthenticated, Message: "bad credentials"}
	}
	return d.identity, nil
}

func post(target, contentType, body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, target, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

func get(target string) *http.Request { return httptest.NewRequest(http.MethodGet, target, nil) }

func ask(p *Pipeline, r *http.Request) (status int, body string, header http.Header) {
	w := httptest.NewRecorder()
	p.HTTP().ServeHTTP(w, r)
	result := w.Result()
	text, _ := io.ReadAll(result.Body)
	return result.StatusCode, string(text), result.Header
}

func httpPipeline(t *testing.T, s *memory, username, password string) (*Pipeline, *doorman) {
	t.Helper()
	d := &doorman{identity: *phone(), username: username, password: password}
	c := config(s, fleet.SystemClock{})
	c.Auth = d
	return running(t, c), d
}

const traccarBody = `{"location":{"timestamp":"2026-03-01T12:00:00.000Z","coords":{"latitude":51.5,"longitude":-0.12,"accuracy":5}},"device_id":"top-secret"}`

func TestOsmAndRequests(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		request *http.Request
		status  int
		stored  int
		letters int
	}{
		"query":          {get("/api/ingest/osmand?id=top-secret&lat=51.5&lon=-0.12&timestamp=1772366400"), 200, 1, 0},
		"deviceid":       {get("/api/ingest/osmand?deviceid=top-secret&lat=51.5&lon=-0.12"), 200, 1, 0},
		"posted query":   {post("/api/ingest/osmand?id=top-secret&lat=51.5&lon=-0.12", "", ""), 200, 1, 0},
		"posted form":    {post("/api/ingest/osmand", "application/x-www-form-urlencoded", "id=top-secret&lat=51.5&lon=-0.12"), 200, 1, 0},
		"JSON":           {post("/api/ingest/osmand", "application/json", traccarBody), 200, 1, 0},
		"no position":    {get("/api/ingest/osmand?id=top-secret&cell=1"), 200, 0, 0},
		"bad position":   {get("/api/ingest/osmand?id=top-secret&lat=north&lon=-0.12"), 400, 0, 1},
		"bad JSON":       {post("/api/ingest/osmand", "application/json", `{"device_id":"top\u002dsecret","location":{"timestamp":"never"}}`), 400, 0, 1},
		"bad escape":     {get("/api/ingest/osmand?id=top-secret&lat=%zz"), 400, 0, 1},
		"another's id":   {get("/api/ingest/osmand?id=guess&lat=51.5&lon=-0.12"), 401, 0, 0},
		"no id":          {get("/api/ingest/osmand?lat=51.5&lon=-0.12"), 401, 0, 0},
		"another method": {httptest.NewRequest(http.MethodPut, "/api/ingest/osmand?id=top-secret", nil), 405, 0, 0},
		"too large":      {post("/api/ingest/osmand", "application/json", strings.Repeat(" ", maxBody+1)), 413, 0, 0},
		"compressed": {func() *http.Request {
			r := post("/api/ingest/osmand", "", "x")
			r.Header.Set("Content-Encoding", "gzip")
			return r
		}(), 415, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newMemory()
			p, d := httpPipeline(t, s, "top-secret", "")
			status, body, _ := ask(p, c.request)
			letters := s.buried()
			if status != c.status || s.count() != c.stored || len(letters) != c.letters {
				t.Fatalf("status %d, %d points, %d dead letters; want %d, %d, %d\n%s",
					status, s.count(), len(letters), c.status, c.stored, c.letters, body)
			}
			for _, point := range s.points {
				if point.Device != d.identity.Device || point.Lat != 51.5 || point.Format != fleet.FormatOsmAnd {
					t.Errorf("stored %+v", point)
				}
			}
			kept := fmt.Sprintf("%+v %s", letters, body)
			for _, l := range letters {
				kept += string(l.Payload)
			}
			if strings.Contains(kept, "top") {
				t.Errorf("the id was kept or shown: %s", kept)
			}
		})
	}
}

func TestOwnTracksRequests(t *testing.T) {
	t.Parallel()
	const location = `{"_type":"location","tst":1772366400,"lat":51.5,"lon":-0.12}`
	for name, c := range map[string]struct {
		user, password, body string
		status, stored       int
	}{
		"location":       {"anna", "pw", location, 200, 1},
		"lwt":            {"anna", "pw", `{"_type":"lwt","tst":1772366400}`, 200, 0},
		"no JSON":        {"anna", "pw", `hello`, 400, 0},
		"encrypted":      {"anna", "pw", `{"_type":"encrypted","data":"x"}`, 400, 0},
		"wrong password": {"anna", "no", location, 401, 0},
		"no login":       {"", "", location, 401, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newMemory()
			p, _ := httpPipeline(t, s, "anna", "pw")
			r := post("/api/ingest/owntracks", "application/json", c.body)
			if c.user != "" {
				r.SetBasicAuth(c.user, c.password)
			}
			status, body, header := ask(p, r)
			if status != c.status || s.count() != c.stored {
				t.Fatalf("status %d, %d points; want %d, %d\n%s", status, s.count(), c.status, c.stored, body)
			}
			if status == 200 && body != "[]" {
				t.Errorf("the app wants an array, it got %q", body)
			}
			if status == 401 && header.Get("WWW-Authenticate") == "" {
				t.Error("401 without a challenge")
			}
			if status == 400 && len(s.buried()) != 1 {
				t.Error("what can't be decoded is no dead letter")
			}
		})
	}
}

func TestRequestWaitsForItsCommit(t *testing.T) {
	t.Parallel()
	const target = "/api/ingest/osmand?id=me&lat=51.5&lon=-0.12&timestamp=1772366400"
	t.Run("committed", func(t *testing.T) {
		t.Parallel()
		s, g := newMemory(), newGate()
		s.before = g.pass
		p, _ := httpPipeline(t, s, "me", "")
		answered := make(chan int, 1)
		go func() { status, _, _ := ask(p, get(target)); answered <- status }()
		<-g.reached
		if len(answered) != 0 {
			t.Error("answered before the commit")
		}
		g.outcome <- nil
		if status := <-answered; status != 200 {
			t.Errorf("status %d", status)
		}
	})
	t.Run("not in time", func(t *testing.T) {
		t.Parallel()
		s := newMemory()
		s.before = func([]fleet.Point) error { return errAway }
		clock := fleet.NewManualClock(start)
		c := config(s, clock)
		c.Auth = &doorman{identity: *phone(), username: "me"}
		p := running(t, c)
		answered := make(chan int, 1)
		go func() { status, _, _ := ask(p, get(target)); answered <- status }()
		for len(answered) == 0 {
			clock.Advance(p.config.HTTPTimeout / 100)
		}
		if status := <-answered; status != 503 {
			t.Errorf("status %d", status)
		}
	})
	t.Run("hub stops", func(t *testing.T) {
		t.Parallel()
		s := newMemory()
		p, _ := httpPipeline(t, s, "me", "")
		p.Close()
		status, _, header := ask(p, get(target))
		if status != 503 || header.Get("Retry-After") == "" {
			t.Errorf("status %d, Retry-After %q", status, header.Get("Retry-After"))
		}
	})
}

func TestRequestsAreBoundedAndCredentialsMayBeUnknown(t *testing.T) {
	t.Parallel()
	s := newMemory()
	p, d := httpPipeline(t, s, "me", "")
	h := &handler{Pipeline: p}
	h.held.Store(maxHeld)
	w := httptest.NewRecorder()
	h.osmand(w, get("/api/ingest/osmand?id=me&lat=51.5&lon=-0.12"))
	if w.Code != 503 || h.held.Load() != maxHeld || s.count() != 0 {
		t.Errorf("over the limit: status %d, %d bytes held", w.Code, h.held.Load())
	}
	h.held.Store(0)
	w = httptest.NewRecorder()
	h.osmand(w, get("/api/ingest/osmand?id=me&lat=51.5&lon=-0.12"))
	if w.Code != 200 || h.held.Load() != 0 {
		t.Errorf("under the limit: status %d, %d bytes held after it", w.Code, h.held.Load())
	}
	// The request fits, and what it decodes to does not.
	h.held.Store(maxHeld - heldExtra - 60)
	w = httptest.NewRecorder()
	h.osmand(w, get("/api/ingest/osmand?id=me&lat=51.6&lon=-0.12"))
	if w.Code != 503 || h.held.Load() != maxHeld-heldExtra-60 || s.count() != 1 {
		t.Errorf("points over the limit: status %d, %d bytes held after it, %d stored", w.Code, h.held.Load(), s.count())
	}
	h.held.Store(0)
	d.err = errAway
	if status, _, _ := ask(p, get("/api/ingest/osmand?id=me&lat=51.5&lon=-0.12")); status != 503 {
		t.Errorf("credentials that can't be checked: status %d", status)
	}
}

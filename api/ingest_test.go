package api

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"armora/fleet"
)

func TestIngestIsHandedItsRequestsWhole(t *testing.T) {
	t.Parallel()
	var kept []string // what a handler holds on to must stay what it was
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		kept = append(kept, r.Method, r.URL.Path, r.URL.Query().Get("id"), user, password, string(body), r.Header.Get("X-Device"))
		if r.RemoteAddr == "" || r.Context().Err() != nil {
			t.Errorf("remote %q, %v", r.RemoteAddr, r.Context().Err())
		}
		w.Header().Set("Content-Type", "text/x-test")
		w.Header().Add("X-Many", "1")
		w.Header().Add("X-Many", "2")
		w.WriteHeader(http.StatusAccepted)
		w.WriteHeader(http.StatusTeapot) // too late, as in net/http
		if _, err := fmt.Fprint(w, "tak", "en"); err != nil {
			t.Error(err)
		}
	})
	h := newHub(t, func(c *Config) { c.Ingest = handler })
	want := make([]string, 0, 140)
	for i := range 20 {
		n := fmt.Sprint(i)
		r := h.request("POST", "/api/ingest/osmand?id=s3cr3t"+n+"&lat=1", "body\x00\xff"+n)
		r.SetBasicAuth("user"+n, "pass"+n)
		r.Header.Set("X-Device", n)
		a := h.send(r)
		if a.StatusCode != http.StatusAccepted || string(a.body) != "taken" || a.Header.Get("Content-Type") != "text/x-test" || len(a.Header["X-Many"]) != 2 {
			t.Fatalf("%s %v %s", a.Status, a.Header, a.body)
		}
		want = append(want, "POST", "/api/ingest/osmand", "s3cr3t"+n, "user"+n, "pass"+n, "body\x00\xff"+n, n)
	}
	h.stop()
	if fmt.Sprint(kept) != fmt.Sprint(want) {
		t.Errorf("kept %q", kept)
	}
	// The id is the device's secret.
	if log := h.log.String(); strings.Contains(log, "s3cr3t") || !strings.Contains(log, "/api/ingest/*") {
		t.Errorf("the log: %s", log)
	}
}

func TestIngestPanicIsAnAnswer(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) {
		c.Ingest = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "half")
			panic("s3cr3t")
		})
	})
	a := h.do("GET", "/api/ingest/osmand", nil)
	problem(t, a, http.StatusInternalServerError, fleet.CodeInternal)
	if strings.Contains(string(a.body), "half") || strings.Contains(string(a.body), "s3cr3t") {
		t.Errorf("got %s", a.body)
	}
}

func TestIngestAndConsoleAreAbsentUnlessGiven(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for _, path := range []string{"/api/ingest/osmand", "/console", "/console/index.html"} {
		problem(t, h.do("GET", path, nil), http.StatusNotFound, fleet.CodeNotFound)
	}
}

func TestConsoleIsServed(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) {
		c.Console = fstest.MapFS{"index.html": {Data: []byte("the page")}, "app.js": {Data: []byte("the code")}}
	})
	for path, want := range map[string]string{"/console": "the page", "/console/app.js": "the code", "/console/trips/7": "the page"} {
		if a := h.send(h.anonymous("GET", path)); a.StatusCode != http.StatusOK || string(a.body) != want {
			t.Errorf("%s: %s %s", path, a.Status, a.body)
		}
	}
}

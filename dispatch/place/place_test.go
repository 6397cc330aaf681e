package place

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"armora/fleet"
)

// What a Photon and a Nominatim answer to "ritz london", but for what is not read.
const (
	photonSays = `{"type":"FeatureCollection","features":[
	 {"type":"Feature","geometry":{"type":"Point","coordinates":[-0.1415,51.5071]},"properties":{"osm_type":"W","osm_id":4253421,
	  "osm_key":"tourism","osm_value":"hotel","type":"house","countrycode":"GB","name":"The Ritz","housenumber":"150","street":"Piccadilly",
	  "district":"Mayfair","city":"London","postcode":"W1J 9BR","state":"England","country":"United Kingdom","extent":[-0.142,51.507,-0.141,51.506]}},
	 {"type":"Feature","geometry":{"type":"Point","coordinates":[-0.1277,51.5073]},"properties":{"osm_key":"place","osm_value":"city",
	  "type":"city","name":"London","city":"London","country":"United Kingdom"}},
	 {"type":"Feature","geometry":{"type":"Point","coordinates":[]},"properties":{"name":"Nowhere"}},
	 {"type":"Feature","geometry":{"type":"Point","coordinates":[-0.1,151.5]},"properties":{"name":"Off the earth"}},
	 {"type":"Feature","geometry":{"type":"Point","coordinates":[-0.1,51.5]},"properties":{"osm_value":"house"}},
	 {"type":"Feature","geometry":{"type":"Point","coordinates":[0,0]},"properties":{"name":"Null Island"}}]}`
	nominatimSays = `[{"place_id":258456,"licence":"ODbL","osm_type":"way","osm_id":4253421,"lat":"51.5070858","lon":"-0.1415964",
	 "category":"tourism","type":"hotel","place_rank":30,"importance":0.47,"addresstype":"tourism","name":"The Ritz",
	 "display_name":"The Ritz, 150, Piccadilly, St. James's, London, W1J 9BR, United Kingdom","boundingbox":["51.5","51.6","-0.2","-0.1"]},
	 {"display_name":"Nowhere"}]`
)

// world is a geocoder, and a server that it asks.
type world struct {
	*Geocoder
	t        *testing.T
	clock    *fleet.ManualClock
	registry *prometheus.Registry
	requests atomic.Int32
	asked    url.Values // of the last request
	says     func(http.ResponseWriter)
}

func newWorld(t *testing.T, path, says string, change ...func(*Config)) *world {
	t.Helper()
	w := &world{
		t: t, clock: fleet.NewManualClock(time.Date(2027, 3, 9, 12, 0, 0, 0, time.UTC)), registry: prometheus.NewRegistry(),
		says: func(to http.ResponseWriter) { _, _ = io.WriteString(to, says) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(to http.ResponseWriter, r *http.Request) {
		w.requests.Add(1)
		if r.Method != http.MethodGet || r.URL.Path != path {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		w.asked = r.URL.Query()
		w.says(to)
	}))
	t.Cleanup(server.Close)
	cfg := Config{URL: server.URL + path, Timeout: time.Minute, Clock: w.clock, Metrics: w.registry}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	if w.Geocoder, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func (w *world) search(text string, near *Near) []Place {
	w.t.Helper()
	places, err := w.Search(w.t.Context(), text, near)
	if err != nil {
		w.t.Fatal(err)
	}
	return places
}

func (w *world) counted(outcome string) float64 {
	w.t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		w.t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if m.GetLabel()[0].GetValue() == outcome {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}

func TestPhoton(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "/api", photonSays)
	got := w.search("  Ritz   London ", &Near{51.50853, -0.12574})
	want := []Place{
		{Label: "The Ritz, 150 Piccadilly, London W1J 9BR, United Kingdom", Lat: 51.5071, Lon: -0.1415, Kind: "hotel"},
		{Label: "London, United Kingdom", Lat: 51.5073, Lon: -0.1277, Kind: "city"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	// Where the searcher is, is told to a hundredth of a degree.
	if asked := (url.Values{"q": {"ritz london"}, "limit": {"10"}, "lat": {"51.51"}, "lon": {"-0.13"}}); !reflect.DeepEqual(w.asked, asked) {
		t.Errorf("it is asked %v, want %v", w.asked, asked)
	}
}

func TestNominatim(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "/v1/search", nominatimSays, func(cfg *Config) { cfg.URL += "?key=s3cret" })
	got := w.search("ritz london", &Near{51.50853, -0.12574})
	want := []Place{{Label: "The Ritz, 150, Piccadilly, St. James's, London, W1J 9BR, United Kingdom", Lat: 51.5070858, Lon: -0.1415964, Kind: "hotel"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	asked := url.Values{"key": {"s3cret"}, "q": {"ritz london"}, "format": {"jsonv2"}, "limit": {"10"}, "viewbox": {"-0.63,51.01,0.37,52.01"}}
	if !reflect.DeepEqual(w.asked, asked) {
		t.Errorf("it is asked %v, want %v", w.asked, asked)
	}
	w.search("ritz london", nil)
	if w.asked.Has("viewbox") {
		t.Errorf("of somebody who is nowhere it is asked %v", w.asked)
	}
}

// The same search is asked once a day, however it is typed, and from anywhere in a
// square kilometre.
func TestSearchesAreRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "/api", photonSays)
	first := w.search("Ritz London", &Near{51.508, -0.126})
	for _, text := range []string{"ritz london", " RITZ  LONDON "} {
		if again := w.search(text, &Near{51.511, -0.128}); !reflect.DeepEqual(again, first) {
			t.Errorf("%q: %+v", text, again)
		}
	}
	if n := w.requests.Load(); n != 1 || w.counted("remembered") != 2 {
		t.Errorf("%d requests", n)
	}
	w.search("ritz london", &Near{51.52, -0.126})
	w.search("ritz london", nil)
	if n := w.requests.Load(); n != 3 {
		t.Errorf("%d requests, with one from elsewhere and one from nowhere", n)
	}
	w.clock.Advance(keptFor)
	w.search("ritz london", nil)
	if n := w.requests.Load(); n != 4 {
		t.Errorf("%d requests, with one a day later", n)
	}
}

func TestNothingIsFound(t *testing.T) {
	t.Parallel()
	for path, says := range map[string]string{"/api": `{"features":[]}`, "/search": `[]`} {
		w := newWorld(t, path, says)
		if places := w.search("nowhere", nil); places == nil || len(places) != 0 {
			t.Errorf("%s: %#v, want none", path, places)
		}
	}
}

// A geocoder gets no more searches than it may; what is remembered costs none.
func TestGeocoderIsNotPressed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "/api", photonSays, func(cfg *Config) { cfg.PerSecond = 2 })
	w.search("one", nil)
	w.search("two", nil)
	_, err := w.Search(t.Context(), "three", nil)
	e, ok := errors.AsType[*fleet.Error](err)
	if !ok || e.Code != fleet.CodeTooMany || e.Retry != 500*time.Millisecond {
		t.Fatalf("the third at once: %v", err)
	}
	w.search("two", nil)
	w.clock.Advance(e.Retry)
	w.search("three", nil)
	if n := w.requests.Load(); n != 3 || w.counted("limited") != 1 {
		t.Errorf("%d requests, want 3", n)
	}
}

// What fails is not remembered, and its error says nothing of what was searched for.
func TestGeocoderFails(t *testing.T) {
	t.Parallel()
	says := func(status int, text string) func(http.ResponseWriter) {
		return func(to http.ResponseWriter) {
			to.WriteHeader(status)
			_, _ = io.WriteString(to, text)
		}
	}
	for _, path := range []string{"/api", "/search"} {
		for name, c := range map[string]struct {
			server  func(http.ResponseWriter)
			outcome string
		}{
			"refused":       {says(403, "who are you?"), "refused"},
			"pressed":       {says(429, ""), "refused"},
			"broken":        {says(500, "oh"), "refused"},
			"redirected":    {says(302, ""), "refused"},
			"not JSON":      {says(200, "<h1>Welcome to nginx</h1>"), "garbage"},
			"null":          {says(200, "null"), "garbage"},
			"something":     {says(200, `{"error":"no"}`), "garbage"},
			"a number":      {says(200, "42"), "garbage"},
			"without end":   {says(200, strings.Repeat(" ", maxAnswer+1)), "garbage"},
			"it hangs up":   {func(to http.ResponseWriter) { to.Header().Set("Content-Length", "1000") }, "away"},
			"another shape": {says(200, `{"features":[{"geometry":{"coordinates":"here"}}]}`), "garbage"},
		} {
			t.Run(fmt.Sprint(path, " ", name), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, path, "[]")
				if path == "/api" {
					w.says = says(200, photonSays)
				}
				working := w.says
				w.says = c.server
				_, err := w.Search(t.Context(), "her secret address", nil)
				if fleet.CodeOf(err) != fleet.CodeUnavailable || w.counted(c.outcome) != 1 {
					t.Errorf("%v, and %v were %s", err, w.counted(c.outcome), c.outcome)
				}
				if err != nil && (strings.Contains(err.Error(), "secret") || strings.Contains(err.Error(), "127.0.0.1")) {
					t.Errorf("it says what was searched for: %v", err)
				}
				w.says = working
				w.search("her secret address", nil)
			})
		}
	}
}

func TestSlowGeocoder(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	w := newWorld(t, "/api", "", func(cfg *Config) { cfg.Timeout = time.Millisecond })
	t.Cleanup(func() { close(over) }) // before the server is closed, which waits for it
	w.says = func(http.ResponseWriter) { <-over }
	if _, err := w.Search(t.Context(), "ritz", nil); fleet.CodeOf(err) != fleet.CodeUnavailable || w.counted("slow") != 1 {
		t.Errorf("%v", err)
	}
}

func TestSearcherHasGone(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	w := newWorld(t, "/api", "")
	t.Cleanup(func() { close(over) })
	ctx, leave := context.WithCancel(t.Context())
	w.says = func(http.ResponseWriter) { leave(); <-over }
	if _, err := w.Search(ctx, "ritz", nil); err == nil || w.counted("gone") != 1 {
		t.Errorf("%v", err)
	}
}

func TestDeadGeocoder(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	w := newWorld(t, "/api", "", func(cfg *Config) { cfg.URL = server.URL + "/api?key=s3cret" })
	_, err := w.Search(t.Context(), "ritz", nil)
	if fleet.CodeOf(err) != fleet.CodeUnavailable || w.counted("away") != 1 || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("%v", err)
	}
}

func TestConfig(t *testing.T) {
	t.Parallel()
	clock := fleet.SystemClock{}
	for name, cfg := range map[string]Config{
		"no clock":      {URL: "https://photon/api"},
		"no URL":        {Clock: clock, URL: "photon"},
		"another":       {Clock: clock, URL: "https://maps.example/geocode"},
		"another still": {Clock: clock, URL: "ftp://photon/api"},
		"no URL either": {Clock: clock, URL: "https://s3cret@%zz/api"},
	} {
		if _, err := New(cfg); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, base := range []string{"https://photon.example/api/", "https://geo.example/nominatim/search"} {
		if _, err := New(Config{Clock: clock, URL: base}); err != nil {
			t.Errorf("%s: %v", base, err)
		}
	}
}

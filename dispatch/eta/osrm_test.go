package eta

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// router speaks OSRM's JSON. On its map each way has seconds of its own and ten metres
// for each of them, and there is a road 556 m from every place.
type router struct {
	t        *testing.T
	requests atomic.Int32
	widest   atomic.Int32                          // the most coordinates of one request
	spoil    func(answer map[string]any)           // changes an answer
	instead  func(http.ResponseWriter) (done bool) // answers by itself
}

func (r *router) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.requests.Add(1)
	if r.instead != nil && r.instead(w) {
		return
	}
	places, from, to := r.read(request)
	r.widest.Store(max(r.widest.Load(), int32(len(places))))
	answer := map[string]any{"code": "Ok", "sources": waypoints(places, from), "destinations": waypoints(places, to)}
	var durations, distances [][]any
	for _, i := range from {
		var times, ways []any
		for _, j := range to {
			times = append(times, seconds(places[i], places[j]))
			ways = append(ways, 10*seconds(places[i], places[j]))
		}
		durations, distances = append(durations, times), append(distances, ways)
	}
	answer["durations"], answer["distances"] = durations, distances
	if r.spoil != nil {
		r.spoil(answer)
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func waypoints(places []Point, indices []int) []any {
	list := make([]any, len(indices))
	for i, of := range indices {
		list[i] = map[string]any{"name": "", "location": []float64{places[of].Lon, places[of].Lat + 0.005}} // 556 m
	}
	return list
}

// seconds is not symmetric, so that a matrix that is turned over is seen.
func seconds(a, b Point) float64 {
	return math.Round(1000 * (math.Abs(a.Lon-b.Lon) + 2*math.Abs(a.Lat-b.Lat) + max(0, b.Lat-a.Lat)))
}

// read understands a request as osrm-routed does, and ends the test at any other.
func (r *router) read(request *http.Request) (places []Point, from, to []int) {
	path, ok := strings.CutPrefix(request.URL.EscapedPath(), "/table/v1/driving/")
	if !ok || request.Method != http.MethodGet {
		r.t.Errorf("%s %s", request.Method, request.URL)
	}
	for _, pair := range strings.Split(path, ";") {
		lon, lat, _ := strings.Cut(pair, ",")
		x, err1 := strconv.ParseFloat(lon, 64)
		y, err2 := strconv.ParseFloat(lat, 64)
		if err1 != nil || err2 != nil {
			r.t.Errorf("the coordinates %q", pair)
		}
		places = append(places, Point{Lat: y, Lon: x})
	}
	query := make(map[string]string)
	for _, pair := range strings.Split(request.URL.RawQuery, "&") {
		name, value, _ := strings.Cut(pair, "=")
		value, _ = url.QueryUnescape(value)
		query[name] = value
	}
	if query["annotations"] != "duration,distance" {
		r.t.Errorf("annotations are %q", query["annotations"])
	}
	indices := func(text string) (list []int) {
		for _, n := range strings.Split(text, ";") {
			i, err := strconv.Atoi(n)
			if err != nil || i >= len(places) {
				r.t.Errorf("the indices %q of %d places", text, len(places))
				i = 0
			}
			list = append(list, i)
		}
		return list
	}
	return places, indices(query["sources"]), indices(query["destinations"])
}

// world is an estimator with an OSRM of its own.
type world struct {
	*Estimator
	*router
	log      *bytes.Buffer
	registry *prometheus.Registry
}

func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	w := &world{router: &router{t: t}, log: new(bytes.Buffer), registry: prometheus.NewRegistry()}
	server := httptest.NewServer(w.router)
	t.Cleanup(server.Close)
	cfg := Config{
		OSRM: server.URL, Timeout: time.Minute, Zone: time.UTC, Metrics: w.registry,
		Log: slog.New(slog.NewTextHandler(w.log, nil)),
	}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	if w.Estimator, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

// value reads a counter or a gauge.
func (w *world) value(t *testing.T, name, label string) float64 {
	t.Helper()
	families, err := w.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if family.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}

var noon = time.Date(2027, 3, 9, 12, 0, 0, 0, time.UTC)

// isModel ends the test unless the ways between two places are the model's.
func isModel(t *testing.T, got Leg, hour int, from, to Point) {
	t.Helper()
	if want := Default().Leg(hour, from, to); got != want {
		t.Errorf("%+v, want the model's %+v", got, want)
	}
}

// isRouted is isModel for OSRM's.
func isRouted(t *testing.T, got Leg, from, to Point) {
	t.Helper()
	s := seconds(from, to)
	want := Leg{Time: Default().Start + time.Duration(s)*time.Second, Metres: 10 * s, Source: FromOSRM}
	if got != want {
		t.Errorf("%+v, want OSRM's %+v", got, want)
	}
}

func grid(n int, lat float64) []Point {
	places := make([]Point, n)
	for i := range places {
		places[i] = Point{Lat: lat + float64(i*i)/1000, Lon: float64(i) / 100}
	}
	return places
}

// However large a matrix is, each of its ways is the one that was asked for, and no
// request is larger than OSRM takes.
func TestMatrixIsAskedForInParts(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ rows, columns, limit, requests int }{
		{1, 1, 100, 1},
		{20, 1, 100, 1},
		{99, 1, 100, 1},
		{100, 1, 100, 2},
		{1, 198, 100, 2},
		{50, 50, 100, 1},
		{51, 51, 100, 4},
		{7, 5, 2, 35},
		{3, 8, 5, 4},
	} {
		t.Run(fmt.Sprintf("%d by %d of %d", c.rows, c.columns, c.limit), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(cfg *Config) { cfg.MaxCoordinates = c.limit })
			from, to := grid(c.rows, 50), grid(c.columns, 51)
			legs := w.Matrix(t.Context(), noon, from, to)
			if len(legs) != c.rows || len(legs[0]) != c.columns {
				t.Fatalf("%d rows of %d", len(legs), len(legs[0]))
			}
			for i := range from {
				for j := range to {
					isRouted(t, legs[i][j], from[i], to[j])
				}
			}
			if n := int(w.requests.Load()); n != c.requests || int(w.widest.Load()) > c.limit {
				t.Errorf("%d requests of up to %d coordinates, want %d of %d", n, w.widest.Load(), c.requests, c.limit)
			}
			if n := w.value(t, "armora_eta_legs_total", "osrm"); int(n) != c.rows*c.columns {
				t.Errorf("%v ways are counted", n)
			}
		})
	}
}

func TestNothingToAsk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if legs := w.Matrix(t.Context(), noon, nil, grid(3, 50)); len(legs) != 0 {
		t.Errorf("from nowhere: %v", legs)
	}
	if legs := w.Matrix(t.Context(), noon, grid(3, 50), nil); len(legs) != 3 || len(legs[0]) != 0 {
		t.Errorf("to nowhere: %v", legs)
	}
	if way := w.Way(t.Context(), noon, bank); way.Time != 0 || way.Metres != 0 {
		t.Errorf("a way to where one is: %+v", way)
	}
	if n := w.requests.Load(); n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestWayGoesThroughItsPlaces(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	way := w.Way(t.Context(), noon, bank, ritz, luton)
	first, second := w.Between(t.Context(), noon, bank, ritz), w.Between(t.Context(), noon, ritz, luton)
	if way.Time != first.Time+second.Time || way.Metres != first.Metres+second.Metres || way.Source != FromOSRM {
		t.Errorf("%+v, want %+v and %+v", way, first, second)
	}
	w.spoil = func(answer map[string]any) { answer["durations"].([][]any)[1][1] = nil }
	if way := w.Way(t.Context(), noon, bank, ritz, luton); way.Source != FromModel {
		t.Errorf("a part is the model's, and it is said to be from %s", way.Source)
	}
}

// The hour is that on the clock of the place, for the model.
func TestTheModelsHourIsLocal(t *testing.T) {
	t.Parallel()
	zone, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		t.Fatal(err)
	}
	e, err := New(Config{Zone: zone, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	isModel(t, e.Between(t.Context(), noon, bank, ritz), 4, bank, ritz) // before the clocks go forward there
	isModel(t, e.Between(t.Context(), noon.AddDate(0, 0, 7), bank, ritz), 5, bank, ritz)
}

// What OSRM does not know the model says, and the rest is OSRM's.
func TestWhatOSRMDoesNotKnow(t *testing.T) {
	t.Parallel()
	from, to := grid(2, 50), grid(2, 51)
	for name, c := range map[string]struct {
		spoil   func(map[string]any)
		unknown [][2]int
	}{
		"no way": {func(a map[string]any) {
			a["durations"].([][]any)[0][1] = nil
			a["distances"].([][]any)[0][1] = nil
		}, [][2]int{{0, 1}}},
		"no distance": {func(a map[string]any) { a["distances"].([][]any)[1][1] = nil }, [][2]int{{1, 1}}},
		"off its map": {func(a map[string]any) { a["sources"].([]any)[1].(map[string]any)["location"] = []float64{0, 0} }, [][2]int{{1, 0}, {1, 1}}},
		"an island": {func(a map[string]any) {
			a["destinations"].([]any)[0].(map[string]any)["location"] = []float64{0, 51.0091}
		}, [][2]int{{0, 0}, {1, 0}}},
		"all is known": {func(map[string]any) {}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.spoil = c.spoil
			legs := w.Matrix(t.Context(), noon, from, to)
			for i := range from {
				for j := range to {
					if slices.Contains(c.unknown, [2]int{i, j}) {
						isModel(t, legs[i][j], 12, from[i], to[j])
					} else {
						isRouted(t, legs[i][j], from[i], to[j])
					}
				}
			}
		})
	}
}

// Whatever a server answers, there is an answer.
func TestAnswersThatAreNone(t *testing.T) {
	t.Parallel()
	says := func(status int, text string) func(*router) {
		return func(r *router) {
			r.instead = func(w http.ResponseWriter) bool {
				w.WriteHeader(status)
				_, _ = io.WriteString(w, text)
				return true
			}
		}
	}
	spoil := func(change func(map[string]any)) func(*router) { return func(r *router) { r.spoil = change } }
	for name, c := range map[string]struct {
		server  func(*router)
		outcome string
	}{
		"an error of OSRM's":       {says(400, `{"code":"TooBig","message":"Too many table coordinates"}`), "refused"},
		"a broken server":          {says(500, "<h1>oh</h1>"), "refused"},
		"a busy one":               {says(429, ""), "refused"},
		"a redirect":               {func(r *router) { r.instead = redirect }, "refused"},
		"not JSON":                 {says(200, "<h1>Welcome to nginx</h1>"), "garbage"},
		"nothing":                  {says(200, ""), "garbage"},
		"null":                     {says(200, "null"), "garbage"},
		"another service's":        {says(200, `{"code":"Ok","routes":[]}`), "garbage"},
		"cut short":                {says(200, `{"code":"Ok","durations":[[1`), "garbage"},
		"without end":              {says(200, `{"code":"`+strings.Repeat("O", maxAnswer)), "garbage"},
		"too many bytes":           {says(200, `{"code":"Ok"}`+strings.Repeat(" ", maxAnswer)), "garbage"},
		"another code":             {spoil(func(a map[string]any) { a["code"] = "NoTable" }), "garbage"},
		"a row too few":            {spoil(func(a map[string]any) { a["durations"] = a["durations"].([][]any)[:1] }), "garbage"},
		"a column too many":        {spoil(func(a map[string]any) { a["distances"].([][]any)[0] = []any{1, 2, 3} }), "garbage"},
		"no distances":             {spoil(func(a map[string]any) { delete(a, "distances") }), "garbage"},
		"back in time":             {spoil(func(a map[string]any) { a["durations"].([][]any)[0][0] = -1 }), "garbage"},
		"for ever":                 {spoil(func(a map[string]any) { a["durations"].([][]any)[0][0] = 1e18 }), "garbage"},
		"around the earth":         {spoil(func(a map[string]any) { a["distances"].([][]any)[0][0] = 1e9 }), "garbage"},
		"words":                    {spoil(func(a map[string]any) { a["durations"].([][]any)[0][0] = "soon" }), "garbage"},
		"no waypoints":             {spoil(func(a map[string]any) { delete(a, "sources") }), "garbage"},
		"waypoints nowhere":        {spoil(func(a map[string]any) { a["destinations"] = []any{nil, nil} }), "garbage"},
		"half a waypoint":          {spoil(func(a map[string]any) { a["sources"].([]any)[0].(map[string]any)["location"] = []float64{0} }), "garbage"},
		"it hangs up in the midst": {func(r *router) { r.instead = hangUp }, "away"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			c.server(w.router)
			from, to := grid(2, 50), grid(2, 51)
			legs := w.Matrix(t.Context(), noon, from, to)
			for i := range from {
				for j := range to {
					isModel(t, legs[i][j], 12, from[i], to[j])
				}
			}
			if n := w.value(t, "armora_eta_osrm_requests_total", c.outcome); n != 1 {
				t.Errorf("%v requests ended as %s, want 1", n, c.outcome)
			}
		})
	}
}

func redirect(w http.ResponseWriter) bool {
	w.Header().Set("Location", "/elsewhere")
	w.WriteHeader(http.StatusFound)
	return true
}

func hangUp(w http.ResponseWriter) bool {
	w.Header().Set("Content-Length", "1000")
	_, _ = io.WriteString(w, `{"code":"Ok"`)
	return true
}

// A server that never answers costs its limit of time, and no more.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	w := newWorld(t, func(cfg *Config) { cfg.Timeout = time.Millisecond })
	t.Cleanup(func() { close(over) }) // before the server is closed, which waits for it
	w.instead = func(http.ResponseWriter) bool { <-over; return true }
	isModel(t, w.Between(t.Context(), noon, bank, ritz), 12, bank, ritz)
	if n := w.value(t, "armora_eta_osrm_requests_total", "slow"); n != 1 {
		t.Errorf("%v requests were slow", n)
	}
}

// Whoever goes away while OSRM thinks has an answer, and has not said a word against
// OSRM.
func TestWhoeverAskedHasGone(t *testing.T) {
	t.Parallel()
	over := make(chan struct{})
	w := newWorld(t)
	t.Cleanup(func() { close(over) })
	for range 2 * tripAfter {
		ctx, leave := context.WithCancel(t.Context())
		w.instead = func(http.ResponseWriter) bool { leave(); <-over; return true }
		isModel(t, w.Between(ctx, noon, bank, ritz), 12, bank, ritz)
	}
	if n := w.value(t, "armora_eta_osrm_requests_total", "gone"); n != 2*tripAfter {
		t.Errorf("%v have gone", n)
	}
	w.instead = nil
	isRouted(t, w.Between(t.Context(), noon, bank, ritz), bank, ritz)
}

// A server that is dead is left alone after some tries; and nothing that is logged
// says where anybody is.
func TestDeadServer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	w := newWorld(t, func(cfg *Config) { cfg.OSRM = server.URL + "?key=s3cret" })
	for range 10 {
		isModel(t, w.Between(t.Context(), noon, bank, ritz), 12, bank, ritz)
	}
	away, spared := w.value(t, "armora_eta_osrm_requests_total", "away"), w.value(t, "armora_eta_osrm_requests_total", "spared")
	if away != tripAfter || spared != 10-tripAfter || w.value(t, "armora_eta_osrm_open", "") != 1 {
		t.Errorf("%v tries and %v spared, want %d and the rest", away, spared, tripAfter)
	}
	if log := w.log.String(); strings.Count(log, "\n") != 1 || !strings.Contains(log, "does not answer") ||
		strings.Contains(log, "51.5") || strings.Contains(log, "s3cret") {
		t.Errorf("it is logged: %s", log)
	}
}

// carrier takes requests to a handler without a network, which a bubble of synctest
// cannot wait for.
type carrier struct{ http.Handler }

func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	return w.Result(), nil
}

// OSRM is asked again once it has rested: by one request, then by all.
func TestOSRMComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &router{t: t}
		var log bytes.Buffer
		e, err := newEstimator(Config{OSRM: "http://osrm", Zone: time.UTC, Log: slog.New(slog.NewTextHandler(&log, nil))}, carrier{r})
		if err != nil {
			t.Fatal(err)
		}
		ask := func(times int) {
			for range times {
				e.Between(t.Context(), noon, bank, ritz)
			}
		}
		// In a bubble to sleep is to step its clock: no time passes.
		rest := func() { time.Sleep(restFor + time.Millisecond) }
		isRouted(t, e.Between(t.Context(), noon, bank, ritz), bank, ritz)
		r.instead = func(w http.ResponseWriter) bool { w.WriteHeader(http.StatusBadGateway); return true }
		ask(10)
		if n := r.requests.Load(); n != 1+tripAfter {
			t.Fatalf("%d requests, want one and %d that failed", n, tripAfter)
		}
		rest()
		ask(10) // one finds that it is still broken
		if n := r.requests.Load(); n != 2+tripAfter {
			t.Fatalf("%d requests, want one more", n)
		}
		r.instead = nil
		rest()
		for range 3 {
			isRouted(t, e.Between(t.Context(), noon, bank, ritz), bank, ritz)
		}
		if !strings.Contains(log.String(), "answers again") {
			t.Errorf("it is logged: %s", &log)
		}
	})
}

func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(cfg *Config) { cfg.MaxCoordinates = 4 })
	from, to := grid(6, 50), grid(6, 51)
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			legs := w.Matrix(t.Context(), noon, from, to)
			for i := range from {
				for j := range to {
					isRouted(t, legs[i][j], from[i], to[j])
				}
			}
		})
	}
	asking.Wait()
}

func TestConfig(t *testing.T) {
	t.Parallel()
	log := slog.New(slog.DiscardHandler)
	for name, cfg := range map[string]Config{
		"no zone":       {Log: log},
		"no log":        {Zone: time.UTC},
		"no URL":        {Zone: time.UTC, Log: log, OSRM: "osrm:5000"},
		"one at a time": {Zone: time.UTC, Log: log, OSRM: "http://osrm", MaxCoordinates: 1},
	} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
	if _, err := New(Config{Zone: time.UTC, Log: log, OSRM: "http://key:s3cret@osrm:%zz"}); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("an address that is none: %v", err)
	}
}

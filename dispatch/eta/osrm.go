package eta

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sony/gobreaker/v2"

	"armora/fleet"
)

// The limits of one request to OSRM.
const (
	// DefaultMaxCoordinates is osrm-routed's own limit, --max-table-size.
	DefaultMaxCoordinates = 100
	// DefaultTimeout is short: the model waits to answer instead.
	DefaultTimeout = time.Second
)

const (
	maxAnswer  = 4 << 20 // bytes; 100 coordinates are at most some 100 kB
	maxSnap    = 1000    // metres between a place and the road that OSRM took for it
	maxSeconds = 7 * 24 * 3600
	maxMetres  = 20_000_000
)

// After tripAfter failures in a row OSRM is left alone for restFor, and then asked by
// one request until one succeeds.
const (
	tripAfter = 3
	restFor   = 30 * time.Second
)

// osrm is a client of OSRM's table service.
type osrm struct {
	base    *url.URL
	max     int
	timeout time.Duration
	client  *http.Client
	breaker *gobreaker.CircuitBreaker[*table]
	metrics *metrics
}

func newOSRM(cfg Config, carrier http.RoundTripper, measured *metrics) (*osrm, error) {
	base, err := url.Parse(cfg.OSRM)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, errors.New("the address of OSRM is not of the form http://host:5000") // it may hold a key
	}
	o := &osrm{base: base, max: cfg.MaxCoordinates, timeout: cfg.Timeout, metrics: measured}
	if o.max == 0 {
		o.max = DefaultMaxCoordinates
	}
	if o.max < 2 {
		return nil, errors.New("a request to OSRM has two coordinates at least")
	}
	if o.timeout == 0 {
		o.timeout = DefaultTimeout
	}
	if carrier == nil {
		carrier = http.DefaultTransport.(*http.Transport).Clone() // of its own, to be closed
	}
	o.client = &http.Client{
		Transport:     carrier,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	o.breaker = gobreaker.NewCircuitBreaker[*table](gobreaker.Settings{
		Timeout:     restFor,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= tripAfter },
		IsExcluded:  func(err error) bool { return errors.Is(err, errGone) },
		OnStateChange: func(_ string, was, is gobreaker.State) {
			measured.open.Set(float64(min(1, is)))
			tell(cfg.Log, was, is)
		},
	})
	return o, nil
}

// tell says when OSRM goes and when it is back, and not each time that it was tried.
func tell(log *slog.Logger, was, is gobreaker.State) {
	switch {
	case was == gobreaker.StateClosed:
		log.Warn("OSRM does not answer: travel times are the model's until it does")
	case is == gobreaker.StateClosed:
		log.Info("OSRM answers again")
	}
}

// block is a part of a matrix that fits into one request.
type block struct{ row, rows, column, columns int }

// blocks cuts a matrix into parts whose rows and columns together are no more than
// one request may have: as few as wide ones allow.
func (o *osrm) blocks(rows, columns int) iter.Seq[block] {
	return func(yield func(block) bool) {
		width := min(columns, max(o.max/2, o.max-rows))
		height := min(rows, o.max-width)
		for row := 0; row < rows; row += height {
			for column := 0; column < columns; column += width {
				b := block{row, min(height, rows-row), column, min(width, columns-column)}
				if !yield(b) {
					return
				}
			}
		}
	}
}

// table is OSRM's answer: a row for each source.
type table struct {
	Code         string
	Durations    [][]*float64 // seconds; nil: there is no way
	Distances    [][]*float64 // metres
	Sources      []waypoint
	Destinations []waypoint
}

// waypoint is where on a road OSRM took a place to be.
type waypoint struct {
	Location []float64 // longitude, latitude
}

// at returns one of the ways, if OSRM knows it.
func (t *table) at(i, j int) (seconds, metres float64, known bool) {
	s, m := t.Durations[i][j], t.Distances[i][j]
	if s == nil || m == nil {
		return 0, 0, false
	}
	return *s, *m, true
}

// isFor reports whether a waypoint stands for a place. For what is off its map OSRM
// answers with the nearest road, however far that is.
func (w waypoint) isFor(p Point) bool {
	return fleet.Distance(p.Lat, p.Lon, w.Location[1], w.Location[0]) <= maxSnap
}

// forget takes out the ways from and to places that OSRM took for others.
func (t *table) forget(from, to []Point) {
	for i := range from {
		for j := range to {
			if !t.Sources[i].isFor(from[i]) || !t.Destinations[j].isFor(to[j]) {
				t.Durations[i][j] = nil
			}
		}
	}
}

// The ways in which a request comes to nothing. They name no place: the errors of
// net/http hold the URL, and with it where people are.
var (
	errGone    = errors.New("whoever asked has gone")
	errAway    = errors.New("OSRM cannot be reached")
	errSlow    = errors.New("OSRM takes too long")
	errRefused = errors.New("OSRM refuses")
	errGarbage = errors.New("OSRM's answer is not understood")
)

// table asks for one block, unless OSRM is being left alone.
func (o *osrm) table(ctx context.Context, from, to []Point) (*table, error) {
	t, err := o.breaker.Execute(func() (*table, error) {
		t, err := o.request(ctx, from, to)
		if err != nil && ctx.Err() != nil {
			return nil, errGone
		}
		return t, err
	})
	o.metrics.count(err)
	return t, err
}

func (o *osrm) request(ctx context.Context, from, to []Point) (*table, error) {
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, o.url(from, to), nil)
	if err != nil {
		return nil, errAway
	}
	answer, err := o.client.Do(request)
	if err != nil {
		return nil, o.failed(ctx)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, o.failed(ctx)
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%w: %d", errRefused, answer.StatusCode)
	case len(body) > maxAnswer:
		return nil, errGarbage
	}
	t := new(table)
	if err := json.Unmarshal(body, t); err != nil || !t.fits(len(from), len(to)) {
		return nil, errGarbage
	}
	t.forget(from, to)
	return t, nil
}

// failed tells a slow server from one that is not there.
func (o *osrm) failed(ctx context.Context) error {
	if ctx.Err() != nil {
		return errSlow
	}
	return errAway
}

// url is /table/v1/driving/{lon},{lat};…?sources=0;…&destinations=…
func (o *osrm) url(from, to []Point) string {
	var path, sources, destinations strings.Builder
	for i, p := range append(from[:len(from):len(from)], to...) {
		indices := &destinations
		if i < len(from) {
			indices = &sources
		}
		if indices.Len() > 0 {
			indices.WriteByte(';')
		}
		indices.WriteString(strconv.Itoa(i))
		if i > 0 {
			path.WriteByte(';')
		}
		fmt.Fprintf(&path, "%.6f,%.6f", p.Lon, p.Lat)
	}
	u := o.base.JoinPath("table/v1/driving", path.String())
	query := u.Query()
	query.Set("annotations", "duration,distance")
	query.Set("generate_hints", "false")
	u.RawQuery = query.Encode() + "&sources=" + sources.String() + "&destinations=" + destinations.String()
	return u.String()
}

// fits reports whether an answer is one to the question.
func (t *table) fits(rows, columns int) bool {
	if t.Code != "Ok" || len(t.Sources) != rows || len(t.Destinations) != columns {
		return false
	}
	for _, w := range slices.Concat(t.Sources, t.Destinations) {
		if len(w.Location) != 2 {
			return false
		}
	}
	return within(t.Durations, rows, columns, maxSeconds) && within(t.Distances, rows, columns, maxMetres)
}

func within(matrix [][]*float64, rows, columns int, limit float64) bool {
	if len(matrix) != rows {
		return false
	}
	for _, row := range matrix {
		if len(row) != columns {
			return false
		}
		for _, v := range row {
			if v != nil && !(*v >= 0 && *v <= limit) {
				return false
			}
		}
	}
	return true
}

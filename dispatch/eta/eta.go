// Package eta says how long it takes to get somewhere, and how far it is: by OSRM
// where one is configured, and by a model of its own where none is or it does not
// answer. Whoever asks always gets an answer, which says where it came from.
package eta

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"
)

// Point is a place, in degrees, WGS 84.
type Point struct{ Lat, Lon float64 }

// Source is who gave an answer.
type Source string

// The sources.
const (
	FromModel Source = "model"
	FromOSRM  Source = "osrm"
)

// Leg is the way from one place to another.
type Leg struct {
	Time   time.Duration
	Metres float64 // by road
	Source Source
}

// Config is what an Estimator needs. Zone and Log are required.
type Config struct {
	OSRM           string        // base URL of an OSRM server, http://host:5000; empty: the model alone
	MaxCoordinates int           // of one request; 0: DefaultMaxCoordinates
	Timeout        time.Duration // of one request; 0: DefaultTimeout

	Zone    *time.Location // whose clock says how busy the roads are
	Log     *slog.Logger
	Metrics prometheus.Registerer // nil: none
}

// Estimator answers from OSRM and from the model. It is safe for concurrent use.
type Estimator struct {
	model   *Model
	osrm    *osrm // nil: there is none
	zone    *time.Location
	metrics *metrics
}

// requestsAtOnce is how many requests of one matrix OSRM gets at once.
const requestsAtOnce = 4

// New returns an estimator. It asks nothing of OSRM yet.
func New(cfg Config) (*Estimator, error) { return newEstimator(cfg, nil) }

// newEstimator takes what carries requests; nil: the network.
func newEstimator(cfg Config, carrier http.RoundTripper) (*Estimator, error) {
	if cfg.Zone == nil || cfg.Log == nil {
		return nil, errors.New("eta: Zone and Log are required")
	}
	measured, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	e := &Estimator{model: Default(), zone: cfg.Zone, metrics: measured}
	if cfg.OSRM != "" {
		if e.osrm, err = newOSRM(cfg, carrier, measured); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// Rough is how long the way takes by the model alone, which asks nobody: for plans,
// which weigh a hundred thousand ways of hours to come.
func (e *Estimator) Rough(at time.Time, from, to Point) time.Duration {
	return e.model.Leg(at.In(e.zone).Hour(), from, to).Time
}

// topSpeed is faster than any way of OSRM's is on the whole: metres a second. Its car
// profile drives 140 km/h at most, and knows of no road above 180.
const topSpeed = 50

// AtLeast returns what no way of Matrix is shorter than whose ends are so many metres
// apart as the crow flies. By the model it is exact. OSRM may know a straighter way
// and a faster one, so that with it the bound is loose: what is left when both ends
// are as far from their roads as they may be, at topSpeed.
func (e *Estimator) AtLeast(at time.Time, metres float64) time.Duration {
	least := e.model.Time(at.In(e.zone).Hour(), metres)
	if e.osrm == nil {
		return least
	}
	straight := max(0, metres-2*maxSnap)
	return min(least, e.model.Start+time.Duration(straight/topSpeed*float64(time.Second)))
}

// Close ends the connections to OSRM that are idle. It may be called more than once.
func (e *Estimator) Close() {
	if e.osrm != nil {
		e.osrm.client.CloseIdleConnections()
	}
}

// Between returns the way from one place to another that begins at a time.
func (e *Estimator) Between(ctx context.Context, at time.Time, from, to Point) Leg {
	return e.Matrix(ctx, at, []Point{from}, []Point{to})[0][0]
}

// Way returns the way through places in their order: nothing for fewer than two. It
// is from the model if a part of it is.
func (e *Estimator) Way(ctx context.Context, at time.Time, places ...Point) Leg {
	way := Leg{Source: FromModel}
	if len(places) < 2 {
		return way
	}
	n := len(places) - 1
	legs := e.Matrix(ctx, at, places[:n], places[1:])
	way.Source = legs[0][0].Source
	for i := range n {
		leg := legs[i][i]
		way.Time += leg.Time
		way.Metres += leg.Metres
		if leg.Source == FromModel {
			way.Source = FromModel
		}
	}
	return way
}

// Matrix returns the ways from each of some places, a row each, to each of others, a
// column each, that begin at a time. It does not fail: what OSRM does not know, or
// not within its limit of time, is the model's. When ctx ends, what is left is too.
func (e *Estimator) Matrix(ctx context.Context, at time.Time, from, to []Point) [][]Leg {
	legs := e.modelled(at.In(e.zone).Hour(), from, to)
	if e.osrm != nil && len(from) > 0 && len(to) > 0 {
		var asking errgroup.Group
		asking.SetLimit(requestsAtOnce)
		for b := range e.osrm.blocks(len(from), len(to)) {
			asking.Go(func() error {
				e.ask(ctx, b, from, to, legs)
				return nil
			})
		}
		_ = asking.Wait() // none fails
	}
	for _, row := range legs {
		for i := range row {
			e.metrics.legs[row[i].Source].Inc()
		}
	}
	return legs
}

// modelled returns a matrix of the model's.
func (e *Estimator) modelled(hour int, from, to []Point) [][]Leg {
	all := make([]Leg, 0, len(from)*len(to))
	legs := make([][]Leg, len(from))
	for i := range from {
		for j := range to {
			all = append(all, e.model.Leg(hour, from[i], to[j]))
		}
		legs[i] = all[i*len(to) : (i+1)*len(to) : (i+1)*len(to)]
	}
	return legs
}

// ask puts what OSRM knows of a block into the matrix. Only a part of the way is
// OSRM's: the time until somebody drives, and to find the place, is the model's, or
// the two could not be compared.
func (e *Estimator) ask(ctx context.Context, b block, from, to []Point, legs [][]Leg) {
	table, err := e.osrm.table(ctx, from[b.row:b.row+b.rows], to[b.column:b.column+b.columns])
	if err != nil {
		return // it was counted, and the log says when OSRM is away
	}
	for i := range b.rows {
		for j := range b.columns {
			if seconds, metres, known := table.at(i, j); known {
				legs[b.row+i][b.column+j] = Leg{
					Time:   e.model.Start + time.Duration(seconds*float64(time.Second)),
					Metres: metres, Source: FromOSRM,
				}
			}
		}
	}
}

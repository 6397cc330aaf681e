// Package place finds places by what people call them, through a geocoder that is
// somebody else's: a Photon or a Nominatim, or what speaks as they do.
//
// What is searched for says where somebody wants to be. It is not logged, counted or
// put into an error, it is kept in memory for a day alone, and the geocoder is told no
// more of where the searcher is than within a kilometre.
package place

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"

	"armora/fleet"
)

// Place is one that was found.
type Place struct {
	Label    string  // as a person would write it
	Lat, Lon float64 // degrees, WGS 84
	Kind     string  // as OpenStreetMap has it: hotel, station, house; empty: not said
}

// Near is where the searcher is, so that what is there comes first.
type Near struct{ Lat, Lon float64 }

// Config is what a Geocoder needs. URL and Clock are required.
type Config struct {
	// URL is that of the search itself: https://photon.example/api of a Photon,
	// https://nominatim.example/search of a Nominatim. It may hold a key.
	URL       string
	PerSecond float64       // searches that the geocoder gets at most; 0: DefaultPerSecond
	Timeout   time.Duration // of one search; 0: DefaultTimeout

	Clock   fleet.Clock
	Metrics prometheus.Registerer // nil: none
}

// The limits of a geocoder.
const (
	// DefaultPerSecond suits a geocoder of one's own; a public Nominatim allows 1.
	DefaultPerSecond = 10
	// DefaultTimeout is as long as somebody who types will wait.
	DefaultTimeout = 3 * time.Second
)

const (
	found     = 10             // places at most
	kept      = 4096           // searches remembered; some 6 MB
	keptFor   = 24 * time.Hour // a new hotel is found a day later
	maxAnswer = 1 << 20        // bytes
	longest   = 300            // characters of a label
)

// Geocoder searches. It is safe for concurrent use.
type Geocoder struct {
	base    *url.URL
	dialect dialect
	timeout time.Duration
	client  *http.Client
	limiter *rate.Limiter
	clock   fleet.Clock
	metrics *metrics
	memory  *lru.Cache[search, remembered]
}

// search is what is asked, as far as the geocoder learns it.
type search struct {
	text string
	near Near // to a hundredth of a degree
	here bool // near is known
}

type remembered struct {
	places []Place
	at     time.Time
}

// New returns a geocoder. It asks nothing yet.
func New(cfg Config) (*Geocoder, error) {
	if cfg.Clock == nil {
		return nil, errors.New("place: Clock is required")
	}
	base, err := url.Parse(cfg.URL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" {
		return nil, errors.New("the geocoder's address is not a URL") // it may hold a key
	}
	dialects := map[string]dialect{"api": photon{}, "search": nominatim{}}
	spoken, ok := dialects[path.Base(base.Path)]
	if !ok {
		return nil, errors.New("the geocoder's address ends in /api, of a Photon, or in /search, of a Nominatim")
	}
	if cfg.PerSecond == 0 {
		cfg.PerSecond = DefaultPerSecond
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = DefaultTimeout
	}
	memory, err := lru.New[search, remembered](kept)
	if err != nil {
		return nil, err
	}
	measured, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	return &Geocoder{
		base: base, dialect: spoken, timeout: cfg.Timeout,
		client: &http.Client{
			Transport:     http.DefaultTransport.(*http.Transport).Clone(), // of its own, to be closed
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		limiter: rate.NewLimiter(rate.Limit(cfg.PerSecond), max(1, int(cfg.PerSecond))),
		clock:   cfg.Clock, metrics: measured, memory: memory,
	}, nil
}

// Close ends the connections that are idle. It may be called more than once.
func (g *Geocoder) Close() { g.client.CloseIdleConnections() }

// Search returns the places that people may mean by a text, the likeliest first, ten
// at most; near may be nil. The list is not the caller's to change. CodeTooMany says that the geocoder gets as many searches
// as it may, CodeUnavailable that it does not answer, or not in any sense.
func (g *Geocoder) Search(ctx context.Context, text string, near *Near) ([]Place, error) {
	s := search{text: strings.ToLower(strings.Join(strings.Fields(text), " "))}
	if near != nil {
		s.near, s.here = Near{hundredth(near.Lat), hundredth(near.Lon)}, true
	}
	now := g.clock.Now()
	if r, ok := g.memory.Get(s); ok && now.Sub(r.at) < keptFor {
		g.metrics.count("remembered")
		return r.places, nil
	}
	token := g.limiter.ReserveN(now, 1)
	if wait := token.DelayFrom(now); wait > 0 {
		token.CancelAt(now)
		g.metrics.count("limited")
		return nil, &fleet.Error{Code: fleet.CodeTooMany, Message: "too many places are being looked for: wait a little", Retry: wait}
	}
	places, err := g.ask(ctx, s)
	if err != nil {
		g.metrics.count(err.Error())
		return nil, &fleet.Error{Code: fleet.CodeUnavailable, Message: "places cannot be looked for just now", Err: fmt.Errorf("the geocoder: %w", err)}
	}
	g.metrics.count("found")
	g.memory.Add(s, remembered{places, now})
	return places, nil
}

func hundredth(degrees float64) float64 { return math.Round(degrees*100) / 100 }

// The ways in which a search fails, which are labels of the metric as well. They do
// not say what was searched for: the errors of net/http hold the URL.
var (
	errAway    = errors.New("away")
	errSlow    = errors.New("slow")
	errGone    = errors.New("gone") // nobody waits any more
	errRefused = errors.New("refused")
	errGarbage = errors.New("garbage")
)

func (g *Geocoder) ask(caller context.Context, s search) ([]Place, error) {
	ctx, cancel := context.WithTimeout(caller, g.timeout)
	defer cancel()
	body, err := g.get(ctx, s)
	switch {
	case err != nil && caller.Err() != nil:
		return nil, errGone
	case err != nil && ctx.Err() != nil:
		return nil, errSlow
	case err != nil:
		return nil, err
	}
	all, err := g.dialect.read(body)
	if err != nil {
		return nil, errGarbage
	}
	places := make([]Place, 0, found)
	for _, p := range all {
		if p.sane() && len(places) < found {
			places = append(places, p)
		}
	}
	return places, nil
}

func (g *Geocoder) get(ctx context.Context, s search) ([]byte, error) {
	u := *g.base
	query := u.Query()
	g.dialect.ask(query, s)
	u.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errAway
	}
	request.Header.Set("User-Agent", "ARMORA hub")
	request.Header.Set("Accept-Language", "en")
	answer, err := g.client.Do(request)
	if err != nil {
		return nil, errAway
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode != http.StatusOK {
		return nil, errRefused
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return nil, errAway
	}
	if len(body) > maxAnswer {
		return nil, errGarbage
	}
	return body, nil
}

// sane reports whether a place is on earth and has a name that can be shown.
func (p *Place) sane() bool {
	return p.Label != "" && len([]rune(p.Label)) <= longest && len(p.Kind) <= longest &&
		p.Lat >= -90 && p.Lat <= 90 && p.Lon >= -180 && p.Lon <= 180 &&
		(p.Lat != 0 || p.Lon != 0) // there it was left out
}

package api

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gofiber/fiber/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"

	"armora/account"
	"armora/fleet"
)

type metrics struct {
	duration *prometheus.HistogramVec
	panics   prometheus.Counter
	exports  prometheus.Gauge
	limited  *prometheus.CounterVec
	lines    *prometheus.GaugeVec
	ended    *prometheus.CounterVec
}

func newMetrics(registry prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "armora_api_request_duration_seconds",
			Help:    "Time from a request's arrival to its handler's return, by route as in the OpenAPI document.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method", "route", "status"}),
		panics: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "armora_api_panics_total", Help: "Handlers that panicked and were recovered.",
		}),
		exports: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "armora_api_exports", Help: "Exports of points under way.",
		}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "armora_api_limited_total", Help: "Requests refused for coming too often, by class of operation; empty: the usual.",
		}, []string{"class"}),
		lines: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "armora_api_lines", Help: "WebSockets and event streams that are open.",
		}, []string{"kind"}),
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "armora_api_lines_ended_total", Help: "WebSockets and event streams that have ended, by the reason that they were told.",
		}, []string{"kind", "reason"}),
	}
	if registry == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.duration, m.panics, m.exports, m.limited, m.lines, m.ended} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register the metrics of api: %w", err)
		}
	}
	return m, nil
}

type (
	requestIDKey struct{}
	sourceKey    struct{}
)

// sourceOf returns from where the request of ctx comes.
func sourceOf(ctx context.Context) account.Where {
	from, _ := ctx.Value(sourceKey{}).(account.Where)
	return from
}

// requestID returns the id that observe gave the request of ctx.
func requestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// observe is around everything: it names the request, recovers from panics,
// turns errors into answers, and measures. Its labels and its log line hold
// the route, never the path or the query, which may hold secrets.
func (s *Server) observe(c *fiber.Ctx) error {
	defer s.uploads.end(c.Get(uploadHeader))
	began := s.clock.Now()
	id := fleet.NewID[Problem]().String()
	from := account.Where{Agent: c.Get(fiber.HeaderUserAgent), Address: s.peer(c)}
	c.Locals(requestIDKey{}, id)
	c.Locals(sourceKey{}, from)
	c.Set("X-Request-Id", id)
	c.Set("X-Content-Type-Options", "nosniff")
	c.Set("Referrer-Policy", "no-referrer")
	c.Set("Cache-Control", "no-store")

	err := s.recovered(c)
	if err != nil {
		if err := s.writeError(c, err); err != nil {
			return err
		}
	}
	took := s.clock.Now().Sub(began)
	route := c.Route().Path
	if route == "/" {
		route = "none"
	}
	status := c.Response().StatusCode()
	s.metrics.duration.WithLabelValues(c.Method(), route, strconv.Itoa(status)).Observe(took.Seconds())
	s.log.Debug("request", "request_id", id, "method", c.Method(), "route", route, "status", status,
		"took", took.Round(time.Microsecond), "source", from.Address)
	return nil
}

// recovered runs the handlers and turns a panic into an error, whose text the
// client does not see.
func (s *Server) recovered(c *fiber.Ctx) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			s.metrics.panics.Inc()
			s.log.Error("a handler panicked", "request_id", requestID(c.Context()), "panic", cause, "stack", string(debug.Stack()))
			c.Response().ResetBody()
			err = fiber.ErrInternalServerError
		}
	}()
	return c.Next()
}

// refuseEncodings stands before everything that reads a body: inflating is
// where a small body becomes a large one, and no client of ours needs it.
func refuseEncodings(c *fiber.Ctx) error {
	if encoding := c.Get(fiber.HeaderContentEncoding); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return fiber.ErrUnsupportedMediaType
	}
	return c.Next()
}

// refuseBadText refuses what no text column of the database takes, wherever in
// a request it may be: bytes that are not UTF-8, and NUL. Devices' reports are
// left alone: ingest judges those; and so are files, which are not text.
func refuseBadText(c *fiber.Ctx) error {
	if strings.HasPrefix(c.Path(), ingestPrefix) {
		return c.Next()
	}
	target, err := url.ParseRequestURI(c.OriginalURL())
	if err != nil {
		return fiber.ErrBadRequest
	}
	query, err := url.QueryUnescape(target.RawQuery)
	if err != nil || !isText([]byte(query)) || !isText([]byte(target.Path)) {
		return newProblem(http.StatusUnprocessableEntity, "the path or the query holds what is not text").(*Problem)
	}
	if isUpload(c.Method(), c.Path()) {
		return c.Next()
	}
	if body := c.Request().Body(); !isText(body) || escapesNUL(body) {
		return newProblem(http.StatusUnprocessableEntity, "the body holds NUL or is not UTF-8").(*Problem)
	}
	return c.Next()
}

func isText(b []byte) bool { return utf8.Valid(b) && bytes.IndexByte(b, 0) < 0 }

// escapesNUL reports whether JSON holds the escape \u0000. An escaped backslash
// followed by "u0000" is not it.
func escapesNUL(body []byte) bool {
	for {
		i := bytes.IndexByte(body, '\\')
		if i < 0 || i+1 == len(body) {
			return false
		}
		if bytes.HasPrefix(body[i:], []byte(`\u0000`)) {
			return true
		}
		body = body[i+2:]
	}
}

// refuseUnknownMethods answers a method that Fiber does not know before Fiber
// does, in plain text.
func (s *Server) refuseUnknownMethods(app *fiber.App) {
	serve := app.Server().Handler
	known := make(map[string]bool)
	for _, method := range fiber.DefaultMethods {
		known[method] = true
	}
	app.Server().Handler = func(ctx *fasthttp.RequestCtx) {
		if known[string(ctx.Method())] {
			serve(ctx)
			return
		}
		app.Server().ErrorHandler(ctx, errUnknownMethod)
	}
}

// errUnknownMethod reads, to Fiber's server, as a bad request.
var errUnknownMethod = errors.New("unknown method")

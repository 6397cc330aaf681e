package api

import (
	"context"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"armora/fleet"
)

func TestRequestsAreMeasuredByRoute(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	h := newHub(t, func(c *Config) { c.Metrics = registry })
	id := h.device(nil).ID
	h.must(200, "GET", "/api/devices/"+id, nil)
	h.do("GET", "/api/devices/"+fleet.NewID[fleet.Device]().String(), nil)
	h.do("GET", "/no/such/"+id, nil)
	h.send(h.anonymous("GET", "/api/devices"))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]uint64{}
	for _, family := range families {
		if family.GetName() != "armora_api_request_duration_seconds" {
			continue
		}
		for _, m := range family.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, l.GetValue())
			}
			got[strings.Join(labels, " ")] = m.GetHistogram().GetSampleCount()
		}
	}
	want := map[string]uint64{
		"POST /api/devices 201": 1, "GET /api/devices/:id 200": 1, "GET /api/devices/:id 404": 1,
		"GET none 404": 1, "GET /api/devices 401": 1,
	}
	for labels, n := range want {
		if got[labels] != n {
			t.Errorf("%s: %d, want %d", labels, got[labels], n)
		}
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	if _, err := New(Config{
		DB: h.db, Devices: h.devices, Commands: h.cfg.Commands, Keys: h.cfg.Keys,
		Clock: h.clock, Log: h.cfg.Log, Metrics: registry,
	}); err == nil {
		t.Error("two servers share one registry")
	}
}

func TestLogHoldsNeitherTokensNorQueries(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	made := h.device(nil)
	h.do("GET", "/api/devices?cursor=s3cr3t", nil)
	h.do("POST", "/api/devices/"+made.ID+"/credentials", `{"certificate":"s3cr3t"}`)
	h.do("GET", "/s3cr3t", nil)
	h.stop()
	for _, secret := range []string{adminToken, made.Secret, "s3cr3t"} {
		if strings.Contains(h.log.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

func TestReadinessSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	var broken error
	h := newHub(t, func(c *Config) {
		c.Checks = []Check{
			{Name: "database", Ready: func(ctx context.Context) error {
				if _, bounded := ctx.Deadline(); !bounded {
					t.Error("a check may hang")
				}
				return broken
			}},
			{Name: "broker", Ready: func(context.Context) error { return nil }},
		}
	})
	ask := func() answer { return h.send(h.anonymous("GET", "/readyz")) }
	if a := ask(); a.StatusCode != http.StatusOK || as[readiness](t, a).Checks["database"] != "ok" {
		t.Errorf("%s %s", a.Status, a.body)
	}
	secret := errors.New("password=s3cr3t")
	for want, err := range map[string]error{
		"the database is away":   &fleet.Error{Code: fleet.CodeUnavailable, Message: "the database is away", Err: secret},
		"not ready; see the log": secret,
	} {
		broken = err
		a := ask()
		got := as[readiness](t, a)
		if a.StatusCode != http.StatusServiceUnavailable || got.Status != "unready" || got.Checks["database"] != want || got.Checks["broker"] != "ok" {
			t.Errorf("%s %s", a.Status, a.body)
		}
		if strings.Contains(string(a.body), "s3cr3t") {
			t.Errorf("got %s", a.body)
		}
	}
	if a := h.send(h.anonymous("GET", "/healthz")); a.StatusCode != http.StatusOK {
		t.Errorf("healthz: %s", a.Status)
	}
}

// The page must work where there is no internet.
func TestDocsAreServedFromTheBinary(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	page := h.send(h.anonymous("GET", "/docs"))
	if page.StatusCode != http.StatusOK || !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") {
		t.Fatalf("%s %v", page.Status, page.Header)
	}
	links := regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(string(page.body), -1)
	if len(links) < 3 {
		t.Errorf("links %v", links)
	}
	for _, link := range links {
		a := h.send(h.anonymous("GET", link[1]))
		if a.StatusCode != http.StatusOK || len(a.body) == 0 {
			t.Errorf("%s: %s", link[1], a.Status)
		}
	}
	if policy := page.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("policy %q", policy)
	}
	for _, path := range []string{"/docs/nothing", "/docs/..%2fapi.go", "/docs/%2e%2e%2fapi.go", "/docs/"} {
		if a := h.send(h.anonymous("GET", path)); a.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %s", path, a.Status)
		}
	}
}

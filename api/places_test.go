package api

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"armora/dispatch/place"
	"armora/fleet"
)

// withGeocoder is a hub with a Photon that answers to every search with one place,
// and keeps the last query.
func withGeocoder(t *testing.T, status int) (*hub, *atomic.Value) {
	t.Helper()
	var asked atomic.Value
	photon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.URL.Query())
		w.WriteHeader(status)
		_, _ = io.WriteString(w, `{"features":[{"geometry":{"coordinates":[-0.1415,51.5071]},
			"properties":{"name":"The Ritz","city":"London","osm_value":"hotel"}}]}`)
	}))
	t.Cleanup(photon.Close)
	h := newHub(t, func(cfg *Config) {
		var err error
		if cfg.Places, err = place.New(place.Config{URL: photon.URL + "/api", Clock: cfg.Clock}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cfg.Places.Close)
	})
	return h, &asked
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	h, asked := withGeocoder(t, http.StatusOK)
	ada := h.person(fleet.RoleRider)
	a := ada.must(http.StatusOK, http.MethodGet, "/api/places?q=the+ritz&near=51.50853,-0.12574", nil)
	if want := `{"items":[{"label":"The Ritz, London","lat":51.5071,"lon":-0.1415,"kind":"hotel"}]}`; strings.TrimSpace(string(a.body)) != want {
		t.Errorf("got %s, want %s", a.body, want)
	}
	if got := asked.Load().(url.Values); got.Get("q") != "the ritz" || got.Get("lat") != "51.51" || got.Get("lon") != "-0.13" {
		t.Errorf("the geocoder was asked %v", got)
	}
}

func TestPlacesRefuses(t *testing.T) {
	t.Parallel()
	h, asked := withGeocoder(t, http.StatusOK)
	ada := h.person(fleet.RoleRider)
	for _, query := range []string{
		"", "?q=", "?q=a", "?q=" + strings.Repeat("a", 201), "?near=51.5,-0.12",
		"?q=ritz&near=here", "?q=ritz&near=51.5", "?q=ritz&near=91,0", "?q=ritz&near=NaN,0", "?q=ritz&near=0,Inf", "?q=ritz&near=1,2,3",
	} {
		problem(t, ada.do(http.MethodGet, "/api/places"+query, nil), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	}
	if asked.Load() != nil {
		t.Errorf("the geocoder was asked %v", asked.Load())
	}
}

// A hub has no geocoder unless it is given one, and says so in a way that an app
// understands.
func TestPlacesAreOffByDefault(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	problem(t, h.person(fleet.RoleRider).do(http.MethodGet, "/api/places?q=ritz", nil), http.StatusNotFound, codeNoGeocoder)
}

// When the geocoder fails, whoever searched may try again, and the log does not say
// what they were looking for.
func TestPlacesWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	h, _ := withGeocoder(t, http.StatusBadGateway)
	a := h.person(fleet.RoleRider).do(http.MethodGet, "/api/places?q=her+secret+address&near=51.50853,-0.12574", nil)
	problem(t, a, http.StatusServiceUnavailable, fleet.CodeUnavailable)
	if a.Header.Get("Retry-After") == "" {
		t.Error("nobody says when to try again")
	}
	h.stop()
	if log := h.log.String(); strings.Contains(log, "secret") || strings.Contains(log, "51.5") || !strings.Contains(log, "/api/places") {
		t.Errorf("the log says what was searched for, or nothing: %s", log)
	}
}

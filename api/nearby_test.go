package api

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"armora/fleet"
	"armora/live"
)

func TestNearbyDrivers(t *testing.T) {
	t.Parallel()
	index := live.New(live.Options{})
	h := newHub(t, func(c *Config) { c.Map = index })
	add := func(name string, tier fleet.Tier) fleet.DriverID {
		return h.officer(map[string]any{"name": name, "tier": tier})
	}
	phone := fleet.NewID[fleet.Device]()
	place := func(id fleet.DriverID, metres float64, age time.Duration) {
		at := fleet.MillisOf(noon.Add(-age))
		index.Apply(live.Fix{
			Unit: fleet.Unit(id), Source: phone, At: at, Received: at, Lat: 51.5 + metres/111195, Lon: -0.12,
			Accuracy: 7, Speed: fleet.Unknown, Heading: 90, Battery: fleet.Unknown,
		})
	}
	near, far, old := add("Ada Vale", fleet.Executive), add("Ben Hale", fleet.Essential), add("Cy Dale", fleet.Executive)
	place(far, 900, 0)
	place(near, 100, time.Minute)
	place(old, 10, time.Hour)
	place(fleet.NewID[fleet.Driver](), 1, 0) // a car that is nobody's

	query := func(more string) []NearbyDriver {
		t.Helper()
		a := h.must(http.StatusOK, "GET", "/api/drivers/nearby?lat=51.5&lon=-0.12"+more, nil)
		return as[struct{ Items []NearbyDriver }](t, a).Items
	}
	names := func(items []NearbyDriver) (s string) {
		for _, d := range items {
			s += d.Name[:1]
		}
		return s
	}
	for more, want := range map[string]string{
		"": "AB", "&limit=1": "A", "&radius_m=500": "A", "&tier=essential": "B", "&tier=shadow": "",
		"&max_age=7200": "CAB", "&max_age=30": "B",
	} {
		if got := names(query(more)); got != want {
			t.Errorf("with %q: %q, want %q", more, got, want)
		}
	}
	first := query("")[0]
	if first.ID != near || first.Distance < 99.9 || first.Distance > 100.1 || *first.Accuracy != 7 || first.Speed != nil ||
		*first.Heading != 90 || first.DeviceID != phone || !first.ReceivedAt.Equal(noon.Add(-time.Minute)) {
		t.Errorf("shown as %+v", first)
	}
	for _, bad := range []string{"?lat=51", "?lat=NaN&lon=0", "?lat=91&lon=0", "?lat=0&lon=0&radius_m=0", "?lat=0&lon=0&tier=gold"} {
		problem(t, h.do("GET", "/api/drivers/nearby"+bad, nil), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	}
}

func TestPrincipalsSeeHowManyAreNearAndNotWho(t *testing.T) {
	t.Parallel()
	index := live.New(live.Options{})
	h := newHub(t, func(c *Config) { c.Map = index })
	ada := h.person(fleet.RoleRider)
	driver := h.officer(map[string]any{"name": "Benjamin Hale", "tier": "essential"})
	h.must(http.StatusNoContent, "PUT", "/api/drivers/"+driver.String()+"/duty", map[string]any{"duty": "on_duty"})
	at := fleet.MillisOf(noon)
	index.Apply(live.Fix{Unit: fleet.Unit(driver), Source: fleet.NewID[fleet.Device](), At: at, Received: at, Lat: 51.50123, Lon: -0.12345})
	const path = "/api/drivers/nearby?lat=51.5&lon=-0.12"
	problem(t, ada.do("GET", path, nil), http.StatusForbidden, fleet.CodeForbidden)
	q := as[Quote](t, ada.must(http.StatusCreated, "POST", "/api/quotes", transfer()))
	if q.Pickup == nil || *q.Pickup <= 0 || *q.Pickup%60 != 0 {
		t.Errorf("quoted with the nearest at %v", q.Pickup)
	}
	a := ada.must(http.StatusOK, "GET", path, nil)
	got := as[struct {
		Items []NearbyDriver
		Cells []NearbyCell
	}](t, a)
	if len(got.Items) != 0 || len(got.Cells) != 1 || got.Cells[0].Officers != 1 || got.Cells[0].Lat == 51.50123 {
		t.Errorf("near are %s", a.body)
	}
	for _, secret := range []string{driver.String(), "Benjamin", "51.50123", "0.12345"} {
		if strings.Contains(string(a.body), secret) {
			t.Errorf("%s is told: %s", secret, a.body)
		}
	}
}

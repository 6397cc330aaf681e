package dispatch_test

import (
	"testing"
	"time"

	"armora/dispatch"
	"armora/fleet"
	"armora/live"
)

// show puts an officer on the map.
func (d *desk) show(lat, lon float64, status live.Status, age time.Duration, tiers ...fleet.Tier) {
	at := fleet.MillisOf(d.clock.Now().Add(-age))
	unit := fleet.Unit(fleet.NewID[fleet.Driver]())
	d.index.Describe(unit, live.ClassOf(tiers...), status)
	d.index.Apply(live.Fix{Unit: unit, Source: fleet.NewID[fleet.Device](), At: at, Received: at, Lat: lat, Lon: lon})
}

func TestNearbyIsForWhoeverHasAQuoteAndCountsCells(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	ctx := t.Context()
	near := func(lat, lon, radius float64, tier fleet.Tier) []dispatch.Crowd {
		t.Helper()
		crowds, err := d.Nearby(ctx, d.user, lat, lon, radius, tier)
		d.ok(err)
		return crowds
	}
	_, err := d.Nearby(ctx, d.user, 51.5, -0.12, 3000, "")
	d.code(err, fleet.CodeForbidden)
	_, err = d.Quote(ctx, d.user, transfer())
	d.ok(err)

	d.show(51.5012, -0.1213, live.OnDuty, 0, fleet.Essential, fleet.Shadow)
	d.show(51.5044, -0.1277, live.OnDuty, time.Minute, fleet.Essential)
	d.show(51.5101, -0.1213, live.OnDuty, 0, fleet.Executive)
	d.show(51.5012, -0.1213, live.OnBreak, 0, fleet.Essential)
	d.show(51.5012, -0.1213, live.OnDuty, time.Hour, fleet.Essential)
	d.show(51.5012, -0.1213, live.OnDuty, 0) // not fit to work
	all := near(51.5, -0.12, 3000, "")
	if len(all) != 2 || all[0].Officers != 2 || all[0].Cell != dispatch.CellOf(51.5012, -0.1213) || all[1].Officers != 1 {
		t.Errorf("near are %+v", all)
	}
	if shadows := near(51.5, -0.12, 3000, fleet.Shadow); len(shadows) != 1 || shadows[0].Officers != 1 {
		t.Errorf("shadows are %+v", shadows)
	}
	// Whoever asks again from elsewhere, or for another circle, learns of whole
	// cells alone.
	for step := range 40 {
		for _, c := range near(51.49+float64(step)/2000, -0.12, 1500, "") {
			if c.Cell == all[0].Cell && c.Officers != all[0].Officers || c.Cell == all[1].Cell && c.Officers != all[1].Officers {
				t.Errorf("step %d: a part of a cell is counted: %+v", step, c)
			}
		}
	}
	if took, ok := d.Pickup(ctx, fleet.Essential, fleet.Place{Lat: 51.5, Lon: -0.12}); !ok || took != 10*time.Minute {
		t.Errorf("the nearest takes %v, %v", took, ok)
	}
	if took, ok := d.Pickup(ctx, fleet.ClientVehicle, fleet.Place{Lat: 51.5, Lon: -0.12}); ok {
		t.Errorf("nobody takes %v", took)
	}
	d.clock.Advance(dispatch.QuoteLife)
	_, err = d.Nearby(ctx, d.user, 51.5, -0.12, 3000, "")
	d.code(err, fleet.CodeForbidden)
}

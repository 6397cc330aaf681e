package dispatch

import (
	"testing"

	"pgregory.net/rapid"

	"armora/fleet"
)

// From a cell nobody learns where in it something is: a step of 250 m towards its
// middle leads to no other one, and it is half a kilometre wide and high.
func TestCellsAreHalfAKilometre(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lat, lon := rapid.Float64Range(-85, 85).Draw(t, "lat"), rapid.Float64Range(-179.9, 179.9).Draw(t, "lon")
		cell := CellOf(lat, lon)
		if CellOf(cell.Lat, cell.Lon) != cell {
			t.Fatalf("the middle of %+v is in %+v", cell, CellOf(cell.Lat, cell.Lon))
		}
		// The points 250 m from the middle are all in it.
		north := 250 / 111_195.0
		east := north * fleet.Distance(0, 0, 0, 1) / fleet.Distance(cell.Lat, 0, cell.Lat, 1)
		for _, d := range [][2]float64{{north, 0}, {-north, 0}, {0, east}, {0, -east}} {
			if got := CellOf(cell.Lat+d[0], cell.Lon+d[1]); got != cell && cell.Lon+east < 180 && cell.Lon-east > -180 {
				t.Fatalf("%+v is narrower than 500 m: %v is in %+v", cell, d, got)
			}
		}
		if d := fleet.Distance(lat, lon, cell.Lat, cell.Lon); d > 700 {
			t.Fatalf("%v, %v is %v m from its cell", lat, lon, d)
		}
	})
	for _, pole := range [][2]float64{{90, 0}, {-90, 180}, {90, -180}, {89.9999, 180}, {0, 180}, {0, -180}} {
		if c := CellOf(pole[0], pole[1]); c.Lat < -90 || c.Lat > 90 || c.Lon < -180 || c.Lon > 180 {
			t.Errorf("%v is in %+v", pole, c)
		}
	}
}

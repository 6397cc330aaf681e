package geojson

import (
	"fmt"

	"armora/fleet"
	"armora/ingest/format/jsonread"
	"armora/ingest/format/report"
)

// feature is what is read of one Feature, whose members come in any order.
type feature struct {
	kind     string
	point    fleet.Point // what the properties say
	geometry geometry
}

type geometry struct {
	kind   string // "" if null or absent
	coords [3]float64
	n      int  // how many of coords there are
	nested bool // the coordinates are those of a line or an area
}

func (f *feature) member(r *jsonread.Reader) {
	name := string(r.Name())
	switch {
	case name == "type":
		f.kind = report.Shown(r.Text())
	case name == "geometry" && r.Next() == jsonread.Object:
		f.geometry.read(r)
	case name == "properties" && r.Next() == jsonread.Object:
		r.Begin(jsonread.Object, "properties")
		for r.Member() {
			r.Property(&f.point)
		}
	default:
		r.Skip()
	}
}

func (g *geometry) read(r *jsonread.Reader) {
	r.Begin(jsonread.Object, "geometry")
	for r.Member() {
		switch string(r.Name()) {
		case "type":
			g.kind = report.Shown(r.Text())
		case "coordinates":
			r.Begin(jsonread.Array, "coordinates")
			for r.Element() {
				g.coordinate(r)
			}
		default:
			r.Skip()
		}
	}
}

// coordinate reads one element of the coordinates. Those beyond the altitude
// have no meaning (RFC 7946 §3.1.1).
func (g *geometry) coordinate(r *jsonread.Reader) {
	switch {
	case r.Next() == jsonread.Array:
		g.nested = true
		r.Skip()
	case g.n == len(g.coords):
		r.Skip()
	default:
		g.coords[g.n] = r.Float("coordinates")
		g.n++
	}
}

// position returns the Feature as a point; found is false if it is unlocated.
func (f *feature) position(received fleet.Millis) (p fleet.Point, found bool, err error) {
	g := &f.geometry
	switch {
	case g.kind == "" && g.n == 0 && !g.nested:
		return p, false, nil
	case g.kind != "Point":
		return p, false, fmt.Errorf("geometry of type %q is not a Point", g.kind)
	case g.nested || g.n < 2:
		return p, false, fmt.Errorf("coordinates of a Point are a longitude and a latitude, not %d numbers", g.n)
	}
	p = f.point
	p.Lon, p.Lat = g.coords[0], g.coords[1]
	if g.n == 3 {
		p.Altitude = report.Altitude(g.coords[2])
	}
	if !report.HasTime(&p) {
		p.Fix = received
	}
	return p, true, report.Check(&p, &keys)
}

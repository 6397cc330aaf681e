package fence_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"armora/fleet"
	"armora/live/fence"
)

func TestContainsAgreesWithTheWindingNumber(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lat := rapid.SampledFrom([]float64{0, 51.5, -33, 80}).Draw(t, "lat")
		lon := rapid.SampledFrom([]float64{-0.12, 179.9995, -179.9995, 0, 120}).Draw(t, "lon")
		size := rapid.SampledFrom([]float64{0.005, 0.1, 1}).Draw(t, "size")
		d := drawShape(t, lat, lon, size)
		for range 50 {
			pLat := lat + rapid.Float64Range(-3*size, 3*size).Draw(t, "pLat")
			pLon := wrap(lon + rapid.Float64Range(-3*size, 3*size).Draw(t, "pLon"))
			want, certain := d.contains(pLat, pLon)
			if got := d.shape.Contains(pLat, pLon); certain && got != want {
				t.Fatalf("%+v contains %v, %v: %v, want %v", d, pLat, pLon, got, want)
			}
		}
	})
}

func TestCircleHoldsWhatIsNearEnough(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		lat := rapid.Float64Range(-87, 87).Draw(t, "lat")
		lon := rapid.Float64Range(-180, 180).Draw(t, "lon")
		radius := rapid.Float64Range(fence.MinRadius, fence.MaxRadius).Draw(t, "radius")
		s, err := fence.Circle(fence.Position{Lat: lat, Lon: lon}, radius)
		if err != nil {
			t.Fatal(err)
		}
		// Points close to the edge, on any bearing.
		bearing := rapid.Float64Range(0, 2*math.Pi).Draw(t, "bearing")
		angle := radius * rapid.Float64Range(0.999, 1.001).Draw(t, "near") / 6371008.8
		const rad = math.Pi / 180
		pLat := math.Asin(math.Sin(lat*rad)*math.Cos(angle) + math.Cos(lat*rad)*math.Sin(angle)*math.Cos(bearing))
		pLon := lon*rad + math.Atan2(math.Sin(bearing)*math.Sin(angle)*math.Cos(lat*rad), math.Cos(angle)-math.Sin(lat*rad)*math.Sin(pLat))
		p := fence.Position{Lat: stored(pLat / rad), Lon: stored(wrap(pLon / rad))}
		want := fleet.Distance(lat, lon, p.Lat, p.Lon) <= radius
		if got := s.Contains(p.Lat, p.Lon); got != want {
			t.Fatalf("%v m around %v, %v contains %+v: %v, want %v", radius, lat, lon, p, got, want)
		}
	})
}

// stored is a coordinate at the resolution at which it is stored.
func stored(degrees float64) float64 { return float64(fleet.E7(degrees)) / 1e7 }

func TestEdgesAndCornersBelongToTheShape(t *testing.T) {
	t.Parallel()
	const d = 1e-7 // the next position that there is
	s := polygon(t, square(10, 20, 1), square(10.4, 20.4, 0.2))
	slanted := polygon(t, ring([2]float64{0, 0}, [2]float64{3, 4}, [2]float64{-3, 4}))
	tests := []struct {
		name     string
		shape    fence.Shape
		lat, lon float64
		want     bool
	}{
		{"corner", s, 10, 20, true}, {"opposite corner", s, 11, 21, true},
		{"below the corner", s, 10 - d, 20, false}, {"left of the corner", s, 10, 20 - d, false},
		{"edge", s, 10, 20.5, true}, {"below the edge", s, 10 - d, 20.5, false}, {"above the edge", s, 10 + d, 20.5, true},
		{"right edge", s, 10.5, 21, true}, {"beyond the right edge", s, 10.5, 21 + d, false},
		{"level with two corners, outside", s, 11, 21.5, false}, {"level with two corners, before", s, 11, 19.5, false},
		{"hole", s, 10.5, 20.5, false}, {"edge of the hole", s, 10.4, 20.5, true}, {"corner of the hole", s, 10.6, 20.6, true},
		{"just in the hole", s, 10.4 + d, 20.5, false}, {"just before the hole", s, 10.4 - d, 20.5, true},
		{"level with a corner", slanted, 0, 2, true}, {"before that corner", slanted, 0, -1, false},
		{"on the slanted edge", slanted, 1.5, 2, true}, {"above it", slanted, 1.5 + d, 2, false},
		{"not a number", s, math.NaN(), 20.5, false},
	}
	for _, c := range tests {
		if got := c.shape.Contains(c.lat, c.lon); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestEdgesAreStraightInLongitudeAndLatitude(t *testing.T) {
	t.Parallel()
	// The great circle between the northern corners runs 0.8° above their parallel.
	s := polygon(t, ring([2]float64{40, 0}, [2]float64{40, 20}, [2]float64{50, 20}, [2]float64{50, 0}))
	if s.Contains(50.1, 10) || !s.Contains(49.9, 10) {
		t.Error("the northern edge does not follow its parallel")
	}
}

func TestAntimeridian(t *testing.T) {
	t.Parallel()
	shapes := map[string]fence.Shape{
		"ring":       polygon(t, ring([2]float64{-1, 179}, [2]float64{-1, -179}, [2]float64{1, -179}, [2]float64{1, 179})),
		"ring, west": polygon(t, ring([2]float64{-1, -179}, [2]float64{1, -179}, [2]float64{1, 179}, [2]float64{-1, 179})),
		"circle":     circle(t, 0, 180, 111_000),
	}
	for name, s := range shapes {
		for _, lon := range []float64{179.2, 180, -180, -179.2} {
			if !s.Contains(0, lon) {
				t.Errorf("%s does not contain longitude %v", name, lon)
			}
		}
		for _, lon := range []float64{178.9, -178.9, 0, 90} {
			if s.Contains(0, lon) {
				t.Errorf("%s contains longitude %v", name, lon)
			}
		}
	}
	for name, s := range map[string]fence.Shape{"to 180": polygon(t, square(0, 179, 1)), "from -180": polygon(t, square(0, -180, 1))} {
		if !s.Contains(0.5, 180) || !s.Contains(0.5, -180) {
			t.Errorf("%s: its edge on the antimeridian is not in it", name)
		}
	}
	hole := polygon(t, ring([2]float64{-2, 178}, [2]float64{-2, -178}, [2]float64{2, -178}, [2]float64{2, 178}), square(-0.5, -179.5, 1))
	if hole.Contains(0, -179) || !hole.Contains(0, 179) || !hole.Contains(0, -178.2) {
		t.Error("a hole beyond the antimeridian is not where it should be")
	}
}

func TestBadShapes(t *testing.T) {
	t.Parallel()
	outer := square(0, 0, 10)
	many := make([]fence.Position, 0, fence.MaxVertices+2)
	for i := range fence.MaxVertices + 1 {
		angle := float64(i) / (fence.MaxVertices + 1) * 2 * math.Pi
		many = append(many, fence.Position{Lat: math.Sin(angle), Lon: math.Cos(angle)})
	}
	many = append(many, many[0])
	tests := []struct {
		name  string
		rings [][]fence.Position
		want  fence.Flaw
	}{
		{"none", nil, fence.NoRing},
		{"empty", [][]fence.Position{{}}, fence.TooFewPoints},
		{"three positions", [][]fence.Position{ring([2]float64{0, 0}, [2]float64{1, 1})}, fence.TooFewPoints},
		{"open", [][]fence.Position{outer[:4]}, fence.NotClosed},
		{"bow tie", [][]fence.Position{ring([2]float64{0, 0}, [2]float64{1, 1}, [2]float64{0, 1}, [2]float64{1, 0})}, fence.Intersects},
		{"spike", [][]fence.Position{ring([2]float64{0, 0}, [2]float64{0, 2}, [2]float64{0, 1}, [2]float64{1, 1})}, fence.Intersects},
		{"corner on an edge", [][]fence.Position{ring([2]float64{0, 0}, [2]float64{0, 4}, [2]float64{2, 4}, [2]float64{0, 2}, [2]float64{2, 0})}, fence.Intersects},
		{"on one line", [][]fence.Position{ring([2]float64{0, 0}, [2]float64{1, 1}, [2]float64{2, 2})}, fence.ZeroArea},
		{"one place", [][]fence.Position{ring([2]float64{0, 0}, [2]float64{0, 0}, [2]float64{0, 1e-9})}, fence.ZeroArea},
		{"too many", [][]fence.Position{many}, fence.TooManyPoints},
		{"latitude", [][]fence.Position{ring([2]float64{0, 0}, [2]float64{0, 1}, [2]float64{91, 0})}, fence.BadPosition},
		{"longitude", [][]fence.Position{ring([2]float64{0, 0}, [2]float64{0, 181}, [2]float64{1, 0})}, fence.BadPosition},
		{"not a number", [][]fence.Position{ring([2]float64{0, 0}, [2]float64{0, math.NaN()}, [2]float64{1, 0})}, fence.BadPosition},
		{"pole", [][]fence.Position{ring([2]float64{85, 0}, [2]float64{85, 10}, [2]float64{90, 5})}, fence.NearPole},
		{"around the pole", [][]fence.Position{ring([2]float64{80, 0}, [2]float64{80, 120}, [2]float64{80, -120})}, fence.AroundPole},
		{"half the globe in one edge", [][]fence.Position{ring([2]float64{0, -90}, [2]float64{0, 90}, [2]float64{10, 0})}, fence.TooWide},
		{"more than half the globe", [][]fence.Position{ring([2]float64{0, 0}, [2]float64{0, 100}, [2]float64{0, -160}, [2]float64{1, 100})}, fence.TooWide},
		{"hole outside", [][]fence.Position{outer, square(20, 20, 1)}, fence.HoleOutside},
		{"hole in a notch", [][]fence.Position{ring([2]float64{0, 0}, [2]float64{0, 10}, [2]float64{5, 5}, [2]float64{10, 10}, [2]float64{10, 0}), square(4.5, 8, 1)}, fence.HoleOutside},
		{"hole across", [][]fence.Position{outer, square(9, 4, 0.5), square(2, 2, 0.5), ring([2]float64{5, 5}, [2]float64{6, 5.5}, [2]float64{2.2, 2.2})}, fence.Intersects},
		{"hole at the edge", [][]fence.Position{outer, square(0, 1, 1)}, fence.Intersects},
		{"hole in a hole", [][]fence.Position{outer, square(1, 1, 5), square(2, 2, 1)}, fence.HolesNested},
	}
	for _, c := range tests {
		_, err := fence.Polygon(c.rings)
		wantFlaw(t, c.name, err, c.want)
	}
	for radius, want := range map[float64]fence.Flaw{
		0: fence.BadRadius, -1: fence.BadRadius, 0.5: fence.BadRadius, 200_001: fence.BadRadius,
		math.NaN(): fence.BadRadius, math.Inf(1): fence.BadRadius, 150_000: fence.NearPole,
	} {
		_, err := fence.Circle(fence.Position{Lat: 88.5}, radius)
		wantFlaw(t, "circle", err, want)
	}
	_, err := fence.Circle(fence.Position{Lat: -91}, 10)
	wantFlaw(t, "centre", err, fence.BadPosition)
}

func wantFlaw(t *testing.T, name string, err error, want fence.Flaw) {
	t.Helper()
	flawed, ok := errors.AsType[*fence.ShapeError](err)
	if !ok || flawed.Flaw != want {
		t.Errorf("%s: %v, want the flaw %s", name, err, want)
	}
}

func TestShapeThroughJSON(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"type":"Circle","coordinates":[-0.1278,51.5074],"radius_m":250}`,
		`{"type":"Polygon","coordinates":[[[-0.2,51.4],[-0.1,51.4],[-0.1,51.5],[-0.2,51.4]]]}`,
		`{"type":"Polygon","coordinates":[[[179,0],[-179,0],[-179,1],[179,1],[179,0]],[[179.5,0.2],[179.5,0.4],[-179.5,0.3],[179.5,0.2]]]}`,
	} {
		var s fence.Shape
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if again, err := json.Marshal(s); err != nil || string(again) != text {
			t.Errorf("%s was written as %s, %v", text, again, err)
		}
	}
	for text, want := range map[string]fence.Flaw{
		`7`:                                     fence.NotUnderstood,
		`{}`:                                    fence.UnknownKind,
		`{"type":"Point"}`:                      fence.UnknownKind,
		`{"type":"Circle"}`:                     fence.NotUnderstood,
		`{"type":"Polygon"}`:                    fence.NotUnderstood,
		`{"type":"Circle","coordinates":[1,2]}`: fence.BadRadius,
		`{"type":"Circle","coordinates":["1",2],"radius_m":10}`:                   fence.NotUnderstood,
		`{"type":"Polygon","coordinates":[]}`:                                     fence.NoRing,
		`{"type":"Polygon","coordinates":[[1,2]]}`:                                fence.NotUnderstood,
		`{"type":"Polygon","coordinates":[[[1],[2],[3],[1]]]}`:                    fence.NotUnderstood,
		`{"type":"Polygon","coordinates":[[[0,51],[1,51],[1,52],[0,52]]]}`:        fence.NotClosed,
		`{"type":"Polygon","coordinates":[[[0,51],[1,52],[1,51],[0,52],[0,51]]]}`: fence.Intersects,
	} {
		var s fence.Shape
		err := json.Unmarshal([]byte(text), &s)
		wantFlaw(t, text, err, want)
		if !s.IsZero() || s.Contains(51.5, 0.5) {
			t.Errorf("%s left a shape", text)
		}
	}
	if err := json.Unmarshal([]byte(`{"type":"Polygon","coordinates":[[[0,51,9],[1,51,9],[1,52,9],[0,51,9]]]}`), new(fence.Shape)); err != nil {
		t.Errorf("positions with an altitude: %v", err)
	}
	if err := new(fence.Shape).UnmarshalJSON([]byte(strings.Repeat("[", 100_000))); err == nil {
		t.Error("deep nonsense is a shape")
	}
}

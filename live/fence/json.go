package fence

import (
	"encoding/json"
)

// The types of a shape in JSON.
const (
	typePolygon = "Polygon"
	typeCircle  = "Circle"
)

// shapeJSON is a Polygon of GeoJSON (RFC 7946 §3.1.6), or a Circle, which
// GeoJSON does not have: {"type":"Circle","coordinates":[lon,lat],"radius_m":250}.
type shapeJSON struct {
	Type        string          `json:"type"`
	Coordinates json.RawMessage `json:"coordinates"`
	Radius      float64         `json:"radius_m,omitempty"`
}

// MarshalJSON implements json.Marshaler. Polygons are written as they were
// read, to 1e-7 degrees, with longitudes in [-180°, 180°).
func (s Shape) MarshalJSON() ([]byte, error) {
	if s.radius > 0 {
		coordinates, err := json.Marshal([2]float64{s.centre.Lon, s.centre.Lat})
		if err != nil {
			return nil, err
		}
		return json.Marshal(shapeJSON{Type: typeCircle, Coordinates: coordinates, Radius: s.radius})
	}
	rings := make([][][2]float64, len(s.rings))
	for i, r := range s.rings {
		for _, p := range append(r[:len(r):len(r)], r[0]) {
			rings[i] = append(rings[i], p.degrees())
		}
	}
	coordinates, err := json.Marshal(rings)
	if err != nil {
		return nil, err
	}
	return json.Marshal(shapeJSON{Type: typePolygon, Coordinates: coordinates})
}

// UnmarshalJSON implements json.Unmarshaler. What is no shape is a *ShapeError.
// An altitude is passed over.
func (s *Shape) UnmarshalJSON(text []byte) error {
	var raw shapeJSON
	if err := json.Unmarshal(text, &raw); err != nil {
		return flawed(NotUnderstood, "a shape is an object with type and coordinates, and radius_m for a circle")
	}
	var err error
	switch raw.Type {
	case typeCircle:
		var centre []float64
		if json.Unmarshal(raw.Coordinates, &centre) != nil || len(centre) < 2 {
			return flawed(NotUnderstood, "the coordinates of a Circle are its centre: [longitude, latitude]")
		}
		*s, err = Circle(Position{Lat: centre[1], Lon: centre[0]}, raw.Radius)
	case typePolygon:
		*s, err = readPolygon(raw.Coordinates)
	default:
		err = flawed(UnknownKind, "the type of a shape is Polygon or Circle")
	}
	return err
}

func readPolygon(coordinates json.RawMessage) (Shape, error) {
	var rings [][][]float64
	if json.Unmarshal(coordinates, &rings) != nil {
		return Shape{}, flawed(NotUnderstood, "the coordinates of a Polygon are rings of positions: [[[longitude, latitude], …], …]")
	}
	polygon := make([][]Position, len(rings))
	for i, r := range rings {
		polygon[i] = make([]Position, len(r))
		for j, p := range r {
			if len(p) < 2 {
				return Shape{}, flawed(NotUnderstood, "position %d of %s is not [longitude, latitude]", j+1, ringName(i))
			}
			polygon[i][j] = Position{Lat: p[1], Lon: p[0]}
		}
	}
	return Polygon(polygon)
}

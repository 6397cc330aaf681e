package fence_test

import (
	"encoding/json"
	"testing"

	"armora/live/fence"
)

// Whatever is taken for a shape is written down and read again as the same one,
// and holds its own corners or centre.
func FuzzShape(f *testing.F) {
	for _, seed := range []string{
		`{"type":"Circle","coordinates":[-0.1278,51.5074],"radius_m":250}`,
		`{"type":"Polygon","coordinates":[[[179,0],[-179,0],[-179,1],[179,1],[179,0]],[[179.5,0.2],[179.5,0.4],[-179.5,0.3],[179.5,0.2]]]}`,
		`{"type":"Polygon","coordinates":[[[0,51],[1,52],[1,51],[0,52],[0,51]]]}`,
		`{"type":"Polygon","coordinates":[[[180,0],[-180,0],[170,1e-7],[180,0]]]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var s, again fence.Shape
		if s.UnmarshalJSON(text) != nil {
			return
		}
		first, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(first, &again); err != nil {
			t.Fatalf("%s was written as %s: %v", text, first, err)
		}
		if second, err := json.Marshal(again); err != nil || string(second) != string(first) {
			t.Fatalf("%s and then %s, %v", first, second, err)
		}
		var circle struct{ Coordinates [2]float64 }
		var polygon struct{ Coordinates [][][2]float64 }
		if json.Unmarshal(first, &polygon) == nil {
			for _, ring := range polygon.Coordinates {
				for _, p := range ring {
					if !s.Contains(p[1], p[0]) {
						t.Fatalf("%s does not hold its corner %v", first, p)
					}
				}
			}
		} else if json.Unmarshal(first, &circle) != nil || !s.Contains(circle.Coordinates[1], circle.Coordinates[0]) {
			t.Fatalf("%s does not hold its centre", first)
		}
	})
}

package dispatch

import "math"

const (
	cellDegrees  = 0.005 // the height of a cell: 556 m
	cellDiagonal = 1200  // metres: longer than that of any
)

// Cell is where something is to half a kilometre: a field of a grid that is the
// same for everybody, at least 500 m high and wide. Whatever lies in it is shown
// as the same, so that asking again from elsewhere tells no more.
type Cell struct {
	Lat float64 `json:"lat"` // of its middle, degrees
	Lon float64 `json:"lon"`
}

// CellOf returns the cell of a place.
func CellOf(lat, lon float64) Cell {
	row := math.Min(math.Floor(lat/cellDegrees), 90/cellDegrees-1)
	south := row * cellDegrees
	// All fields of a row are equally wide, and no narrower on the side that is
	// nearer to the pole than they are high.
	narrow := math.Cos(math.Max(math.Abs(south), math.Abs(south+cellDegrees)) * math.Pi / 180)
	columns := math.Max(1, math.Floor(360*narrow/cellDegrees))
	width := 360 / columns
	column := math.Min(math.Floor((lon+180)/width), columns-1)
	return Cell{Lat: round(south + cellDegrees/2), Lon: round((column+0.5)*width - 180)}
}

// round keeps a centimetre, so that equal cells are equal numbers.
func round(degrees float64) float64 { return math.Round(degrees*1e7) / 1e7 }

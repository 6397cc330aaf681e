// Package eta says how long it takes to get somewhere, and how far it is: by OSRM
// where one is configured, and by a model of its own where none is or it does not
// answer. Whoever asks always gets an answer, which says where it came from.
package eta

import "time"

// Point is a place, in degrees, WGS 84.
type Point struct{ Lat, Lon float64 }

// Source is who gave an answer.
type Source string

// The sources.
const (
	FromModel Source = "model"
	FromOSRM  Source = "osrm"
)

// Leg is the way from one place to another.
type Leg struct {
	Time   time.Duration
	Metres float64 // by road
	Source Source
}

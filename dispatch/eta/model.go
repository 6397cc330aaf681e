package eta

import (
	"time"

	"armora/fleet"
)

// Detour is how much longer a way by road is than the crow's, in the model.
const Detour = 1.3

// Model is the built-in travel time, by distance and by the hour of the day:
//
//	time = Hours[hour] × (Start + Σ over the bands: the part of the way in it / its speed)
//
// A way is the crow's times Detour. Its first kilometre is driven at the speed of
// the first band, the next at that of the second, and so on, so that a longer way
// always takes longer, and none jumps where a band begins. Nothing is allocated and
// nothing is asked: it is for the matcher, which prices a hundred thousand pairs a
// tick.
type Model struct {
	Start time.Duration // until somebody drives, and to find the place
	Bands []Band        // the nearest first; the first from 0
	Hours [24]float64   // how much longer it takes than on average, by local hour
}

// Band is a stretch of the way: from a distance to where the next band begins.
type Band struct {
	From  float64 // metres, as the crow flies
	Speed float64 // metres of road a second
}

// Time returns how long a way takes of so many metres as the crow flies, by the
// local hour, 0 to 23, in which it begins.
func (m *Model) Time(hour int, metres float64) time.Duration {
	seconds := m.Start.Seconds()
	for i, band := range m.Bands {
		if metres <= band.From {
			break
		}
		end := metres
		if i+1 < len(m.Bands) {
			end = min(metres, m.Bands[i+1].From)
		}
		seconds += (end - band.From) * Detour / band.Speed
	}
	return time.Duration(m.Hours[hour] * seconds * float64(time.Second))
}

// Leg returns the way between two places.
func (m *Model) Leg(hour int, from, to Point) Leg {
	crow := fleet.Distance(from.Lat, from.Lon, to.Lat, to.Lon)
	return Leg{Time: m.Time(hour, crow), Metres: crow * Detour, Source: FromModel}
}

// Default returns the model whose table was fitted to a day of taxis (docs/dispatch.md).
// Nobody changes it.
func Default() *Model { return &fitted }

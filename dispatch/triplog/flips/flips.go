package main

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"time"

	"armora/fleet"
)

// fix is a line of a trace.
type fix struct {
	lat, lon float64
	occupied bool
	at       int64 // Unix seconds
}

// trip is from the first fix with somebody in the cab to the last.
type trip struct {
	cab      int // its number among the files, which are sorted by name
	from, to fix
}

// What counts as a trip. A cab that was not heard of for unheard before it was taken
// may have been taken anywhere meanwhile.
const (
	unheard  = 300 // seconds
	shortest = 60
	longest  = 3 * 60 * 60
	nearest  = 200 // metres between the ends, as the crow flies
)

// readAll reads the trips of all cabs that begin in [from, to), the earliest first.
func readAll(traces fs.FS, from, to time.Time) ([]trip, error) {
	names, err := fs.Glob(traces, "new_*.txt")
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no file new_*.txt is there")
	}
	slices.Sort(names)
	var all []trip
	for cab, name := range names {
		f, err := traces.Open(name)
		if err != nil {
			return nil, err
		}
		fixes, err := read(f)
		_ = f.Close() // it was only read
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, t := range tripsOf(fixes) {
			if t.from.at >= from.Unix() && t.from.at < to.Unix() {
				t.cab = cab
				all = append(all, t)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b trip) int { return cmp.Compare(a.from.at, b.from.at) })
	return all, nil
}

// read reads a cab's fixes, the earliest first: lines of latitude, longitude, whether
// somebody is in it (1 or 0), and the time, in either order of time.
func read(r io.Reader) ([]fix, error) {
	var fixes []fix
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		var f fix
		var occupied int
		if _, err := fmt.Sscan(lines.Text(), &f.lat, &f.lon, &occupied, &f.at); err != nil {
			return nil, fmt.Errorf("line %d: %w", len(fixes)+1, err)
		}
		f.occupied = occupied == 1
		fixes = append(fixes, f)
	}
	slices.SortStableFunc(fixes, func(a, b fix) int { return cmp.Compare(a.at, b.at) })
	return fixes, lines.Err()
}

// tripsOf are the trips of one cab. Those without an end, or without a beginning, are
// none.
func tripsOf(fixes []fix) []trip {
	var trips []trip
	for i := 0; i < len(fixes); i++ {
		if !fixes[i].occupied {
			continue
		}
		first := i
		for i < len(fixes) && fixes[i].occupied {
			i++
		}
		if i == len(fixes) || first == 0 || fixes[first].at-fixes[first-1].at >= unheard {
			continue
		}
		from, to := fixes[first], fixes[i-1]
		took := to.at - from.at
		if took >= shortest && took <= longest && fleet.Distance(from.lat, from.lon, to.lat, to.lon) >= nearest {
			trips = append(trips, trip{from: from, to: to})
		}
	}
	return trips
}

package dispatch

import (
	"fmt"
	"time"

	"armora/fleet"
)

// LocalLayout is how a time on the wall is written, 2027-03-28T10:00.
const LocalLayout = "2006-01-02T15:04"

// onTheWall reads a time as the clocks of a zone show it.
//
// What they show twice, when they are put back, is the earlier of the two, or the
// later for fold 1, as in Python's PEP 495. What they never show, when they are
// put forward, has ok false, and the instant of the next time that they do.
func onTheWall(local string, zone *time.Location, fold int) (at time.Time, ok bool, err error) {
	wall, err := time.Parse(LocalLayout, local) // as if in UTC: a date and a time, and no instant
	if err != nil {
		return at, false, err
	}
	at = time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), 0, 0, zone)
	shown := at.Format(LocalLayout)
	from, to := at.ZoneBounds()
	switch {
	case shown < local: // it is before the clocks are put forward
		return to, false, nil
	case shown > local: // and so it is after
		return from, false, nil
	}
	// The same on the wall by the offset before, or after.
	for _, beside := range []time.Time{from.Add(-1), to} {
		if beside.IsZero() || from.IsZero() && beside.Before(at) {
			continue
		}
		_, ours := at.Zone()
		_, theirs := beside.Zone()
		other := at.Add(time.Duration(ours-theirs) * time.Second)
		if other.Format(LocalLayout) == local && (fold == 1) == other.After(at) {
			at = other
		}
	}
	return at, true, nil
}

// zoneOf loads a zone of the IANA database.
func zoneOf(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return nil, fmt.Errorf("%.60q is no IANA time zone", name)
	}
	return zone, nil
}

// startOf is when an order begins that is for a time on the wall; what is wrong
// with it is a flaw.
func startOf(local, zone string, fold int) (time.Time, *fleet.Flaw) {
	where, err := zoneOf(zone)
	if err != nil {
		return time.Time{}, &fleet.Flaw{Location: "zone", Message: "a time zone of the IANA database, such as Europe/London"}
	}
	at, ok, err := onTheWall(local, where, fold)
	switch {
	case err != nil:
		return at, &fleet.Flaw{Location: "local_start", Message: "a date and a time, such as 2027-03-28T10:00"}
	case !ok:
		return at, &fleet.Flaw{Location: "local_start", Message: fmt.Sprintf(
			"the clocks of %s go forward then and never show %s: the next time that they show is %s", zone, local, at.Format(LocalLayout))}
	}
	return at.UTC(), nil
}

package sim

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"time"

	"armora/sim/wire"
)

// Track is a recorded journey: fixes in the order in which they were recorded,
// with their own times.
type Track struct {
	Name   string
	Points []wire.Point
}

const (
	metresPerFoot   = 0.3048
	unknownAltitude = -777 // feet; how GeoLife says that there is none
)

// ReadTracks reads a CSV file with a header that names at least the columns
// track, time (RFC 3339), lat and lon (degrees, WGS 84), and perhaps alt_ft.
// Tracks come in the order of their first row.
func ReadTracks(r io.Reader) ([]Track, error) {
	rows := csv.NewReader(r)
	rows.ReuseRecord = true
	header, err := rows.Read()
	if err != nil {
		return nil, fmt.Errorf("tracks: header: %w", err)
	}
	columns, err := findColumns(header)
	if err != nil {
		return nil, err
	}
	var (
		tracks []Track
		number = make(map[string]int)
	)
	for {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			return tracks, nil
		}
		if err != nil {
			return nil, fmt.Errorf("tracks: %w", err)
		}
		point, err := columns.point(row)
		if err != nil {
			line, _ := rows.FieldPos(0)
			return nil, fmt.Errorf("tracks: line %d: %w", line, err)
		}
		name := row[columns.track]
		n, known := number[name]
		if !known {
			n = len(tracks)
			number[name] = n
			tracks = append(tracks, Track{Name: name})
		}
		tracks[n].Points = append(tracks[n].Points, point)
	}
}

// trackColumns says where in a row each value is; altitude is -1 when it is
// nowhere.
type trackColumns struct{ track, time, lat, lon, altitude int }

func findColumns(header []string) (trackColumns, error) {
	c := trackColumns{
		track: slices.Index(header, "track"), time: slices.Index(header, "time"),
		lat: slices.Index(header, "lat"), lon: slices.Index(header, "lon"),
		altitude: slices.Index(header, "alt_ft"),
	}
	if min(c.track, c.time, c.lat, c.lon) < 0 {
		return c, fmt.Errorf("tracks: the header %q lacks one of track, time, lat, lon", header)
	}
	return c, nil
}

func (c trackColumns) point(row []string) (wire.Point, error) {
	at, err := time.Parse(time.RFC3339Nano, row[c.time])
	if err != nil {
		return wire.Point{}, err
	}
	lat, err := degrees(row[c.lat], 90)
	if err != nil {
		return wire.Point{}, fmt.Errorf("lat: %w", err)
	}
	lon, err := degrees(row[c.lon], 180)
	if err != nil {
		return wire.Point{}, fmt.Errorf("lon: %w", err)
	}
	p := wire.At(at.UnixMilli(), wire.E7(lat), wire.E7(lon))
	if c.altitude >= 0 {
		feet, err := strconv.ParseFloat(row[c.altitude], 64)
		if err != nil {
			return wire.Point{}, fmt.Errorf("alt_ft: %w", err)
		}
		if feet != unknownAltitude {
			p.Altitude = float32(feet * metresPerFoot)
		}
	}
	return p, nil
}

func degrees(s string, limit float64) (float64, error) {
	v, err := strconv.ParseFloat(s, 64)
	if err == nil && !(v >= -limit && v <= limit) {
		err = fmt.Errorf("%v is not within ±%v", v, limit)
	}
	return v, err
}

// shiftTo moves a track by whole seconds, so that its newest fix is in the
// second before end. It returns by how much.
func (t *Track) shiftTo(end time.Time) time.Duration {
	if len(t.Points) == 0 {
		return 0
	}
	newest := slices.MaxFunc(t.Points, func(a, b wire.Point) int { return cmp.Compare(a.Fix, b.Fix) }).Fix
	seconds := int64(math.Floor(float64(end.UnixMilli()-newest) / 1000))
	for i := range t.Points {
		t.Points[i].Fix += seconds * 1000
	}
	return time.Duration(seconds) * time.Second
}

package api

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// track stores n points of the device, a second apart and ending before noon;
// every third is doubted, and the first says all that a point can say.
func (h *hub) track(device string, n int) []fleet.Point {
	h.t.Helper()
	id, err := fleet.ParseID[fleet.Device](device)
	if err != nil {
		h.t.Fatal(err)
	}
	points := make([]fleet.Point, n)
	for i := range points {
		at := fleet.MillisOf(noon.Add(time.Duration(i-n) * time.Second))
		p := fleet.NewPoint(at, 51.5+float64(i)*1e-5, -0.12)
		p.Device, p.Received = id, at+250
		if i == 0 {
			p.Sent, p.Accuracy, p.Speed, p.Heading, p.Altitude, p.Battery = at+100, 4.5, 12.5, 270, 35, 0.5
		}
		if i%3 == 2 {
			p.Verdict = fleet.ImpossibleJump
		}
		points[i] = p
	}
	if err := (schema.Maintenance{DB: h.db}).EnsurePartitions(h.t.Context(), noon); err != nil {
		h.t.Fatal(err)
	}
	if stored, err := schema.NewPoints(h.db).Insert(h.t.Context(), points); err != nil || stored != n {
		h.t.Fatalf("stored %d of %d: %v", stored, n, err)
	}
	return points
}

const near = 1e-7

func TestPointsComeBackInEveryFormat(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		h := newHubOn(t, db)
		device := h.device(map[string]any{"kind": "phone", "name": `Ada & "Bob" <x>`})
		want := h.track(device.ID, 10)
		path := "/api/devices/" + device.ID + "/points"
		read := map[string]func(*testing.T, answer) []Point{"csv": readCSV, "geojson": readGeoJSON, "gpx": readGPX, "json": readJSON}
		for format, parse := range read {
			a := h.must(200, "GET", path+"?format="+format, nil)
			got := parse(t, a)
			if len(got) != len(want) {
				t.Fatalf("%s: %d points, want %d: %s", format, len(got), len(want), a.body)
			}
			for i, p := range got {
				w := showPoint(want[i])
				if !p.Time.Equal(w.Time) || math.Abs(p.Lat-w.Lat) > near || math.Abs(p.Lon-w.Lon) > near {
					t.Errorf("%s: point %d is %+v, want %+v", format, i, p, w)
				}
				if format != "gpx" && (p.Verdict != w.Verdict || !p.ReceivedAt.Equal(w.ReceivedAt) || !p.SentAt.Equal(w.SentAt)) {
					t.Errorf("%s: point %d is %+v, want %+v", format, i, p, w)
				}
				if (p.Altitude == nil) != (i > 0) || p.Altitude != nil && *p.Altitude != 35 {
					t.Errorf("%s: altitude of point %d is %v", format, i, p.Altitude)
				}
			}
			good := parse(t, h.must(200, "GET", path+"?verdict=ok&format="+format, nil))
			if len(good) != 7 {
				t.Errorf("%s: %d points are ok, want 7", format, len(good))
			}
			if none := parse(t, h.must(200, "GET", path+"?to=2020-01-01T00:00:00Z&format="+format, nil)); len(none) != 0 {
				t.Errorf("%s: %d points in an empty range", format, len(none))
			}
		}
		if last := as[Point](t, h.must(200, "GET", "/api/devices/"+device.ID+"/position", nil)); !last.Time.Equal(want[9].Fix.Time()) {
			t.Errorf("position %+v", last)
		}
	})
}

func readJSON(t *testing.T, a answer) []Point { return as[page[Point]](t, a).Items }

func readCSV(t *testing.T, a answer) (points []Point) {
	t.Helper()
	lines, err := csv.NewReader(bytes.NewReader(a.body)).ReadAll()
	if err != nil || len(lines) == 0 {
		t.Fatalf("%v: %s", err, a.body)
	}
	column := map[string]int{}
	for i, name := range lines[0] {
		column[name] = i
	}
	for _, line := range lines[1:] {
		p := Point{Lat: number(t, line[column["lat"]]), Lon: number(t, line[column["lon"]]), Verdict: line[column["verdict"]]}
		p.Time, p.ReceivedAt = moment(t, line[column["time"]]), moment(t, line[column["received_at"]])
		if s := line[column["sent_at"]]; s != "" {
			p.SentAt = moment(t, s)
		}
		if s := line[column["altitude_m"]]; s != "" {
			altitude := float32(number(t, s))
			p.Altitude = &altitude
		}
		points = append(points, p)
	}
	return points
}

func number(t *testing.T, s string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func moment(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func readGeoJSON(t *testing.T, a answer) (points []Point) {
	t.Helper()
	collection := as[struct {
		Type     string
		Features []struct {
			Type     string
			Geometry struct {
				Type        string
				Coordinates []float64
			}
			Properties Point
		}
	}](t, a)
	if collection.Type != "FeatureCollection" || collection.Features == nil {
		t.Fatalf("not a collection: %s", a.body)
	}
	for _, f := range collection.Features {
		if f.Type != "Feature" || f.Geometry.Type != "Point" || f.Geometry.Coordinates[0] != f.Properties.Lon || f.Geometry.Coordinates[1] != f.Properties.Lat {
			t.Errorf("feature %+v", f)
		}
		points = append(points, f.Properties)
	}
	return points
}

func readGPX(t *testing.T, a answer) (points []Point) {
	t.Helper()
	var gpx struct {
		XMLName xml.Name `xml:"http://www.topografix.com/GPX/1/1 gpx"`
		Version string   `xml:"version,attr"`
		Creator string   `xml:"creator,attr"`
		Tracks  []struct {
			Name     string `xml:"name"`
			Segments []struct {
				Points []struct {
					Lat  float64   `xml:"lat,attr"`
					Lon  float64   `xml:"lon,attr"`
					Ele  *float32  `xml:"ele"`
					Time time.Time `xml:"time"`
				} `xml:"trkpt"`
			} `xml:"trkseg"`
		} `xml:"trk"`
	}
	decoder := xml.NewDecoder(bytes.NewReader(a.body))
	if err := decoder.Decode(&gpx); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		t.Errorf("something follows the document: %v", err)
	}
	if gpx.Version != "1.1" || gpx.Creator == "" || len(gpx.Tracks) != 1 || gpx.Tracks[0].Name != `Ada & "Bob" <x>` {
		t.Errorf("got %+v", gpx)
	}
	for _, p := range gpx.Tracks[0].Segments[0].Points {
		points = append(points, Point{Lat: p.Lat, Lon: p.Lon, Altitude: p.Ele, Time: p.Time})
	}
	return points
}

func TestPointsPageWithoutLossUnderOneStamp(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	device := h.device(nil)
	points := h.track(device.ID, 5)
	for i := range points { // five positions under the stamp of the last
		points[i].Fix, points[i].Lat = points[4].Fix, points[i].Lat+0.01
	}
	if _, err := schema.NewPoints(h.db).Insert(t.Context(), points); err != nil {
		t.Fatal(err)
	}
	var names []string
	seen := map[string]bool{}
	names = walk(h, "/api/devices/"+device.ID+"/points?verdict=all", func(p Point) string { return fmt.Sprint(p.Time, p.Lat) })
	for _, name := range names {
		seen[name] = true
	}
	if len(names) != 10 || len(seen) != 10 {
		t.Errorf("%d points, %d of them different, want 10", len(names), len(seen))
	}
}

func TestRangesThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	path := "/api/devices/" + h.device(nil).ID + "/points"
	for _, query := range []string{
		"?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z", "?from=2026-03-01T12:00:00Z&to=2026-03-01T12:00:00Z",
		"?from=2024-01-01T00:00:00Z&to=2026-01-01T00:00:00Z", "?from=1969-12-31T00:00:00Z&to=1970-01-02T00:00:00Z",
		"?to=9999-12-31T23:59:59Z", "?to=0001-01-01T00:00:01Z", "?from=yesterday", "?limit=10001", "?limit=NaN", "?format=xls", "?verdict=bad",
	} {
		problem(t, h.do("GET", path+query, nil), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	}
	for _, format := range []string{"json", "csv"} {
		nobody := "/api/devices/" + fleet.NewID[fleet.Device]().String() + "/points?format=" + format
		problem(t, h.do("GET", nobody, nil), http.StatusNotFound, fleet.CodeNotFound)
	}
	problem(t, h.do("GET", "/api/devices/"+h.device(nil).ID+"/position", nil), http.StatusNotFound, fleet.CodeNotFound)
}

// Whatever a point holds, JSON and XML can say it.
func TestExportsOfUnknownsAndStrangeNamesAreValid(t *testing.T) {
	t.Parallel()
	device := &fleet.Device{ID: fleet.NewID[fleet.Device](), Name: "a\x01b\u2028]]>&<"}
	p := fleet.NewPoint(1, -90, 180)
	for _, format := range []string{"geojson", "gpx", "csv"} {
		var out bytes.Buffer
		e := exportOf(format).open(&out, device)
		if err := e.point(p); err != nil {
			t.Fatal(err)
		}
		if err := e.end(); err != nil {
			t.Fatal(err)
		}
		switch format {
		case "geojson":
			if !json.Valid(out.Bytes()) {
				t.Errorf("%s", out.Bytes())
			}
		case "gpx":
			if err := xml.Unmarshal(out.Bytes(), new(struct{})); err != nil {
				t.Errorf("%v: %s", err, out.Bytes())
			}
		}
	}
}

func TestQuarantineAndFlagsCanBeRead(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	device := h.device(map[string]any{"kind": "tracker", "name": "van"})
	id, err := fleet.ParseID[fleet.Device](device.ID)
	if err != nil {
		t.Fatal(err)
	}
	late, odd := fleet.NewPoint(fleet.MillisOf(noon.Add(-time.Hour)), 51.5, -0.12), fleet.NewPoint(1000, 51.5, -0.12)
	late.Flags, odd.Flags, odd.Verdict = fleet.FlagLate|fleet.FlagSkewed, fleet.FlagQuarantine, fleet.Stale
	points := []fleet.Point{late, odd}
	for i := range points {
		points[i].Device, points[i].Received = id, fleet.MillisOf(noon)
	}
	if _, err := schema.NewPoints(h.db).Insert(t.Context(), points); err != nil {
		t.Fatal(err)
	}
	path := "/api/devices/" + device.ID + "/points"
	kept := as[page[Point]](t, h.must(200, "GET", path, nil)).Items
	if len(kept) != 1 || strings.Join(kept[0].Flags, " ") != "late skewed" {
		t.Errorf("kept %+v", kept)
	}
	apart := as[page[Point]](t, h.must(200, "GET", path+"?store=quarantine", nil)).Items
	if len(apart) != 1 || !apart[0].Time.Equal(time.Unix(1, 0)) || apart[0].Verdict != "stale" || strings.Join(apart[0].Flags, " ") != "quarantined" {
		t.Errorf("in quarantine %+v", apart)
	}
	csv := string(h.must(200, "GET", path+"?format=csv&store=quarantine", nil).body)
	if !strings.Contains(csv, "1970-01-01T00:00:01Z,51.5") || !strings.Contains(csv, ",stale,quarantined,") {
		t.Errorf("as CSV:\n%s", csv)
	}
}

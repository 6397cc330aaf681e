package main

import (
	"encoding/csv"
	"encoding/json"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"armora/fleet"
	"armora/sim/recorded"
)

// fixOf is a recorded or stored position.
type fixOf struct {
	at       time.Time
	lat, lon float64
}

func (f fixOf) place() placeOf { return placeOf{f.at.UnixMilli(), fleet.E7(f.lat), fleet.E7(f.lon)} }

// recordedTracks reads the tracks, each in its own order.
func recordedTracks(t *testing.T) (path string, tracks map[string][]fixOf) {
	t.Helper()
	file := recorded.Open(t, "phone-tracks.csv")
	path = file.Name()
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	tracks = make(map[string][]fixOf)
	for _, row := range rows[1:] {
		at, err := time.Parse(time.RFC3339, row[1])
		if err != nil {
			t.Fatal(err)
		}
		tracks[row[0]] = append(tracks[row[0]], fixOf{at, number(t, row[2]), number(t, row[3])})
	}
	return path, tracks
}

func number(t *testing.T, text string) float64 {
	t.Helper()
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// inOrder sorts fixes as the hub gives them back, and leaves out repeats.
func inOrder(fixes []fixOf) []fixOf {
	sorted := slices.Clone(fixes)
	slices.SortFunc(sorted, func(a, b fixOf) int {
		p, q := a.place(), b.place()
		return slices.Compare([]int64{p.Fix, int64(p.Lat), int64(p.Lon)}, []int64{q.Fix, int64(q.Lat), int64(q.Lon)})
	})
	return slices.CompactFunc(sorted, func(a, b fixOf) bool { return a.place() == b.place() })
}

// plausible is a rule for good fixes that shares nothing with the hub's: it
// leaves out those that are both come to and left at twice the speed that is
// usual around them, and at 60 m/s or more.
func plausible(fixes []fixOf) (good []fixOf) {
	speed := func(i int) float64 {
		a, b := fixes[i-1], fixes[i]
		return fleet.Distance(a.lat, a.lon, b.lat, b.lon) / math.Max(1, b.at.Sub(a.at).Seconds())
	}
	for i := range fixes {
		var around []float64
		for j := max(1, i-10); j < min(len(fixes), i+10); j++ {
			around = append(around, speed(j))
		}
		slices.Sort(around)
		limit := math.Max(60, 2*around[len(around)/2])
		if i > 0 && i < len(fixes)-1 && speed(i) > limit && speed(i+1) > limit {
			continue
		}
		good = append(good, fixes[i])
	}
	return good
}

func lengthOf(fixes []fixOf) (metres float64) {
	for i := 1; i < len(fixes); i++ {
		metres += fleet.Distance(fixes[i-1].lat, fixes[i-1].lon, fixes[i].lat, fixes[i].lon)
	}
	return metres
}

// Recorded tracks, through real MQTT clients and the real binary, against the
// file itself.
func TestReplayOfRecordedTracks(t *testing.T) {
	t.Parallel()
	path, tracks := recordedTracks(t)
	h := serve(t)
	logins := make([]map[string]string, len(tracks))
	for i := range logins {
		d := h.device("tracker")
		logins[i] = map[string]string{"id": d.ID, "secret": d.Secret}
	}
	devices := filepath.Join(t.TempDir(), "devices.json")
	text, err := json.Marshal(logins)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(devices, text, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := command(t, nil, "replay", path, "--to", h.mqtt, "--devices", devices).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	replayed := regexp.MustCompile(`track (\S+) +device (\S+) +(\d+) fixes, shifted by (\S+)`).FindAllStringSubmatch(string(out), -1)
	if len(replayed) != len(tracks) {
		t.Fatalf("%d tracks were replayed, want %d:\n%s", len(replayed), len(tracks), out)
	}
	sent, distinct := 0, 0
	for _, r := range replayed {
		shift, err := time.ParseDuration(r[4])
		if err != nil {
			t.Fatal(err)
		}
		track := slices.Clone(tracks[r[1]])
		if r[3] != strconv.Itoa(len(track)) || shift%time.Second != 0 {
			t.Errorf("track %s: %s of %d fixes, shifted by %v", r[1], r[3], len(track), shift)
		}
		for i := range track {
			track[i].at = track[i].at.Add(shift)
		}
		sent += len(track)
		distinct += h.compareTrack(r[1], r[2], track)
	}
	stored, repeats := int(h.metric("armora_ingest_stored_total")), int(h.metric("armora_ingest_repeats_total"))
	if stored != distinct || repeats != sent-distinct {
		t.Errorf("%d stored and %d repeats, want %d and %d", stored, repeats, distinct, sent-distinct)
	}
	t.Logf("%d fixes sent, %d stored, %d true repeats", sent, stored, repeats)
}

// compareTrack compares what is stored of a track with what was sent, and
// returns how many distinct fixes that were.
func (h *served) compareTrack(name, device string, track []fixOf) int {
	h.t.Helper()
	want := inOrder(track)
	text := h.ask("GET", "/api/devices/"+device+"/points?format=csv&from="+
		want[0].at.UTC().Format(time.RFC3339)+"&to="+want[len(want)-1].at.Add(time.Second).UTC().Format(time.RFC3339), nil, http.StatusOK)
	kept := h.places(text)
	for _, f := range want {
		if kept[f.place()] != 1 {
			h.t.Errorf("track %s: %+v is stored %d times", name, f, kept[f.place()])
		}
	}
	if len(kept) != len(want) {
		h.t.Errorf("track %s: %d positions are stored, want %d", name, len(kept), len(want))
	}
	rows, err := csv.NewReader(strings.NewReader(string(text))).ReadAll()
	if err != nil {
		h.t.Fatal(err)
	}
	verdict := slices.Index(rows[0], "verdict")
	var good []fixOf
	for _, row := range rows[1:] {
		if row[verdict] == "ok" {
			at, err := time.Parse(time.RFC3339Nano, row[0])
			if err != nil {
				h.t.Fatal(err)
			}
			good = append(good, fixOf{at, number(h.t, row[1]), number(h.t, row[2])})
		}
	}
	expected, measured := lengthOf(plausible(want)), lengthOf(good)
	h.t.Logf("track %s: %d sent, %d stored, %d good; %.0f m by the file, %.0f m by the hub", name, len(track), len(want), len(good), expected, measured)
	if math.Abs(measured-expected) > 0.01*expected {
		h.t.Errorf("track %s is %.0f m long by what is stored, %.0f m by the file", name, measured, expected)
	}
	h.compareLast(name, device, good)
	return len(want)
}

// compareLast asks where the device is now.
func (h *served) compareLast(name, device string, good []fixOf) {
	h.t.Helper()
	var last struct {
		Time     time.Time
		Lat, Lon float64
	}
	h.read(h.ask("GET", "/api/devices/"+device+"/position", nil, http.StatusOK), &last)
	newest := good[len(good)-1]
	if !last.Time.Equal(newest.at) {
		h.t.Errorf("track %s: the position is of %v, want %v", name, last.Time, newest.at)
	}
	for _, f := range good {
		if f.at.Equal(newest.at) && fleet.E7(f.lat) == fleet.E7(last.Lat) && fleet.E7(f.lon) == fleet.E7(last.Lon) {
			return
		}
	}
	h.t.Errorf("track %s: %+v is none of the newest fixes", name, last)
}

package sim

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

const recorded = `track,time,lat,lon,alt_ft
a,2011-08-30T00:15:21Z,39.976395,116.330118333333,100
a,2011-08-30T00:15:22Z,39.9764,116.330128333333,-777
b,2012-01-01T12:00:00.250Z,-33.5,151.25,0
a,2011-08-30T00:15:22Z,39.9765,116.330128333333,0
a,2011-08-30T00:15:22Z,39.9765,116.330128333333,0
`

func TestTracksAreRead(t *testing.T) {
	t.Parallel()
	tracks, err := ReadTracks(strings.NewReader(recorded))
	if err != nil {
		t.Fatal(err)
	}
	if len(tracks) != 2 || tracks[0].Name != "a" || len(tracks[0].Points) != 4 || len(tracks[1].Points) != 1 {
		t.Fatalf("tracks: %+v", tracks)
	}
	first, second := tracks[0].Points[0], tracks[0].Points[1]
	if first.Fix != time.Date(2011, 8, 30, 0, 15, 21, 0, time.UTC).UnixMilli() || first.Lat != 399763950 || first.Lon != 1163301183 {
		t.Errorf("first: %+v", first)
	}
	if math.Abs(float64(first.Altitude)-30.48) > 0.001 || second.Altitude == second.Altitude {
		t.Errorf("altitudes: %v and %v, want 30.48 and none", first.Altitude, second.Altitude)
	}
	if tracks[1].Points[0].Fix%1000 != 250 {
		t.Errorf("a fraction of a second was lost: %+v", tracks[1].Points[0])
	}
}

func TestBadTracksAreRefusedByLine(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                      "header",
		"track,when,lat,lon\n":                  "lacks one of",
		"track,time,lat,lon\n1,now,1,2\n":       "line 2",
		"lon,lat,time,track\n2,91,%s,1\n":       "lat: 91 is not within ±90",
		"lon,lat,time,track\nNaN,1,%s,1\n":      "lon: NaN",
		"track,time,lat,lon\n1,%s,1\n":          "wrong number of fields",
		"track,time,lat,lon,alt_ft\n1,%s,1,2,x": "alt_ft",
	} {
		_, err := ReadTracks(strings.NewReader(strings.ReplaceAll(text, "%s", "2011-08-30T00:15:21Z")))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestTracksAreShiftedByWholeSeconds(t *testing.T) {
	t.Parallel()
	tracks, err := ReadTracks(strings.NewReader(recorded))
	if err != nil {
		t.Fatal(err)
	}
	for _, end := range []time.Time{start.Add(700 * time.Millisecond), time.Unix(1_000_000_000, 1e8)} {
		for i := range tracks {
			before := tracks[i].Points[0].Fix
			shift := tracks[i].shiftTo(end)
			if shift%time.Second != 0 || tracks[i].Points[0].Fix-before != shift.Milliseconds() {
				t.Errorf("shifted by %v", shift)
			}
			newest := tracks[i].Points[len(tracks[i].Points)-1].Fix
			if behind := end.UnixMilli() - newest; behind < 0 || behind >= 1000 {
				t.Errorf("track %s ends %d ms before %v", tracks[i].Name, behind, end)
			}
		}
	}
}

// manyTracks are two tracks of n fixes a second apart, every tenth said twice.
func manyTracks(t *testing.T, n int) []Track {
	t.Helper()
	var text strings.Builder
	text.WriteString("track,time,lat,lon\n")
	for i := range n {
		at := start.Add(time.Duration(i) * time.Second).UTC().Format(time.RFC3339)
		for range 1 + (i%10)/9 {
			fmt.Fprintf(&text, "a,%s,51.%05d,-0.1\nb,%s,52.%05d,-0.1\n", at, i, at, i)
		}
	}
	tracks, err := ReadTracks(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return tracks
}

func TestReplayArrivesWhole(t *testing.T) {
	t.Parallel()
	for name, speed := range map[string]float64{"flat out": 0, "5000 times": 5000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, log, tracks := newBroker(t, -1), NewLog(), manyTracks(t, 2000)
			replay, err := NewReplay(ReplayConfig{
				Connection: Connection{Brokers: []string{b.address}}, Tracks: tracks, Speed: speed, Log: log, Logger: quiet,
				Devices: []Device{{ID: "one", Secret: "secret"}, {ID: "two", Secret: "secret"}},
			})
			if err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			done, err := replay.Run(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			want := make(map[Entry]int)
			for i, r := range done {
				if r.Track != tracks[i].Name || r.Points != len(tracks[i].Points) {
					t.Errorf("track %d: %+v", i, r)
				}
				for _, p := range tracks[i].Points {
					want[Entry{Device: r.Device, Fix: p.Fix + r.Shift.Milliseconds(), Lat: p.Lat, Lon: p.Lon}]++
				}
				newest := tracks[i].Points[len(tracks[i].Points)-1].Fix + r.Shift.Milliseconds()
				if newest > time.Now().UnixMilli() || newest < began.UnixMilli()-1000 {
					t.Errorf("the newest fix is at %d, the replay began at %d", newest, began.UnixMilli())
				}
			}
			received, _ := b.keysReceived(t)
			if !equal(want, received) || !equal(want, keysOf(log, Acknowledged)) {
				t.Errorf("%d fixes, %d received, %d acknowledged", len(want), len(received), len(keysOf(log, Acknowledged)))
			}
			if stats := replay.Stats(); stats.Acknowledged != 4400 || stats.Pending != 0 {
				t.Errorf("stats: %+v", stats)
			}
		})
	}
}

func TestReplayStopsEarly(t *testing.T) {
	t.Parallel()
	b, log := newBroker(t, 20), NewLog()
	replay, err := NewReplay(ReplayConfig{
		Connection: Connection{Brokers: []string{b.address}}, Tracks: manyTracks(t, 2000), Speed: 100, Log: log, Logger: quiet,
		Devices: []Device{{ID: "one", Secret: "secret"}, {ID: "two", Secret: "secret"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-b.reached
		cancel()
	}()
	done, err := replay.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	handed := done[0].Points + done[1].Points
	if stats := replay.Stats(); handed >= 4400 || handed < 20 || int(stats.Acknowledged) != handed {
		t.Errorf("%d fixes handed over, stats %+v", handed, stats)
	}
}

func TestReplayNeedsADeviceForEachTrack(t *testing.T) {
	t.Parallel()
	if _, err := NewReplay(ReplayConfig{}); err == nil {
		t.Error("nothing to replay, and no error")
	}
	if _, err := NewReplay(ReplayConfig{Tracks: manyTracks(t, 1), Devices: make([]Device, 1)}); err == nil {
		t.Error("two tracks and one device, and no error")
	}
}

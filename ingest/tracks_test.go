package ingest

import (
	"context"
	"encoding/csv"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
	"armora/sim/recorded"
)

// tracks reads phone-tracks.csv: raw fixes of phones, track by track.
func tracks(t *testing.T) [][]fleet.Point {
	t.Helper()
	file := recorded.Open(t, "phone-tracks.csv")
	rows, err := csv.NewReader(file).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var all [][]fleet.Point
	last := ""
	for _, row := range rows[1:] {
		if row[0] != last {
			all, last = append(all, nil), row[0]
		}
		at, err1 := time.Parse(time.RFC3339, row[1])
		lat, err2 := strconv.ParseFloat(row[2], 64)
		lon, err3 := strconv.ParseFloat(row[3], 64)
		if err1 != nil || err2 != nil || err3 != nil {
			t.Fatalf("row %v", row)
		}
		track := &all[len(all)-1]
		*track = append(*track, fleet.NewPoint(fleet.MillisOf(at), lat, lon))
	}
	return all
}

func length(track []fleet.Point) (metres float64) {
	for i := 1; i < len(track); i++ {
		metres += step(track, i)
	}
	return metres
}

func step(track []fleet.Point, i int) float64 {
	return fleet.Distance(track[i-1].Lat, track[i-1].Lon, track[i].Lat, track[i].Lon)
}

func speed(track []fleet.Point, i int) float64 {
	return step(track, i) / max(1, track[i].Fix.Sub(track[i-1].Fix).Seconds())
}

// clean is a rule for good fixes that shares nothing with the classifier: it
// looks at both sides of a fix, and leaves out those that are both come to and
// left at twice the speed that is usual around them (and at 60 m/s or more).
func clean(track []fleet.Point) (good []fleet.Point) {
	const around = 10
	for i := range track {
		var speeds []float64
		for j := max(1, i-around); j < min(len(track), i+around); j++ {
			speeds = append(speeds, speed(track, j))
		}
		slices.Sort(speeds)
		limit := max(60, 2*speeds[len(speeds)/2])
		if i > 0 && i < len(track)-1 && speed(track, i) > limit && speed(track, i+1) > limit {
			continue
		}
		good = append(good, track[i])
	}
	return good
}

// recording is a track as it is sent: what was recorded, with junk put in whose
// verdict is known beforehand.
type recording struct {
	from   *fleet.Identity
	sent   []fleet.Point
	junk   map[fleet.PointKey]fleet.Verdict
	honest []fleet.Point // what was recorded, without repeats
}

// record shifts a track by whole seconds so that it ends at the start of the
// test, and puts in junk every 50 fixes, where the track has no gap.
func record(track []fleet.Point) *recording {
	r := &recording{from: phone(), junk: make(map[fleet.PointKey]fleet.Verdict)}
	shift := at(0) - track[len(track)-1].Fix
	seen := make(map[fleet.PointKey]bool)
	for i := range track {
		p := track[i]
		p.Fix += shift
		r.sent = append(r.sent, p)
		p.Device = r.from.Device
		if !seen[p.Key()] {
			seen[p.Key()] = true
			r.honest = append(r.honest, p)
		}
		if i%50 != 49 || i+1 == len(track) || track[i+1].Fix-track[i].Fix > 10_000 {
			continue
		}
		bad, verdict := p, fleet.ImpossibleJump
		switch i / 50 % 4 {
		case 0:
			bad.Lat += 0.2
		case 1:
			bad.Lat, bad.Lon, verdict = 0, 0, fleet.NullIsland
		case 2:
			bad.Accuracy, verdict = 1500, fleet.Inaccurate
			bad.Lon += 0.01
		case 3:
			bad.Flags, verdict = fleet.FlagMock, fleet.Mock
			bad.Lon -= 0.01
		}
		r.sent = append(r.sent, bad)
		r.junk[bad.Key()] = verdict
	}
	return r
}

// The way of a point on tracks that real phones recorded.
func TestRecordedTracks(t *testing.T) {
	t.Parallel()
	recorded := tracks(t)
	recordings := make([]*recording, len(recorded))
	for i, track := range recorded {
		recordings[i] = record(track)
	}
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		s, shown := newMemory(), make(liveMap)
		c := config(s, eager())
		c.Move = each(shown.move(t))
		replay(t, running(t, c), recordings)
		checkRecordings(t, recordings, s.points)
		for n, r := range recordings {
			var newest fleet.Millis
			for i := range r.honest {
				if k := r.honest[i].Key(); s.points[k].Verdict == fleet.OK {
					newest = max(newest, k.Fix)
				}
			}
			if now := shown[r.from.Unit()]; now.moves < len(r.honest)*9/10 || now.at != newest {
				t.Errorf("track %d: the live map moved %d times and stands at %d, the newest good fix is of %d",
					n+1, now.moves, now.at, newest)
			}
		}
	})
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		provision(t, db, recordings)
		c := config(nil, fleet.SystemClock{})
		c.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
		c.Store, c.DeadLetters = schema.NewPoints(db), schema.DeadLetters{DB: db}
		replay(t, running(t, c), recordings)
		checkRecordings(t, recordings, readBack(t, db, recordings))
	})
}

// liveMap is a live map in the plainest form: the newest fix of each unit.
type liveMap map[fleet.Unit]struct {
	at    fleet.Millis
	moves int
}

// move returns a Config.Move that fails the test when junk moves the map, or a
// fix that is not called late moves it backwards.
func (l liveMap) move(t *testing.T) func(Move) {
	return func(m Move) {
		unit, at, p := m.Unit, m.At, &m.Point
		now := l[unit]
		switch {
		case p.Verdict != fleet.OK:
			t.Errorf("a fix that is %v moves the live map", p.Verdict)
		case at > p.Received:
			t.Errorf("a fix received at %d is shown as of %d", p.Received, at)
		case p.Flags&fleet.FlagLate != 0:
			if at >= now.at {
				t.Errorf("a fix is called late at %d, and the newest is of %d", at, now.at)
			}
			return
		case at < now.at:
			t.Errorf("the live map is moved back from %d to %d", now.at, at)
		}
		now.at = at
		now.moves++
		l[unit] = now
	}
}

// provision makes the devices of the recordings known.
func provision(t *testing.T, db *schema.DB, recordings []*recording) {
	t.Helper()
	ctx := context.Background()
	if err := (schema.Maintenance{DB: db}).EnsurePartitions(ctx, start); err != nil {
		t.Fatal(err)
	}
	for _, r := range recordings {
		device := fleet.Device{ID: r.from.Device, Kind: fleet.Phone, Name: "phone", Created: start}
		if err := (schema.Devices{DB: db}).Create(ctx, device); err != nil {
			t.Fatal(err)
		}
	}
}

func readBack(t *testing.T, db *schema.DB, recordings []*recording) map[fleet.PointKey]fleet.Point {
	t.Helper()
	stored := make(map[fleet.PointKey]fleet.Point)
	for _, r := range recordings {
		err := schema.NewPoints(db).Range(context.Background(), schema.PointQuery{Device: r.from.Device}, func(p fleet.Point) error {
			if _, twice := stored[p.Key()]; twice {
				t.Errorf("stored twice: %v", p.Key())
			}
			stored[p.Key()] = p
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return stored
}

// replay sends the recordings, seven points a message and some messages twice,
// and waits until all is acknowledged.
func replay(t *testing.T, p *Pipeline, recordings []*recording) {
	t.Helper()
	sent, distinct := 0, 0
	for _, r := range recordings {
		var tickets []*ticket
		for i := 0; i < len(r.sent); i += 7 {
			message := r.sent[i:min(i+7, len(r.sent))]
			tickets = append(tickets, deliver(p, r.from, points, payload(message...), at(0)))
			sent += len(message)
			if i%11 == 0 { // as after a connection that broke
				tickets = append(tickets, deliver(p, r.from, points, payload(message...), at(0)))
				sent += len(message)
			}
		}
		mustAck(t, tickets...)
		distinct += len(r.honest) + len(r.junk)
	}
	if got := p.Stats(); got.Points != uint64(sent) || got.Stored != uint64(distinct) ||
		got.Repeats != uint64(sent-distinct) || got.DeadLetters != 0 || got.Acked != got.Messages {
		t.Errorf("%d points sent, %d of them distinct; stats %+v", sent, distinct, got)
	}
}

func checkRecordings(t *testing.T, recordings []*recording, stored map[fleet.PointKey]fleet.Point) {
	t.Helper()
	distinct := 0
	for n, r := range recordings {
		distinct += len(r.honest) + len(r.junk)
		checkRecording(t, n+1, r, stored)
	}
	if len(stored) != distinct {
		t.Errorf("%d points stored, %d distinct ones sent", len(stored), distinct)
	}
}

func checkRecording(t *testing.T, n int, r *recording, points map[fleet.PointKey]fleet.Point) {
	t.Helper()
	for k, want := range r.junk {
		if got := points[k]; got.Verdict != want {
			t.Errorf("track %d: junk %v is called %v, want %v", n, k, got.Verdict, want)
		}
	}
	var ok []fleet.Point
	for i := range r.honest {
		stored, found := points[r.honest[i].Key()]
		if !found {
			t.Fatalf("track %d: fix %d is not stored", n, i)
		}
		if stored.Flags != 0 {
			t.Fatalf("track %d: fix %d came in order, and has flags %b", n, i, stored.Flags)
		}
		if stored.Verdict == fleet.OK {
			ok = append(ok, stored)
		}
	}
	// Recorded fixes stand behind leaps that nothing could make, 74 of 36,000
	// without the junk put in, most of them on a flight.
	if called := len(r.honest) - len(ok); float64(called) > 0.02*float64(len(r.honest)) {
		t.Errorf("track %d: %d of %d recorded fixes are called junk", n, called, len(r.honest))
	}
	got, want := length(ok), length(clean(r.honest))
	if math.Abs(got/want-1) > 0.01 {
		t.Errorf("track %d: %.0f m by what is stored, %.0f m by the file", n, got, want)
	}
}

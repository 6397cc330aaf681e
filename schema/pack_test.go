package schema

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"armora/fleet"
)

func measurement(t *rapid.T, name string, low, high float64) float32 {
	if rapid.Bool().Draw(t, name+" unknown") {
		return fleet.Unknown
	}
	return float32(rapid.Float64Range(low, high).Draw(t, name))
}

// TestPackLosesNoMoreThanItSays: within the ranges that row states, a point
// comes back with its times, position, verdict, format and flags exact and each
// measurement within half a unit.
func TestPackLosesNoMoreThanItSays(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		p := fleet.NewPoint(fleet.Millis(rapid.Int64Range(0, 4e12).Draw(t, "fix")),
			rapid.Float64Range(-90, 90).Draw(t, "lat"), rapid.Float64Range(-180, 180).Draw(t, "lon"))
		p.Received = p.Fix + fleet.Millis(rapid.Int64Range(farOffset+1, math.MaxInt32).Draw(t, "received"))
		p.Sent = p.Fix + fleet.Millis(rapid.Int64Range(farOffset+1, math.MaxInt32).Draw(t, "sent"))
		p.Accuracy, p.Speed = measurement(t, "accuracy", 0, 3276.7), measurement(t, "speed", 0, 327.67)
		p.Heading, p.Altitude = measurement(t, "heading", 0, 359.9), measurement(t, "altitude", -6553, 6553)
		p.Battery = measurement(t, "battery", 0, 1)
		p.Verdict, p.Format = fleet.Verdict(rapid.IntRange(0, 15).Draw(t, "verdict")), fleet.Format(rapid.IntRange(0, 15).Draw(t, "format"))
		p.Flags = fleet.Flags(rapid.Byte().Draw(t, "flags"))

		r := pack(&p, 7)
		var q fleet.Point
		r.unpack(&q)
		if r.isFar() || q.Key() != p.Key() || q.Received != p.Received || q.Sent != p.Sent ||
			q.Verdict != p.Verdict || q.Format != p.Format || q.Flags != p.Flags {
			t.Fatalf("%+v became %+v", p, q)
		}
		near := func(a, b float32, half float64) bool {
			return !fleet.Known(a) && !fleet.Known(b) || math.Abs(float64(a)-float64(b)) <= half*1.001
		}
		if !near(p.Accuracy, q.Accuracy, 0.05) || !near(p.Speed, q.Speed, 0.005) || !near(p.Heading, q.Heading, 0.05) ||
			!near(p.Altitude, q.Altitude, 0.1) || !near(p.Battery, q.Battery, 0.0005) {
			t.Fatalf("%+v became %+v", p, q)
		}
		var again fleet.Point
		r = pack(&q, 7)
		if r.unpack(&again); again.Key() != q.Key() {
			t.Fatalf("a second trip moves %+v to %+v", q, again)
		}
	})
}

// TestEveryVerdictAndFormatFitsItsBits: four each, and the view telemetry
// names them.
func TestEveryVerdictAndFormatFitsItsBits(t *testing.T) {
	t.Parallel()
	if n := len(fleet.Verdicts()); n > 16 {
		t.Errorf("%d verdicts do not fit 4 bits", n)
	}
	view, err := migrationFiles.ReadFile("migrations/both/00003_telemetry.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range fleet.Verdicts() {
		if !bytes.Contains(view, []byte("'"+v.String()+"'")) {
			t.Errorf("the view telemetry does not know verdict %v: a migration has to tell it", v)
		}
	}
	for f := fleet.Format(0); ; f++ {
		if bytes.HasPrefix([]byte(f.String()), []byte("unknown(")) {
			break
		}
		if f > 15 || !bytes.Contains(view, []byte("'"+f.String()+"'")) {
			t.Errorf("the view telemetry does not know format %v: a migration has to tell it", f)
		}
	}
}

// TestOrderIsTotal: batches are written in one order, whatever they came in.
func TestOrderIsTotal(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		rows := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) row {
			small := rapid.Int32Range(0, 2)
			return row{fix: int64(rapid.IntRange(0, 3).Draw(t, "fix")) * dayMillis / 2, device: small.Draw(t, "device"),
				lat: small.Draw(t, "lat"), lon: small.Draw(t, "lon")}
		}), 2, 40).Draw(t, "rows")
		slices.SortFunc(rows, compareRows)
		for i := 1; i < len(rows); i++ {
			a, b := rows[i-1], rows[i]
			if a.fix/dayMillis > b.fix/dayMillis || compareRows(a, b) > 0 {
				t.Fatalf("%+v comes before %+v", a, b)
			}
			if samePoint(a, b) != (compareRows(a, b) == 0) {
				t.Fatalf("%+v and %+v: same %v, compared %d", a, b, samePoint(a, b), compareRows(a, b))
			}
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	p := fleet.NewPoint(1795435203000, 51.5, -0.1)
	rows := make([]row, 1000)
	for i := range rows {
		rows[i] = pack(&p, int32(i))
	}
	var buffer []byte
	b.ReportAllocs()
	for b.Loop() {
		buffer = appendCopy(buffer[:0], rows)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(rows)), "ns/row")
}

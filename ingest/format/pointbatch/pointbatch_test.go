package pointbatch_test

import (
	"fmt"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	armorav1 "armora/deploy/proto/armora/v1"
	"armora/fleet"
	"armora/ingest/format/formattest"
	"armora/ingest/format/pointbatch"
	"armora/ingest/format/report"
)

func fullMessage() *armorav1.Point {
	return &armorav1.Point{
		FixMs: proto.Int64(1700000000123), LatE7: proto.Int32(515007292), LonE7: proto.Int32(-1246254),
		AccuracyCm: proto.Uint32(450), SpeedCmS: proto.Uint32(1225), HeadingCdeg: proto.Uint32(27150),
		AltitudeDm: proto.Int32(-185), BatteryPercent: proto.Uint32(75), Mock: proto.Bool(true),
	}
}

func fullPoint() fleet.Point {
	p := fleet.NewPoint(1700000000123, 51.5007292, -0.1246254)
	p.Accuracy, p.Speed, p.Heading, p.Altitude, p.Battery = 4.5, 12.25, 271.5, -18.5, 0.75
	p.Format, p.Flags = fleet.FormatProtobuf, fleet.FlagMock
	return p
}

func barePoint() fleet.Point {
	p := fleet.NewPoint(1, 0, 0)
	p.Format = fleet.FormatProtobuf
	return p
}

func bareMessage() *armorav1.Point {
	return &armorav1.Point{FixMs: proto.Int64(1), LatE7: proto.Int32(0), LonE7: proto.Int32(0)}
}

func marshal(tb testing.TB, m proto.Message) string {
	tb.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

func batchOf(points ...*armorav1.Point) *armorav1.PointBatch {
	return &armorav1.PointBatch{Points: points}
}

func manyPoints(n int) *armorav1.PointBatch {
	b := &armorav1.PointBatch{SentMs: proto.Int64(1700000001000)}
	for range n {
		b.Points = append(b.Points, fullMessage())
	}
	return b
}

func TestParse(t *testing.T) {
	t.Parallel()
	sent := func(p fleet.Point) fleet.Point { p.Sent = 1700000001000; return p }
	change := func(f func(*armorav1.Point)) *armorav1.Point { p := fullMessage(); f(p); return p }
	// Two batches one after the other are, by the rules of protobuf, one: here
	// the sent time comes last.
	sentLast := marshal(t, batchOf(fullMessage())) + marshal(t, &armorav1.PointBatch{SentMs: proto.Int64(1700000001000)})
	unknown := string(protowire.AppendBytes(protowire.AppendTag(nil, 99, protowire.BytesType), []byte("new")))
	wrongType := string(protowire.AppendFixed32(protowire.AppendTag(nil, 2, protowire.Fixed32Type), 7))
	formattest.Run(t, pointbatch.Parse, []formattest.Case{
		{Name: "all fields", In: marshal(t, manyPoints(2)), Want: []fleet.Point{sent(fullPoint()), sent(fullPoint())}},
		{Name: "required fields", In: marshal(t, batchOf(bareMessage())), Want: []fleet.Point{barePoint()}},
		{Name: "sent time last", In: sentLast, Want: []fleet.Point{sent(fullPoint())}},
		{Name: "unknown fields", In: unknown + marshal(t, batchOf(fullMessage())) + wrongType, Want: []fleet.Point{fullPoint()}},
		{Name: "bad measurements are unknown", In: marshal(t, batchOf(&armorav1.Point{
			FixMs: proto.Int64(1), LatE7: proto.Int32(0), LonE7: proto.Int32(0), SpeedCmS: proto.Uint32(4e9),
			HeadingCdeg: proto.Uint32(4e9), AltitudeDm: proto.Int32(2e9), BatteryPercent: proto.Uint32(101),
		})), Want: []fleet.Point{barePoint()}},
		{Name: "sent when nobody can say", In: marshal(t, &armorav1.PointBatch{SentMs: proto.Int64(1 << 60), Points: []*armorav1.Point{fullMessage()}}),
			Want: []fleet.Point{fullPoint()}},
		{Name: "no points", In: marshal(t, &armorav1.PointBatch{SentMs: proto.Int64(5)}), NoPosition: true},
		{Name: "nothing", In: "", NoPosition: true},

		{Name: "no time", In: marshal(t, batchOf(change(func(p *armorav1.Point) { p.FixMs = nil }))), Err: []string{"point 0", "fix_ms is missing"}},
		{Name: "no latitude", In: marshal(t, batchOf(fullMessage(), change(func(p *armorav1.Point) { p.LatE7 = nil }))), Err: []string{"point 1", "lat_e7 is missing"}},
		{Name: "no longitude", In: marshal(t, batchOf(change(func(p *armorav1.Point) { p.LonE7 = nil }))), Err: []string{"lon_e7 is missing"}},
		{Name: "latitude out of range", In: marshal(t, batchOf(change(func(p *armorav1.Point) { p.LatE7 = proto.Int32(900000001) }))), Err: []string{"lat 90.0000001"}},
		{Name: "before 1970", In: marshal(t, batchOf(change(func(p *armorav1.Point) { p.FixMs = proto.Int64(-1) }))), Err: []string{"-1"}},
		{Name: "cut short", In: marshal(t, manyPoints(1))[:20], Err: []string{"malformed protobuf"}},
		{Name: "text", In: "hello, hub", Err: []string{"malformed protobuf"}},
		{Name: "too many", In: marshal(t, manyPoints(report.MaxPoints+1)), Err: []string{"more than 10000 points"}},
	})
}

// The sender scales to integers and the reader back, so that a position that
// was stored keeps its identity.
func TestParseKeepsTheKey(t *testing.T) {
	t.Parallel()
	for _, e7 := range []int32{0, 1, -1, 515007292, -1246254, 899999999, -900000000} {
		p := bareMessage()
		p.LatE7, p.LonE7 = proto.Int32(e7), proto.Int32(-e7)
		got, err := pointbatch.Parse(nil, []byte(marshal(t, batchOf(p))))
		if err != nil {
			t.Fatal(err)
		}
		if k := got[0].Key(); k.Lat != e7 || k.Lon != -e7 {
			t.Errorf("%d, %d was read as %d, %d", e7, -e7, k.Lat, k.Lon)
		}
	}
}

func TestParseAllocatesNothing(t *testing.T) { // not parallel: AllocsPerRun counts the whole process
	formattest.Allocs(t, pointbatch.Parse, []byte(marshal(t, manyPoints(1))), 0)
	formattest.Allocs(t, pointbatch.Parse, []byte(marshal(t, manyPoints(100))), 0)
}

func BenchmarkParse(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { formattest.Bench(b, pointbatch.Parse, []byte(marshal(b, manyPoints(n)))) })
	}
}

// BenchmarkGenerated is what the same costs by the generated code.
func BenchmarkGenerated(b *testing.B) {
	payload := []byte(marshal(b, manyPoints(100)))
	formattest.Bench(b, generated, payload)
}

package wire_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"google.golang.org/protobuf/proto"

	armorav1 "armora/deploy/proto/armora/v1"
	"armora/sim/wire"
)

// jsonPoint is the contract's JSON point, read with the standard library.
type jsonPoint struct {
	T, St                   int64
	Lat, Lon                json.Number
	Acc, Spd, Hdg, Alt, Bat *float64
	Seq                     uint32
	Mock                    bool
}

func full() wire.Point {
	return wire.Point{
		Fix: 1_800_000_000_123, Sent: 1_800_000_000_456, Lat: -12345, Lon: 1799999999,
		Accuracy: 4.25, Speed: 13.41, Heading: 359.9, Altitude: -3.5, Battery: 0.87, Seq: 7, Mock: true,
	}
}

func TestJSONSaysEverything(t *testing.T) {
	t.Parallel()
	got := string(wire.AppendJSON([]byte("before "), []wire.Point{full()}))
	want := `before {"t":1800000000123,"st":1800000000456,"lat":-0.0012345,"lon":179.9999999,` +
		`"acc":4.2,"spd":13.41,"hdg":359.9,"alt":-3.5,"bat":0.87,"seq":7,"mock":true}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestJSONLeavesOutWhatIsUnknown(t *testing.T) {
	t.Parallel()
	got := string(wire.AppendJSON(nil, []wire.Point{wire.At(5, 515074000, -1278000), wire.At(6, 0, 0)}))
	want := `[{"t":5,"lat":51.5074000,"lon":-0.1278000},{"t":6,"lat":0.0000000,"lon":0.0000000}]`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestPositionsSurviveExactly sends random positions through both encodings.
func TestPositionsSurviveExactly(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(3, 4))
	for range 2000 {
		p := wire.At(random.Int64N(1<<41), int32(random.IntN(1_800_000_001)-900_000_000), int32(random.IntN(3_600_000_001)-1_800_000_000))
		var fromJSON jsonPoint
		if err := json.Unmarshal(wire.AppendJSON(nil, []wire.Point{p}), &fromJSON); err != nil {
			t.Fatal(err)
		}
		if fromJSON.T != p.Fix || e7(t, fromJSON.Lat) != p.Lat || e7(t, fromJSON.Lon) != p.Lon {
			t.Fatalf("JSON: %+v became %+v", p, fromJSON)
		}
		var batch armorav1.PointBatch
		if err := proto.Unmarshal(wire.AppendProtobuf(nil, []wire.Point{p}), &batch); err != nil {
			t.Fatal(err)
		}
		got := batch.GetPoints()[0]
		if got.GetFixMs() != p.Fix || got.GetLatE7() != p.Lat || got.GetLonE7() != p.Lon {
			t.Fatalf("protobuf: %+v became %v", p, got)
		}
	}
}

func TestProtobufIsThePublishedBatch(t *testing.T) {
	t.Parallel()
	var got armorav1.PointBatch
	if err := proto.Unmarshal(wire.AppendProtobuf(nil, []wire.Point{full(), wire.At(9, 1, -1)}), &got); err != nil {
		t.Fatal(err)
	}
	want := &armorav1.PointBatch{
		SentMs: proto.Int64(1_800_000_000_456),
		Points: []*armorav1.Point{
			{
				FixMs: proto.Int64(1_800_000_000_123), LatE7: proto.Int32(-12345), LonE7: proto.Int32(1799999999),
				AccuracyCm: proto.Uint32(425), SpeedCmS: proto.Uint32(1341), HeadingCdeg: proto.Uint32(35990),
				AltitudeDm: proto.Int32(-35), BatteryPercent: proto.Uint32(87), Mock: proto.Bool(true),
			},
			{FixMs: proto.Int64(9), LatE7: proto.Int32(1), LonE7: proto.Int32(-1)},
		},
	}
	if !proto.Equal(&got, want) {
		t.Errorf("got  %v\nwant %v", &got, want)
	}
}

// TestHeadingNeverReachesAWholeTurn rounds 359.999° in both encodings.
func TestHeadingNeverReachesAWholeTurn(t *testing.T) {
	t.Parallel()
	p := wire.At(1, 2, 3)
	p.Heading = 359.999
	var batch armorav1.PointBatch
	if err := proto.Unmarshal(wire.AppendProtobuf(nil, []wire.Point{p}), &batch); err != nil {
		t.Fatal(err)
	}
	if got := batch.GetPoints()[0].GetHeadingCdeg(); got != 0 {
		t.Errorf("protobuf heading = %d", got)
	}
	var read jsonPoint
	if err := json.Unmarshal(wire.AppendJSON(nil, []wire.Point{p}), &read); err != nil {
		t.Fatal(err)
	}
	if *read.Hdg >= 360 {
		t.Errorf("JSON heading = %v", *read.Hdg)
	}
}

func TestEncodingAllocatesNothing(t *testing.T) {
	points := []wire.Point{full(), full(), wire.At(1, 2, 3)}
	buffer := make([]byte, 0, 4096)
	for _, e := range []wire.Encoding{wire.JSON, wire.Protobuf} {
		if n := testing.AllocsPerRun(100, func() { buffer = e.Append(buffer[:0], points) }); n != 0 {
			t.Errorf("%v allocates %v times", e, n)
		}
	}
}

func TestEncodingIsReadByName(t *testing.T) {
	t.Parallel()
	var e wire.Encoding
	if err := e.UnmarshalText([]byte("protobuf")); err != nil || e != wire.Protobuf {
		t.Errorf("protobuf = %v, %v", e, err)
	}
	if err := e.UnmarshalText([]byte("xml")); err == nil {
		t.Error("xml is taken for an encoding")
	}
}

func e7(t *testing.T, n json.Number) int32 {
	t.Helper()
	f, err := n.Float64()
	if err != nil {
		t.Fatal(err)
	}
	return int32(math.Round(f * 1e7))
}

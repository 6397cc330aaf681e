package pointbatch_test

import (
	"errors"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	armorav1 "armora/deploy/proto/armora/v1"
	"armora/fleet"
	"armora/ingest/format/formattest"
	"armora/ingest/format/pointbatch"
	"armora/ingest/format/report"
)

// What the parser reads by hand is what the published schema says: a field
// added to points.proto, renumbered or retyped fails here until the parser
// follows.
func TestSchema(t *testing.T) {
	t.Parallel()
	const optional, repeated = protoreflect.Optional, protoreflect.Repeated
	type field struct {
		number      protoreflect.FieldNumber
		kind        protoreflect.Kind
		cardinality protoreflect.Cardinality
	}
	want := map[protoreflect.FullName]field{
		"armora.v1.PointBatch.sent_ms":    {1, protoreflect.Int64Kind, optional},
		"armora.v1.PointBatch.points":     {2, protoreflect.MessageKind, repeated},
		"armora.v1.Point.fix_ms":          {1, protoreflect.Int64Kind, optional},
		"armora.v1.Point.lat_e7":          {2, protoreflect.Sint32Kind, optional},
		"armora.v1.Point.lon_e7":          {3, protoreflect.Sint32Kind, optional},
		"armora.v1.Point.accuracy_cm":     {4, protoreflect.Uint32Kind, optional},
		"armora.v1.Point.speed_cm_s":      {5, protoreflect.Uint32Kind, optional},
		"armora.v1.Point.heading_cdeg":    {6, protoreflect.Uint32Kind, optional},
		"armora.v1.Point.altitude_dm":     {7, protoreflect.Sint32Kind, optional},
		"armora.v1.Point.battery_percent": {8, protoreflect.Uint32Kind, optional},
		"armora.v1.Point.mock":            {9, protoreflect.BoolKind, optional},
	}
	messages := armorav1.File_points_proto.Messages()
	for i := range messages.Len() {
		fields := messages.Get(i).Fields()
		for j := range fields.Len() {
			f := fields.Get(j)
			got := field{f.Number(), f.Kind(), f.Cardinality()}
			if got != want[f.FullName()] {
				t.Errorf("%s is %+v in the schema, and %+v here", f.FullName(), got, want[f.FullName()])
			}
			if f.Cardinality() == optional && !f.HasPresence() {
				t.Errorf("%s has no presence: absent and zero look the same", f.FullName())
			}
			delete(want, f.FullName())
		}
	}
	for name := range want {
		t.Errorf("%s is not in the schema", name)
	}
}

// generated is Parse by way of the generated code: slower, and right by
// construction.
func generated(dst []fleet.Point, payload []byte) ([]fleet.Point, error) {
	var batch armorav1.PointBatch
	if err := proto.Unmarshal(payload, &batch); err != nil {
		return dst, err
	}
	had := len(dst)
	for _, m := range batch.Points {
		if m.FixMs == nil || m.LatE7 == nil || m.LonE7 == nil {
			return dst[:had], errors.New("a required field is missing")
		}
		p := fleet.NewPoint(fleet.Millis(*m.FixMs), float64(*m.LatE7)/1e7, float64(*m.LonE7)/1e7)
		p.Sent, p.Format = report.Sent(fleet.Millis(batch.GetSentMs())), fleet.FormatProtobuf
		if m.AccuracyCm != nil {
			p.Accuracy = report.Accuracy(float64(*m.AccuracyCm) / 100)
		}
		if m.SpeedCmS != nil {
			p.Speed = report.Speed(float64(*m.SpeedCmS) / 100)
		}
		if m.HeadingCdeg != nil {
			p.Heading = report.Heading(float64(*m.HeadingCdeg) / 100)
		}
		if m.AltitudeDm != nil {
			p.Altitude = report.Altitude(float64(*m.AltitudeDm) / 10)
		}
		if m.BatteryPercent != nil {
			p.Battery = report.Battery(float64(*m.BatteryPercent) / 100)
		}
		if m.GetMock() {
			p.Flags |= fleet.FlagMock
		}
		if err := p.Validate(); err != nil {
			return dst[:had], err
		}
		dst = append(dst, p)
	}
	if len(dst) == had {
		return dst, report.ErrNoPosition
	}
	return dst, nil
}

// FuzzParse holds the parser to its contract, and to the generated code: the
// same payloads are good, and say the same.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		marshal(f, manyPoints(2)), marshal(f, batchOf(bareMessage())), "", "\x08\x01", "\x12\x00",
		"\x12\x09\x08\x01\x10\x00\x18\x00\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x0b\x0c", "{}", "\x80\x80\x80\x80\x10\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		formattest.Contract(t, pointbatch.Parse, payload)
		got, err := pointbatch.Parse(nil, payload)
		if errors.Is(err, report.ErrTooMany) {
			return
		}
		want, wantErr := generated(nil, payload)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("error %v, and by the generated code %v", err, wantErr)
		}
		formattest.Equal(t, got, want)
	})
}

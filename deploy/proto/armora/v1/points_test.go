package armorav1_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	armorav1 "armora/deploy/proto/armora/v1"
)

// The committed Go is what points.proto says now. Whoever edits one without go
// generate finds out here, wherever protoc is installed.
func TestGeneratedFromSchema(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("protoc"); err != nil {
		t.Skip("protoc is not installed")
	}
	out := filepath.Join(t.TempDir(), "points.pb")
	if text, err := exec.Command("protoc", "--descriptor_set_out="+out, "points.proto").CombinedOutput(); err != nil {
		t.Fatalf("protoc: %v\n%s", err, text)
	}
	compiled, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	var set descriptorpb.FileDescriptorSet
	if err := proto.Unmarshal(compiled, &set); err != nil {
		t.Fatal(err)
	}
	want := set.GetFile()[0]
	if got := protodesc.ToFileDescriptorProto(armorav1.File_points_proto); !proto.Equal(got, want) {
		t.Errorf("points.pb.go is not of this points.proto: run go generate\ngot  %v\nwant %v", got, want)
	}
}

// What the comment of the schema promises about the size and the first byte.
func TestWire(t *testing.T) {
	t.Parallel()
	point := &armorav1.Point{
		FixMs: proto.Int64(1700000000123), LatE7: proto.Int32(515007292), LonE7: proto.Int32(-1799999999),
		AccuracyCm: proto.Uint32(450), SpeedCmS: proto.Uint32(1225), HeadingCdeg: proto.Uint32(27150),
		AltitudeDm: proto.Int32(185), BatteryPercent: proto.Uint32(75), Mock: proto.Bool(false),
	}
	alone := &armorav1.PointBatch{Points: []*armorav1.Point{point}}
	if size := proto.Size(alone); size > 40 {
		t.Errorf("a full point takes %d bytes", size)
	}
	for _, batch := range []*armorav1.PointBatch{alone, {SentMs: proto.Int64(1)}} {
		b, err := proto.Marshal(batch)
		if err != nil {
			t.Fatal(err)
		}
		if b[0] != 0x08 && b[0] != 0x12 {
			t.Errorf("a batch begins with %#x", b[0])
		}
	}
}

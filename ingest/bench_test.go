package ingest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"google.golang.org/protobuf/proto"

	armorav1 "armora/deploy/proto/armora/v1"
	"armora/fleet"
)

// nowhere stores nothing, at once.
type nowhere struct{}

func (nowhere) Insert(_ context.Context, points []fleet.Point) (int, error) { return len(points), nil }
func (nowhere) Add(context.Context, []fleet.DeadLetter) error               { return nil }

// tally is an ack that only counts down.
type tally struct{ waiting sync.WaitGroup }

func (a *tally) Weigh(int) error { return nil }
func (a *tally) Resolve(error)   { a.waiting.Done() }
func (a *tally) Refuse(error)    { a.waiting.Done() }
func (a *tally) Flush()          {}

// BenchmarkReceive is the way of a point from its payload to its
// acknowledgement, without a network and a database. An operation is a point.
func BenchmarkReceive(b *testing.B) {
	for _, format := range []fleet.Format{fleet.FormatJSON, fleet.FormatProtobuf} {
		for _, size := range []int{1, 10} {
			b.Run(fmt.Sprintf("%v/%d", format, size), func(b *testing.B) { benchmarkReceive(b, format, size) })
		}
	}
}

func benchmarkReceive(b *testing.B, format fleet.Format, size int) {
	const devices = 1000
	c := config(nil, fleet.SystemClock{})
	c.Store, c.DeadLetters = nowhere{}, nowhere{}
	p := running(b, c)
	froms := make([]*fleet.Identity, devices)
	for i := range froms {
		froms[i] = phone()
	}
	messages := make([][]byte, b.N/size/devices+1) // of each device
	for i := range messages {
		messages[i] = encoded(b, format, i*size, size)
	}
	var ack tally
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += size {
		n := i / size
		ack.waiting.Add(1)
		p.Receive(Message{
			From: froms[n%devices], Topic: "v1/devices/x/points", Payload: messages[n/devices],
			Received: at(float64((n/devices + 1) * size)), Ack: &ack,
		})
	}
	ack.waiting.Wait()
	b.StopTimer()
	if got := p.Stats(); got.Points < uint64(b.N) || got.Repeats != 0 || got.Junk != 0 || got.DeadLetters != 0 {
		b.Fatalf("stats %+v", got)
	}
}

// encoded returns a message with n fixes, a second apart.
func encoded(b *testing.B, format fleet.Format, from, n int) []byte {
	b.Helper()
	var plain []fleet.Point
	batch := &armorav1.PointBatch{}
	for i := from; i < from+n; i++ {
		f := fix(float64(i), float64(10*i))
		f.Sent = f.Fix + 100
		plain = append(plain, f)
		at, lat, lon, accuracy := int64(f.Fix), fleet.E7(f.Lat), fleet.E7(f.Lon), uint32(500)
		batch.Points = append(batch.Points, &armorav1.Point{FixMs: &at, LatE7: &lat, LonE7: &lon, AccuracyCm: &accuracy})
	}
	if format == fleet.FormatJSON {
		return payload(plain...)
	}
	sent := int64(at(float64(from+n))) + 100
	batch.SentMs = &sent
	body, err := proto.Marshal(batch)
	if err != nil {
		b.Fatal(err)
	}
	return body
}

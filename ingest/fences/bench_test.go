package fences_test

import (
	"log/slog"
	"testing"

	"armora/fleet"
	"armora/ingest/fences"
	"armora/live/fence"
)

// A fix on its way by the fences, on all cores, with a thousand fences of which
// the units are near none.
func BenchmarkObserve(b *testing.B) {
	set := fence.NewSet()
	store := &shelf{}
	for range 1000 {
		store.fences = append(store.fences, newFence())
	}
	f, err := fences.New(fences.Config{Set: set, Store: store, Clock: fleet.SystemClock{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	if err := f.Open(b.Context()); err != nil {
		b.Fatal(err)
	}
	defer func() {
		if err := f.Close(b.Context()); err != nil {
			b.Error(err)
		}
	}()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		u := newUnit()
		for pb.Next() {
			u.to(f, outside)
		}
	})
}

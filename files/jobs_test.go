package files

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/riverqueue/river"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// told is a store that tells of each delete.
type told struct {
	Store
	deleted chan fleet.FileID
}

func (s told) Delete(ctx context.Context, id fleet.FileID) error {
	err := s.Store.Delete(ctx, id)
	s.deleted <- id
	return err
}

func TestADeletedFileIsUnreadableAtOnceAndItsBlobGoes(t *testing.T) {
	t.Parallel()
	inStores(t, func(t *testing.T, store Store) {
		db := schematest.Plain(t)
		watched := told{store, make(chan fleet.FileID, 10)}
		h := newHouse(t, db, watched)
		h.clock.Advance(time.Since(noon) + time.Hour) // jobs are inserted by the machine's clock
		ada := h.user(fleet.RoleRider)
		f, kept := h.add(ada, pdf(100)), h.add(ada, pdf(100))
		if err := h.Delete(t.Context(), ada, f.ID); err != nil {
			t.Fatal(err)
		}
		_, err := h.read(Reader{User: ada}, f.ID)
		wantCode(t, err, fleet.CodeNotFound)
		wantCode(t, h.Delete(t.Context(), ada, f.ID), fleet.CodeNotFound)

		workers := river.NewWorkers()
		h.AddWorkers(workers)
		jobs, err := schema.NewJobs(schema.JobsConfig{DB: db, Workers: workers, Periodic: []*river.PeriodicJob{Sweeping()}, Clock: h.clock, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		if err := jobs.Open(t.Context()); err != nil {
			t.Fatal(err)
		}
		if gone := <-watched.deleted; gone != f.ID {
			t.Errorf("deleted %s", gone)
		}
		if err := jobs.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := h.blobs(); !slices.Equal(left, []fleet.FileID{kept.ID}) {
			t.Errorf("left: %v", left)
		}
	})
}

func TestSweepTakesWhatACrashHasLeft(t *testing.T) {
	t.Parallel()
	inStores(t, func(t *testing.T, store Store) {
		h := newHouse(t, schematest.Plain(t), store)
		h.clock.Advance(time.Since(noon)) // ids are made by the machine's clock
		ada := h.user(fleet.RoleRider)
		kept := h.add(ada, pdf(100))
		left := fleet.NewID[fleet.File]()
		if err := put(t.Context(), store, left, []byte("no row was written")); err != nil {
			t.Fatal(err)
		}
		if swept, err := h.Sweep(t.Context()); swept != 0 || err != nil {
			t.Errorf("%d young blobs were swept, error %v", swept, err)
		}
		h.clock.Advance(graceAge + time.Hour)
		if f, ok := store.(*folder); ok { // killed in the middle of a blob
			if err := f.write(blobPath(left)+halfWritten, bytes.NewReader(bytes.Repeat([]byte("x"), 10))); err != nil {
				t.Fatal(err)
			}
		}
		if swept, err := h.Sweep(t.Context()); swept == 0 || err != nil {
			t.Errorf("%d blobs were swept, error %v", swept, err)
		}
		if now := h.blobs(); !slices.Equal(now, []fleet.FileID{kept.ID}) {
			t.Errorf("left: %v", now)
		}
	})
}

// A hub that is set up with another's store does not empty it.
func TestSweepLeavesAnothersStoreAlone(t *testing.T) {
	t.Parallel()
	store := newFolder(t)
	h := newHouse(t, schematest.Plain(t), store)
	for range 101 {
		if err := put(t.Context(), store, fleet.NewID[fleet.File](), []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	h.clock.Advance(time.Since(noon) + 2*graceAge)
	if swept, err := h.Sweep(t.Context()); swept != 0 || err == nil {
		t.Errorf("%d blobs were swept, error %v", swept, err)
	}
	if left := h.blobs(); len(left) != 101 {
		t.Errorf("%d blobs are left", len(left))
	}
}

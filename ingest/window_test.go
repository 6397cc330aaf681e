package ingest

import (
	"testing"

	"pgregory.net/rapid"

	"armora/fleet"
)

// remembered is the window's rule in the plainest form: a list.
type remembered struct {
	entries []plain
	limit   int
}

type plain struct {
	key      key
	received fleet.Millis
	batch    uint64
	gone     bool
}

func (r *remembered) find(k key) (uint64, bool) {
	for _, e := range r.entries {
		if !e.gone && e.key == k {
			return e.batch, true
		}
	}
	return 0, false
}

func (r *remembered) add(k key, now fleet.Millis, batch, horizon uint64) {
	for len(r.entries) > 0 {
		e := r.entries[0]
		full, old := len(r.entries) == r.limit, e.received < now.Add(-windowAge)
		if goes := e.gone || e.batch < horizon && (full || old); !goes {
			break
		}
		r.entries = r.entries[1:]
	}
	if len(r.entries) < r.limit {
		r.entries = append(r.entries, plain{key: k, received: now, batch: batch})
	}
}

func TestWindowAgainstAList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const limit = 128 // so that the ring of 64 grows
		w, model := newWindow(limit), remembered{limit: limit}
		now, next, horizon := at(0), uint64(1), uint64(1)
		anyKey := func() key {
			device := rapid.Uint64Range(1, 2).Draw(t, "device")
			return key{device: device, fix: fleet.Millis(rapid.IntRange(0, 200).Draw(t, "fix"))}
		}
		steps := rapid.IntRange(1, 250).Draw(t, "steps")
		for range steps {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			default: // a message of some points
				mark := w.tail
				for range rapid.IntRange(1, 5).Draw(t, "points") {
					k := anyKey()
					if _, seen := w.find(k); !seen {
						w.add(k, now, horizon)
						model.add(k, now, next, horizon)
					}
				}
				w.assign(mark, next)
				next++
			case 0: // batches are settled
				horizon = rapid.Uint64Range(horizon, next).Draw(t, "horizon")
			case 1: // a point was not stored
				k := anyKey()
				batch := rapid.Uint64Range(1, next).Draw(t, "batch")
				w.remove(k, batch)
				for i, e := range model.entries {
					if e.key == k && e.batch == batch {
						model.entries[i].gone = true
					}
				}
			case 2:
				now = now.Add(windowAge / 4)
			}
			compare(t, &w, &model)
		}
	})
}

func compare(t *rapid.T, w *window, model *remembered) {
	t.Helper()
	for device := range uint64(2) {
		for f := range 201 {
			k := key{device: device + 1, fix: fleet.Millis(f)}
			batch, found := w.find(k)
			wantBatch, want := model.find(k)
			if found != want || batch != wantBatch {
				t.Fatalf("key %v: batch %d, %v; want %d, %v", k, batch, found, wantBatch, want)
			}
		}
	}
	if len(w.ring) > w.limit || w.tail-w.head > uint64(w.limit) {
		t.Fatalf("the window holds %d of %d in a ring of %d", w.tail-w.head, w.limit, len(w.ring))
	}
}

func TestWindowIsBounded(t *testing.T) {
	t.Parallel()
	w := newWindow(windowKeys)
	const all, settled, pending = 3 * windowKeys, 2, 1 // batch 1 is settled, or nothing is
	add := func(device uint64, horizon uint64) {
		for i := range all {
			mark := w.tail
			w.add(key{device: device, fix: fleet.Millis(i)}, at(0), horizon)
			w.assign(mark, 1)
		}
		if used := w.tail - w.head; used != windowKeys || len(w.index) != windowKeys || len(w.ring) != windowKeys {
			t.Errorf("the window holds %d keys, its limit is %d", len(w.index), windowKeys)
		}
	}
	add(1, settled)
	if _, found := w.find(key{device: 1, fix: all - 1}); !found {
		t.Error("the newest was not remembered although all are settled")
	}
	add(2, pending)
	if _, found := w.find(key{device: 1, fix: all - 1}); !found {
		t.Error("a point that waits for its commit was dropped")
	}
}

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
	device   *device
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

func (r *remembered) keys(d *device) (n int) {
	for _, e := range r.entries {
		if !e.gone && e.device == d {
			n++
		}
	}
	return n
}

func (r *remembered) add(k key, d *device, now fleet.Millis, batch, horizon uint64) {
	for len(r.entries) > 0 {
		e := r.entries[0]
		settled := e.batch < horizon
		if !e.gone && !(settled && (len(r.entries) == r.limit || e.received < now.Add(-windowAge))) {
			break
		}
		r.entries = r.entries[1:]
	}
	if len(r.entries) < r.limit && r.keys(d) < windowPerDevice {
		r.entries = append(r.entries, plain{key: k, received: now, batch: batch, device: d})
	}
}

func TestWindowAgainstAList(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const limit = 128 // so that the ring of 64 grows
		w, model := newWindow(limit), remembered{limit: limit}
		devices := []*device{{number: 1}, {number: 2}}
		now, next, horizon := at(0), uint64(1), uint64(1)
		anyKey := func() (key, *device) {
			d := devices[rapid.IntRange(0, 1).Draw(t, "device")]
			return key{device: d.number, fix: fleet.Millis(rapid.IntRange(0, 200).Draw(t, "fix"))}, d
		}
		steps := rapid.IntRange(1, 250).Draw(t, "steps")
		for range steps {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			default: // a message of some points
				mark := w.tail
				for range rapid.IntRange(1, 5).Draw(t, "points") {
					k, d := anyKey()
					if _, seen := w.find(k); !seen {
						w.add(k, d, now, horizon)
						model.add(k, d, now, next, horizon)
					}
				}
				if rapid.IntRange(0, 9).Draw(t, "refused") == 0 {
					w.rollback(mark)
					model.entries = withoutBatch(model.entries, next)
				} else {
					w.assign(mark, next)
				}
				next++
			case 0: // batches are settled
				horizon = rapid.Uint64Range(horizon, next).Draw(t, "horizon")
			case 1: // a point was not stored
				k, _ := anyKey()
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
			compare(t, &w, &model, devices)
		}
	})
}

func withoutBatch(entries []plain, batch uint64) []plain {
	for len(entries) > 0 && entries[len(entries)-1].batch == batch {
		entries = entries[:len(entries)-1]
	}
	return entries
}

func compare(t *rapid.T, w *window, model *remembered, devices []*device) {
	t.Helper()
	for _, d := range devices {
		for f := range 201 {
			k := key{device: d.number, fix: fleet.Millis(f)}
			batch, found := w.find(k)
			wantBatch, want := model.find(k)
			if found != want || batch != wantBatch {
				t.Fatalf("key %v: batch %d, %v; want %d, %v", k, batch, found, wantBatch, want)
			}
		}
		if n := model.keys(d); d.keys != n {
			t.Fatalf("device %d is said to have %d keys, it has %d", d.number, d.keys, n)
		}
	}
	if len(w.ring) > w.limit || w.tail-w.head > uint64(w.limit) {
		t.Fatalf("the window holds %d of %d in a ring of %d", w.tail-w.head, w.limit, len(w.ring))
	}
}

func TestWindowIsBounded(t *testing.T) {
	t.Parallel()
	w := newWindow(windowKeys)
	one, other := &device{number: 1}, &device{number: 2}
	for i := range 3 * windowKeys {
		w.add(key{device: 1, fix: fleet.Millis(i)}, one, at(0), 1<<40)
		w.assign(w.tail-1, 1)
	}
	if one.keys != windowPerDevice {
		t.Errorf("one device has %d keys, its share is %d", one.keys, windowPerDevice)
	}
	const pending = 1 // nothing is settled: nothing may be dropped
	for i := range 3 * windowKeys {
		other.keys = 0 // as if each were of another device
		w.add(key{device: 2, fix: fleet.Millis(i)}, other, at(0), pending)
		w.assign(max(w.tail, 1)-1, 1)
	}
	if w.tail-w.head != windowKeys || len(w.index) != windowKeys {
		t.Errorf("the window holds %d keys, its limit is %d", len(w.index), windowKeys)
	}
	if _, found := w.find(key{device: 1, fix: 0}); !found {
		t.Error("a point that waits for its commit was dropped")
	}
}

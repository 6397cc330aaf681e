package fence_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"armora/fleet"
	"armora/live/fence"
)

// model is what the set should tell, told from the whole past of one unit and
// one fence at each fix, in place of a state: usable fixes as which side, and
// when.
type model struct {
	fence fence.Fence
	drawn drawn
	side  []bool
	at    []fleet.Millis
	from  int          // the fix after the last event
	in    bool         // by the last event
	since fleet.Millis // of the stay
	dwelt bool
}

func (m *model) observe(at fleet.Millis, inside bool) (want []fence.Kind) {
	m.side, m.at = append(m.side, inside), append(m.at, at)
	last := len(m.side) - 1
	first := last // of those in a row on the other side
	for first >= m.from && m.side[first] != m.in {
		first--
	}
	first++
	if first <= last && last-first+1 >= m.fence.Confirm.Fixes && at-m.at[first] >= fleet.Millis(m.fence.Confirm.For.Milliseconds()) {
		m.in, m.from = inside, last+1
		want = append(want, fence.Exit)
		if inside {
			m.since, m.dwelt, want[0] = m.at[first], false, fence.Enter
		}
	}
	if m.in && inside && !m.dwelt && m.fence.Dwell > 0 && at-m.since >= fleet.Millis(m.fence.Dwell.Milliseconds()) {
		m.dwelt = true
		want = append(want, fence.Dwell)
	}
	return want
}

// Random fences and a random walk through them, with fixes that are late or
// inaccurate, restarts, and fences that come and go, against the model.
func TestSetAgreesWithTheModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const size = 0.02
		lat := 51.5
		lon := rapid.SampledFrom([]float64{-0.12, 179.999, 0}).Draw(t, "lon")
		set := fence.NewSet()
		var models []*model
		add := func() {
			m := &model{drawn: drawShape(t, lat, lon, size)}
			m.fence = fence.Fence{ID: fleet.NewID[fence.Fence](), Shape: m.drawn.shape, MaxAccuracy: 30,
				Dwell:   time.Duration(rapid.IntRange(0, 20).Draw(t, "dwell")) * time.Second,
				Confirm: fence.Confirm{Fixes: rapid.IntRange(1, 4).Draw(t, "fixes"), For: time.Duration(rapid.IntRange(0, 6).Draw(t, "for")) * time.Second}}
			if err := set.Put(m.fence); err != nil {
				t.Fatal(err)
			}
			models = append(models, m)
		}
		for range rapid.IntRange(1, 4).Draw(t, "fences") {
			add()
		}
		unit, now := fleet.Unit(fleet.NewID[fleet.Device]()), fleet.Millis(0)
		pLat, pLon := lat, lon
		for range 120 {
			switch rapid.IntRange(0, 30).Draw(t, "change") {
			case 0:
				add()
			case 1:
				i := rapid.IntRange(0, len(models)-1).Draw(t, "which")
				set.Remove(models[i].fence.ID)
				if models = slices.Delete(models, i, i+1); len(models) == 0 {
					add()
				}
			case 2:
				if now > 0 && set.Observe(nil, unit, now-rapid.SampledFrom([]fleet.Millis{0, 1, 5000}).Draw(t, "late"), lat, lon, 1) != nil {
					t.Fatal("a late fix told something")
				}
			}
			pLat = clamp(pLat+rapid.Float64Range(-size, size).Draw(t, "north"), lat-2*size, lat+2*size)
			pLon = clamp(pLon+rapid.Float64Range(-size, size).Draw(t, "east"), lon-2*size, lon+2*size)
			now += fleet.Millis(rapid.IntRange(1, 4000).Draw(t, "later"))
			accuracy := rapid.SampledFrom([]float32{fleet.Unknown, 5, 30, 30.5}).Draw(t, "accuracy")
			want := map[fence.ID][]fence.Kind{}
			for _, m := range models {
				inside, certain := m.drawn.contains(pLat, wrap(pLon))
				if !certain {
					inside = m.drawn.shape.Contains(pLat, wrap(pLon))
				}
				if !(accuracy > 30) {
					want[m.fence.ID] = m.observe(now, inside)
				}
			}
			for _, e := range set.Observe(nil, unit, now, pLat, wrap(pLon), accuracy) {
				if left := want[e.Fence]; len(left) == 0 || left[0] != e.Kind {
					t.Fatalf("told %+v, want %v", e, left)
				}
				want[e.Fence] = want[e.Fence][1:]
			}
			for id, left := range want {
				if len(left) > 0 {
					t.Fatalf("fence %s did not tell %v", id, left)
				}
			}
		}
		staying := 0
		for _, m := range models {
			if m.in {
				staying++
			}
		}
		if state := set.State(); len(state) != staying {
			t.Fatalf("%d stays, want %d", len(state), staying)
		}
	})
}

func clamp(v, least, most float64) float64 { return max(least, min(most, v)) }

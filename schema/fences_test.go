package schema_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func newFence(t testing.TB, db *schema.DB) schema.Fence {
	t.Helper()
	f := schema.Fence{ID: fleet.NewID[schema.Fence](), Name: "Embassy", Shape: json.RawMessage(`{"type": "Circle"}`),
		Dwell: 90 * time.Second, ConfirmFixes: 2, ConfirmFor: 1500 * time.Millisecond, MaxAccuracy: 50, Created: noon}
	must(t, schema.Fences{DB: db}.Create(t.Context(), f))
	return f
}

func TestFencesComeAndGo(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, fences := t.Context(), schema.Fences{DB: db}
		a, b, c := newFence(t, db), newFence(t, db), newFence(t, db)
		wantCode(t, fences.Create(ctx, a), fleet.CodeConflict)
		bad := a
		bad.ID, bad.ConfirmFixes = fleet.NewID[schema.Fence](), 0
		wantCode(t, fences.Create(ctx, bad), fleet.CodeInvalid)
		got, err := fences.Get(ctx, b.ID)
		must(t, err)
		if !reflect.DeepEqual(got, b) {
			t.Fatalf("got %+v, want %+v", got, b)
		}
		must(t, fences.Delete(ctx, b.ID))
		wantCode(t, fences.Delete(ctx, b.ID), fleet.CodeNotFound)
		_, err = fences.Get(ctx, b.ID)
		wantCode(t, err, fleet.CodeNotFound)
		first, err := fences.List(ctx, schema.FenceID{}, 1)
		must(t, err)
		rest, err := fences.List(ctx, first[0].ID, 10)
		must(t, err)
		if !reflect.DeepEqual(append(first, rest...), []schema.Fence{a, c}) {
			t.Fatalf("listed %+v and %+v", first, rest)
		}
	})
}

func TestFenceEventsAndStaysGoTogether(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, fences := t.Context(), schema.Fences{DB: db}
		a, b := newFence(t, db), newFence(t, db)
		unit, other := fleet.Unit(fleet.NewID[fleet.Device]()), fleet.Unit(fleet.NewID[fleet.Device]())
		event := func(f schema.Fence, u fleet.Unit, kind string, since, at int) schema.FenceEvent {
			second := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }
			return schema.FenceEvent{Fence: f.ID, Unit: u, Kind: kind, Since: second(since), At: second(at), Lat: 51.5074123, Lon: -0.1278456}
		}
		wantStays := func(want ...schema.FenceStay) {
			t.Helper()
			got, err := fences.Stays(ctx)
			must(t, err)
			if !slices.Equal(got, want) {
				t.Fatalf("stays are\n%+v, want\n%+v", got, want)
			}
		}
		stay := func(e schema.FenceEvent, dwelt bool) schema.FenceStay {
			return schema.FenceStay{Fence: e.Fence, Unit: e.Unit, Since: e.Since, At: e.At, Dwelt: dwelt}
		}
		// Each call is told twice, as after a commit of which nobody heard.
		add := func(events ...schema.FenceEvent) {
			t.Helper()
			must(t, fences.AddEvents(ctx, events))
			must(t, fences.AddEvents(ctx, events))
		}
		enter, dwell, exit := event(a, unit, "enter", 0, 10), event(a, unit, "dwell", 0, 90), event(a, unit, "exit", 100, 110)
		again, quick := event(a, unit, "enter", 200, 210), event(a, unit, "dwell", 200, 210) // at one fix
		elsewhere := event(b, other, "enter", 300, 310)
		add()
		add(enter)
		wantStays(stay(enter, false))
		add(dwell)
		wantStays(stay(dwell, true))
		add(exit, again, quick)
		wantStays(stay(quick, true))
		add(event(a, unit, "exit", 220, 230), elsewhere, event(b, unit, "enter", 300, 310), event(b, unit, "exit", 320, 330))
		wantStays(stay(elsewhere, false))

		want := []schema.FenceEvent{event(a, unit, "exit", 220, 230), again, quick, exit, dwell, enter}
		var got []schema.FenceEvent
		for last := (schema.FenceEvent{}); ; last = got[len(got)-1] {
			page, err := fences.Events(ctx, fleet.UserID{}, a.ID, last, 2)
			must(t, err)
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("listed\n%+v, want\n%+v", got, want)
		}

		must(t, fences.Delete(ctx, b.ID))
		wantStays()
		last := event(a, unit, "enter", 400, 410)
		add(event(b, unit, "enter", 340, 350), event(b, unit, "exit", 340, 360), last) // b is no more
		wantStays(stay(last, false))
		unknown := last
		unknown.Kind = "hover"
		err := fences.AddEvents(ctx, []schema.FenceEvent{event(a, unit, "exit", 500, 510), unknown})
		if !schema.IsBadRow(err) {
			t.Fatalf("an unknown kind: %v", err)
		}
		wantStays(stay(last, false)) // all or none
	})
}

func TestFenceEventsLeaveWithTheMessages(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, fences := t.Context(), schema.Fences{DB: db}
		f, keep := newFence(t, db), schema.DefaultKeep()
		unit := fleet.Unit(fleet.NewID[fleet.Device]())
		young := schema.FenceEvent{Fence: f.ID, Unit: unit, Kind: "exit", At: noon.Add(-keep.Messages), Since: noon.Add(-keep.Messages)}
		old := young
		old.At = old.At.Add(-time.Millisecond)
		must(t, fences.AddEvents(ctx, []schema.FenceEvent{old, young}))
		must(t, schema.Maintenance{DB: db}.EnsurePartitions(ctx, noon))
		must(t, schema.Maintenance{DB: db}.Retain(ctx, noon))
		got, err := fences.Events(ctx, fleet.UserID{}, f.ID, schema.FenceEvent{}, 10)
		must(t, err)
		if !slices.Equal(got, []schema.FenceEvent{young}) {
			t.Fatalf("left %+v, want %+v", got, young)
		}
	})
}

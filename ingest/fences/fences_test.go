package fences_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"armora/fleet"
	"armora/ingest/fences"
	"armora/live/fence"
	"armora/schema"
	"armora/schema/schematest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	inside  = 51.5
	outside = 51.6
)

// newFence is a circle of a kilometre around 51.5, 0 that believes the first fix.
func newFence() schema.Fence {
	return schema.Fence{
		ID: fleet.NewID[schema.Fence](), Name: "x", Created: noon,
		Shape:        json.RawMessage(`{"type":"Circle","coordinates":[0,51.5],"radius_m":1000}`),
		ConfirmFixes: 1, MaxAccuracy: 50,
	}
}

// unit is one that moves.
type unit struct {
	id  fleet.Unit
	now fleet.Millis
	lat float64
}

func newUnit() *unit {
	return &unit{id: fleet.Unit(fleet.NewID[fleet.Device]()), now: fleet.MillisOf(noon), lat: outside}
}

func (u *unit) to(f *fences.Fences, lat float64) {
	u.now, u.lat = u.now+1000, lat
	u.again(f)
}

// again tells the last fix once more, as the live map does at start.
func (u *unit) again(f *fences.Fences) {
	p := fleet.NewPoint(u.now, u.lat, 0)
	f.Observe(u.id, u.now, &p)
}

func open(t *testing.T, store fences.Store, change ...func(*fences.Config)) *fences.Fences {
	t.Helper()
	c := fences.Config{Set: fence.NewSet(), Store: store, Clock: fleet.SystemClock{}, Log: slog.New(slog.DiscardHandler), Metrics: prometheus.NewRegistry()}
	for _, change := range change {
		change(&c)
	}
	f, err := fences.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeNow(t, f) })
	return f
}

func closeNow(t *testing.T, f *fences.Fences) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := f.Close(ctx); err != nil {
		t.Errorf("close: %v", err)
	}
}

func TestNothingIsToldTwiceAfterARestart(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		store, row, u := schema.Fences{DB: db}, newFence(), newUnit()
		row.Dwell = 3 * time.Second
		if err := store.Create(t.Context(), row); err != nil {
			t.Fatal(err)
		}
		want := func(kinds ...string) {
			t.Helper()
			events, err := store.Events(t.Context(), fleet.UserID{}, row.ID, schema.FenceEvent{}, 100)
			if err != nil {
				t.Fatal(err)
			}
			got := make([]string, 0, len(events))
			for _, e := range events {
				got = append(got, e.Kind)
			}
			slices.Reverse(got)
			if !slices.Equal(got, kinds) {
				t.Fatalf("told %v, want %v", got, kinds)
			}
		}
		for _, run := range []struct {
			lats []float64
			want []string
		}{
			{[]float64{outside, inside, inside}, []string{"enter"}},
			{[]float64{inside}, []string{"enter"}},
			{[]float64{inside}, []string{"enter", "dwell"}},
			{[]float64{inside, outside}, []string{"enter", "dwell", "exit"}},
			{[]float64{outside, inside}, []string{"enter", "dwell", "exit", "enter"}},
		} {
			f := open(t, store)
			u.again(f)
			for _, lat := range run.lats {
				u.to(f, lat)
			}
			closeNow(t, f)
			want(run.want...)
			f.Observe(u.id, u.now+1, &fleet.Point{Lat: -1}) // closed: not observed
		}
	})
}

func TestFencesComeAndGoWhileTheHubRuns(t *testing.T) {
	t.Parallel()
	store := schema.Fences{DB: schematest.Plain(t)}
	f, row, u := open(t, store), newFence(), newUnit()
	if err := store.Create(t.Context(), row); err != nil {
		t.Fatal(err)
	}
	if err := f.Put(row); err != nil {
		t.Fatal(err)
	}
	u.to(f, inside)
	f.Remove(row.ID)
	u.to(f, outside)
	row.Shape = json.RawMessage(`{"type":"Circle"}`)
	if _, ok := errors.AsType[*fence.ShapeError](f.Put(row)); !ok {
		t.Error("a shape that is none was taken")
	}
	closeNow(t, f)
	events, err := store.Events(t.Context(), fleet.UserID{}, row.ID, schema.FenceEvent{}, 100)
	if err != nil || len(events) != 1 || events[0].Kind != "enter" || events[0].Unit != u.id || events[0].Lat != inside {
		t.Fatalf("told %+v, %v", events, err)
	}
}

// shelf is a store in memory that fails as it is told.
type shelf struct {
	mu     sync.Mutex
	fences []schema.Fence
	fail   error
	bad    fleet.Unit // whose events are refused
	events []schema.FenceEvent
	tried  chan struct{} // receives after each try that failed
}

func (s *shelf) List(_ context.Context, after schema.FenceID, limit int) ([]schema.Fence, error) {
	from := slices.IndexFunc(s.fences, func(f schema.Fence) bool { return f.ID == after }) + 1
	return s.fences[from:min(len(s.fences), from+limit)], nil
}

func (s *shelf) Stays(context.Context) ([]schema.FenceStay, error) { return nil, nil }

func (s *shelf) AddEvents(ctx context.Context, events []schema.FenceEvent) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		select {
		case s.tried <- struct{}{}:
		default:
		}
		return s.fail
	}
	if slices.ContainsFunc(events, func(e schema.FenceEvent) bool { return e.Unit == s.bad }) {
		return &fleet.Error{Code: fleet.CodeInvalid, Message: "refused"}
	}
	s.events = append(s.events, events...)
	return ctx.Err()
}

func (s *shelf) set(fail error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail = fail
}

func (s *shelf) kinds(u *unit) (kinds []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range s.events {
		if e.Unit == u.id {
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

var errAway = &fleet.Error{Code: fleet.CodeUnavailable, Message: "the database is away"}

func TestEventsWaitWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	store := &shelf{fences: []schema.Fence{newFence()}, fail: errAway, tried: make(chan struct{}, 1)}
	clock := fleet.NewManualClock(noon)
	f := open(t, store, func(c *fences.Config) { c.Clock, c.Limit = clock, 2 })
	u, late := newUnit(), newUnit()
	u.to(f, inside)
	<-store.tried
	u.to(f, outside)
	u.to(f, inside)    // no room
	late.to(f, inside) // no room
	if n := f.Waiting(); n != 2 {
		t.Fatalf("%d events wait, want 2", n)
	}
	store.set(nil)
	for f.Waiting() > 0 { // the pause between two tries ends
		clock.Advance(time.Second)
	}
	u.to(f, inside) // tells what had no room
	late.to(f, inside)
	closeNow(t, f)
	if got, want := store.kinds(u), []string{"enter", "exit", "enter"}; !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
	if got, want := store.kinds(late), []string{"enter"}; !slices.Equal(got, want) {
		t.Errorf("told %v of the other, want %v", got, want)
	}
}

func TestCloseGivesUpWhenItsTimeIsOver(t *testing.T) {
	t.Parallel()
	store := &shelf{fences: []schema.Fence{newFence()}, fail: errAway, tried: make(chan struct{}, 1)}
	f := open(t, store)
	newUnit().to(f, inside)
	<-store.tried
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v", err)
	}
	// The cleanup closes again: what waits stays untold, and there is nothing to wait for.
	if f.Waiting() != 1 {
		t.Errorf("%d events wait, want 1", f.Waiting())
	}
}

func TestABadEventHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	units := make([]*unit, 20)
	for i := range units {
		units[i] = newUnit()
	}
	store := &shelf{fences: []schema.Fence{newFence()}, bad: units[13].id, fail: errAway, tried: make(chan struct{}, 1)}
	clock := fleet.NewManualClock(noon)
	f := open(t, store, func(c *fences.Config) { c.Clock = clock })
	for _, u := range units {
		u.to(f, inside)
	}
	<-store.tried
	store.set(nil)
	for f.Waiting() > 0 {
		clock.Advance(time.Second)
	}
	for i, u := range units {
		want := []string{"enter"}
		if i == 13 {
			want = nil
		}
		if got := store.kinds(u); !slices.Equal(got, want) {
			t.Errorf("unit %d: told %v, want %v", i, got, want)
		}
	}
}

// Devices of one unit report from several goroutines; what is stored alternates.
func TestEventsOfAUnitKeepTheirOrder(t *testing.T) {
	t.Parallel()
	store := &shelf{}
	for range 1200 { // more than are loaded at once; one contains the unit
		row := newFence()
		row.Shape = json.RawMessage(fmt.Sprintf(`{"type":"Circle","coordinates":[%d,10],"radius_m":5}`, len(store.fences)%180))
		store.fences = append(store.fences, row)
	}
	store.fences[1100] = newFence()
	set := fence.NewSet()
	f := open(t, store, func(c *fences.Config) { c.Set = set })
	if set.Len() != 1200 {
		t.Fatalf("%d fences were loaded", set.Len())
	}
	u := newUnit()
	var at sync.Mutex
	var devices sync.WaitGroup
	for i := range 8 {
		devices.Go(func() {
			for range 500 {
				at.Lock()
				u.now++
				now := u.now
				at.Unlock()
				p := fleet.NewPoint(now, []float64{inside, outside}[i%2], 0)
				f.Observe(u.id, now, &p)
			}
		})
	}
	devices.Wait()
	closeNow(t, f)
	kinds := store.kinds(u)
	for i, kind := range kinds {
		if want := []string{"enter", "exit"}[i%2]; kind != want {
			t.Fatalf("event %d of %d is %s", i, len(kinds), kind)
		}
	}
	if len(kinds) == 0 {
		t.Fatal("nothing was told")
	}
}

func TestObserveAllocatesNothingWhenNothingIsTold(t *testing.T) { //nolint:paralleltest // it counts allocations
	store := &shelf{fences: []schema.Fence{newFence()}}
	f, u := open(t, store), newUnit()
	u.to(f, outside)
	if n := testing.AllocsPerRun(1000, func() { u.to(f, outside) }); n > 0 {
		t.Errorf("%v allocations a fix", n)
	}
}

func TestConfigAndStoredNonsense(t *testing.T) {
	t.Parallel()
	if _, err := fences.New(fences.Config{}); err == nil {
		t.Error("an empty config was taken")
	}
	bad, good := newFence(), newFence()
	bad.Shape = json.RawMessage(`{}`)
	set := fence.NewSet()
	open(t, &shelf{fences: []schema.Fence{bad, good}}, func(c *fences.Config) { c.Set = set })
	if set.Len() != 1 {
		t.Errorf("%d fences are watched, want the good one", set.Len())
	}
	never, err := fences.New(fences.Config{Set: set, Store: &shelf{}, Clock: fleet.SystemClock{}, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	closeNow(t, never)
}

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

func TestSessionsSurvive(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx := t.Context()
		sessions := schema.Sessions{DB: db}
		device := newDevice(t, db, fleet.Phone)
		a := fleet.Session{ClientID: "a", Device: device, Version: 5, Expiry: time.Hour, Disconnected: noon,
			Subscriptions: []fleet.Subscription{{Filter: "v1/+/x", QoS: 1, NoLocal: true, RetainHandling: 2, Identifier: 7}}}
		b := fleet.Session{ClientID: "b", Device: device, Version: 4, Expiry: 1<<32 - 1}
		must(t, sessions.Save(ctx, b))
		must(t, sessions.Save(ctx, fleet.Session{ClientID: "a", Device: device, Version: 4}))
		must(t, sessions.Save(ctx, a)) // in place of the other a
		got, err := sessions.Load(ctx)
		must(t, err)
		b.Expiry = b.Expiry.Truncate(time.Millisecond)
		if !reflect.DeepEqual(got, []fleet.Session{a, b}) {
			t.Fatalf("loaded %+v, want %+v", got, []fleet.Session{a, b})
		}
		must(t, sessions.Delete(ctx, "a"))
		must(t, sessions.Delete(ctx, "a"))
		got, err = sessions.Load(ctx)
		must(t, err)
		if len(got) != 1 || got[0].ClientID != "b" {
			t.Fatalf("loaded %+v", got)
		}
	})
}

func seqs(commands []fleet.Command) (s []int64) {
	for _, c := range commands {
		s = append(s, c.Seq)
	}
	return s
}

func TestOutboxOrderExpiryAcknowledgement(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx := t.Context()
		clock := fleet.NewManualClock(noon)
		outbox := schema.Outbox{DB: db, Clock: clock}
		device, other := newDevice(t, db, fleet.Phone), newDevice(t, db, fleet.Phone)
		for i := range 5 {
			c := fleet.Command{Device: device, Kind: "locate", Body: json.RawMessage(`{"z":1,"a":"\u0000"}`), Created: noon, Expires: noon.Add(time.Hour)}
			if i == 2 {
				c.Expires = noon.Add(time.Minute)
			}
			got, err := outbox.Add(ctx, c)
			must(t, err)
			c.Seq = int64(i + 1)
			if !reflect.DeepEqual(got, c) {
				t.Fatalf("added %+v, want %+v", got, c)
			}
		}
		first, err := outbox.Add(ctx, fleet.Command{Device: other, Kind: "locate", Created: noon, Expires: noon.Add(time.Hour)})
		must(t, err)
		if first.Seq != 1 || first.Body != nil {
			t.Fatalf("the first of the other device is %+v", first)
		}
		_, err = outbox.Add(ctx, fleet.Command{Device: fleet.NewID[fleet.Device](), Kind: "x", Created: noon, Expires: noon})
		wantCode(t, err, fleet.CodeNotFound)

		wantPending := func(after int64, limit int, want ...int64) {
			t.Helper()
			pending, err := outbox.Pending(ctx, device, after, limit)
			must(t, err)
			if !slices.Equal(seqs(pending), want) {
				t.Fatalf("pending after %d: %v, want %v", after, seqs(pending), want)
			}
		}
		wantPending(0, 10, 1, 2, 3, 4, 5)
		wantPending(1, 2, 2, 3)
		clock.Advance(time.Minute) // the third expires at that moment
		wantPending(0, 10, 1, 2, 4, 5)
		must(t, outbox.Acknowledge(ctx, device, 2))
		must(t, outbox.Acknowledge(ctx, device, 2))
		wantPending(0, 10, 1, 4, 5)
		wantCode(t, outbox.Acknowledge(ctx, device, 6), fleet.CodeNotFound)
		wantCode(t, outbox.Acknowledge(ctx, other, 4), fleet.CodeNotFound)
		all, err := outbox.List(ctx, device, 1, 2)
		must(t, err)
		if !slices.Equal(seqs(all), []int64{2, 3}) || !all[0].Acked.Equal(noon.Add(time.Minute)) {
			t.Fatalf("listed %+v", all)
		}
	})
}

func TestOutboxSequenceIsTakenOnce(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	device := newDevice(t, db, fleet.Phone)
	outbox := schema.Outbox{DB: db, Clock: fleet.SystemClock{}}
	taken := make(chan int64)
	const writers, each = 4, 25
	for range writers {
		go func() {
			for range each {
				c, err := outbox.Add(t.Context(), fleet.Command{Device: device, Kind: "x", Created: noon, Expires: noon.Add(time.Hour)})
				if err != nil {
					t.Error(err)
				}
				taken <- c.Seq
			}
		}()
	}
	seen := make(map[int64]bool)
	for range writers * each {
		seen[<-taken] = true
	}
	for seq := int64(1); seq <= writers*each; seq++ {
		if !seen[seq] {
			t.Fatalf("%d different numbers of %d, without %d", len(seen), writers*each, seq)
		}
	}
}

func TestDeadLettersTakeAnything(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx := t.Context()
		letters := schema.DeadLetters{DB: db}
		first := fleet.DeadLetter{ID: fleet.NewID[fleet.DeadLetter](), Topic: "v1/\x00/points", Reason: "bad byte \xff",
			Payload: []byte{0, 0xff, '{'}, Received: noon}
		second := fleet.DeadLetter{ID: fleet.NewID[fleet.DeadLetter](), Device: fleet.NewID[fleet.Device](), Topic: "t", Reason: "r", Received: noon}
		must(t, letters.Add(ctx, []fleet.DeadLetter{first, second}))
		must(t, letters.Add(ctx, []fleet.DeadLetter{second}))
		must(t, letters.Add(ctx, nil))
		got, err := letters.List(ctx, fleet.UserID{}, fleet.ID[fleet.DeadLetter]{}, 10)
		must(t, err)
		first.Topic, first.Reason, second.Payload = "v1/\uFFFD/points", "bad byte \uFFFD", []byte{}
		if !reflect.DeepEqual(got, []fleet.DeadLetter{second, first}) {
			t.Fatalf("listed %+v", got)
		}
		got, err = letters.List(ctx, fleet.UserID{}, second.ID, 10)
		must(t, err)
		if len(got) != 1 || got[0].ID != first.ID {
			t.Fatalf("listed %+v", got)
		}
	})
}

func TestEventsOnceInOrder(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx := t.Context()
		events := schema.Events{DB: db}
		device := newDevice(t, db, fleet.Phone)
		want := make([]fleet.Event, 0, 4)
		for i := range 4 { // the last two at one moment
			e := fleet.Event{ID: fleet.NewID[fleet.Event](), Device: device, Kind: "harsh_brake", At: noon.Add(-time.Minute),
				Received: noon.Add(time.Duration(min(i, 2)) * time.Second), Body: json.RawMessage(`{"g": 0.9}`)}
			must(t, events.Add(ctx, e))
			want = append(want, e)
		}
		again := want[0]
		again.Kind = "ignition"
		must(t, events.Add(ctx, again))
		slices.Reverse(want)
		var got []fleet.Event
		for last := (fleet.Event{}); ; last = got[len(got)-1] {
			page, err := events.List(ctx, device, last, 3)
			must(t, err)
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("listed %+v, want %+v", got, want)
		}
		wantCode(t, events.Add(ctx, fleet.Event{ID: fleet.NewID[fleet.Event](), Device: fleet.NewID[fleet.Device](), At: noon, Received: noon}), fleet.CodeInvalid)
		wantCode(t, events.Add(ctx, fleet.Event{ID: fleet.NewID[fleet.Event](), Device: device, At: noon, Received: noon,
			Body: json.RawMessage(`{"open`)}), fleet.CodeInvalid)
	})
}

func TestSigningKeys(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx := t.Context()
		keys := schema.SigningKeys{DB: db}
		older := schema.SigningKey{ID: "k1", Algorithm: "EdDSA", Public: []byte{1}, Private: []byte{2, 0}, Created: noon, Retires: noon.Add(time.Hour)}
		newer := schema.SigningKey{ID: "k0", Algorithm: "EdDSA", Public: []byte{3}, Private: []byte{4}, Created: noon.Add(time.Minute)}
		must(t, keys.Add(ctx, newer))
		must(t, keys.Add(ctx, older))
		wantCode(t, keys.Add(ctx, older), fleet.CodeConflict)
		got, err := keys.List(ctx)
		must(t, err)
		if !reflect.DeepEqual(got, []schema.SigningKey{older, newer}) {
			t.Fatalf("listed %+v", got)
		}
	})
}

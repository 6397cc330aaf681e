package ingest

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"armora/fleet"
)

// book is a store of statuses and events that can be told to fail.
type book struct {
	memory
	refuse func() error // asked before each write

	mu       sync.Mutex
	statuses []fleet.Status
	events   []fleet.Event
	duties   []saidDuty
}

func (b *book) SetStatus(_ context.Context, s fleet.Status) error {
	if err := b.refuse(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.statuses = append(b.statuses, s)
	return nil
}

// eventBook is the book's other half: both have a method of the same name.
type eventBook struct{ *book }

func (b eventBook) Add(_ context.Context, e fleet.Event) error {
	if err := b.refuse(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.events = append(b.events, e)
	return nil
}

func newBook() *book { return &book{refuse: func() error { return nil }} }

func noticing(t *testing.T, b *book) *Notices {
	t.Helper()
	n, err := NewNotices(NoticesConfig{
		Statuses: b, Events: eventBook{b}, Duties: dutyBook{b}, DeadLetters: &b.memory,
		Clock: eager(), Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	n.Open()
	t.Cleanup(n.Close)
	return n
}

func said(from *fleet.Identity, payload string) (Message, *ticket) {
	k := newTicket()
	return Message{From: from, Topic: "v1/devices/x/status", Payload: []byte(payload), Received: at(3), Ack: k}, k
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]fleet.Status{
		`{"online":true,"battery":0.5,"app_version":"1.2"}`: {Online: true, Battery: 0.5, App: "1.2"},
		`{"online":false,"extra":[1]}`:                      {Battery: fleet.Unknown},
		`{"online":true,"battery":80}`:                      {Online: true, Battery: fleet.Unknown}, // impossible: not known
		`online`:                                            {Online: true, Battery: fleet.Unknown},
		`"offline"`:                                         {Battery: fleet.Unknown},
	} {
		b, from := newBook(), phone()
		m, k := said(from, payload)
		noticing(t, b).Status(m)
		mustAck(t, k)
		got := b.statuses[0]
		if got.Online != want.Online || got.App != want.App || got.Device != from.Device || !got.Received.Equal(at(3).Time()) ||
			fleet.Known(got.Battery) != fleet.Known(want.Battery) || fleet.Known(want.Battery) && got.Battery != want.Battery {
			t.Errorf("%s was read as %+v", payload, got)
		}
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	b, from := newBook(), phone()
	n := noticing(t, b)
	for _, payload := range []string{
		`{"id":"0197a1b2-0000-7000-8000-000000000001","kind":"ignition","t":"2026-03-01T11:59:00Z","body":{"on":true}}`,
		`{"kind":"harsh_brake","t":1772366340000}`,
		`{"kind":"harsh_brake","t":1772366340000}`, // told again
		`{"kind":"tamper"}`,
	} {
		m, k := said(from, payload)
		n.Event(m)
		mustAck(t, k)
	}
	got := b.events
	if got[0].ID.String() != "0197a1b2-0000-7000-8000-000000000001" || got[0].Kind != "ignition" ||
		!got[0].At.Equal(at(-60).Time()) || string(got[0].Body) != `{"on":true}` {
		t.Errorf("the event was read as %+v", got[0])
	}
	if !got[1].At.Equal(at(-60).Time()) || got[1].ID != got[2].ID {
		t.Errorf("an event with a time and no id is %v, and told again %v", got[1].ID, got[2].ID)
	}
	if got[3].ID.IsZero() || !got[3].At.Equal(at(3).Time()) {
		t.Errorf("an event without id and time was read as %+v", got[3])
	}
}

// Whose message is refused is told; what cannot be stored yet is tried again; and of
// what it said nothing is kept.
func TestAnAnsweredMessage(t *testing.T) {
	t.Parallel()
	for code, want := range map[fleet.Code]bool{
		fleet.CodeInvalid: true, fleet.CodeNotFound: true, fleet.CodeForbidden: true, fleet.CodeConflict: true, fleet.CodeTooMany: true,
		fleet.CodeUnavailable: false, fleet.CodeInternal: false,
	} {
		b := newBook()
		m, k := said(phone(), "between us")
		tries, told := 0, error(nil)
		noticing(t, b).Answer(m, "chat", func(context.Context) error {
			if tries++; tries > 1 {
				return nil
			}
			return &fleet.Error{Code: code, Message: "no"}
		}, func(why error) { told = why })
		_, refusal := errors.AsType[*refused](k.outcome(t))
		if refusal != want || (fleet.CodeOf(told) == code && told != nil) != want || tries != map[bool]int{true: 1, false: 2}[want] {
			t.Errorf("%s: refused %v, told %v, tried %d times", code, refusal, told, tries)
		}
		letters := b.buried()
		if (len(letters) == 1) != want || want && len(letters[0].Payload) > 0 {
			t.Errorf("%s: dead letters %+v", code, letters)
		}
	}
}

func TestUnreadableNoticesAreKeptWithTheirReason(t *testing.T) {
	t.Parallel()
	for payload, reason := range map[string]string{
		`{"battery":0.5}`: "no online",
		``:                "empty",
		`gone`:            "neither online, offline nor an object",
		`{"online":true,"app_version":"` + strings.Repeat("x", 200) + `"}`: "app_version",
	} {
		b := newBook()
		m, k := said(phone(), payload)
		noticing(t, b).Status(m)
		mustAck(t, k)
		if l := b.buried(); len(l) != 1 || !strings.Contains(l[0].Reason, reason) || string(l[0].Payload) != payload {
			t.Errorf("%q was kept as %+v, want the reason %q", payload, l, reason)
		}
	}
	for payload, reason := range map[string]string{
		`{"kind":"Ignition!"}`:              "not a word",
		`{"kind":"tamper","t":"yesterday"}`: "RFC 3339",
		`{"kind":"tamper","t":1e300}`:       "not a time",
		`{"kind":"tamper","t":-1}`:          "1970",
		`{"kind":"tamper","id":"7"}`:        "cannot be read",
		`[]`:                                "cannot be read",
		`{"kind":"a","body":"` + strings.Repeat("x", maxEventBody) + `"}`: "body",
	} {
		b := newBook()
		m, k := said(phone(), payload)
		noticing(t, b).Event(m)
		mustAck(t, k)
		if l := b.buried(); len(l) != 1 || !strings.Contains(l[0].Reason, reason) {
			t.Errorf("%.60q was kept as %+v, want the reason %q", payload, l, reason)
		}
	}
}

func TestNoticesWaitForTheDatabaseInOrder(t *testing.T) {
	t.Parallel()
	b, from := newBook(), phone()
	tries := 0
	b.refuse = func() error {
		if tries++; tries <= 3 {
			return errAway
		}
		return nil
	}
	n := noticing(t, b)
	var tickets []*ticket
	for _, payload := range []string{"online", "offline", "online"} {
		m, k := said(from, payload)
		tickets = append(tickets, k)
		n.Status(m)
	}
	mustAck(t, tickets...)
	if b.statuses[0].Online != true || b.statuses[1].Online != false || len(b.statuses) != 3 {
		t.Errorf("stored out of order: %+v", b.statuses)
	}
}

func TestNoticeThatTheDatabaseRefusesIsKept(t *testing.T) {
	t.Parallel()
	b := newBook()
	b.refuse = func() error { return errBadRow }
	m, k := said(phone(), `online`)
	noticing(t, b).Status(m)
	mustAck(t, k)
	if l := b.buried(); len(l) != 1 || !strings.Contains(l[0].Reason, errBadRow.Message) {
		t.Errorf("kept as %+v", l)
	}
}

func TestClosedNoticesAcknowledgeNothing(t *testing.T) {
	t.Parallel()
	b, away := newBook(), make(chan struct{})
	b.refuse = func() error {
		select {
		case away <- struct{}{}:
		default:
		}
		return errAway
	}
	n, err := NewNotices(NoticesConfig{
		Statuses: b, Events: eventBook{b}, DeadLetters: &b.memory,
		Clock: fleet.SystemClock{}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	n.Open()
	from := phone()
	first, k1 := said(from, "online")
	second, k2 := said(from, "offline")
	n.Status(first)
	<-away
	n.Status(second)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if n.Drain(ctx) == nil {
		t.Error("drained while the database is away")
	}
	n.Close()
	n.Close()
	third, k3 := said(from, "online")
	n.Status(third)
	for i, k := range []*ticket{k1, k2, k3} {
		if err := <-k.resolved; err == nil {
			t.Errorf("message %d was acknowledged and is not stored", i+1)
		}
	}
}

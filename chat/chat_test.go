package chat_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river"

	"armora/chat"
	"armora/fleet"
	"armora/schema"
)

func TestAMessageIsKeptOnceAndSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	w.clock.Advance(1234 * time.Nanosecond) // more exactly than the database keeps it
	d := w.draft("  I am at the gate.\n")
	first, err := w.Send(ctx, w.officer, d)
	w.must(err)
	if first.Text != "I am at the gate." || first.As != fleet.ByOfficer || first.Officer != w.driver || first.Sent.Sub(noon) != time.Microsecond {
		t.Errorf("sent as %+v", first)
	}
	w.clock.Advance(time.Hour)
	if again, err := w.Send(ctx, w.officer, d); err != nil || again != first {
		t.Errorf("sent again: %+v, error %v; want %+v", again, err, first)
	}
	d.Text = "Something else."
	_, err = w.Send(ctx, w.officer, d)
	w.want(err, fleet.CodeInvalid)
	if got := w.texts(w.principal, 0); !slices.Equal(got, []string{"I am at the gate."}) {
		t.Errorf("kept: %q", got)
	}
	var stored string
	w.must(w.db.Pool().QueryRow(ctx, `SELECT convert_from(sealed, 'UTF8') FROM chat_messages`).Scan(&stored))
	if purpose := "chat/" + w.booking.String() + "/" + w.officer.User.String() + "/" + d.ID.String(); !strings.HasPrefix(stored, "sealed:"+purpose+":") {
		t.Errorf("sealed as %q, want for %s", stored, purpose)
	}
}

func TestWhatMayBeWritten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for name, text := range map[string]string{
		"empty": "", "blank": " \n\t", "long": strings.Repeat("ä", chat.MaxText+1), "bell": "a\x07b", "nul": "a\x00b", "broken": "a\xffb",
	} {
		if _, err := w.Send(t.Context(), w.principal, w.draft(text)); fleet.CodeOf(err) != fleet.CodeInvalid {
			t.Errorf("%s: error %v", name, err)
		}
	}
	for _, text := range []string{strings.Repeat("ä", chat.MaxText), "two\nlines", "🛡️"} {
		w.send(w.principal, text)
	}
	nameless := w.draft("x")
	nameless.ID = fleet.ChatMessageID{}
	_, err := w.Send(t.Context(), w.principal, nameless)
	w.want(err, fleet.CodeInvalid)
	_, err = w.Send(t.Context(), chat.Reader{Ops: true}, w.draft("x"))
	w.want(err, fleet.CodeForbidden)
	_, err = w.Send(t.Context(), w.stranger, w.draft("x"))
	w.want(err, fleet.CodeNotFound)

	// Each part has its own quick replies.
	for as, who := range map[fleet.ActorKind]chat.Reader{fleet.ByPrincipal: w.principal, fleet.ByOfficer: w.officer, fleet.ByOps: w.theOps} {
		replies := chat.QuickReplies(as)
		if len(replies) == 0 {
			t.Fatalf("%s have none", as)
		}
		d := w.draft("")
		d.QuickReply = replies[0].ID
		if m, err := w.Send(t.Context(), who, d); err != nil || m.Text != replies[0].Text || m.As != as {
			t.Errorf("%s: %+v, error %v", as, m, err)
		}
	}
	d := w.draft("")
	d.QuickReply = "looking" // that of ops
	_, err = w.Send(t.Context(), w.principal, d)
	w.want(err, fleet.CodeInvalid)
	d.QuickReply, d.Text = "where", "and a text"
	_, err = w.Send(t.Context(), w.principal, d)
	w.want(err, fleet.CodeInvalid)
}

// Texts that a person reads use the words of the mission, and ids are told apart.
func TestQuickReplies(t *testing.T) {
	t.Parallel()
	for _, as := range []fleet.ActorKind{fleet.ByPrincipal, fleet.ByOfficer, fleet.ByOps} {
		seen := make(map[string]bool)
		for _, q := range chat.QuickReplies(as) {
			if seen[q.ID] || q.ID == "" || q.Text == "" {
				t.Errorf("%s: %+v", as, q)
			}
			seen[q.ID] = true
			for _, word := range []string{"ride", "passenger", "fare", "driver"} {
				if strings.Contains(strings.ToLower(q.Text), word) {
					t.Errorf("%s: %q says %s", as, q.Text, word)
				}
			}
		}
	}
}

// The database goes away while a message is being stored. Its sender is told to try
// again, does, and it is there once.
func TestTheDatabaseRestartsMidSend(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	tx, err := w.db.Pool().Begin(ctx)
	w.must(err)
	_, err = tx.Exec(ctx, `SELECT FROM bookings WHERE id = $1 FOR UPDATE`, w.booking)
	w.must(err)
	d, failed := w.draft("Where are you?"), make(chan error, 1)
	go func() {
		_, err := w.Send(ctx, w.principal, d)
		failed <- err
	}()
	w.endWaiting()
	w.want(<-failed, fleet.CodeUnavailable)
	w.must(tx.Rollback(ctx))
	first, err := w.Send(ctx, w.principal, d)
	w.must(err)
	if again, err := w.Send(ctx, w.principal, d); err != nil || again != first { // whose first answer was lost
		t.Errorf("%+v, error %v", again, err)
	}
	if got := w.texts(w.officer, 0); !slices.Equal(got, []string{"Where are you?"}) {
		t.Errorf("kept: %q", got)
	}
}

// Everybody writes at once while somebody watches, who leaves and comes back again and
// again: they are told each message once, in order.
func TestAWatcherMissesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const each = 15
	var writing sync.WaitGroup
	for _, who := range []chat.Reader{w.principal, w.officer, w.theOps} {
		writing.Go(func() {
			for i := range each {
				if _, err := w.Send(t.Context(), who, w.draft(fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	var told []int64
	for last := int64(0); len(told) < 3*each; {
		g := w.watch(w.officer, last)
		for range min(10, 3*each-len(told)) {
			m := g.message(t)
			told, last = append(told, m.Seq), m.Seq
		}
		g.end(t)
	}
	writing.Wait()
	stored, err := w.Since(t.Context(), w.officer, w.booking, 0, 1000)
	w.must(err)
	var want []int64
	for _, m := range stored {
		want = append(want, m.Seq)
	}
	if !slices.Equal(told, want) || !slices.IsSorted(told) {
		t.Errorf("told %v, want %v", told, want)
	}
}

func TestAWatcherIsTheirs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range chat.FirstMessages/18 + 1 {
		for j := range 18 { // in minutes of their own, for the limit
			w.send(w.principal, fmt.Sprintf("%d %d", i, j))
		}
		w.clock.Advance(time.Minute)
	}
	if err := <-w.watch(w.stranger, 0).ended; fleet.CodeOf(err) != fleet.CodeNotFound {
		t.Errorf("a stranger's watch ended by %v", err)
	}
	all, err := w.Since(t.Context(), w.officer, w.booking, 0, 1000)
	w.must(err)
	g := w.watch(w.officer, -1)
	if v := g.view(t); v.As != fleet.ByOfficer || !v.Open || !v.Earlier {
		t.Errorf("first it is %+v", v)
	}
	for _, want := range all[len(all)-chat.FirstMessages:] {
		if m := g.message(t); m != want {
			t.Fatalf("told %+v, want %+v", m, want)
		}
	}
	// Marks are told as they come; also those that change nothing but a time do not.
	w.must(w.Mark(t.Context(), w.principal, w.booking, all[0].Seq, 0))
	if v := g.view(t); len(v.Marks) != 1 || v.Marks[0].As != fleet.ByPrincipal || v.Marks[0].Delivered != all[0].Seq || v.Marks[0].Read != 0 {
		t.Errorf("after a mark: %+v", v.Marks)
	}
	// The officer is replaced: what is written from then on does not come to them.
	w.lose()
	if err := <-g.ended; fleet.CodeOf(err) != fleet.CodeNotFound {
		t.Errorf("the replaced officer's watch ended by %v", err)
	}
	second, driver := w.newOfficer()
	w.assign(driver)
	h, p := w.watch(second, all[len(all)-1].Seq), w.watch(w.principal, all[len(all)-1].Seq)
	p.view(t)
	if v := h.view(t); v.Earlier {
		t.Errorf("to who knows all there are earlier messages: %+v", v)
	}
	m := w.send(w.principal, "Are you my officer now?")
	for _, g := range []*watching{h, p} {
		if got := g.message(t); got != m {
			t.Errorf("told %+v, want %+v", got, m)
		}
	}
	select {
	case u := <-g.updates:
		t.Errorf("the replaced officer was told %+v", u)
	default:
	}
	w.cancel()
	if v := h.view(t); v.Open || !v.Ended.Equal(w.clock.Now()) {
		t.Errorf("once it is over: %+v", v)
	}
	_, err = w.Send(t.Context(), w.principal, w.draft("x"))
	w.want(err, fleet.CodeConflict)
	// A day later the officer is shown nothing; whatever wakes them.
	w.clock.Advance(24 * time.Hour)
	w.must(w.Mark(t.Context(), w.principal, w.booking, m.Seq, m.Seq))
	if err := <-h.ended; fleet.CodeOf(err) != fleet.CodeNotFound {
		t.Errorf("a day after the end the watch ended by %v", err)
	}
	p.end(t)
}

// While the database is away a watcher waits, and is told what it has missed.
func TestAWatcherOutlivesTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	g := w.watch(w.officer, 0)
	g.view(t)
	// Who waits for the table is what a statement of the watcher's is stopped in.
	tx, err := w.db.Pool().Begin(ctx)
	w.must(err)
	_, err = tx.Exec(ctx, `LOCK TABLE chat_marks IN ACCESS EXCLUSIVE MODE`)
	w.must(err)
	m := w.send(w.principal, "Hello?")
	w.endWaiting()
	w.must(tx.Rollback(ctx))
	for w.clock.Waiting() == 0 {
		select {
		case err := <-g.ended:
			t.Fatalf("the watch ended: %v", err)
		default:
		}
	}
	w.clock.Advance(time.Second)
	if got := g.message(t); got != m {
		t.Errorf("told %+v, want %+v", got, m)
	}
	g.end(t)
}

func TestConversations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	list := func(who chat.Reader) []chat.Conversation {
		t.Helper()
		found, err := w.Conversations(ctx, who, schema.ConversationPlace{}, 10)
		w.must(err)
		return found
	}
	if got := list(w.principal); len(got) != 0 {
		t.Errorf("before anything was written: %+v", got)
	}
	w.send(w.officer, "one")
	m := w.send(w.officer, "two")
	got := list(w.principal)
	if len(got) != 1 || got[0].Last != m || got[0].Unread != 2 || got[0].As != fleet.ByPrincipal || got[0].Status != fleet.Assigned {
		t.Fatalf("the principal's: %+v", got)
	}
	if theirs := list(w.officer); len(theirs) != 1 || theirs[0].Unread != 0 || theirs[0].As != fleet.ByOfficer {
		t.Errorf("the officer's: %+v", theirs)
	}
	if ops := list(w.theOps); len(ops) != 0 {
		t.Errorf("ops have some of their own: %+v", ops)
	}
	more, err := w.Conversations(ctx, w.principal, schema.ConversationPlace{Sent: m.Sent, Booking: m.Booking}, 10)
	if w.must(err); len(more) != 0 {
		t.Errorf("beyond the last: %+v", more)
	}
	w.lose()
	if theirs := list(w.officer); len(theirs) != 0 {
		t.Errorf("the replaced officer's: %+v", theirs)
	}
}

// The worker pushes what has not come to somebody, and says nothing of it.
func TestPushToWhoIsAbsent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	for _, who := range []chat.Reader{w.principal, w.officer} { // an app each
		session := fleet.NewID[fleet.UserSession]()
		w.must(func() error {
			_, err := w.db.Pool().Exec(ctx, `INSERT INTO user_sessions (id, user_id, method, second_factor, agent, address, created, authenticated, used, expires)
				VALUES ($1, $2, 'password', false, '', '', $3, $3, $3, 'infinity')`, session, who.User, noon)
			return err
		}())
		w.must(schema.PushTokens{DB: w.db}.Put(ctx, schema.SealedPushToken{
			ID: fleet.NewID[fleet.PushToken](), User: who.User, Session: session, Hash: who.User[:], Sealed: []byte("x"), Created: noon}, 10))
	}
	workers := river.NewWorkers()
	w.AddWorkers(workers)
	pushed := func() (n int) {
		t.Helper()
		w.must(w.db.Pool().QueryRow(ctx, `SELECT count(*) FROM notices WHERE channel = 'push' AND kind = 'chat_message' AND data = ''`).Scan(&n))
		return n
	}
	run := func(who chat.Reader, seq int64) {
		t.Helper()
		w.must(w.WorkPush(ctx, fleet.ChatPushJob{Booking: w.booking, Seq: seq, User: who.User}))
	}
	m := w.send(w.officer, "I am at the gate.")
	w.must(w.Mark(ctx, w.principal, w.booking, m.Seq, 0))
	run(w.principal, m.Seq)
	if n := pushed(); n != 0 {
		t.Errorf("%d pushes of what has come", n)
	}
	m = w.send(w.officer, "Still here.")
	run(w.principal, m.Seq)
	run(w.principal, m.Seq) // the job again
	if n := pushed(); n != 1 {
		t.Errorf("%d pushes of what has not, want 1", n)
	}
	m = w.send(w.principal, "Coming.")
	w.lose()
	run(w.officer, m.Seq)
	if n := pushed(); n != 1 {
		t.Errorf("%d pushes, one of them to an officer who was replaced", n)
	}
	var due []string
	rows, err := w.db.Pool().Query(ctx, `SELECT scheduled_at::text FROM river_job WHERE kind = 'chat_push'`)
	w.must(err)
	for rows.Next() {
		var at string
		w.must(rows.Scan(&at))
		due = append(due, at)
	}
	if len(due) != 3 || due[0] != "2026-03-02 12:00:05+00" {
		t.Errorf("looked for at %v", due)
	}
}

// What phones publish goes the same way, and what cannot be is not tried again.
func TestMessagesFromPhones(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := t.Context()
	topic := "v1/trips/" + w.booking.String() + "/chat/send"
	receive := func(user fleet.UserID, topic string, body any) error {
		t.Helper()
		payload, ok := body.(string)
		if !ok {
			text, err := json.Marshal(body)
			w.must(err)
			payload = string(text)
		}
		store, _ := w.Receive(&fleet.Identity{User: user}, topic, []byte(payload))
		return store(ctx)
	}
	id := fleet.NewID[fleet.ChatMessage]()
	message := map[string]any{"client_id": id, "text": "I am at the gate."}
	w.must(receive(w.officer.User, topic, message))
	w.must(receive(w.officer.User, topic, message)) // its PUBACK was lost
	w.must(receive(w.principal.User, topic, map[string]any{"client_id": fleet.NewID[fleet.ChatMessage](), "quick_reply": "coming"}))
	if got := w.texts(w.officer, 0); !slices.Equal(got, []string{"I am at the gate.", "I am on my way to you."}) {
		t.Errorf("kept: %q", got)
	}
	stored, err := w.Since(ctx, w.officer, w.booking, 0, 10)
	w.must(err)
	w.must(receive(w.officer.User, topic, map[string]any{"read": stored[1].Seq}))
	w.must(receive(w.officer.User, topic, map[string]any{"delivered": stored[0].Seq})) // late
	v, err := w.View(ctx, w.principal, w.booking)
	w.must(err)
	if len(v.Marks) != 1 || v.Marks[0].Delivered != stored[1].Seq || v.Marks[0].Read != stored[1].Seq {
		t.Errorf("marks %+v", v.Marks)
	}
	for _, c := range []struct {
		name string
		err  error
		want fleet.Code
	}{
		{"garbage", receive(w.officer.User, topic, "I am at the gate."), fleet.CodeInvalid},
		{"nothing", receive(w.officer.User, topic, "{}"), fleet.CodeInvalid},
		{"no text", receive(w.officer.User, topic, map[string]any{"client_id": fleet.NewID[fleet.ChatMessage]()}), fleet.CodeInvalid},
		{"too long", receive(w.officer.User, topic, map[string]any{"client_id": fleet.NewID[fleet.ChatMessage](), "text": strings.Repeat("x", chat.MaxText+1)}), fleet.CodeInvalid},
		{"another text", receive(w.officer.User, topic, map[string]any{"client_id": id, "text": "x"}), fleet.CodeInvalid},
		{"a stranger", receive(w.stranger.User, topic, message), fleet.CodeNotFound},
		{"nobody", receive(fleet.UserID{}, topic, message), fleet.CodeForbidden},
		{"another trip", receive(w.officer.User, "v1/trips/"+fleet.NewID[fleet.Booking]().String()+"/chat/send", message), fleet.CodeNotFound},
		{"no trip", receive(w.officer.User, "v1/trips/x/chat/send", message), fleet.CodeInvalid},
		{"ops by device", receive(w.theOps.User, topic, message), fleet.CodeNotFound},
	} {
		if fleet.CodeOf(c.err) != c.want {
			t.Errorf("%s: error %v, want %s", c.name, c.err, c.want)
		}
	}
	w.cancel()
	late := fleet.NewID[fleet.ChatMessage]()
	if err := receive(w.officer.User, topic, map[string]any{"client_id": late, "text": "late"}); fleet.CodeOf(err) != fleet.CodeConflict {
		t.Errorf("after the trip: %v", err)
	}
	// Who takes part is told why, by the id of the message; to others there is no such trip.
	_, refusal := w.Receive(&fleet.Identity{User: w.officer.User}, topic, []byte(`{"client_id":"`+late.String()+`","text":"late"}`))
	over := refusal(&fleet.Error{Code: fleet.CodeTooMany, Message: "wait", Retry: 1500 * time.Millisecond})
	if want := `{"type":"refused","client_id":"` + late.String() + `","code":"` + string(fleet.CodeTooMany) + `","message":"wait","retry_after":2}`; string(over) != want {
		t.Errorf("told %s, want %s", over, want)
	}
	if told := refusal(&fleet.Error{Code: fleet.CodeNotFound}); told != nil {
		t.Errorf("a stranger is told %s", told)
	}
	w.must(receive(w.officer.User, topic, message)) // it was kept before
}

package schema_test

import (
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

// talk is the conversation of a booking whose officer is assigned.
type talk struct {
	t       *testing.T
	db      *schema.DB
	booking fleet.Booking
	// The principal, the lead, a second officer who has no seat, a stranger, ops.
	principal, lead, second, stranger, ops fleet.UserID
	leadDriver, secondDriver               fleet.DriverID
}

func newTalk(t *testing.T, db *schema.DB) *talk {
	t.Helper()
	k := &talk{t: t, db: db, principal: newUser(t, db, fleet.RoleRider), lead: newUser(t, db, fleet.RoleDriver), second: newUser(t, db, fleet.RoleDriver),
		stranger: newUser(t, db, fleet.RoleRider), ops: newUser(t, db, fleet.RoleDispatcher)}
	k.leadDriver, k.secondDriver = newDriver(t, db, k.lead), newDriver(t, db, k.second)
	k.booking = newBooking(t, db, k.principal, noon, 1)
	k.assign(k.leadDriver)
	return k
}

func (k *talk) change(at time.Time, do func(*schema.BookingTx) error) {
	k.t.Helper()
	var err error
	k.booking, err = schema.Bookings{DB: k.db}.Change(k.t.Context(), k.booking.ID, at, do)
	must(k.t, err)
}

// assign gives the open seat to a driver.
func (k *talk) assign(driver fleet.DriverID) {
	k.t.Helper()
	k.change(noon, func(c *schema.BookingTx) error {
		seat := c.Vacant()[0]
		seat.State, seat.Driver, seat.From, seat.To = fleet.SeatCommitted, driver, noon, c.End()
		if err := c.Take(seat); err != nil {
			return err
		}
		return c.Move(fleet.Assigned, schema.Event{Kind: "assigned"})
	})
}

func (k *talk) who(user fleet.UserID, now time.Time) schema.Participant {
	return schema.Participant{User: user, Ops: user == k.ops, Since: now.Add(-24 * time.Hour)}
}

func (k *talk) say(user fleet.UserID, id fleet.ChatMessageID, now time.Time) (schema.Said, error) {
	return schema.Chats{DB: k.db}.Say(k.t.Context(), k.who(user, now), fleet.ChatMessage{Booking: k.booking.ID, ID: id, Sealed: []byte("x")},
		schema.ChatLimit{Most: 3, Within: time.Minute}, 5*time.Second, now)
}

func (k *talk) mustSay(user fleet.UserID, now time.Time) fleet.ChatMessage {
	k.t.Helper()
	said, err := k.say(user, fleet.NewID[fleet.ChatMessage](), now)
	must(k.t, err)
	return said.Message
}

func (k *talk) seqs(user fleet.UserID, now time.Time) (seqs []int64) {
	k.t.Helper()
	messages, err := schema.Chats{DB: k.db}.After(k.t.Context(), k.who(user, now), k.booking.ID, 0, 100)
	must(k.t, err)
	for _, m := range messages {
		seqs = append(seqs, m.Seq)
	}
	return seqs
}

func TestAConversation(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, chats, k := t.Context(), schema.Chats{DB: db}, newTalk(t, db)
		version, seq := k.booking.Version, k.booking.Seq

		first, err := k.say(k.principal, fleet.NewID[fleet.ChatMessage](), noon)
		must(t, err)
		if m := first.Message; m.Seq != seq+1 || m.As != fleet.ByPrincipal || !m.Driver.IsZero() || !m.Sent.Equal(noon) || first.Again {
			t.Errorf("the first message: %+v", first)
		}
		again, err := k.say(k.principal, first.Message.ID, noon.Add(time.Hour))
		must(t, err)
		if !again.Again || again.Message.Seq != first.Message.Seq || !again.Message.Sent.Equal(noon) {
			t.Errorf("sent again it is %+v", again)
		}
		// The id is the author's own: of another's it says nothing.
		other, err := k.say(k.lead, first.Message.ID, noon)
		must(t, err)
		if m := other.Message; other.Again || m.Seq != seq+2 || m.As != fleet.ByOfficer || m.Driver != k.leadDriver {
			t.Errorf("the officer's: %+v", other)
		}
		if m := k.mustSay(k.ops, noon); m.As != fleet.ByOps || m.Seq != seq+3 {
			t.Errorf("ops': %+v", m)
		}
		got, err := schema.Bookings{DB: db}.Get(ctx, k.booking.ID)
		must(t, err)
		if got.Version != version || got.Seq != seq+3 {
			t.Errorf("version %d and seq %d, want %d and %d: messages do not change the booking", got.Version, got.Seq, version, seq+3)
		}
		events, err := schema.Bookings{DB: db}.Events(ctx, k.booking.ID, seq, 10)
		must(t, err)
		for i, e := range events {
			if e.Kind != "message" || e.Seq != seq+1+int64(i) || e.Data != nil {
				t.Errorf("event %+v", e)
			}
		}
		jobs := column(ctx, t, db, `SELECT (args ->> 'user') || extract(epoch FROM scheduled_at)::bigint FROM river_job
			WHERE kind = 'chat_push' AND (args ->> 'seq')::bigint = $1 ORDER BY 1`, seq+3)
		due := strconv.FormatInt(noon.Add(5*time.Second).Unix(), 10)
		want := []string{k.principal.String() + due, k.lead.String() + due}
		slices.Sort(want)
		if !slices.Equal(jobs, want) {
			t.Errorf("looked for after five seconds: %v, want %v", jobs, want)
		}

		all := []int64{seq + 1, seq + 2, seq + 3}
		for _, user := range []fleet.UserID{k.principal, k.lead, k.ops} {
			if got := k.seqs(user, noon); !slices.Equal(got, all) {
				t.Errorf("read: %v, want %v", got, all)
			}
		}
		before, err := chats.Before(ctx, k.who(k.lead, noon), k.booking.ID, seq+3, 1)
		if must(t, err); len(before) != 1 || before[0].Seq != seq+2 {
			t.Errorf("before the last: %+v", before)
		}
	})
}

// Who takes no part finds nothing, and who has left finds nothing any more.
func TestWhoTakesPartInAConversation(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, chats, k := t.Context(), schema.Chats{DB: db}, newTalk(t, db)
		k.mustSay(k.principal, noon)
		out := func(now time.Time, users ...fleet.UserID) {
			t.Helper()
			for _, user := range users {
				_, err := k.say(user, fleet.NewID[fleet.ChatMessage](), now)
				wantCode(t, err, fleet.CodeNotFound)
				_, err = chats.View(ctx, k.who(user, now), k.booking.ID)
				wantCode(t, err, fleet.CodeNotFound)
				_, err = chats.Mark(ctx, k.who(user, now), k.booking.ID, 1, 1, now)
				wantCode(t, err, fleet.CodeNotFound)
				if got := k.seqs(user, now); len(got) != 0 {
					t.Errorf("read %v", got)
				}
				if list, err := chats.Conversations(ctx, k.who(user, now), schema.ConversationPlace{}, 10); err != nil || len(list) != 0 {
					t.Errorf("has conversations %+v, error %v", list, err)
				}
			}
		}
		in := func(now time.Time, users ...fleet.UserID) {
			t.Helper()
			for _, user := range users {
				if v, err := chats.View(ctx, k.who(user, now), k.booking.ID); err != nil || v.Principal != k.principal {
					t.Errorf("view %+v, error %v", v, err)
				}
			}
		}
		in(noon, k.principal, k.lead, k.ops)
		out(noon, k.stranger, k.second)

		// Restricted, the principal is seen by named staff alone.
		must(t, schema.Users{DB: db}.Restrict(ctx, fleet.UserID{}, k.principal, true))
		out(noon, k.ops)
		must(t, schema.Users{DB: db}.AddViewer(ctx, k.principal, k.ops, fleet.UserID{}, noon))
		in(noon, k.ops)
		must(t, schema.Users{DB: db}.Restrict(ctx, k.ops, k.principal, false))

		// The lead is replaced.
		k.change(noon, func(c *schema.BookingTx) error {
			if err := c.Release(c.Lead().ID, "released"); err != nil {
				return err
			}
			if _, err := c.OpenSeat(1, fleet.SeatID{}); err != nil {
				return err
			}
			return c.Move(fleet.Searching, schema.Event{Kind: "released"})
		})
		out(noon, k.lead)
		k.assign(k.secondDriver)
		out(noon, k.lead)
		in(noon, k.second, k.principal)
		if got := k.seqs(k.second, noon); len(got) != 1 {
			t.Errorf("who relieves another reads %v", got)
		}

		// It ends: nothing is written any more, and a day later its officer reads nothing.
		id := fleet.NewID[fleet.ChatMessage]()
		_, err := k.say(k.second, id, noon)
		must(t, err)
		end := noon.Add(time.Hour)
		for _, to := range []fleet.BookingStatus{fleet.EnRoute, fleet.Arrived, fleet.InProgress, fleet.Completed} {
			k.change(end, func(c *schema.BookingTx) error { return c.Move(to, schema.Event{Kind: string(to)}) })
		}
		for _, user := range []fleet.UserID{k.principal, k.second, k.ops} {
			_, err := k.say(user, fleet.NewID[fleet.ChatMessage](), end)
			wantCode(t, err, fleet.CodeConflict)
		}
		if said, err := k.say(k.second, id, end); err != nil || !said.Again {
			t.Errorf("what was kept before the end is, sent again, %+v, error %v", said, err)
		}
		in(end.Add(24*time.Hour-time.Second), k.second, k.principal, k.ops)
		out(end.Add(24*time.Hour), k.second, k.lead)
		in(end.Add(24*time.Hour), k.principal, k.ops)
	})
}

func TestMarksOfAConversation(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx, chats, k := t.Context(), schema.Chats{DB: db}, newTalk(t, db)
		m1, m2 := k.mustSay(k.lead, noon), k.mustSay(k.lead, noon.Add(time.Second))
		mark := func(user fleet.UserID, delivered, read int64, at time.Time) bool {
			t.Helper()
			news, err := chats.Mark(ctx, k.who(user, at), k.booking.ID, delivered, read, at)
			must(t, err)
			return news
		}
		unread := func(user fleet.UserID) int {
			t.Helper()
			list, err := chats.Conversations(ctx, k.who(user, noon), schema.ConversationPlace{}, 10)
			if must(t, err); len(list) != 1 || list[0].Last.Seq != m2.Seq || list[0].Booking != k.booking.ID || list[0].Status != fleet.Assigned {
				t.Fatalf("conversations: %+v", list)
			}
			return list[0].Unread
		}
		if n, own := unread(k.principal), unread(k.lead); n != 2 || own != 0 {
			t.Errorf("%d unread, and %d of one's own", n, own)
		}
		later, last := noon.Add(time.Minute), noon.Add(time.Hour)
		if !mark(k.principal, m2.Seq, 0, noon) || !mark(k.principal, 0, m1.Seq, later) || mark(k.principal, m1.Seq, m1.Seq, last) || mark(k.principal, 0, 0, last) {
			t.Error("marks are news when they go on")
		}
		if n := unread(k.principal); n != 1 {
			t.Errorf("%d unread after the first was read", n)
		}
		mark(k.lead, 1<<40, 0, noon) // no further than there is
		_, err := chats.Mark(ctx, k.who(k.ops, noon), k.booking.ID, 1, 1, noon)
		wantCode(t, err, fleet.CodeForbidden)
		v, err := chats.View(ctx, k.who(k.lead, noon), k.booking.ID)
		must(t, err)
		want := []fleet.ChatMark{
			{As: fleet.ByPrincipal, Delivered: m2.Seq, DeliveredAt: noon, Read: m1.Seq, ReadAt: later},
			{As: fleet.ByOfficer, Driver: k.leadDriver, Delivered: m2.Seq, DeliveredAt: noon},
		}
		if !slices.Equal(v.Marks, want) {
			t.Errorf("marks %+v, want %+v", v.Marks, want)
		}

		// What has come is not pushed, what has not is once, and what is older not after it.
		push := func(user fleet.UserID, seq int64) bool {
			t.Helper()
			n := fleet.Notice{ID: fleet.NewID[fleet.Notice](), User: user, Channel: fleet.InboxChannel, Kind: "chat_message", Created: noon, Expires: later}
			pushed, err := chats.Push(ctx, k.who(user, noon), fleet.ChatPushJob{Booking: k.booking.ID, Seq: seq, User: user}, n)
			must(t, err)
			return pushed
		}
		m3 := k.mustSay(k.principal, noon)
		if push(k.principal, m2.Seq) || push(k.stranger, m3.Seq) || !push(k.lead, m3.Seq) || push(k.lead, m3.Seq) || push(k.lead, m2.Seq) {
			t.Error("pushed wrongly")
		}
		if got := column(ctx, t, db, `SELECT count(*)::text FROM notices WHERE user_id = $1`, k.lead); got[0] != "1" {
			t.Errorf("%s notices", got[0])
		}
	})
}

func TestTheLimitOfAConversation(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		k := newTalk(t, db)
		for i := range 3 {
			k.mustSay(k.principal, noon.Add(time.Duration(i)*time.Second))
		}
		_, err := k.say(k.principal, fleet.NewID[fleet.ChatMessage](), noon.Add(10*time.Second))
		wantCode(t, err, fleet.CodeTooMany)
		if e, ok := errors.AsType[*fleet.Error](err); !ok || e.Retry != 50*time.Second {
			t.Errorf("try again after: %+v", err)
		}
		k.mustSay(k.lead, noon.Add(10*time.Second)) // each has their own
		k.mustSay(k.principal, noon.Add(time.Minute))
	})
}

// Everybody writes at once, some twice: each message is there once, in an order
// without gaps, and everybody reads it in that order.
func TestMessagesThatMeet(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	k := newTalk(t, db)
	version, seq := k.booking.Version, k.booking.Seq
	const each = 3
	var writing sync.WaitGroup
	for _, user := range []fleet.UserID{k.principal, k.lead, k.ops} {
		for range each {
			id := fleet.NewID[fleet.ChatMessage]()
			for range 2 {
				writing.Go(func() {
					if _, err := k.say(user, id, noon); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
	writing.Wait()
	var want []int64
	for i := range int64(3 * each) {
		want = append(want, seq+1+i)
	}
	if got := k.seqs(k.lead, noon); !slices.Equal(got, want) {
		t.Errorf("seqs %v, want %v", got, want)
	}
	got, err := schema.Bookings{DB: db}.Get(t.Context(), k.booking.ID)
	if must(t, err); got.Version != version || got.Seq != seq+3*each {
		t.Errorf("version %d, seq %d", got.Version, got.Seq)
	}
}

// A conversation goes a month after the trip, unless a hold is about somebody in it,
// and with the booking.
func TestTheRetentionOfAConversation(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		ctx := t.Context()
		gone, held := newTalk(t, db), newTalk(t, db)
		for _, k := range []*talk{gone, held} {
			m := k.mustSay(k.lead, noon)
			_, err := schema.Chats{DB: db}.Mark(ctx, k.who(k.principal, noon), k.booking.ID, m.Seq, m.Seq, noon)
			must(t, err)
			k.change(noon, func(c *schema.BookingTx) error {
				c.EndedBy = fleet.ByPrincipal
				return c.Move(fleet.Cancelled, schema.Event{Kind: "cancelled"})
			})
		}
		h := hold(held.lead, fleet.DeviceID{}, noon, time.Time{})
		must(t, schema.Holds{DB: db}.Place(ctx, fleet.UserID{}, h))
		left := func(k *talk, at time.Time) string {
			t.Helper()
			must(t, schema.Maintenance{DB: db}.Retain(ctx, at))
			return column(ctx, t, db, `SELECT (SELECT count(*) FROM chat_messages WHERE booking_id = $1) || ' ' || (SELECT count(*) FROM chat_marks WHERE booking_id = $1)`, k.booking.ID)[0]
		}
		if got := left(gone, noon.Add(29*24*time.Hour)); got != "1 1" {
			t.Errorf("after 29 days: %s", got)
		}
		if got, kept := left(gone, noon.Add(31*24*time.Hour)), left(held, noon.Add(31*24*time.Hour)); got != "0 0" || kept != "1 1" {
			t.Errorf("after 31 days: %s, and held: %s", got, kept)
		}
		if kept := left(held, noon.Add(7*366*24*time.Hour)); kept != "1 1" {
			t.Errorf("held for seven years: %s", kept)
		}
		must(t, schema.Holds{DB: db}.Release(ctx, fleet.UserID{}, h.ID, "x", noon))
		if got := left(held, noon.Add(7*366*24*time.Hour)); got != "0 0" {
			t.Errorf("released after seven years: %s", got)
		}
	})
}

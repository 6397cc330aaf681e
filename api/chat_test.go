package api

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"armora/bus"
	"armora/chat"
	"armora/fleet"
	"armora/schema"
)

// chatOf is the path of a conversation in which a person takes part.
func (h *hub) chatOf(p *person, rest string) string {
	id, _ := h.tripOf(p)
	return "/api/chat/" + id.String() + rest
}

func draft(text string) map[string]any {
	return map[string]any{"client_id": fleet.NewID[fleet.ChatMessage]().String(), "text": text}
}

func seqText(seq int64) string { return strconv.FormatInt(seq, 10) }

// chatter takes part in a conversation over a WebSocket.
type chatter struct {
	t    *testing.T
	conn *websocket.Conn
}

// chats opens a conversation's WebSocket as the person.
func (p *person) chats(path string) *chatter {
	p.h.t.Helper()
	conn, resp, err := websocket.DefaultDialer.DialContext(p.h.t.Context(), "ws"+strings.TrimPrefix(p.h.url, "http")+path,
		http.Header{"Authorization": {"Bearer " + p.token}})
	if err != nil {
		p.h.t.Fatalf("open %s: %v, %v", path, err, resp)
	}
	p.h.t.Cleanup(func() { _ = conn.Close() })
	return &chatter{p.h.t, conn}
}

func (c *chatter) say(frame any) {
	c.t.Helper()
	if err := c.conn.WriteJSON(frame); err != nil {
		c.t.Fatal(err)
	}
}

// frame is whatever the hub says on such a socket.
type frame struct {
	Type string `json:"type"`
	chat.Message
	As    fleet.ActorKind `json:"as"`
	Open  bool            `json:"open"`
	Marks []chat.Mark     `json:"marks"`
	Code  fleet.Code      `json:"code"`
}

// next reads until a frame of a type.
func (c *chatter) next(kind string) (f frame) {
	c.t.Helper()
	for {
		_, text, err := c.conn.ReadMessage()
		if err != nil {
			c.t.Fatalf("waiting for %s: %v", kind, err)
		}
		f = frame{}
		if err := json.Unmarshal(text, &f); err != nil {
			c.t.Fatalf("%v in %s", err, text)
		}
		if f.Type == kind {
			return f
		}
	}
}

// closed reads until the hub has closed the socket, and returns how.
func (c *chatter) closed() (how closing, before []frame) {
	c.t.Helper()
	for {
		_, text, err := c.conn.ReadMessage()
		if e, ok := errors.AsType[*websocket.CloseError](err); ok {
			return closing{e.Code, e.Text}, before
		}
		if err != nil {
			c.t.Fatalf("ended without a word: %v", err)
		}
		var f frame
		if err := json.Unmarshal(text, &f); err != nil {
			c.t.Fatal(err)
		}
		before = append(before, f)
	}
}

// conversation is a trip with its people.
type conversation struct {
	rider, officer, ops, other *person
	driver                     fleet.DriverID
	booking                    fleet.Booking
	path                       string
}

func (h *hub) conversation() *conversation {
	h.t.Helper()
	c := &conversation{rider: h.person(fleet.RoleRider), officer: h.person(fleet.RoleDriver), ops: h.person(fleet.RoleDispatcher), other: h.person(fleet.RoleRider)}
	c.driver = h.employ(c.officer)
	c.booking = h.assigned(c.rider.id, c.driver)
	c.path = "/api/chat/" + c.booking.ID.String()
	return c
}

// loses takes the assignment from its officer, as dispatch does.
func (h *hub) loses(c *conversation) {
	h.t.Helper()
	b, err := (schema.Bookings{DB: h.db}).Change(h.t.Context(), c.booking.ID, h.clock.Now(), func(tx *schema.BookingTx) error {
		if err := tx.Release(tx.Lead().ID, "released"); err != nil {
			return err
		}
		if _, err := tx.OpenSeat(1, fleet.SeatID{}); err != nil {
			return err
		}
		return tx.Move(fleet.Searching, schema.Event{Kind: "released"})
	})
	if err != nil {
		h.t.Fatal(err)
	}
	h.bus.Bookings.Publish(bus.BookingChange{ID: b.ID, User: b.User, Status: b.Status, Seq: b.Seq})
}

func TestAConversationByREST(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := h.conversation()
	before := c.rider.must(http.StatusOK, "GET", "/api/bookings/"+c.booking.ID.String(), nil).Header.Get("ETag")

	first := draft("I am at the gate.")
	m := as[chat.Message](t, c.officer.must(http.StatusCreated, "POST", c.path+"/messages", first))
	if m.As != fleet.ByOfficer || m.Officer != c.driver || m.Text != "I am at the gate." || m.Seq == 0 || !m.Sent.Equal(noon) {
		t.Errorf("sent: %+v", m)
	}
	if again := as[chat.Message](t, c.officer.must(http.StatusCreated, "POST", c.path+"/messages", first)); again != m {
		t.Errorf("sent again: %+v", again)
	}
	first["text"] = "x"
	problem(t, c.officer.do("POST", c.path+"/messages", first), http.StatusUnprocessableEntity, fleet.CodeInvalid)
	quick := as[page[ChatQuickReply]](t, c.rider.must(http.StatusOK, "GET", c.path+"/quick-replies", nil))
	body := draft("")
	delete(body, "text")
	body["quick_reply"] = quick.Items[0].ID
	second := as[chat.Message](t, c.rider.must(http.StatusCreated, "POST", c.path+"/messages", body))
	if second.Text != quick.Items[0].Text || second.As != fleet.ByPrincipal || !second.Officer.IsZero() {
		t.Errorf("a quick reply: %+v", second)
	}
	if after := c.rider.must(http.StatusOK, "GET", "/api/bookings/"+c.booking.ID.String(), nil).Header.Get("ETag"); after != before {
		t.Errorf("the ETag was %s and is %s", before, after)
	}

	type messages struct {
		Items []chat.Message `json:"items"`
		Next  string         `json:"next_cursor"`
		Of    chat.View      `json:"conversation"`
	}
	read := func(p *person, query string) messages {
		t.Helper()
		return as[messages](t, p.must(http.StatusOK, "GET", c.path+"/messages"+query, nil))
	}
	newest := read(c.officer, "?limit=1")
	if !slices.Equal(newest.Items, []chat.Message{second}) || newest.Next == "" || newest.Of.As != fleet.ByOfficer || !newest.Of.Open {
		t.Errorf("the newest: %+v", newest)
	}
	if older := read(c.officer, "?limit=1&cursor="+newest.Next); !slices.Equal(older.Items, []chat.Message{m}) || older.Next != "" {
		t.Errorf("the older: %+v", older)
	}
	if all := read(c.rider, "?since=0"); !slices.Equal(all.Items, []chat.Message{m, second}) {
		t.Errorf("all, in order: %+v", all)
	}
	if missed := read(c.rider, "?since="+seqText(m.Seq)); !slices.Equal(missed.Items, []chat.Message{second}) {
		t.Errorf("what was missed: %+v", missed)
	}

	list := as[page[Conversation]](t, c.rider.must(http.StatusOK, "GET", "/api/conversations", nil))
	if len(list.Items) != 1 || list.Items[0].Unread != 1 || list.Items[0].Last != second || list.Items[0].TripID != c.booking.ID {
		t.Errorf("conversations: %+v", list)
	}
	c.rider.must(http.StatusNoContent, "PUT", c.path+"/marks", map[string]any{"read": m.Seq})
	if list := as[page[Conversation]](t, c.rider.must(http.StatusOK, "GET", "/api/conversations", nil)); list.Items[0].Unread != 0 {
		t.Errorf("after it was read: %+v", list.Items)
	}
	if marks := read(c.officer, "").Of.Marks; len(marks) != 1 || marks[0].As != fleet.ByPrincipal || marks[0].Read != m.Seq || marks[0].Delivered != m.Seq {
		t.Errorf("marks %+v", marks)
	}

	// Ops look in, and write; both are in the log.
	if seen := read(c.ops, ""); len(seen.Items) != 2 || seen.Of.As != fleet.ByOps {
		t.Errorf("ops see %+v", seen)
	}
	c.ops.must(http.StatusCreated, "POST", c.path+"/messages", draft("Is all well?"))
	var logged []string
	rows, err := h.db.Pool().Query(t.Context(), `SELECT action FROM audit_entries WHERE actor_user = $1 ORDER BY id`, c.ops.id)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		var action string
		if err := rows.Scan(&action); err != nil {
			t.Fatal(err)
		}
		logged = append(logged, action)
	}
	if !slices.Contains(logged, "read_chat") || len(logged) < 2 {
		t.Errorf("in the log: %v", logged)
	}
	problem(t, h.do("POST", c.path+"/messages", draft("x")), http.StatusForbidden, fleet.CodeForbidden) // the bootstrap admin is nobody

	// A limit, and whose it is not.
	for range 19 {
		c.rider.must(http.StatusCreated, "POST", c.path+"/messages", draft("x"))
	}
	a := c.rider.do("POST", c.path+"/messages", draft("x"))
	if problem(t, a, http.StatusTooManyRequests, fleet.CodeTooMany); a.Header.Get("Retry-After") == "" {
		t.Error("too many, and nobody says until when")
	}
	for _, p := range []*person{c.other, h.person(fleet.RoleDriver)} {
		problem(t, p.do("GET", c.path+"/messages", nil), http.StatusNotFound, fleet.CodeNotFound)
		problem(t, p.do("POST", c.path+"/messages", draft("x")), http.StatusNotFound, fleet.CodeNotFound)
	}
	h.loses(c)
	problem(t, c.officer.do("GET", c.path+"/messages", nil), http.StatusNotFound, fleet.CodeNotFound)
	problem(t, c.officer.do("POST", c.path+"/messages", draft("x")), http.StatusNotFound, fleet.CodeNotFound)
	c.rider.must(http.StatusOK, "PUT", "/api/bookings/"+c.booking.ID.String()+"/cancel", map[string]any{})
	h.clock.Advance(time.Minute)
	c.rider.renew()
	problem(t, c.rider.do("POST", c.path+"/messages", draft("x")), http.StatusConflict, fleet.CodeConflict)
	if over := read(c.rider, ""); over.Of.Open || len(over.Items) == 0 {
		t.Errorf("after the end: %+v", over.Of)
	}
}

func TestAConversationByWebSocket(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	c := h.conversation()
	m := as[chat.Message](t, c.officer.must(http.StatusCreated, "POST", c.path+"/messages", draft("I am at the gate.")))

	rider, officer := c.rider.chats(c.path), c.officer.chats(c.path+"?since="+seqText(m.Seq))
	if f := rider.next("conversation"); f.As != fleet.ByPrincipal || !f.Open {
		t.Errorf("first: %+v", f)
	}
	if f := rider.next("message"); f.Message != m {
		t.Errorf("then: %+v", f)
	}
	rider.say(map[string]any{"type": "mark", "read": m.Seq})
	for f := officer.next("conversation"); len(f.Marks) == 0; f = officer.next("conversation") {
	}
	body := draft("Coming.")
	body["type"] = "send"
	var seqs [2]int64
	for i := range seqs { // the second time it is answered as the first
		rider.say(body)
		f := rider.next("sent")
		if seqs[i] = f.Seq; f.ID.String() != body["client_id"] {
			t.Errorf("answered %+v", f)
		}
	}
	f := officer.next("message")
	if f.Text != "Coming." || f.Seq != seqs[0] || seqs[0] != seqs[1] || f.Message.As != fleet.ByPrincipal {
		t.Errorf("told %+v, answered %v", f, seqs)
	}
	body["text"] = "Something else."
	rider.say(body)
	if f := rider.next("refused"); f.Code != fleet.CodeInvalid || f.ID.String() != body["client_id"] {
		t.Errorf("refused: %+v", f)
	}
	// Garbage ends the socket of whoever says it.
	ops := c.ops.chats(c.path)
	ops.next("message")
	ops.say(map[string]any{"type": "mark", "read": m.Seq}) // which leaves none
	ops.say(map[string]any{"type": "dance"})
	if how, _ := ops.closed(); how != closedMessage {
		t.Errorf("closed by %+v", how)
	}

	// The replaced officer's socket ends, and what is written then does not come there.
	h.loses(c)
	as[chat.Message](t, c.rider.must(http.StatusCreated, "POST", c.path+"/messages", draft("Where are you?")))
	how, last := officer.closed()
	if how != closedNotTheirs || slices.ContainsFunc(last, func(f frame) bool { return f.Text == "Where are you?" }) {
		t.Errorf("closed by %+v after %+v", how, last)
	}
	_, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(h.url, "http")+c.path, http.Header{"Authorization": {"Bearer " + c.officer.token}})
	if err == nil || resp == nil || resp.StatusCode != http.StatusNotFound {
		t.Errorf("a socket for who was replaced: %v, %v", resp, err)
	}

	// A ticket opens it as well, once.
	ticket := as[Ticket](t, c.rider.must(http.StatusCreated, "POST", "/api/tickets", map[string]any{"opens": "chat", "trip_id": c.booking.ID}))
	url := "ws" + strings.TrimPrefix(h.url, "http") + c.path + "?ticket=" + ticket.Ticket
	conn, _, err := websocket.DefaultDialer.DialContext(t.Context(), url, nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	if _, resp, err := websocket.DefaultDialer.DialContext(t.Context(), url, nil); err == nil || resp == nil || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the ticket again: %v, %v", resp, err)
	}
}

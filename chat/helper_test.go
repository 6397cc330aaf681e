package chat_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"armora/bus"
	"armora/chat"
	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

var noon = time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)

// world is conversations on a database of their own.
type world struct {
	*chat.Rooms
	t     *testing.T
	db    *schema.DB
	bus   *bus.Bus
	clock *fleet.ManualClock

	booking                              fleet.BookingID
	principal, officer, stranger, theOps chat.Reader
	driver                               fleet.DriverID
}

// newWorld has one booking with its officer.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, db: schematest.Plain(t), bus: &bus.Bus{}, clock: fleet.NewManualClock(noon)}
	w.Rooms = chat.New(chat.Config{DB: w.db, Seal: seal, Unseal: unseal, Bus: w.bus, Clock: w.clock, Log: slog.New(slog.DiscardHandler)})
	w.principal, w.stranger = chat.Reader{User: w.person(fleet.RoleRider)}, chat.Reader{User: w.person(fleet.RoleRider)}
	w.theOps = chat.Reader{User: w.person(fleet.RoleDispatcher), Ops: true}
	w.officer, w.driver = w.newOfficer()
	b := fleet.Booking{ID: fleet.NewID[fleet.Booking](), User: w.principal.User, Created: noon, Funded: noon,
		Order: fleet.Order{Start: noon, Zone: "Europe/London", Minutes: 120, Type: fleet.AtTheirSide, Tier: fleet.Essential,
			Level: fleet.LevelStandard, Officers: 1},
		Terms: fleet.Terms{Tariff: json.RawMessage(`{}`), Price: json.RawMessage(`{}`), Total: fleet.Pounds(110)}}
	w.must(schema.Bookings{DB: w.db}.Place(t.Context(), &b, fleet.Actor{Kind: fleet.ByPrincipal, User: b.User}))
	w.booking = b.ID
	w.assign(w.driver)
	return w
}

// seal stands for the keyring: it binds a text to its purpose.
func seal(plain []byte, purpose string) []byte {
	return append([]byte("sealed:"+purpose+":"), plain...)
}

func unseal(sealed []byte, purpose string) ([]byte, error) {
	plain, ok := bytes.CutPrefix(sealed, []byte("sealed:"+purpose+":"))
	if !ok {
		return nil, errors.New("it does not open")
	}
	return plain, nil
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) want(err error, code fleet.Code) {
	w.t.Helper()
	if err == nil || fleet.CodeOf(err) != code {
		w.t.Fatalf("error %v, want code %s", err, code)
	}
}

func (w *world) person(roles ...fleet.Role) fleet.UserID {
	w.t.Helper()
	id := fleet.NewID[fleet.User]()
	w.must(schema.Users{DB: w.db}.Create(w.t.Context(), fleet.User{
		ID: id, Email: id.String() + "@example.com", EmailVerified: noon, Name: "Ada", Roles: roles, Created: noon,
	}, ""))
	return id
}

func (w *world) newOfficer() (chat.Reader, fleet.DriverID) {
	w.t.Helper()
	user, driver := w.person(fleet.RoleDriver), fleet.NewID[fleet.Driver]()
	w.must(schema.Drivers{DB: w.db}.Create(w.t.Context(), fleet.Driver{ID: driver, Name: "Bo", Tier: fleet.Essential, User: user}))
	return chat.Reader{User: user}, driver
}

// change changes the booking as dispatch does: those who watch are woken after it.
func (w *world) change(do func(*schema.BookingTx) error) {
	w.t.Helper()
	b, err := schema.Bookings{DB: w.db}.Change(w.t.Context(), w.booking, w.clock.Now(), do)
	w.must(err)
	w.bus.Bookings.Publish(bus.BookingChange{ID: b.ID, User: b.User, Status: b.Status, Seq: b.Seq})
}

func (w *world) assign(driver fleet.DriverID) {
	w.t.Helper()
	w.change(func(c *schema.BookingTx) error {
		seat := c.Vacant()[0]
		seat.State, seat.Driver, seat.From, seat.To = fleet.SeatCommitted, driver, noon, c.End()
		if err := c.Take(seat); err != nil {
			return err
		}
		return c.Move(fleet.Assigned, schema.Event{Kind: "assigned"})
	})
}

// lose takes the assignment from its officer.
func (w *world) lose() {
	w.t.Helper()
	w.change(func(c *schema.BookingTx) error {
		if err := c.Release(c.Lead().ID, "released"); err != nil {
			return err
		}
		if _, err := c.OpenSeat(1, fleet.SeatID{}); err != nil {
			return err
		}
		return c.Move(fleet.Searching, schema.Event{Kind: "released"})
	})
}

func (w *world) cancel() {
	w.t.Helper()
	w.change(func(c *schema.BookingTx) error {
		c.EndedBy = fleet.ByPrincipal
		return c.Move(fleet.Cancelled, schema.Event{Kind: "cancelled"})
	})
}

// endWaiting waits for a connection to the database that waits for a lock, and ends it
// as a restart of the database does.
func (w *world) endWaiting() {
	w.t.Helper()
	for ended := 0; ended == 0; {
		// Each in a transaction of its own: in one they would all see the same.
		w.must(w.db.Pool().QueryRow(w.t.Context(), `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
			WHERE datname = current_database() AND wait_event_type = 'Lock'`).Scan(&ended))
	}
}

func (w *world) draft(text string) chat.Draft {
	return chat.Draft{Booking: w.booking, ID: fleet.NewID[fleet.ChatMessage](), Text: text}
}

func (w *world) send(who chat.Reader, text string) chat.Message {
	w.t.Helper()
	m, err := w.Send(w.t.Context(), who, w.draft(text))
	w.must(err)
	return m
}

func (w *world) texts(who chat.Reader, after int64) (texts []string) {
	w.t.Helper()
	messages, err := w.Since(w.t.Context(), who, w.booking, after, 1000)
	w.must(err)
	for _, m := range messages {
		texts = append(texts, m.Text)
	}
	return texts
}

// watching is somebody who watches the conversation.
type watching struct {
	updates chan chat.Update
	ended   chan error
	stop    context.CancelFunc
}

func (w *world) watch(who chat.Reader, since int64) *watching {
	w.t.Helper()
	ctx, stop := context.WithCancel(w.t.Context())
	g := &watching{updates: make(chan chat.Update, 1000), ended: make(chan error, 1), stop: stop}
	go func() {
		g.ended <- w.Watch(ctx, who, w.booking, since, func(u chat.Update) error {
			g.updates <- u
			return nil
		})
	}()
	return g
}

// end leaves, and waits until nothing more is told.
func (g *watching) end(t *testing.T) {
	t.Helper()
	g.stop()
	if err := <-g.ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the watch ended by %v", err)
	}
}

// message waits for the next message, and passes over how the conversation stands.
func (g *watching) message(t *testing.T) chat.Message {
	t.Helper()
	for {
		select {
		case u := <-g.updates:
			if u.Message != nil {
				return *u.Message
			}
		case err := <-g.ended:
			t.Fatalf("the watch ended: %v", err)
		}
	}
}

// view waits for the next word on how the conversation stands.
func (g *watching) view(t *testing.T) chat.View {
	t.Helper()
	for {
		select {
		case u := <-g.updates:
			if u.View != nil {
				return *u.View
			}
		case err := <-g.ended:
			t.Fatalf("the watch ended: %v", err)
		}
	}
}

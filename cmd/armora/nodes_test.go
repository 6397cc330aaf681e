package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
	"armora/sim"
)

// twoHubs share a database and a secret, each with a folder of its own.
func twoHubs(t *testing.T) (one, two inside) {
	t.Helper()
	dsn, dirs := schematest.PlainDSN(t), [2]string{t.TempDir(), t.TempDir()}
	one = openInsideOn(t, dsn, dirs[0])
	key, err := os.ReadFile(filepath.Join(dirs[0], "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dirs[1], "secret.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	return one, openInsideOn(t, dsn, dirs[1])
}

// Two hubs share a database. What is ended on one ends on the other, which is told
// there and then, and remembers nothing of it.
func TestWhatEndsOnOneHubEndsOnTheOther(t *testing.T) {
	t.Parallel()
	one, two := twoHubs(t)
	for _, from := range []struct{ here, there inside }{{one, two}, {two, one}} {
		here, there := from.here, from.there
		rider, user, _ := here.person(fleet.RoleRider)
		phone := rider.enrol("")
		elsewhere := &served{t: t, mqtt: there.mqtt, api: there.served.api, token: rider.token}
		elsewhere.ask("GET", "/api/users/me", nil, http.StatusOK)
		c, ack := there.dial(phone, 5)
		if ack.ReasonCode != 0 {
			t.Fatalf("let in with %#x", ack.ReasonCode)
		}
		rider.ask("POST", "/api/auth/logout", nil, http.StatusNoContent)
		c.ended()
		elsewhere.ask("GET", "/api/users/me", nil, http.StatusUnauthorized)

		suspended := make(chan fleet.UserID, 1)
		leave := there.bus.Accounts.Subscribe(func(id fleet.UserID) { suspended <- id })
		here.ask("POST", "/api/users/"+user.String()+"/suspend", map[string]any{"reason": "x"}, http.StatusNoContent)
		if got := <-suspended; got != user {
			t.Errorf("of %s is told, and not of %s", got, user)
		}
		leave()

		tracker := here.device(sim.Tracker)
		c, _ = there.dial(tracker, 4)
		var held struct{ Items []struct{ ID string } }
		here.read(here.ask("GET", "/api/devices/"+tracker.ID+"/credentials", nil, http.StatusOK), &held)
		here.ask("DELETE", "/api/devices/"+tracker.ID+"/credentials/"+held.Items[0].ID, nil, http.StatusNoContent)
		c.ended()
		if _, ack := there.dial(tracker, 5); ack.ReasonCode != packets.ErrBadUsernameOrPassword.Code {
			t.Errorf("after it was revoked: %#x", ack.ReasonCode)
		}
	}
}

// Of two hubs whose people are on a trip, both tell what happens on it, whichever it
// happened on, and to nobody who is not on it any more; what is written is read on
// both, and a phone has its commands wherever it is connected.
func TestWhatHappensOnOneHubIsToldOnTheOther(t *testing.T) {
	t.Parallel()
	one, two := twoHubs(t)
	rider, user, _ := one.person(fleet.RoleRider)
	officer, driver := one.officer("Ada")
	trip := one.assigned(user, driver)
	topic := "v1/trips/" + trip.String() + "/"
	connect := func(who *served) (*client, fleet.DeviceID) {
		t.Helper()
		phone := who.enrol("")
		c, _ := two.dial(phone, 5)
		if got := c.follow(topic+"state", topic+"chat", "v1/devices/"+phone.ID+"/commands"); slices.ContainsFunc(got, func(code byte) bool { return code >= 0x80 }) {
			t.Fatalf("let in with %x", got)
		}
		id, err := fleet.ParseID[fleet.Device](phone.ID)
		if err != nil {
			t.Fatal(err)
		}
		return c, id
	}
	theirs, phone := connect(rider)
	former, _ := connect(officer)
	for _, c := range []*client{theirs, former} {
		c.message(topic + "state") // how it is
	}
	var known atomic.Int64 // how far the other hub knows that the trip has come
	defer two.bus.Bookings.Subscribe(func(c bus.BookingChange) { known.Store(c.Seq) })()

	rider.ask("POST", "/api/chat/"+trip.String()+"/messages", map[string]any{"client_id": fleet.NewID[fleet.ChatMessage](), "text": "Hello?"}, http.StatusCreated)
	for _, c := range []*client{theirs, former} {
		for m := c.message(topic + "chat"); m.Type != "message"; m = c.message(topic + "chat") {
		}
	}
	if _, err := one.commands.Send(t.Context(), phone, "position_rate", []byte(`{"hz":1}`), time.Hour); err != nil {
		t.Fatal(err)
	}
	theirs.message("v1/devices/" + phone.String() + "/commands")

	b := one.loses(trip)
	waitFor(t, "the other hub to hear of it", func() bool { return known.Load() == b.Seq })
	for m := theirs.message(topic + "state"); m.To != "searching"; m = theirs.message(topic + "state") {
	}
	one.change(trip, func(c *schema.BookingTx) error { return c.Move(fleet.Cancelled, schema.Event{Kind: "cancelled"}) })
	for m := theirs.message(topic + "state"); m.To != "cancelled"; m = theirs.message(topic + "state") {
	}
	former.ping()
	for pk, ok := former.next(); pk.FixedHeader.Type != packets.Pingresp; pk, ok = former.next() {
		if !ok || pk.FixedHeader.Type == packets.Publish && strings.HasPrefix(pk.TopicName, topic) {
			t.Fatalf("who gave it back hears %s (open: %v)", pk.Payload, ok)
		}
	}
}

// A hub that did not hear for a while what the others told finds out what it has missed:
// nobody else would end what a phone has opened, nor tell it that a command waits.
func TestAHubThatCouldNotHearCatchesUp(t *testing.T) {
	t.Parallel()
	h := openInside(t)
	var ends []*client
	rider, _, session := h.person(fleet.RoleRider)
	c, _ := h.dial(rider.enrol(""), 5)
	ends = append(ends, c)
	tracker := h.device(sim.Tracker)
	c, _ = h.dial(tracker, 4)
	ends = append(ends, c)
	stays := h.device(sim.Tracker)
	waiting, _ := h.dial(stays, 5)
	waiting.follow("v1/devices/" + stays.ID + "/commands")
	id := func(d sim.Device) fleet.DeviceID {
		id, err := fleet.ParseID[fleet.Device](d.ID)
		if err != nil {
			t.Fatal(err)
		}
		return id
	}

	// What follows nobody is told.
	now, credentials := h.clock.Now(), schema.Credentials{DB: h.db}
	held, err := credentials.List(t.Context(), id(tracker))
	if err != nil {
		t.Fatal(err)
	}
	revoked := credentials.Revoke(t.Context(), id(tracker), held[0].ID, now)
	_, added := schema.Outbox{DB: h.db, Clock: h.clock}.Add(t.Context(), fleet.Command{Device: id(stays), Kind: "position_rate", Body: []byte(`{"hz":1}`), Created: now, Expires: now.Add(time.Hour)})
	_, ended := h.db.Pool().Exec(t.Context(), `UPDATE user_sessions SET ended = $2 WHERE id = $1`, session.ID, now)
	_, deaf := h.db.Pool().Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'armora news' AND datname = current_database()`)
	if err := errors.Join(revoked, added, ended, deaf); err != nil {
		t.Fatal(err)
	}
	for _, c := range ends {
		c.ended()
	}
	waiting.message("v1/devices/" + stays.ID + "/commands")
}

// What has ended is told until the database takes it; what has changed is read anyway.
func TestWhatHasEndedIsToldUntilItIsHeard(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	h, queue, told := newHub(settings{}, slog.New(slog.DiscardHandler)), make(chan bus.News, 2), make(chan string, 8)
	changed := bus.News{Booking: bus.BookingChange{ID: fleet.NewID[fleet.Booking]()}}
	ended := bus.News{Session: fleet.NewID[fleet.UserSession]()}
	queue <- changed
	queue <- ended
	failing := 2 // the first of each
	var telling sync.WaitGroup
	telling.Go(func() {
		h.tellNodes(ctx, func(_ context.Context, text string) error {
			told <- text
			if failing--; failing >= 0 {
				return errors.New("the connection was cut")
			}
			return nil
		}, queue)
	})
	for _, want := range []string{changed.Booking.ID.String(), ended.Session.String(), ended.Session.String()} {
		if got := <-told; !strings.Contains(got, want) {
			t.Errorf("told %s, want %s", got, want)
		}
	}
	cancel()
	telling.Wait()
	if len(told) > 0 {
		t.Errorf("told %s once more", <-told)
	}
}

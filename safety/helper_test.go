package safety

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// plainSealer seals so that a test can read it, and opens for its purpose alone.
type plainSealer struct{}

func (plainSealer) Seal(plain []byte, purpose string) []byte {
	return append([]byte(purpose+"\n"), plain...)
}

func (plainSealer) Unseal(sealed []byte, purpose string) ([]byte, error) {
	plain, ok := bytes.CutPrefix(sealed, []byte(purpose+"\n"))
	if !ok {
		return nil, errors.New("sealed for something else")
	}
	return plain, nil
}

// world is a watch on a database of its own, whose messages the test answers.
type world struct {
	*Watch
	t     *testing.T
	db    *schema.DB
	dir   string
	clock *fleet.ManualClock
	bus   *bus.Bus

	mu       sync.Mutex
	sent     []fleet.Notice // that were taken
	texts    []map[string]string
	refuse   func(fleet.Notice) (fleet.NoticeState, error) // nil: all are taken
	commands []string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOn(t, schematest.Plain(t), t.TempDir(), fleet.NewManualClock(noon))
}

func newWorldOn(t *testing.T, db *schema.DB, dir string, clock *fleet.ManualClock, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, db: db, dir: dir, clock: clock, bus: new(bus.Bus)}
	cfg := Config{
		DB: db, Sealer: plainSealer{}, Dir: dir, Send: w.take,
		Contact: func(c schema.SealedContact) (fleet.Contact, error) {
			return fleet.Contact{ID: c.ID, Name: "Bo", Email: string(c.Sealed)}, nil
		},
		Command: func(_ context.Context, device fleet.DeviceID, kind string, body json.RawMessage, _ time.Duration) (fleet.Command, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.commands = append(w.commands, device.String()+" "+kind+" "+string(body))
			return fleet.Command{}, nil
		},
		Code: func(_ fleet.UserID, code string) []byte { return []byte("hashed " + code) },
		Bus:  w.bus, Clock: clock, Log: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&cfg)
	}
	var err error
	if w.Watch, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	return w
}

func (w *world) open() *world {
	w.t.Helper()
	if err := w.Open(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	return w
}

// take is the other side of Send.
func (w *world) take(_ context.Context, n fleet.Notice, data map[string]string, _ ...schema.SealedPushToken) (fleet.NoticeState, error) {
	if w.refuse != nil {
		if state, err := w.refuse(n); state != fleet.NoticeSent {
			return state, err
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent, w.texts = append(w.sent, n), append(w.texts, data)
	return fleet.NoticeSent, nil
}

// took returns how many messages of a kind a channel has taken.
func (w *world) took(kind string, channel fleet.Channel) (count int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, n := range w.sent {
		if n.Kind == kind && n.Channel == channel {
			count++
		}
	}
	return count
}

// until waits for something that other goroutines do.
func (w *world) until(what string, holds func() bool) {
	w.t.Helper()
	tick, deadline := time.NewTicker(2*time.Millisecond), time.After(30*time.Second)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			w.t.Fatalf("waited too long for %s", what)
		}
	}
}

func (w *world) exec(sql string, args ...any) {
	w.t.Helper()
	if _, err := w.db.Pool().Exec(w.t.Context(), sql, args...); err != nil {
		w.t.Fatal(err)
	}
}

// person makes a user.
func (w *world) person(roles ...fleet.Role) fleet.UserID {
	w.t.Helper()
	u := fleet.User{
		ID: fleet.NewID[fleet.User](), Name: "Ada", EmailVerified: noon, Roles: roles, Created: noon,
	}
	u.Email = u.ID.String() + "@example.com"
	if err := (schema.Users{DB: w.db}).Create(w.t.Context(), u, ""); err != nil {
		w.t.Fatal(err)
	}
	if u.Has(fleet.RoleDispatcher) {
		w.exec(`UPDATE users SET phone = '+447700900123', phone_verified = $2 WHERE id = $1`, u.ID, noon)
	}
	return u.ID
}

// app has a user signed in with an app that pushes come to.
func (w *world) app(user fleet.UserID, token string) {
	w.t.Helper()
	session, id := fleet.NewID[fleet.UserSession](), fleet.NewID[fleet.PushToken]()
	w.exec(`INSERT INTO user_sessions (id, user_id, method, second_factor, agent, address, created, authenticated, used, expires)
		VALUES ($1, $2, 'password', false, '', '', $3, $3, $3, $4)`, session, user, noon, noon.Add(48*time.Hour))
	err := schema.PushTokens{DB: w.db}.Put(w.t.Context(), schema.SealedPushToken{
		ID: id, User: user, Session: session, Hash: []byte(token), Sealed: plainSealer{}.Seal([]byte(token), fleet.PushPurpose(id)), Created: noon}, 10)
	if err != nil {
		w.t.Fatal(err)
	}
}

// phone makes a phone of a user's.
func (w *world) phone(user fleet.UserID) fleet.DeviceID {
	w.t.Helper()
	d := fleet.Device{ID: fleet.NewID[fleet.Device](), Kind: fleet.Phone, Name: "phone", User: user, Created: noon}
	if err := (schema.Devices{DB: w.db}).Create(w.t.Context(), d); err != nil {
		w.t.Fatal(err)
	}
	return d.ID
}

func (w *world) raise(user fleet.UserID) fleet.SOS {
	w.t.Helper()
	s, err := w.Raise(fleet.SOSCall{Client: fleet.NewID[fleet.SOSCall](), Raiser: fleet.Raiser{User: user}, Type: fleet.SOSMedical, Via: "rest"})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// stored waits until the database has all, and returns an SOS from there.
func (w *world) stored(id fleet.SOSID) fleet.SOS {
	w.t.Helper()
	w.until("the database to have all", func() bool {
		w.Watch.mu.Lock()
		defer w.Watch.mu.Unlock()
		return len(w.pending) == 0
	})
	s, err := w.table.Get(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// kinds are those of the entries that people made.
func kinds(s *fleet.SOS) (all []fleet.SOSKind) {
	for i := range s.Timeline {
		switch k := s.Timeline[i].Kind; k {
		case fleet.SOSTold, fleet.SOSRateRaised, fleet.SOSRateRestored, fleet.SOSEscalated:
		default:
			all = append(all, k)
		}
	}
	return all
}

package api

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// keyed is do with an Idempotency-Key.
func (p *person) keyed(key, method, path string, body any) answer {
	p.h.t.Helper()
	r := p.h.request(method, path, body)
	r.Header.Set("Authorization", "Bearer "+p.token)
	r.Header.Set(keyHeader, key)
	return p.h.send(r)
}

type madeOutput struct {
	Status   int
	Location string `header:"Location"`
	Body     struct {
		Secret string `json:"secret"`
	}
}

type makeInput struct {
	Body struct {
		Name string `json:"name"`
	}
}

// making is a hub with one more operation, POST /make, that runs do.
func making(t *testing.T, do func(name string) (*madeOutput, error)) *hub {
	t.Helper()
	h := newHub(t)
	s, err := New(h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	route(s, signedIn(), huma.Operation{OperationID: "make", Method: http.MethodPost, Path: "/make", DefaultStatus: http.StatusCreated},
		func(_ context.Context, in *makeInput) (*madeOutput, error) { return do(in.Body.Name) })
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	h.url = "http://" + s.Addr().String()
	return h
}

// counting answers each call with another secret.
func counting(calls *atomic.Int64) func(string) (*madeOutput, error) {
	return func(name string) (*madeOutput, error) {
		out := &madeOutput{Status: http.StatusCreated, Location: "/made/" + name}
		out.Body.Secret = "s3cret" + strings.Repeat("!", int(calls.Add(1)))
		return out, nil
	}
}

func TestARequestSentAgainIsAnsweredAgainAndNotCarriedOut(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	h := making(t, counting(&calls))
	ada, bo := h.person(fleet.RoleRider), h.person(fleet.RoleRider)
	first := ada.keyed("key", "POST", "/make", `{"name":"x"}`)
	if first.StatusCode != http.StatusCreated || first.Header.Get(replayedHeader) != "" {
		t.Fatalf("%s %s", first.Status, first.body)
	}
	h.clock.Advance(24 * time.Hour)
	ada.renew()
	bo.renew()
	again := ada.keyed("key", "POST", "/make", `{"name":"x"}`)
	if calls.Load() != 1 || !bytes.Equal(again.body, first.body) || again.StatusCode != first.StatusCode {
		t.Errorf("%d calls; %s %s, want %s", calls.Load(), again.Status, again.body, first.body)
	}
	if again.Header.Get(replayedHeader) != "true" || again.Header.Get("X-Request-Id") == first.Header.Get("X-Request-Id") {
		t.Errorf("headers %v", again.Header)
	}
	for _, name := range []string{"Location", "Content-Type", "Cache-Control", "X-Content-Type-Options"} {
		if got, want := again.Header.Values(name), first.Header.Values(name); len(got) != 1 || got[0] != want[0] {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	problem(t, ada.keyed("key", "POST", "/make", `{"name":"y"}`), 422, codeKeyReused)
	if calls.Load() != 1 {
		t.Fatalf("another body was carried out")
	}
	for _, other := range []answer{
		bo.keyed("key", "POST", "/make", `{"name":"x"}`), ada.keyed("Key", "POST", "/make", `{"name":"x"}`),
		ada.do("POST", "/make", `{"name":"x"}`), ada.do("POST", "/make", `{"name":"x"}`),
	} {
		if other.StatusCode != http.StatusCreated || bytes.Equal(other.body, first.body) {
			t.Errorf("%s %s", other.Status, other.body)
		}
	}
	if calls.Load() != 5 {
		t.Errorf("%d calls: a key is its caller's, and none is none", calls.Load())
	}
}

func TestAKeptReplyIsOpenedByItsKeyAlone(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	h := making(t, counting(&calls))
	h.person().keyed("tell-nobody", "POST", "/make", `{"name":"x"}`)
	var dump string
	err := h.db.Pool().QueryRow(t.Context(), `SELECT string_agg(encode(r.reply, 'escape') || r::text, '') FROM idempotent_requests r`).Scan(&dump)
	if err != nil || dump == "" {
		t.Fatal(err)
	}
	for _, secret := range []string{"s3cret", "tell-nobody", "/made/x"} {
		if strings.Contains(dump, secret) {
			t.Errorf("%q is in the database: %s", secret, dump)
		}
	}
}

func TestARequestUnderWayIsNotStartedAgainUntilItsLeaseIsOver(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	entered, leave := make(chan struct{}), make(chan struct{})
	h := making(t, func(name string) (*madeOutput, error) {
		if calls.Add(1) == 1 {
			close(entered)
			<-leave // as one who has died, until the other is done
		}
		return counting(&calls)(name)
	})
	ada := h.person()
	slow := make(chan answer, 1)
	go func() { slow <- ada.keyed("key", "POST", "/make", `{"name":"x"}`) }()
	<-entered
	busy := ada.keyed("key", "POST", "/make", `{"name":"x"}`)
	problem(t, busy, 409, codeUnderWay)
	if busy.Header.Get("Retry-After") != "1" {
		t.Errorf("Retry-After %q", busy.Header.Get("Retry-After"))
	}
	h.clock.Advance(leaseOf)
	second := ada.keyed("key", "POST", "/make", `{"name":"x"}`)
	if second.StatusCode != http.StatusCreated {
		t.Errorf("after the lease: %s", second.Status)
	}
	close(leave)
	late := <-slow
	if late.StatusCode != http.StatusCreated {
		t.Errorf("who was slow: %s", late.Status)
	}
	if kept := ada.keyed("key", "POST", "/make", `{"name":"x"}`); !bytes.Equal(kept.body, second.body) {
		t.Errorf("kept is %s, want the second's %s", kept.body, second.body)
	}
}

func TestWhatMayGoOtherwiseNextTimeIsNotKept(t *testing.T) {
	t.Parallel()
	answers := []error{
		&fleet.Error{Code: fleet.CodeUnavailable, Message: "away"}, &fleet.Error{Code: fleet.CodeTooMany, Message: "wait"},
		&fleet.Error{Code: fleet.CodeForbidden, Message: "not yet"}, nil /* a panic */, &fleet.Error{Code: fleet.CodeConflict, Message: "for good"},
	}
	var calls atomic.Int64
	h := making(t, func(string) (*madeOutput, error) {
		err := answers[calls.Add(1)-1]
		if err == nil {
			panic("oh no")
		}
		return nil, err
	})
	ada := h.person()
	for _, want := range []int{503, 429, 403, 500, 409, 409} {
		if a := ada.keyed("key", "POST", "/make", `{"name":"x"}`); a.StatusCode != want {
			t.Errorf("%s, want %d: %s", a.Status, want, a.body)
		}
	}
	if calls.Load() != 5 {
		t.Errorf("%d calls, want 5: the conflict stands", calls.Load())
	}
}

func TestKeysThatAreNone(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	ada := h.person(fleet.RoleAdmin)
	for _, key := range []string{"with space", "ünï", strings.Repeat("k", 256)} {
		problem(t, ada.keyed(key, "POST", "/api/drivers", `{"name":"x","tier":"executive"}`), 422, fleet.CodeInvalid)
	}
	if a := ada.keyed("k", "GET", "/api/drivers", nil); a.StatusCode != http.StatusOK {
		t.Errorf("a GET: %s", a.Status)
	}
}

func TestWithoutADatabaseNothingIsCarriedOutUnderAKey(t *testing.T) {
	t.Parallel()
	var calls atomic.Int64
	h := making(t, counting(&calls))
	ada := h.person()
	ada.do("POST", "/make", `{"name":"x"}`) // so that the hub knows ada
	h.db.Close()
	problem(t, ada.keyed("key", "POST", "/make", `{"name":"x"}`), 503, fleet.CodeUnavailable)
	if calls.Load() != 1 {
		t.Errorf("%d calls", calls.Load())
	}
}

// Every POST by somebody who is known takes a key, and says so; but for emergencies,
// which are named by the press and do without the database.
func TestEveryPostDocumentsItsKey(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	found := 0
	for path, item := range h.huma.OpenAPI().Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Delete, item.Patch} {
			if op == nil {
				continue
			}
			takes := false
			for _, p := range op.Parameters {
				takes = takes || p.Name == keyHeader
			}
			if want := op.Method == http.MethodPost && !open(op) && !strings.HasPrefix(path, "/api/sos"); takes != want {
				t.Errorf("%s %s takes a key: %v, want %v", op.Method, path, takes, want)
			}
			if takes {
				found++
			}
		}
	}
	if found == 0 {
		t.Error("no operation takes a key")
	}
}

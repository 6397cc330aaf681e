// Package stripe speaks the part of Stripe's HTTP API, version 2023-10-16, by
// which the hub takes, holds, returns and passes on money. Unlike stripe-mock it
// has a state: what was done decides what may be done next, holds expire by its
// clock, and it can be told to misbehave. Card numbers reach it only the way they
// reach Stripe: from the client's card form, which is [Browser], or the script at /v3/.
package stripe

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// APIVersion is the one version that is answered.
const APIVersion = "2023-10-16"

// Clock tells the time.
type Clock interface{ Now() time.Time }

// Server is an http.Handler in the place of api.stripe.com. It starts nothing:
// what the passing of time does is done when it is next asked.
type Server struct {
	secret, publishable string
	clock               Clock
	mux                 *http.ServeMux
	stalled             chan struct{}
	queued              chan struct{} // holds one when something waits to be delivered

	mu        sync.Mutex
	moment    time.Time // what the endpoint that runs takes for now
	nouns     []Noun    // all objects in the order in which they were made
	index     map[string]Noun
	later     []effect
	keys      map[string]*keyed
	faults    []Fault
	interfere func(Request) Act
	fates     func(Event) Fate
	waiting   []*delivery
	version   string // of the events to come
	requests  int
	changes   int // how often something may have changed
}

// New returns a server with one account, known by the two keys.
func New(secret, publishable string, clock Clock) *Server {
	s := &Server{
		secret: secret, publishable: publishable, clock: clock, mux: http.NewServeMux(), version: APIVersion,
		stalled: make(chan struct{}, 64), queued: make(chan struct{}, 1),
		index: map[string]Noun{}, keys: map[string]*keyed{},
	}
	for _, r := range routes() {
		rules := parseRules(r.params)
		s.mux.HandleFunc(r.pattern, func(w http.ResponseWriter, q *http.Request) { s.serve(w, q, r, rules) })
	}
	s.mux.HandleFunc("GET /authenticate/{id}", s.page)
	s.mux.HandleFunc("POST /authenticate/{id}", s.pressed)
	s.mountForm()
	s.mux.HandleFunc("GET /onboarding/{id}", s.onboarding)
	s.mux.HandleFunc("POST /onboarding/{id}", s.onboarded)
	s.mux.HandleFunc("/v1/", func(w http.ResponseWriter, q *http.Request) {
		answer(w, http.StatusNotFound, wrap(invalid("", "", "Unrecognized request URL (%s: %s).", q.Method, q.URL.Path)))
	})
	return s
}

// ServeHTTP implements http.Handler. Each answer closes its connection: on a kept
// one net/http repeats a request by itself, and an answer that was lost would not
// be lost.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Connection", "close")
	s.mux.ServeHTTP(w, r)
}

// Head is what all objects have.
type Head struct {
	ID       string `json:"id"`
	Object   string `json:"object"`
	Created  int64  `json:"created"` // unix seconds
	Livemode bool   `json:"livemode"`
}

func (h *Head) head() *Head { return h }

// Noun is any of the objects.
type Noun interface{ head() *Head }

// ref is an id or text that is null when it is empty.
type ref string

// MarshalJSON implements json.Marshaler.
func (r ref) MarshalJSON() ([]byte, error) {
	if r == "" {
		return []byte("null"), nil
	}
	return json.Marshal(string(r))
}

// stamp is a time in unix seconds that is null when it is zero.
type stamp int64

// MarshalJSON implements json.Marshaler.
func (t stamp) MarshalJSON() ([]byte, error) {
	if t == 0 {
		return []byte("null"), nil
	}
	return fmt.Appendf(nil, "%d", int64(t)), nil
}

// All returns copies of all objects of a type, the oldest first.
func All[T any](s *Server) []T {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.elapse()
	var all []T
	for _, noun := range s.nouns {
		if one, ok := any(noun).(*T); ok {
			all = append(all, copied(one))
		}
	}
	return all
}

// copied shares no memory with what it was copied from.
func copied[T any](one *T) T {
	var other T
	body, err := json.Marshal(one)
	if err == nil {
		err = json.Unmarshal(body, &other)
	}
	if err != nil {
		panic(err) // our own types
	}
	return other
}

// find returns an object that must exist, and of that type.
func find[T any](s *Server, id, param string) (*T, error) {
	if one, ok := any(s.index[id]).(*T); ok {
		return one, nil
	}
	return nil, &Error{
		Status: http.StatusNotFound, Type: "invalid_request_error", Code: "resource_missing", Param: param,
		Message: fmt.Sprintf("No such object: '%s'", id),
	}
}

// every returns the objects of a type for which keep holds, the oldest first.
func every[T any](s *Server, keep func(*T) bool) []*T {
	var all []*T
	for _, noun := range s.nouns {
		if one, ok := any(noun).(*T); ok && keep(one) {
			all = append(all, one)
		}
	}
	return all
}

// fresh is the head of a new object.
func (s *Server) fresh(prefix, object string) Head {
	return Head{ID: prefix + "_" + rand.Text(), Object: object, Created: s.moment.Unix()}
}

func (s *Server) add(noun Noun) {
	s.nouns = append(s.nouns, noun)
	s.index[noun.head().ID] = noun
}

func (s *Server) remove(id string) {
	for i, noun := range s.nouns {
		if noun.head().ID == id {
			s.nouns = append(s.nouns[:i:i], s.nouns[i+1:]...)
		}
	}
	delete(s.index, id)
}

// locked runs do as an endpoint runs.
func (s *Server) locked(do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.elapse()
	do()
}

func answer(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // who does not wait for it has gone
}

// bearer is the key that a request carries: as a bearer token, as the name of basic
// authentication, or, from a browser, in its form.
func bearer(r *http.Request, form map[string][]string) string {
	if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
		return token
	}
	if name, _, ok := r.BasicAuth(); ok {
		return name
	}
	if key := form["key"]; len(key) == 1 {
		return key[0]
	}
	return ""
}

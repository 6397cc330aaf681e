package stripe

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// keysKept is for how long the result of an idempotency key is kept: Stripe may
// forget it after that, and this server does.
const keysKept = 24 * time.Hour

// route is one endpoint. An endpoint that is open is answered with the publishable
// key too.
type route struct {
	pattern string
	open    bool
	params  string // see parseRules
	do      func(*call) (any, error)
}

// call is one request to an endpoint that is being executed.
type call struct {
	*Server
	form
	id      string // that of its path
	public  bool   // with the publishable key
	base    string // http://host:port, as the client names the server
	request string
	key     string // of idempotency
}

// keyed is the result that belongs to an idempotency key.
type keyed struct {
	digest [sha256.Size]byte // of the method, path and parameters
	flying bool
	at     time.Time
	status int
	body   []byte
}

// serve answers a request to an endpoint. What fails before the endpoint runs
// (authentication, limits, validation, a key in use) is not kept under the key.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, at route, rules rules) {
	c, err := s.read(r, at)
	if err == nil {
		err = rules.check(c.form)
	}
	w.Header().Set("Request-Id", c.request)
	w.Header().Set("Stripe-Version", APIVersion)
	var act Act
	if err == nil {
		act = s.due(Request{Method: r.Method, Path: r.URL.Path, Key: c.key, Form: url.Values(c.form)})
		err = act.before()
	}
	if err != nil {
		refuse(w, err)
		return
	}
	kept, replayed, err := s.begin(c.key, r)
	switch {
	case err != nil:
		refuse(w, err)
		return
	case replayed && act != Lose && act != Hang:
		w.Header().Set("Idempotency-Key", c.key)
		w.Header().Set("Idempotent-Replayed", "true")
		answer(w, kept.status, kept.body)
		return
	case act == Stall:
		defer s.forget(c.key, kept)
		s.stall(r)
	case !replayed:
		s.execute(c, at, act, kept)
	}
	switch act {
	case Hang:
		s.stall(r)
	case Lose:
		panic(http.ErrAbortHandler)
	}
	answer(w, kept.status, kept.body)
}

// read takes a request apart and says whose it is.
func (s *Server) read(r *http.Request, at route) (*call, error) {
	c := &call{Server: s, id: r.PathValue("id"), base: "http://" + r.Host, key: r.Header.Get("Idempotency-Key"), request: "req_" + rand.Text()[:14]}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return c, invalid("", "", "The body could not be read.")
	}
	values, err := url.ParseQuery(string(body))
	if r.Method == http.MethodGet || len(body) == 0 {
		values, err = r.URL.Query(), nil
	}
	if err != nil {
		return c, invalid("", "", "Invalid form.")
	}
	c.form = form(values)
	r.Form = values
	switch key := bearer(r, values); {
	case key == "":
		return c, &Error{Status: http.StatusUnauthorized, Type: "invalid_request_error", Message: "You did not provide an API key."}
	case key == s.publishable && !at.open:
		return c, &Error{Status: http.StatusForbidden, Type: "invalid_request_error", Code: "secret_key_required", Message: "This API call cannot be made with a publishable API key."}
	case key != s.secret && key != s.publishable:
		return c, &Error{Status: http.StatusUnauthorized, Type: "invalid_request_error", Message: "Invalid API Key provided"}
	default:
		c.public = key == s.publishable
	}
	if version := r.Header.Get("Stripe-Version"); version != "" && version != APIVersion {
		return c, invalid("", "", "Invalid Stripe API version: %s", version)
	}
	if len(c.key) > 255 {
		return c, &Error{Status: http.StatusBadRequest, Type: "idempotency_error", Message: "Idempotency keys may be at most 255 characters."}
	}
	delete(values, "key")
	return c, nil
}

// begin claims an idempotency key, or returns what it led to before.
func (s *Server) begin(key string, r *http.Request) (kept *keyed, replayed bool, err error) {
	kept = &keyed{flying: true, digest: sha256.Sum256([]byte(r.Method + r.URL.Path + "?" + r.Form.Encode()))}
	if key == "" || r.Method != http.MethodPost {
		return kept, false, nil
	}
	s.locked(func() {
		kept.at = s.moment
		before, known := s.keys[key]
		switch {
		case !known:
			s.keys[key] = kept
		case before.digest != kept.digest:
			err = &Error{
				Status: http.StatusBadRequest, Type: "idempotency_error",
				Message: fmt.Sprintf("Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a key other than '%s' if you meant to execute a different request.", key),
			}
		case before.flying:
			err = &Error{
				Status: http.StatusConflict, Type: "idempotency_error", Code: "idempotency_key_in_use",
				Message: "There is currently another in-progress request using this Idempotent Key.",
			}
		default:
			kept, replayed = before, true
		}
	})
	return kept, replayed, err
}

func (s *Server) forget(key string, kept *keyed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.keys[key] == kept {
		delete(s.keys, key)
	}
}

// execute runs the endpoint, one at a time, and keeps the result, whatever it is.
func (s *Server) execute(c *call, at route, act Act, kept *keyed) {
	s.locked(func() {
		s.requests++
		s.changes++
		var made any
		var err error
		if act != Fail {
			made, err = at.do(c)
		}
		if act == Fail || act == FailAfter {
			err = &Error{Status: http.StatusInternalServerError, Type: "api_error", Message: "Sorry! There was an error while talking to one of our backends."}
		}
		kept.flying = false
		if err != nil {
			kept.status, kept.body = status(err), wrap(err)
			return
		}
		kept.status, kept.body = http.StatusOK, s.render(made, c.list("expand"))
	})
}

// render is an object as JSON with the named references replaced by what they name.
func (s *Server) render(made any, expand []string) []byte {
	body, err := json.Marshal(made)
	if err != nil {
		panic(err) // our own types
	}
	if len(expand) == 0 {
		return body
	}
	var tree any
	if err := json.Unmarshal(body, &tree); err != nil {
		panic(err)
	}
	for _, path := range expand {
		s.expand(tree, strings.Split(path, "."))
	}
	body, _ = json.Marshal(tree) // a tree of plain values
	return body
}

func (s *Server) expand(tree any, path []string) {
	if many, ok := tree.([]any); ok {
		for _, one := range many {
			s.expand(one, path)
		}
		return
	}
	one, ok := tree.(map[string]any)
	if !ok || len(path) == 0 {
		return
	}
	if id, named := one[path[0]].(string); named && s.index[id] != nil {
		body, _ := json.Marshal(s.index[id])
		var whole any
		_ = json.Unmarshal(body, &whole) // what was marshalled
		one[path[0]] = whole
	}
	s.expand(one[path[0]], path[1:])
}

func refuse(w http.ResponseWriter, err error) {
	if errors.Is(err, errCut) {
		panic(http.ErrAbortHandler)
	}
	answer(w, status(err), wrap(err))
}

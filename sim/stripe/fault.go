package stripe

import (
	"errors"
	"net/http"
	"net/url"
	"path"
)

// Request is what a fault is chosen by.
type Request struct {
	Method, Path string
	Key          string // of idempotency
	Form         url.Values
}

// Act is how the server treats a request.
type Act int

// The acts.
const (
	Pass      Act = iota // as it should
	Cut                  // the connection is cut before anything was done
	Lose                 // done, but the connection is cut before the answer
	Fail                 // 500, nothing was done; the key leads to it again
	FailAfter            // done, but the answer is 500; the key leads to it again
	Limit                // 429, nothing was done and nothing is kept under the key
	Stall                // nothing is done until the client has gone, and then neither
	Hang                 // done, but not answered until the client has gone
)

// Fault is an act on one request to come.
type Fault struct {
	Act Act
	On  string // method and path, in which * stands for one part: "POST /v1/payment_intents/*/capture"; "" is any
}

var errCut = errors.New("cut")

// before is what an act does before the endpoint.
func (a Act) before() error {
	switch a {
	case Cut:
		return errCut
	case Limit:
		return &Error{Status: http.StatusTooManyRequests, Type: "invalid_request_error", Code: "rate_limit", Message: "Too many requests"}
	default:
		return nil
	}
}

// Plan says how requests to come are treated: each fault is for the first request
// that it fits.
func (s *Server) Plan(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// Interfere asks choose for the treatment of every request for which no fault is
// planned. It must not call the server.
func (s *Server) Interfere(choose func(Request) Act) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.interfere = choose
}

// Stalled receives whenever the server begins to stall.
func (s *Server) Stalled() <-chan struct{} { return s.stalled }

func (s *Server) due(r Request) Act {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, f := range s.faults {
		if fits, _ := path.Match(f.On, r.Method+" "+r.Path); fits || f.On == "" {
			s.faults = append(s.faults[:i:i], s.faults[i+1:]...)
			return f.Act
		}
	}
	if s.interfere != nil {
		return s.interfere(r)
	}
	return Pass
}

func (s *Server) stall(r *http.Request) {
	select {
	case s.stalled <- struct{}{}:
	default: // nobody counts them
	}
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

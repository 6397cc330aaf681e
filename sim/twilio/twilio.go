// Package twilio speaks the part of Twilio's HTTP protocol by which text
// messages are sent and calls are made. It keeps what it takes, and can be told to misbehave.
package twilio

import (
	"crypto/subtle"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Message is a text message that was taken.
type Message struct {
	SID, From, To, Body string
	Validity            string // seconds it may wait, as was asked
	Status              string // queued, sent, delivered, undelivered
}

// Call is a telephone call that was taken.
type Call struct {
	SID, From, To string
	Says          string // what is read, from the TwiML
	Timeout       string // seconds it rings, as was asked
}

// Act is what the server does instead of taking a message.
type Act int

// The acts.
const (
	Refuse Act = iota // with Fault.Status and Fault.Code
	Take              // it, and drop the connection without an answer
	Stall             // until the client has gone
)

// Fault is how the server treats one request.
type Fault struct {
	Act    Act
	Status int // of HTTP
	Code   int // of Twilio's list of errors
}

// Server is an http.Handler in the place of api.twilio.com.
type Server struct {
	account, token string
	mux            *http.ServeMux

	mu      sync.Mutex
	faults  []Fault
	took    []Message
	calls   []Call
	made    int
	stalled chan struct{}
}

// New returns a server with one account.
func New(account, token string) *Server {
	s := &Server{account: account, token: token, mux: http.NewServeMux(), stalled: make(chan struct{}, 16)}
	s.mux.HandleFunc("POST /2010-04-01/Accounts/{account}/Messages.json", s.create)
	s.mux.HandleFunc("GET /2010-04-01/Accounts/{account}/Messages.json", s.list)
	s.mux.HandleFunc("GET /2010-04-01/Accounts/{account}/Messages/{message}", s.get)
	s.mux.HandleFunc("DELETE /2010-04-01/Accounts/{account}/Messages/{message}", s.delete)
	s.mux.HandleFunc("POST /2010-04-01/Accounts/{account}/Calls.json", s.call)
	return s
}

// Plan says how the requests to come are treated, one fault each; after them
// messages are taken.
func (s *Server) Plan(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// Stalled receives whenever the server begins to stall.
func (s *Server) Stalled() <-chan struct{} { return s.stalled }

// Took returns all messages that were taken.
func (s *Server) Took() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Message(nil), s.took...)
}

// Calls returns all calls that were taken.
func (s *Server) Calls() []Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Call(nil), s.calls...)
}

// Report is what the network says of a message: sent, delivered, undelivered.
func (s *Server) Report(sid, status string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.took {
		if s.took[i].SID == sid {
			s.took[i].Status = status
		}
	}
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	account, token, _ := r.BasicAuth()
	if subtle.ConstantTimeCompare([]byte(account+":"+token), []byte(s.account+":"+s.token)) != 1 {
		refuse(w, http.StatusUnauthorized, 20003, "Authenticate")
		return
	}
	s.mux.ServeHTTP(w, r)
}

var number = regexp.MustCompile(`^\+[1-9][0-9]{6,14}$`)

func (s *Server) create(w http.ResponseWriter, r *http.Request) {
	m := Message{
		From: r.PostFormValue("From"), To: r.PostFormValue("To"), Body: r.PostFormValue("Body"),
		Validity: r.PostFormValue("ValidityPeriod"), Status: "queued",
	}
	if f, planned := s.due(); planned {
		switch f.Act {
		case Refuse:
			refuse(w, f.Status, f.Code, "planned for "+m.To)
			return
		case Stall:
			s.stalled <- struct{}{}
			<-r.Context().Done()
			return
		case Take:
			s.take(m)
			panic(http.ErrAbortHandler)
		}
	}
	switch {
	case r.PathValue("account") != s.account:
		refuse(w, http.StatusNotFound, 20404, "The requested resource was not found")
	case !number.MatchString(m.To):
		refuse(w, http.StatusBadRequest, 21211, fmt.Sprintf("The 'To' number %s is not a valid phone number.", m.To))
	case m.From == "":
		refuse(w, http.StatusBadRequest, 21603, "A 'From' phone number is required.")
	case m.Body == "":
		refuse(w, http.StatusBadRequest, 21602, "Message body is required.")
	case len([]rune(m.Body)) > 1600:
		refuse(w, http.StatusBadRequest, 21617, "The concatenated message body exceeds the 1600 character limit")
	default:
		s.show(w, http.StatusCreated, s.take(m))
	}
}

// call takes a call that brings its TwiML along, and puts it through at once.
func (s *Server) call(w http.ResponseWriter, r *http.Request) {
	c := Call{From: r.PostFormValue("From"), To: r.PostFormValue("To"), Timeout: r.PostFormValue("Timeout")}
	var script struct {
		Say []string `xml:"Say"`
	}
	unread := xml.Unmarshal([]byte(r.PostFormValue("Twiml")), &script)
	c.Says = strings.Join(script.Say, " ")
	if f, planned := s.due(); planned {
		switch f.Act {
		case Refuse:
			refuse(w, f.Status, f.Code, "planned for "+c.To)
			return
		case Stall:
			s.stalled <- struct{}{}
			<-r.Context().Done()
			return
		case Take:
			s.put(c)
			panic(http.ErrAbortHandler)
		}
	}
	switch {
	case r.PathValue("account") != s.account:
		refuse(w, http.StatusNotFound, 20404, "The requested resource was not found")
	case !number.MatchString(c.To):
		refuse(w, http.StatusBadRequest, 21211, fmt.Sprintf("The 'To' number %s is not a valid phone number.", c.To))
	case !number.MatchString(c.From):
		refuse(w, http.StatusBadRequest, 21212, "The 'From' number is not a valid phone number.")
	case unread != nil || c.Says == "":
		refuse(w, http.StatusBadRequest, 12100, "Document parse failure")
	default:
		c = s.put(c)
		answer(w, http.StatusCreated, map[string]any{
			"sid": c.SID, "account_sid": s.account, "from": c.From, "to": c.To, "status": "queued", "direction": "outbound-api",
			"uri": "/2010-04-01/Accounts/" + s.account + "/Calls/" + c.SID + ".json",
		})
	}
}

func (s *Server) put(c Call) Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	c.SID = fmt.Sprintf("CA%032x", s.made)
	s.calls = append(s.calls, c)
	return c
}

func (s *Server) get(w http.ResponseWriter, r *http.Request) {
	for _, m := range s.Took() {
		if m.SID+".json" == r.PathValue("message") && r.PathValue("account") == s.account {
			s.show(w, http.StatusOK, m)
			return
		}
	}
	refuse(w, http.StatusNotFound, 20404, "The requested resource was not found")
}

// list shows the messages to a number, two at most: who wants more asks again.
func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	const page = 2
	found := []any{}
	for _, m := range s.Took() {
		if to := r.URL.Query().Get("To"); (to == "" || to == m.To) && len(found) < page {
			found = append(found, s.record(m))
		}
	}
	answer(w, http.StatusOK, map[string]any{"messages": found, "page": 0, "page_size": page, "next_page_uri": nil})
}

func (s *Server) delete(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, m := range s.took {
		if m.SID+".json" == r.PathValue("message") && r.PathValue("account") == s.account {
			s.took = slices.Delete(s.took, i, i+1)
			w.WriteHeader(http.StatusNoContent)
			return
		}
	}
	refuse(w, http.StatusNotFound, 20404, "The requested resource was not found")
}

func (s *Server) take(m Message) Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.made++
	m.SID = fmt.Sprintf("SM%032x", s.made)
	s.took = append(s.took, m)
	return m
}

func (s *Server) due() (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) == 0 {
		return Fault{}, false
	}
	f := s.faults[0]
	s.faults = s.faults[1:]
	return f, true
}

func (s *Server) show(w http.ResponseWriter, status int, m Message) {
	answer(w, status, s.record(m))
}

func (s *Server) record(m Message) map[string]any {
	made := time.Now().UTC().Format(time.RFC1123Z)
	return map[string]any{
		"sid": m.SID, "account_sid": s.account, "from": m.From, "to": m.To, "body": m.Body, "status": m.Status,
		"direction": "outbound-api", "api_version": "2010-04-01", "num_segments": "1", "num_media": "0",
		"date_created": made, "date_updated": made, "date_sent": nil, "error_code": nil, "error_message": nil,
		"uri": "/2010-04-01/Accounts/" + s.account + "/Messages/" + m.SID + ".json",
	}
}

func refuse(w http.ResponseWriter, status, code int, message string) {
	answer(w, status, map[string]any{
		"code": code, "message": message, "status": status, "more_info": fmt.Sprintf("https://www.twilio.com/docs/errors/%d", code),
	})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // who does not wait for it has gone
}

// Package fcm speaks the part of Firebase Cloud Messaging's HTTP protocol, v1, by
// which apps are pushed to, with the OAuth 2 endpoint that gives a service account
// its access tokens. It knows which apps are installed, keeps what it takes, and
// can be told to misbehave.
package fcm

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	// Project is the one that the server has.
	Project = "armora-test"
	email   = "hub@" + Project + ".iam.gserviceaccount.com"
	scope   = "https://www.googleapis.com/auth/firebase.messaging"
)

// Message is a message that was taken.
type Message struct {
	Token        string            `json:"token"`
	Data         map[string]string `json:"data"`
	Notification struct {
		Title string `json:"title"`
		Body  string `json:"body"`
	} `json:"notification"`
	Android struct {
		Priority string `json:"priority"`
		TTL      string `json:"ttl"`
	} `json:"android"`
	APNS struct {
		Headers map[string]string `json:"headers"`
	} `json:"apns"`
}

// Act is what the server does instead of taking a message.
type Act int

// The acts.
const (
	Refuse Act = iota // with Fault.Status
	Take              // it, and drop the connection without an answer
)

// Fault is how the server treats one message.
type Fault struct {
	Act    Act
	Status int // of HTTP
}

// Server is an http.Handler in the place of fcm.googleapis.com and
// oauth2.googleapis.com.
type Server struct {
	key *rsa.PrivateKey
	mux *http.ServeMux

	mu     sync.Mutex
	access map[string]bool // tokens that were given
	apps   map[string]bool // installed
	faults []Fault
	took   []Message
}

// New returns a server with one service account and no apps.
func New() (*Server, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	s := &Server{key: key, mux: http.NewServeMux(), access: map[string]bool{}, apps: map[string]bool{}}
	s.mux.HandleFunc("POST /token", s.token)
	s.mux.HandleFunc("POST /v1/projects/"+Project+"/messages:send", s.send)
	return s, nil
}

// Credentials is the JSON file of the service account; base is where the server
// listens, http://host:port.
func (s *Server) Credentials(base string) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(s.key)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]string{
		"type": "service_account", "project_id": Project, "private_key_id": "1", "client_email": email, "token_uri": base + "/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
}

// Install installs an app, which is known by a token from now on.
func (s *Server) Install(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps[token] = true
}

// Uninstall takes it away.
func (s *Server) Uninstall(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.apps, token)
}

// Plan says how the messages to come are treated, one fault each; after them
// messages are taken.
func (s *Server) Plan(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// Expire ends all access tokens that were given.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.access)
}

// Took returns all messages that were taken.
func (s *Server) Took() []Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.took)
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// token gives an access token for an assertion that the account has signed (RFC
// 7523).
func (s *Server) token(w http.ResponseWriter, r *http.Request) {
	var claims struct {
		jwt.Claims
		Scope string `json:"scope"`
	}
	assertion, err := jwt.ParseSigned(r.PostFormValue("assertion"), []jose.SignatureAlgorithm{jose.RS256})
	if err == nil {
		err = assertion.Claims(&s.key.PublicKey, &claims)
	}
	if err == nil {
		err = claims.Validate(jwt.Expected{Issuer: email, AnyAudience: jwt.Audience{"http://" + r.Host + "/token"}, Time: time.Now()})
	}
	if err != nil || r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || !slices.Contains(strings.Fields(claims.Scope), scope) {
		answer(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	given := rand.Text()
	s.mu.Lock()
	s.access[given] = true
	s.mu.Unlock()
	answer(w, http.StatusOK, map[string]any{"access_token": given, "token_type": "Bearer", "expires_in": 3599})
}

func (s *Server) send(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Message *Message `json:"message"`
	}
	err := json.NewDecoder(r.Body).Decode(&body)
	bearer, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.access[bearer] {
		refuse(w, http.StatusUnauthorized, "UNAUTHENTICATED", "THIRD_PARTY_AUTH_ERROR")
		return
	}
	if len(s.faults) > 0 {
		f := s.faults[0]
		s.faults = s.faults[1:]
		if f.Act == Take {
			s.took = append(s.took, *body.Message)
			panic(http.ErrAbortHandler)
		}
		refuse(w, f.Status, statuses[f.Status], codes[f.Status])
		return
	}
	switch {
	case err != nil || body.Message == nil || body.Message.Token == "" || len(body.Message.Token) > 4096:
		refuse(w, http.StatusBadRequest, "INVALID_ARGUMENT", "INVALID_ARGUMENT")
	case !s.apps[body.Message.Token]:
		refuse(w, http.StatusNotFound, "NOT_FOUND", "UNREGISTERED")
	default:
		s.took = append(s.took, *body.Message)
		answer(w, http.StatusOK, map[string]string{"name": "projects/" + Project + "/messages/" + rand.Text()})
	}
}

// Of google.rpc.Code and of FcmError, by the status of HTTP.
var (
	statuses = map[int]string{400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 503: "UNAVAILABLE"}
	codes    = map[int]string{400: "INVALID_ARGUMENT", 403: "SENDER_ID_MISMATCH", 429: "QUOTA_EXCEEDED", 500: "INTERNAL", 503: "UNAVAILABLE"}
)

func refuse(w http.ResponseWriter, code int, status, fcmError string) {
	answer(w, code, map[string]any{"error": map[string]any{
		"code": code, "status": status, "message": "refused: " + fcmError,
		"details": []any{map[string]string{"@type": "type.googleapis.com/google.firebase.fcm.v1.FcmError", "errorCode": fcmError}},
	}})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // who does not wait for it has gone
}

package stripe

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"time"
)

// Event tells of a change.
type Event struct {
	Head
	Account         string      `json:"account,omitempty"` // the connected one in which it happened
	APIVersion      string      `json:"api_version"`
	Data            EventData   `json:"data"`
	PendingWebhooks int         `json:"pending_webhooks"`
	Request         EventSource `json:"request"`
	Type            string      `json:"type"`
}

// EventData is the object as it was then.
type EventData struct {
	Object json.RawMessage `json:"object"`
}

// EventSource is the request that made the change, null when time did.
type EventSource struct {
	ID             ref `json:"id"`
	IdempotencyKey ref `json:"idempotency_key"`
}

// Endpoint is where events are sent to.
type Endpoint struct {
	Head
	APIVersion    ref               `json:"api_version"`
	Description   ref               `json:"description"`
	EnabledEvents []string          `json:"enabled_events"`
	Metadata      map[string]string `json:"metadata"`
	Secret        string            `json:"secret,omitempty"` // told once, when it is made
	Status        string            `json:"status"`
	URL           string            `json:"url"`

	key     string
	connect bool // it is told of connected accounts, and of nothing else
}

// Fate is what becomes of an event on its way to an endpoint.
type Fate struct {
	Lost   bool          // it never comes
	Copies int           // beside the first
	Delay  time.Duration // by the server's clock
}

type delivery struct {
	event *Event
	to    *Endpoint
	due   time.Time
	tries int
}

// Fates asks choose what becomes of the events to come; without it they are sent
// once, at once. It must not call the server.
func (s *Server) Fates(choose func(Event) Fate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fates = choose
}

// Version gives the events to come another API version, as those of an endpoint
// that was registered without one have.
func (s *Server) Version(version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = version
}

// emit notes an event, and that it is to be sent.
func (s *Server) emit(kind string, of Noun) { s.emitFor("", kind, of) }

// emitFor is emit of what happens in a connected account, "" for our own: each has
// its own kind of endpoint.
func (s *Server) emitFor(account, kind string, of Noun) {
	body, err := json.Marshal(of)
	if err != nil {
		panic(err) // our own types
	}
	e := &Event{Head: s.fresh("evt", "event"), Account: account, APIVersion: s.version, Data: EventData{Object: body}, Type: kind}
	s.add(e)
	fate := Fate{}
	if s.fates != nil {
		fate = s.fates(*e)
	}
	for _, to := range every(s, func(o *Endpoint) bool { return o.Status == "enabled" && o.connect == (account != "") && o.wants(kind) }) {
		if fate.Lost {
			continue
		}
		for range 1 + fate.Copies {
			s.waiting = append(s.waiting, &delivery{event: e, to: to, due: s.moment.Add(fate.Delay)})
		}
	}
	select {
	case s.queued <- struct{}{}:
	default: // it is known already
	}
}

func (o *Endpoint) wants(kind string) bool {
	return slices.Contains(o.EnabledEvents, "*") || slices.Contains(o.EnabledEvents, kind)
}

// Shuffle reorders what waits to be sent.
func (s *Server) Shuffle(seed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	random := mathrand.New(mathrand.NewPCG(seed, 0))
	random.Shuffle(len(s.waiting), func(i, j int) { s.waiting[i], s.waiting[j] = s.waiting[j], s.waiting[i] })
}

// Deliver sends what is due, one after the other, until nothing is. What is not
// answered with 2xx is due again later, as often as Stripe tries (for three days).
// It returns how many were taken and how many not.
func (s *Server) Deliver(ctx context.Context) (taken, refused int) {
	for ctx.Err() == nil {
		d := s.next()
		if d == nil {
			break
		}
		if s.send(ctx, d) {
			taken++
			continue
		}
		refused++
		s.locked(func() {
			if d.tries++; d.tries < 16 {
				d.due = s.moment.Add(min(time.Minute<<d.tries, 8*time.Hour))
				s.waiting = append(s.waiting, d)
			}
		})
	}
	return taken, refused
}

func (s *Server) next() (d *delivery) {
	s.locked(func() {
		for i, one := range s.waiting {
			if !one.due.After(s.moment) {
				s.waiting = append(s.waiting[:i:i], s.waiting[i+1:]...)
				d = one
				return
			}
		}
	})
	return d
}

// Run delivers events as they come, until ctx ends.
func (s *Server) Run(ctx context.Context) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		s.Deliver(ctx)
		select {
		case <-ctx.Done():
			return
		case <-s.queued:
		case <-ticker.C:
		}
	}
}

func (s *Server) send(ctx context.Context, d *delivery) bool {
	body, err := json.MarshalIndent(d.event, "", "  ")
	if err != nil {
		panic(err) // our own types
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, d.to.URL, bytes.NewReader(body))
	if err != nil {
		return false
	}
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	request.Header.Set("Stripe-Signature", Sign(d.to.key, s.clock.Now(), body))
	reply, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = reply.Body.Close()
	return reply.StatusCode/100 == 2
}

// Sign is the value of Stripe-Signature for a body that is sent at a time.
func Sign(secret string, at time.Time, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	_, _ = fmt.Fprintf(mac, "%d.%s", at.Unix(), body)
	return fmt.Sprintf("t=%d,v1=%s", at.Unix(), hex.EncodeToString(mac.Sum(nil)))
}

// Endpoint registers where events are sent to and returns the secret that signs
// them; no events named means all.
func (s *Server) Endpoint(url string, events ...string) (secret string) {
	if len(events) == 0 {
		events = []string{"*"}
	}
	s.locked(func() { secret = s.endpoint(url, events, APIVersion).key })
	return secret
}

// ConnectEndpoint is Endpoint of what happens in connected accounts.
func (s *Server) ConnectEndpoint(url string) (secret string) {
	s.locked(func() {
		o := s.endpoint(url, []string{"*"}, APIVersion)
		o.connect, secret = true, o.key
	})
	return secret
}

// Send is Endpoint with a secret that the caller has chosen: of a hub that has to
// know it before it listens, and is told of connected accounts too.
func (s *Server) Send(url, secret string) {
	s.locked(func() {
		for _, connect := range []bool{false, true} {
			o := s.endpoint(url, []string{"*"}, APIVersion)
			o.key, o.connect = secret, connect
		}
	})
}

func (s *Server) endpoint(url string, events []string, version string) *Endpoint {
	o := &Endpoint{
		Head: s.fresh("we", "webhook_endpoint"), APIVersion: ref(version), EnabledEvents: events, Metadata: map[string]string{}, Status: "enabled", URL: url,
		key: "whsec_" + rand.Text(),
	}
	s.add(o)
	return o
}

func createEndpoint(c *call) (any, error) {
	o := c.endpoint(c.str("url"), c.list("enabled_events"), c.str("api_version"))
	o.Description, o.Metadata, o.connect = ref(c.str("description")), c.amend(nil), c.yes("connect")
	told := copied(o)
	told.Secret = o.key
	return told, nil
}

func updateEndpoint(c *call) (any, error) {
	o, err := find[Endpoint](c.Server, c.id, "id")
	if err != nil {
		return nil, err
	}
	o.URL = c.or("url", o.URL)
	if events := c.list("enabled_events"); len(events) > 0 {
		o.EnabledEvents = events
	}
	if c.has("disabled") {
		o.Status = map[bool]string{true: "disabled", false: "enabled"}[c.yes("disabled")]
	}
	o.Metadata = c.amend(o.Metadata)
	return o, nil
}

func deleteEndpoint(c *call) (any, error) {
	o, err := find[Endpoint](c.Server, c.id, "id")
	if err != nil {
		return nil, err
	}
	o.Status = "disabled"
	c.remove(o.ID)
	return gone{ID: o.ID, Object: "webhook_endpoint", Deleted: true}, nil
}

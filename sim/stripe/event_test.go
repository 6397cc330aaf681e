package stripe

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	api "github.com/stripe/stripe-go/v76"
	"github.com/stripe/stripe-go/v76/webhook"
)

// listener takes events as the hub does, with Stripe's own check of the signature.
type listener struct {
	mu     sync.Mutex
	secret string
	broken bool
	heard  []api.Event
	errs   []error
}

func (l *listener) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	if l.broken {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	// The clock of the test is not the machine's.
	event, err := webhook.ConstructEventWithOptions(body, r.Header.Get("Stripe-Signature"), l.secret, webhook.ConstructEventOptions{IgnoreTolerance: true})
	if err != nil {
		l.errs = append(l.errs, err)
	}
	l.heard = append(l.heard, event)
}

func (l *listener) kinds() (kinds []api.EventType) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.heard {
		kinds = append(kinds, e.Type)
	}
	return kinds
}

func (b bench) listen() *listener {
	b.Helper()
	l := &listener{}
	listening := httptest.NewServer(l)
	b.Cleanup(listening.Close)
	endpoint := must[*api.WebhookEndpoint](b)(b.api.WebhookEndpoints.New(&api.WebhookEndpointParams{
		URL: api.String(listening.URL), EnabledEvents: api.StringSlice([]string{"payment_intent.succeeded", "charge.succeeded"}), APIVersion: api.String(APIVersion),
	}))
	l.secret = endpoint.Secret
	again := must[*api.WebhookEndpoint](b)(b.api.WebhookEndpoints.Get(endpoint.ID, nil))
	if l.secret == "" || again.Secret != "" {
		b.Fatal("the secret is told once")
	}
	return l
}

func TestEventsAreSignedAndSentOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l := b.listen()
	b.paid(Visa, 10_000)
	b.s.Deliver(t.Context())
	if kinds := l.kinds(); len(kinds) != 2 || kinds[0] != "charge.succeeded" || kinds[1] != "payment_intent.succeeded" || len(l.errs) > 0 {
		t.Fatalf("%v, %v", kinds, l.errs)
	}
	event := must[*api.Event](b)(b.api.Events.Get(l.heard[0].ID, nil))
	if event.Type != "charge.succeeded" || event.APIVersion != APIVersion {
		t.Errorf("%+v", event)
	}
	if taken, refused := b.s.Deliver(t.Context()); taken+refused != 0 {
		t.Error("sent twice")
	}
}

func TestTheWayOfEventsCanBeBad(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	l := b.listen()
	b.s.Fates(func(e Event) Fate {
		if e.Type == "charge.succeeded" {
			return Fate{Lost: true}
		}
		return Fate{Copies: 1, Delay: time.Minute}
	})
	b.paid(Visa, 10_000)
	if taken, _ := b.s.Deliver(t.Context()); taken != 0 {
		t.Fatalf("%d came early", taken)
	}
	b.clock.step(time.Minute)
	l.broken = true
	if taken, refused := b.s.Deliver(t.Context()); taken != 0 || refused != 2 {
		t.Fatalf("%d taken, %d refused", taken, refused)
	}
	l.broken = false
	b.clock.step(time.Hour)
	b.s.Deliver(t.Context())
	if kinds := l.kinds(); len(kinds) != 2 || kinds[0] != kinds[1] || kinds[0] != "payment_intent.succeeded" {
		t.Errorf("%v, want the one twice and the other never", kinds)
	}
}

func TestRunDeliversAsEventsCome(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	heard := make(chan struct{}, 8)
	listening := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { heard <- struct{}{} }))
	t.Cleanup(listening.Close)
	b.s.Endpoint(listening.URL, "customer.created")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { b.s.Run(ctx); close(done) }()
	b.customer()
	<-heard
	cancel()
	<-done
}

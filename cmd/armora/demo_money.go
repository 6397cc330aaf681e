package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/sim/stripe"
)

// demoStripe is the demo's own Stripe. It remembers nothing: the next demo has
// another one.
type demoStripe struct {
	*stripe.Server
	url     string
	secret  string // that signs what it tells
	http    *http.Server
	running sync.WaitGroup
	stop    context.CancelFunc
}

// openStripe starts a Stripe for the demo, unless there is another one to pay at,
// and has the hub pay there.
func (c *demoCommand) openStripe(ctx context.Context) (*demoStripe, error) {
	if c.pays() {
		return nil, nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &demoStripe{
		Server: stripe.New(testStripeKey, testPublishableKey, fleet.SystemClock{}), url: "http://" + listener.Addr().String(), secret: "whsec_" + rand.Text(),
	}
	d.http = &http.Server{Handler: d.Server, ReadHeaderTimeout: 10 * time.Second}
	d.running.Go(func() { _ = d.http.Serve(listener) }) // until it is closed
	c.StripeURL, c.StripeWebhookSecret = d.url, d.secret
	return d, nil
}

// tell has Stripe tell a hub what happens, which may know of another Stripe's
// customers.
func (d *demoStripe) tell(ctx context.Context, h *hub) error {
	if d == nil {
		return nil
	}
	if err := (schema.Payments{DB: h.db}).Abandon(ctx); err != nil {
		return err
	}
	d.Send("http://"+h.api.Addr().String()+webhookPath, d.secret)
	telling, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = stop
	d.running.Go(func() { d.Run(telling) })
	return nil
}

// close ends it; twice is once.
func (d *demoStripe) close() {
	if d == nil {
		return
	}
	if d.stop != nil {
		d.stop()
	}
	_ = d.http.Close()
	d.running.Wait()
}

// introduce says where and with what to pay.
func (d *demoStripe) introduce(out io.Writer) {
	if d != nil {
		_, _ = fmt.Fprintf(out, "  cards are paid with at %s (a Stripe that is none; publishable key %s, card %s)\n", d.url, testPublishableKey, stripe.Visa)
	}
}

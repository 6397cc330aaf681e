package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"armora/fleet"
	"armora/schema"
	"armora/sim/stripe"
)

// demoStripe is the demo's own Stripe. What it knows is kept in the data folder, so
// that the next demo goes on with its customers and their cards.
type demoStripe struct {
	*stripe.Server
	url     string
	secret  string // that signs what it tells
	http    *http.Server
	running sync.WaitGroup
	stop    context.CancelFunc
	failed  error // why its state could not be kept; read once running is done
}

const stripeFile = "demo-stripe.json"

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
	path := filepath.Join(c.dataDir(), stripeFile)
	if err := errors.Join(os.MkdirAll(c.dataDir(), 0o755), d.Restore(path, d.url)); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	d.stop = stop
	d.running.Go(func() { d.failed = d.Keep(running, path) })
	d.http = &http.Server{Handler: d.Server, ReadHeaderTimeout: 10 * time.Second}
	d.running.Go(func() { _ = d.http.Serve(listener) }) // until it is closed
	c.StripeURL, c.StripeWebhookSecret = d.url, d.secret
	return d, nil
}

// tell has Stripe tell a hub what happens, which may know of customers that this one
// does not: of another Stripe, or of the moment before the demo was killed.
func (d *demoStripe) tell(ctx context.Context, h *hub) error {
	if d == nil {
		return nil
	}
	known := schema.KnownToStripe{
		Customers: idsOf(d.Server, func(c stripe.Customer) string { return c.ID }),
		Methods:   idsOf(d.Server, func(m stripe.Method) string { return m.ID }),
		Intents:   idsOf(d.Server, func(p stripe.Intent) string { return p.ID }),
		Accounts:  idsOf(d.Server, func(a stripe.Account) string { return a.ID }),
	}
	if err := (schema.Payments{DB: h.db}).Abandon(ctx, known); err != nil {
		return err
	}
	d.Send("http://"+h.api.Addr().String()+webhookPath, d.secret)
	telling, stop := context.WithCancel(context.WithoutCancel(ctx))
	keeping := d.stop
	d.stop = func() { stop(); keeping() }
	d.running.Go(func() { d.Run(telling) })
	return nil
}

func idsOf[T any](s *stripe.Server, id func(T) string) []string {
	ids := []string{}
	for _, one := range stripe.All[T](s) {
		ids = append(ids, id(one))
	}
	return ids
}

// close ends it, once the hub has ended, and keeps what it knows; twice is once.
func (d *demoStripe) close() error {
	if d == nil {
		return nil
	}
	_ = d.http.Close()
	d.stop()
	d.running.Wait()
	return d.failed
}

// introduce says where and with what to pay.
func (d *demoStripe) introduce(out io.Writer) {
	if d != nil {
		_, _ = fmt.Fprintf(out, "  payments go to %s, which stands in for Stripe (publishable key %s, card %s)\n", d.url, testPublishableKey, stripe.Visa)
	}
}

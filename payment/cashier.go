// Package payment sees to the money of bookings: it is held, taken and given back
// by Stripe, and written down in a ledger.
//
// It is driven by levels and not by flows. What is to be done about a booking's
// money follows from what is stored of it (matter.go, plan*.go), and is done one step at a time
// (settle.go): a call to Stripe is saved under its idempotency key, made, and its
// answer applied (apply.go). Whatever changes something has the booking looked at
// again; whoever was interrupted, at any step, reads what is stored and goes on. No
// lock is held over the network: two who do the same do it under the same key.
package payment

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/stripe/stripe-go/v76/client"

	"armora/fleet"
	"armora/schema"
)

// Config is what Cashier needs. Terms and Tell may be nil; the rest is required.
type Config struct {
	DB             *schema.DB
	Key            string // Stripe's secret key
	PublishableKey string // that the client's card form uses
	URL            string // of Stripe; "": its own
	Script         string // of Stripe's, by which a page has a card form; "": Stripe's own, or that of URL
	ReturnURL      string // where a bank sends the principal back to
	Link           string // where the app confirms a payment: a booking's id is added to it
	Connect        bool   // officers may have themselves paid by Stripe
	Clock          fleet.Clock
	Log            *slog.Logger

	// Terms reports whether an account is invoiced, so that nothing of it goes to
	// Stripe; nil: none is.
	Terms func(ctx context.Context, user fleet.UserID) (bool, error)
	// Tell makes of tidings what a person is told; nil: they are told nothing.
	Tell func(fleet.Tidings) schema.Telling
}

// Cashier sees to the money of bookings. It is safe for concurrent use, also by
// several hubs.
type Cashier struct {
	cfg      Config
	stripe   *client.API
	bookings schema.Bookings
	payments schema.Payments
	cards    schema.Cards
	debts    schema.Debts
	log      *slog.Logger
}

// New returns a cashier. It asks Stripe nothing yet.
func New(cfg Config) (*Cashier, error) {
	if cfg.Key == "" {
		return nil, errors.New("payments need Stripe's secret key")
	}
	if cfg.Script == "" {
		cfg.Script = cmp.Or(strings.TrimSuffix(cfg.URL, "/"), StripeScripts) + "/v3/"
	}
	return &Cashier{
		cfg: cfg, stripe: newClient(cfg.Key, cfg.URL), bookings: schema.Bookings{DB: cfg.DB}, payments: schema.Payments{DB: cfg.DB},
		cards: schema.Cards{DB: cfg.DB}, debts: schema.Debts{DB: cfg.DB}, log: cfg.Log,
	}, nil
}

// StripeScripts is from where Stripe's own script is, which is not to be kept elsewhere.
const StripeScripts = "https://js.stripe.com"

// Script is the address of Stripe's script, by which a page has a card form; "" without a
// publishable key, by which the form names the hub.
func (c *Cashier) Script() string {
	if c.cfg.PublishableKey == "" {
		return ""
	}
	return c.cfg.Script
}

// PublishableKey is what a client's card form names itself by.
func (c *Cashier) PublishableKey() string { return c.cfg.PublishableKey }

// Invoiced reports whether a person's bookings are paid by invoice, and are so
// funded when they are placed.
func (c *Cashier) Invoiced(ctx context.Context, user fleet.UserID) (bool, error) {
	if c.cfg.Terms == nil {
		return false, nil
	}
	return c.cfg.Terms(ctx, user)
}

// tell makes what the principal is told of a booking's money: of each kind what
// names it, once.
func (c *Cashier) tell(b *fleet.Booking, kind, once string, amount fleet.Money, by time.Time) schema.Telling {
	if c.cfg.Tell == nil {
		return nil
	}
	data := map[string]string{
		"amount": amount.String(), "ref": b.ID.String()[24:], "link": c.cfg.Link + b.ID.String(),
		"start": b.Start.UTC().Format(time.RFC3339), "zone": b.Zone, "by": "",
	}
	if !by.IsZero() {
		data["by"] = by.UTC().Format(time.RFC3339)
	}
	return c.cfg.Tell(fleet.Tidings{
		Kind: kind, Once: kind + "/" + b.ID.String() + "/" + once, Booking: b.ID, Expires: c.cfg.Clock.Now().Add(24 * time.Hour), Data: data,
		Channels: []fleet.Channel{fleet.PushChannel, fleet.MailChannel, fleet.SMSChannel, fleet.InboxChannel},
	})
}

// tellDeciders makes what those are told who may decide an approval.
func (c *Cashier) tellDeciders(a *fleet.Approval) schema.Telling {
	if c.cfg.Tell == nil {
		return nil
	}
	return c.cfg.Tell(fleet.Tidings{
		Kind: "approval_needed", Once: "approval/" + a.ID.String(), Expires: a.Expires,
		Data:     map[string]string{"kind": string(a.Kind), "expires": a.Expires.UTC().Format(time.RFC3339)},
		Channels: []fleet.Channel{fleet.PushChannel, fleet.MailChannel, fleet.InboxChannel},
	})
}

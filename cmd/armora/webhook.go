package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"armora/fleet"
	"armora/payment"
)

// webhookPath is where the hub hears Stripe.
const webhookPath = "/api/payments/webhook"

// webhookSecrets are those that sign what Stripe tells: two, while one is exchanged
// for the other.
func (s *paymentSettings) webhookSecrets() (secrets []string) {
	for secret := range strings.SplitSeq(s.StripeWebhookSecret, ",") {
		if secret = strings.TrimSpace(secret); secret != "" {
			secrets = append(secrets, secret)
		}
	}
	return secrets
}

// openBooks makes what hears Stripe, and what compares its book with the ledger; jobs
// run both.
func (h *hub) openBooks(context.Context, context.Context) (err error) {
	if h.cashier == nil {
		return nil
	}
	if h.books, err = payment.NewBooks(h.cashier, h.invoices, h.registry); err != nil {
		return err
	}
	secrets := h.settings.webhookSecrets()
	if len(secrets) == 0 {
		h.log.Warn("Stripe is not heard, only asked: STRIPE_WEBHOOK_SECRET is not set (armora admin stripe-webhook)")
		return nil
	}
	cfg := payment.FeedConfig{Cashier: h.cashier, Secrets: secrets, Metrics: h.registry}
	if h.members != nil {
		cfg.See = map[string]func(context.Context, string) error{"sub_": h.members.See, "in_": h.members.SeeInvoice}
	}
	h.feed, err = payment.NewFeed(cfg)
	return err
}

// stripeWebhookCommand registers the hub with Stripe.
type stripeWebhookCommand struct {
	settings `embed:""`

	URL     string `arg:"" optional:"" help:"Where Stripe is to send to; without it, ${webhook_path} below ARMORA_PUBLIC_URL."`
	Connect bool   `help:"What happens to connected accounts, by which officers are paid, in place of what happens to ours: Stripe has an endpoint for each, and STRIPE_WEBHOOK_SECRET takes the secrets of both, separated by a comma."`
	Replace bool   `help:"Replace what is registered for that URL already: its secret ends."`
	Out     string `type:"path" help:"File to write the secret to, for its owner alone, in place of printing it."`
}

// Run implements the command.
func (c *stripeWebhookCommand) Run(ctx context.Context, cli *cli, to console) error {
	if !c.pays() {
		return errors.New("STRIPE_KEY is not set")
	}
	at := c.URL
	if at == "" {
		at = c.publicURL(c.HTTPAddr) + webhookPath
	}
	if !strings.HasPrefix(at, "https://") && c.StripeURL == "" {
		return fmt.Errorf("Stripe sends to https:// alone, not to %s", at) //nolint:staticcheck // a name
	}
	key, _ := c.keys()
	cashier, err := payment.New(payment.Config{Key: key, URL: c.StripeURL, Clock: fleet.SystemClock{}, Log: cli.logger(to.err)})
	if err != nil {
		return err
	}
	out := to.out
	if c.Out != "" { // a new file, before there is a secret that it could not take
		file, err := os.OpenFile(c.Out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		out = file
	}
	signing, err := cashier.Register(ctx, at, c.Connect, c.Replace)
	if signing == "" && c.Out != "" {
		_ = os.Remove(c.Out) // it holds nothing, and is in the way of the next try
	}
	if signing != "" { // Stripe tells it this once
		_, _ = fmt.Fprintf(to.out, "Stripe sends to %s\n", at)
		if _, failed := fmt.Fprintf(out, "STRIPE_WEBHOOK_SECRET=%s\n", signing); failed != nil {
			return failed
		}
	}
	return err
}

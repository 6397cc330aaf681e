package payment

import (
	"context"
	"fmt"
	"slices"

	"github.com/stripe/stripe-go/v76"

	"armora/fleet"
)

// told are the events that the hub asks Stripe for.
var told = []string{
	"payment_intent.amount_capturable_updated", "payment_intent.canceled", "payment_intent.payment_failed", "payment_intent.processing",
	"payment_intent.requires_action", "payment_intent.succeeded",
	"charge.captured", "charge.expired", "charge.failed", "charge.refunded", "charge.refund.updated", "charge.succeeded", "charge.updated",
	"charge.dispute.closed", "charge.dispute.created", "charge.dispute.funds_reinstated", "charge.dispute.funds_withdrawn", "charge.dispute.updated",
	"setup_intent.canceled", "setup_intent.setup_failed", "setup_intent.succeeded",
	"customer.subscription.created", "customer.subscription.deleted", "customer.subscription.trial_will_end", "customer.subscription.updated",
	"invoice.paid", "invoice.payment_action_required", "invoice.payment_failed",
	"transfer.created", "transfer.reversed", "transfer.updated",
}

// toldOfAccounts are those of connected accounts, which Stripe sends to an endpoint of
// their own, with a secret of its own.
var toldOfAccounts = []string{"account.updated"}

// Register has Stripe send its events to a URL, in the version of the API that the
// hub reads, and returns the secret that signs them: Stripe tells it once. With
// accounts, they are those of connected accounts. If it sends to that URL already, that
// is CodeConflict, unless replace.
func (c *Cashier) Register(ctx context.Context, url string, accounts, replace bool) (secret string, err error) {
	events := told
	if accounts {
		events = toldOfAccounts
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var before []string
	list := &stripe.WebhookEndpointListParams{}
	list.Context, list.Limit = ctx, stripe.Int64(100)
	there := c.stripe.WebhookEndpoints.List(list)
	for there.Next() {
		if e := there.WebhookEndpoint(); e.URL == url && slices.Equal(e.EnabledEvents, toldOfAccounts) == accounts {
			before = append(before, e.ID)
		}
	}
	a := reduce(there.Err())
	if err := a.failure(); err != nil {
		return "", err
	}
	if len(before) > 0 && !replace {
		return "", &fleet.Error{Code: fleet.CodeConflict, Message: fmt.Sprintf("Stripe sends to %s already, and tells the secret of that once: replace it, if it is lost", url)}
	}
	params := &stripe.WebhookEndpointParams{
		URL: stripe.String(url), EnabledEvents: stripe.StringSlice(events), APIVersion: stripe.String(stripe.APIVersion), Description: stripe.String("ARMORA hub"),
	}
	if accounts {
		params.Connect = stripe.Bool(true)
	}
	params.Context = ctx
	made, err := c.stripe.WebhookEndpoints.New(params)
	a = reduce(err)
	if err := a.failure(); err != nil {
		return "", err
	}
	for _, id := range before { // after the new one: nothing falls between them
		gone := &stripe.WebhookEndpointParams{}
		gone.Context = ctx
		_, err := c.stripe.WebhookEndpoints.Del(id, gone)
		a = reduce(err)
		if err := a.failure(); err != nil {
			return made.Secret, err
		}
	}
	return made.Secret, nil
}

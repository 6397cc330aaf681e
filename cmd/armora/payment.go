package main

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"armora/account"
	"armora/fleet"
	"armora/payment"
)

// paymentSettings say by whom money is taken.
type paymentSettings struct {
	StripeKey            string `name:"stripe-key" env:"STRIPE_KEY" group:"payment" help:"Stripe's secret key; without it, and without another server, every account is invoiced. Set it in the environment."`
	StripePublishableKey string `name:"stripe-publishable-key" env:"STRIPE_PUBLISHABLE_KEY" group:"payment" help:"Stripe's publishable key, which clients' card forms are told."`
	StripeScript         string `name:"stripe-js" env:"ARMORA_STRIPE_JS" group:"payment" help:"Address of Stripe's script, by which the page of a link about a payment has a card form; else Stripe's own, or that of ARMORA_STRIPE_URL."`
	StripeWebhookSecret  string `name:"stripe-webhook-secret" env:"STRIPE_WEBHOOK_SECRET" group:"payment" help:"With which Stripe signs what it tells of. Set it in the environment."`
	MemberPrice          string `name:"member-price" env:"ARMORA_MEMBER_PRICE" group:"payment" help:"Stripe's id of the price of a membership, price_…, paid by the period; without it there is none."`
	MemberTrial          int    `name:"member-trial-days" env:"ARMORA_MEMBER_TRIAL_DAYS" default:"14" group:"payment" help:"How many days a first membership is free; 0: none."`
	StripeConnect        bool   `name:"stripe-connect" env:"ARMORA_STRIPE_CONNECT" group:"payment" help:"Let officers have themselves paid by Stripe, by transfers to accounts that are connected to ours; else all are paid by payroll."`
	StripeURL            string `name:"stripe-url" env:"ARMORA_STRIPE_URL" group:"payment" help:"Another server that speaks Stripe's protocol, http://host:port."`
}

// The keys of what stands in for Stripe.
const (
	testStripeKey      = "sk_test_armora"
	testPublishableKey = "pk_test_armora"
)

// pays reports whether money is taken by card.
func (s *paymentSettings) pays() bool { return s.StripeKey != "" || s.StripeURL != "" }

// keys are Stripe's secret and publishable key: for another server than Stripe's
// own they may be left out.
func (s *paymentSettings) keys() (secret, publishable string) {
	secret, publishable = s.StripeKey, s.StripePublishableKey
	if secret == "" {
		secret = testStripeKey
	}
	if publishable == "" && s.StripeURL != "" {
		publishable = testPublishableKey
	}
	return secret, publishable
}

func (s *paymentSettings) checkPayment() error {
	for name, at := range map[string]string{"ARMORA_STRIPE_URL": s.StripeURL, "ARMORA_STRIPE_JS": s.StripeScript} {
		if u, err := url.Parse(at); at != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			return errors.New(name + " looks like http://host:port")
		}
	}
	switch {
	case s.StripeConnect && !s.pays():
		return errors.New("ARMORA_STRIPE_CONNECT needs STRIPE_KEY: who takes no money by Stripe passes none on")
	case strings.HasPrefix(s.StripeKey, "pk_") || strings.HasPrefix(s.StripePublishableKey, "sk_"):
		return errors.New("STRIPE_KEY is the secret key, sk_…, and STRIPE_PUBLISHABLE_KEY the publishable one, pk_…")
	case s.StripeKey != "" && s.StripePublishableKey == "" && s.StripeURL == "":
		return errors.New("STRIPE_KEY needs STRIPE_PUBLISHABLE_KEY, which clients' card forms are told")
	}
	return nil
}

// openPayment makes what sees to money, if anything does; jobs run it.
func (h *hub) openPayment(context.Context, context.Context) error {
	if !h.settings.pays() {
		h.log.Info("no payments are taken, every account is invoiced: STRIPE_KEY is not set")
		return nil
	}
	secret, publishable := h.settings.keys()
	var err error
	h.cashier, err = payment.New(payment.Config{
		DB: h.db, Key: secret, PublishableKey: publishable, URL: h.settings.StripeURL, Script: h.settings.StripeScript,
		Connect: h.settings.StripeConnect, ReturnURL: h.public + "/paid", Link: h.public + "/pay#", Tell: h.notify.Telling, Clock: h.clock, Log: h.log,
	})
	if err == nil && h.settings.MemberPrice != "" {
		h.members = payment.NewMembers(h.cashier, h.settings.MemberPrice, h.settings.MemberTrial)
	}
	return err
}

// terms reports whether an account is invoiced; nil: every account is.
func (h *hub) terms() func(context.Context, fleet.UserID) (bool, error) {
	if h.cashier == nil {
		return nil
	}
	return h.cashier.Invoiced
}

// forgetCustomer has Stripe erase whom it knows a person as.
func (h *hub) forgetCustomer(ctx context.Context, who account.Erased) (string, error) {
	if h.cashier == nil {
		return "no payments are taken", nil
	}
	told, err := h.cashier.Forget(ctx, who.User)
	if err != nil {
		return "", err
	}
	officer, err := h.cashier.ForgetOfficer(ctx, who.User)
	if officer != "" {
		told += "; " + officer
	}
	return told, err
}

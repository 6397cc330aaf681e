package payment

import (
	"context"
	"errors"
	"time"

	"github.com/stripe/stripe-go/v76"

	"armora/fleet"
)

const (
	maxSetups = 10             // under way, of one person
	setupLife = 24 * time.Hour // then one is given up
)

// customer returns who a user is to Stripe, and makes them known to it first if
// they are not. Stripe learns nothing of them but their id.
func (c *Cashier) customer(ctx context.Context, user fleet.UserID) (string, error) {
	id, err := c.payments.Customer(ctx, user)
	if err != nil || id != "" {
		return id, err
	}
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.CustomerParams{}
	params.Context, params.IdempotencyKey = asking, stripe.String("customer/"+user.String())
	params.AddMetadata("user", user.String())
	made, err := c.stripe.Customers.New(params)
	if err != nil {
		a := reduce(err)
		return "", a.failure()
	}
	return c.payments.AddCustomer(ctx, user, made.ID, c.cfg.Clock.Now())
}

// Methods returns a person's cards, the newest first, with those whose keeping
// Stripe has ended meanwhile.
func (c *Cashier) Methods(ctx context.Context, user fleet.UserID) ([]fleet.PaymentMethod, error) {
	if err := c.seeSetups(ctx, user); err != nil && fleet.CodeOf(err) != fleet.CodeUnavailable {
		return nil, err
	}
	return c.cards.List(ctx, user)
}

// SetUp begins to keep a card: the client's card form finishes it with the secret,
// which is stored nowhere.
func (c *Cashier) SetUp(ctx context.Context, user fleet.UserID) (id fleet.CardSetupID, secret string, err error) {
	if err := c.seeSetups(ctx, user); err != nil {
		return id, "", err
	}
	customer, err := c.customer(ctx, user)
	if err != nil {
		return id, "", err
	}
	s := fleet.CardSetup{ID: fleet.NewID[fleet.CardSetup](), User: user, Created: c.cfg.Clock.Now()}
	if err := c.cards.BeginSetup(ctx, s, maxSetups); err != nil {
		return id, "", err
	}
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.SetupIntentParams{
		Customer: stripe.String(customer), Usage: stripe.String(string(stripe.SetupIntentUsageOffSession)),
		PaymentMethodTypes: stripe.StringSlice([]string{"card"}),
	}
	params.Context, params.IdempotencyKey = asking, stripe.String("setup/"+s.ID.String())
	params.AddMetadata("user", user.String())
	params.AddMetadata("setup", s.ID.String())
	made, err := c.stripe.SetupIntents.New(params)
	if err != nil {
		a := reduce(err)
		return id, "", errors.Join(a.failure(), c.cards.EndSetup(ctx, s.ID, c.cfg.Clock.Now()))
	}
	return s.ID, made.ClientSecret, c.cards.NameSetup(ctx, s.ID, made.ID)
}

// seeSetups asks Stripe what has become of a person's cards that are being kept.
func (c *Cashier) seeSetups(ctx context.Context, user fleet.UserID) error {
	setups, err := c.cards.Setups(ctx, user)
	for i := 0; i < len(setups) && err == nil; i++ {
		err = c.seeSetup(ctx, &setups[i])
	}
	return err
}

// SeeSetup reads a setup intent anew, of which a webhook has told. One that is not
// ours is nothing.
func (c *Cashier) SeeSetup(ctx context.Context, id string) error {
	s, err := c.cards.SetupByStripe(ctx, id)
	if err != nil {
		return ifNotOurs(err)
	}
	return c.seeSetup(ctx, &s)
}

func (c *Cashier) seeSetup(ctx context.Context, s *fleet.CardSetup) error {
	now := c.cfg.Clock.Now()
	old := !now.Before(s.Created.Add(setupLife))
	if s.Stripe == "" {
		if old {
			return c.cards.EndSetup(ctx, s.ID, now)
		}
		return nil
	}
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.SetupIntentParams{}
	params.Context = asking
	params.AddExpand("payment_method")
	intent, err := c.stripe.SetupIntents.Get(s.Stripe, params)
	if err != nil {
		a := reduce(err)
		return ifNotOurs(a.failure())
	}
	switch {
	case intent.Status == stripe.SetupIntentStatusSucceeded && intent.PaymentMethod != nil:
		if err := c.cards.Keep(ctx, cardOf(s.User, intent.PaymentMethod, now)); err != nil {
			return err
		}
	case intent.Status != stripe.SetupIntentStatusCanceled && !old:
		return nil
	}
	return c.cards.EndSetup(ctx, s.ID, now)
}

func cardOf(user fleet.UserID, m *stripe.PaymentMethod, now time.Time) fleet.PaymentMethod {
	card := fleet.PaymentMethod{ID: fleet.NewID[fleet.PaymentMethod](), User: user, Stripe: m.ID, Created: now}
	if m.Card != nil {
		card.Brand, card.Last4 = string(m.Card.Brand), m.Card.Last4
		card.ExpMonth, card.ExpYear = int(m.Card.ExpMonth), int(m.Card.ExpYear)
	}
	return card
}

// keepCard keeps the card that a principal has paid with on-session, as they were
// told: Stripe does. That it is not listed is no reason to fail.
func (c *Cashier) keepCard(ctx context.Context, user fleet.UserID, intent *stripe.PaymentIntent) {
	charge := intent.LatestCharge
	state := stateOf(intent)
	if intent.SetupFutureUsage != stripe.PaymentIntentSetupFutureUsageOffSession || intent.PaymentMethod == nil || charge == nil ||
		state != fleet.PaymentHeld && state != fleet.PaymentCaptured || charge.PaymentMethodDetails == nil || charge.PaymentMethodDetails.Card == nil {
		return
	}
	d := charge.PaymentMethodDetails.Card
	err := c.cards.Keep(ctx, fleet.PaymentMethod{
		ID: fleet.NewID[fleet.PaymentMethod](), User: user, Stripe: intent.PaymentMethod.ID, Created: c.cfg.Clock.Now(),
		Brand: string(d.Brand), Last4: d.Last4, ExpMonth: int(d.ExpMonth), ExpYear: int(d.ExpYear),
	})
	if err != nil {
		c.log.Warn("a card that was paid with is not listed", "user", user, "error", err)
	}
}

// Prefer makes a card the one that a person pays with when they are not asked.
func (c *Cashier) Prefer(ctx context.Context, user fleet.UserID, id fleet.PaymentMethodID) error {
	return c.cards.Prefer(ctx, user, id)
}

// RemoveMethod has Stripe forget a card.
func (c *Cashier) RemoveMethod(ctx context.Context, user fleet.UserID, id fleet.PaymentMethodID) error {
	card, err := c.cards.Of(ctx, user, id)
	if err != nil {
		return err
	}
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.PaymentMethodDetachParams{}
	params.Context = asking
	if _, err := c.stripe.PaymentMethods.Detach(card.Stripe, params); err != nil {
		if a := reduce(err); a.verdict != refused { // refused: it is not theirs any more
			return a.away()
		}
	}
	return c.cards.Remove(ctx, user, id, c.cfg.Clock.Now())
}

// Forget has Stripe delete who a person was to it, with their cards, and says so.
func (c *Cashier) Forget(ctx context.Context, user fleet.UserID) (string, error) {
	id, err := c.payments.Customer(ctx, user)
	if err != nil || id == "" {
		return "they were no customer", err
	}
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.CustomerParams{}
	params.Context = asking
	if _, err := c.stripe.Customers.Del(id, params); err != nil {
		a := reduce(err)
		if a.verdict != refused {
			return "", a.away()
		}
	}
	return "the customer was deleted with their cards; what was paid is kept by law", c.payments.ForgetCustomer(ctx, user)
}

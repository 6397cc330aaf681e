package payment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stripe/stripe-go/v76"

	"armora/fleet"
	"armora/schema"
)

// Members are principals who pay as members, by a subscription at Stripe Billing.
// How it stands is what Stripe says: by its webhooks, which are looked at anew, and
// when what is known has run out (memberpay.go). It is safe for concurrent use.
type Members struct {
	*Cashier
	store schema.Memberships
	price string
	trial int64
}

// NewMembers returns the members of a hub that pay a price of Stripe's (price_…), the
// first time after a trial of some days.
func NewMembers(c *Cashier, price string, trialDays int) *Members {
	return &Members{Cashier: c, store: schema.Memberships{DB: c.cfg.DB}, price: price, trial: int64(trialDays)}
}

// keyKept is for how long Stripe surely knows an idempotency key.
const keyKept = 23 * time.Hour

// Of returns a person's membership, as far as Stripe can be asked: CodeNotFound if
// they have none.
func (m *Members) Of(ctx context.Context, user fleet.UserID) (fleet.Membership, error) {
	known, err := m.store.Of(ctx, user)
	if err != nil || !m.old(&known) {
		return known, err
	}
	if err := m.look(ctx, known.Stripe, &known); err != nil {
		m.log.Warn("how a membership stands cannot be seen", "membership", known.ID, "error", err)
	}
	return m.store.Of(ctx, user)
}

// Joining is a membership, and what its principal has to do for it. The secret is
// read from Stripe each time and stored nowhere.
type Joining struct {
	fleet.Membership
	ClientSecret string // "": the client has nothing to confirm
	NextAction   string // what, as of a reservation; "": nothing
	URL          string // of the bank's page, where there is one
	Code         string // why the card was refused, "": it was not
}

// Join makes a person a member, who pays by a card that is kept, with them there; the
// zero one is the preferred. It is saved before Stripe is asked, and whoever was
// interrupted, or got no answer, asks again under the same key; the attempt rises
// after a definite refusal alone. Who has left, and is a member still, stays one. The subscription is made first, when no money moves,
// and its payment confirmed after that. Who has one whose payment waits, for their
// bank or for another card, pays it by asking again; who is a member stays the one
// they are.
func (m *Members) Join(ctx context.Context, user fleet.UserID, method fleet.PaymentMethodID) (j Joining, err error) {
	card, err := m.card(ctx, user, method)
	if err != nil {
		return j, err
	}
	for range 2 { // what was known may have ended at Stripe meanwhile
		var hadOne bool
		asOf := m.cfg.Clock.Now()
		if j.Membership, hadOne, err = m.store.Begin(ctx, user, m.cfg.Clock.Now()); err != nil {
			return j, err
		}
		var s *stripe.Subscription
		if j.State == fleet.MembershipNew {
			s, err = m.subscribe(ctx, &j.Membership, card, !hadOne)
		} else {
			s, err = m.subscription(ctx, j.Stripe)
		}
		if err != nil {
			return j, err
		}
		if err := m.keep(ctx, &j.Membership, s, asOf); err != nil {
			return j, err
		}
		if j.State == fleet.MembershipEnded {
			continue
		}
		if j.Cancelling { // they have left, and come back before it ends
			if s, err = m.ending(ctx, j.Stripe, false); err == nil {
				err = m.keep(ctx, &j.Membership, s, asOf)
			}
			if err != nil {
				return j, err
			}
		}
		return m.pay(ctx, j, s, card, !method.IsZero())
	}
	return j, &fleet.Error{Code: fleet.CodeConflict, Message: "the membership has just ended: try again"}
}

// subscribe has Stripe make the subscription of a membership, by which nothing is paid
// yet; first: with a trial, if there is one.
func (m *Members) subscribe(ctx context.Context, joined *fleet.Membership, card fleet.PaymentMethod, first bool) (*stripe.Subscription, error) {
	if card.Stripe == "" {
		return nil, &fleet.Error{Code: fleet.CodeConflict, Message: "a membership is paid by a card that is kept: keep one first"}
	}
	customer, err := m.customer(ctx, joined.User)
	if err != nil {
		return nil, err
	}
	if m.cfg.Clock.Now().Sub(joined.Changed) > keyKept { // the key may be forgotten: is it there?
		if found, err := m.find(ctx, customer, joined.ID); err != nil || found != nil {
			return found, err
		}
	}
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.SubscriptionParams{
		Customer: stripe.String(customer), DefaultPaymentMethod: stripe.String(card.Stripe),
		Items:           []*stripe.SubscriptionItemsParams{{Price: stripe.String(m.price)}},
		PaymentBehavior: stripe.String("default_incomplete"),
		PaymentSettings: &stripe.SubscriptionPaymentSettingsParams{
			SaveDefaultPaymentMethod: stripe.String(string(stripe.SubscriptionPaymentSettingsSaveDefaultPaymentMethodOnSubscription)),
		},
	}
	if m.trial > 0 && first {
		params.TrialPeriodDays = stripe.Int64(m.trial)
	}
	params.Context, params.IdempotencyKey = asking, stripe.String(fmt.Sprintf("membership/%s/%d", joined.ID, joined.Attempt))
	params.AddMetadata("membership", joined.ID.String())
	expandSubscription(params)
	made, err := m.stripe.Subscriptions.New(params)
	said := reduce(err)
	switch said.verdict {
	case done:
		return made, nil
	case broken: // under this key Stripe would say so for a day
		if said.code == string(stripe.ErrorTypeIdempotency) && m.cfg.Clock.Now().Sub(joined.Changed) < brokenFor {
			return nil, said.failure() // who asked with another card may be on their way still
		}
		if found, err := m.find(ctx, customer, joined.ID); err != nil || found != nil {
			return found, err
		}
	case unknown:
		return nil, said.failure()
	}
	return nil, errors.Join(said.failure(), m.store.Refused(ctx, joined, m.cfg.Clock.Now()))
}

// card is the card that a membership is paid by; the zero one: there is none.
func (m *Members) card(ctx context.Context, user fleet.UserID, method fleet.PaymentMethodID) (card fleet.PaymentMethod, err error) {
	if method.IsZero() {
		kept, err := m.Methods(ctx, user)
		if err != nil {
			return card, err
		}
		if i := slices.IndexFunc(kept, func(c fleet.PaymentMethod) bool { return c.Preferred }); i >= 0 {
			card = kept[i]
		}
	} else {
		card, err = m.cards.Of(ctx, user, method)
	}
	return card, err
}

// Leave ends a membership: with the period that is paid for, or at once. One of which
// nothing is paid ends at once.
func (m *Members) Leave(ctx context.Context, user fleet.UserID, atOnce bool) (fleet.Membership, error) {
	left, err := m.store.Of(ctx, user)
	if err != nil {
		return left, err
	}
	if left.Stripe == "" {
		return left, &fleet.Error{Code: fleet.CodeConflict, Message: "the membership is being made still: try again"}
	}
	atOnce = atOnce || !left.Entitled()
	if left.Cancelling && !atOnce {
		return left, nil
	}
	if atOnce {
		asking, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		params := &stripe.SubscriptionCancelParams{}
		params.Context = asking
		_, err = m.stripe.Subscriptions.Cancel(left.Stripe, params)
		said := reduce(err)
		err = said.failure()
	} else {
		_, err = m.ending(ctx, left.Stripe, true)
	}
	if err != nil && fleet.CodeOf(err) != fleet.CodeNotFound { // not found: it has ended
		return left, err
	}
	return left, m.look(ctx, left.Stripe, &left)
}

// ending has a subscription end with its period, or go on. Asked twice it is the same, and
// needs no key: one would have a second time say what the first one did.
func (m *Members) ending(ctx context.Context, id string, ends bool) (*stripe.Subscription, error) {
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.SubscriptionParams{CancelAtPeriodEnd: stripe.Bool(ends)}
	params.Context = asking
	expandSubscription(params)
	s, err := m.stripe.Subscriptions.Update(id, params)
	said := reduce(err)
	return s, said.failure()
}

// Member reports whether what a person asks for is quoted as to a member. What is
// known of a period that is over, or of a payment that waited, is old: Stripe is asked
// then, and whoever was a member remains one while it does not answer.
func (m *Members) Member(ctx context.Context, user fleet.UserID) (bool, error) {
	known, err := m.store.Of(ctx, user)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return false, nil
	}
	if err != nil || !m.old(&known) {
		return err == nil && known.Entitled(), err
	}
	entitled := known.Entitled()
	if err := m.look(ctx, known.Stripe, &known); err != nil {
		m.log.Warn("how a membership stands cannot be seen", "membership", known.ID, "error", err)
		return entitled, ctx.Err()
	}
	return known.Entitled(), nil
}

// old reports whether a membership may stand otherwise than is known: its period is
// over, or a payment of it waits.
func (m *Members) old(known *fleet.Membership) bool {
	return known.Stripe != "" && (known.State == fleet.MembershipIncomplete || known.State == fleet.MembershipPastDue || !m.cfg.Clock.Now().Before(known.Until))
}

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
// when what is known has run out. It is safe for concurrent use.
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

// Of returns a person's membership: CodeNotFound if they have none.
func (m *Members) Of(ctx context.Context, user fleet.UserID) (fleet.Membership, error) {
	return m.store.Of(ctx, user)
}

// Join makes a person a member, who pays by a card that is kept; the zero one is the
// preferred. It is saved before Stripe is asked, and whoever was interrupted, or got
// no answer, asks again under the same key; the attempt rises after a definite
// refusal alone. Who is a member already stays the one they are.
func (m *Members) Join(ctx context.Context, user fleet.UserID, method fleet.PaymentMethodID) (fleet.Membership, error) {
	card, err := m.card(ctx, user, method)
	if err != nil {
		return fleet.Membership{}, err
	}
	customer, err := m.customer(ctx, user)
	if err != nil {
		return fleet.Membership{}, err
	}
	joined, hadOne, err := m.store.Begin(ctx, user, m.cfg.Clock.Now())
	if err != nil || joined.State != fleet.MembershipNew {
		return joined, err
	}
	if m.cfg.Clock.Now().Sub(joined.Changed) > keyKept { // the key may be forgotten: is it there?
		found, err := m.find(ctx, customer, &joined)
		if err != nil || found {
			return joined, err
		}
	}
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.SubscriptionParams{
		Customer: stripe.String(customer), DefaultPaymentMethod: stripe.String(card.Stripe), OffSession: stripe.Bool(true),
		Items: []*stripe.SubscriptionItemsParams{{Price: stripe.String(m.price)}}, PaymentBehavior: stripe.String("error_if_incomplete"),
	}
	if m.trial > 0 && !hadOne { // a trial is for who has not been a member before
		params.TrialPeriodDays = stripe.Int64(m.trial)
	}
	params.Context, params.IdempotencyKey = asking, stripe.String(fmt.Sprintf("membership/%s/%d", joined.ID, joined.Attempt))
	params.AddMetadata("membership", joined.ID.String())
	made, err := m.stripe.Subscriptions.New(params)
	if err != nil {
		said := reduce(err)
		if said.verdict == refused {
			if err := m.store.Refused(ctx, &joined, m.cfg.Clock.Now()); err != nil {
				return joined, err
			}
		}
		return joined, said.failure()
	}
	return joined, m.keep(ctx, &joined, made)
}

// card is the card that a membership is paid by.
func (m *Members) card(ctx context.Context, user fleet.UserID, method fleet.PaymentMethodID) (card fleet.PaymentMethod, err error) {
	if method.IsZero() {
		kept, err := m.cards.List(ctx, user)
		if err != nil {
			return card, err
		}
		if i := slices.IndexFunc(kept, func(c fleet.PaymentMethod) bool { return c.Preferred }); i >= 0 {
			card = kept[i]
		}
	} else {
		card, err = m.cards.Of(ctx, user, method)
	}
	if err == nil && card.Stripe == "" {
		err = &fleet.Error{Code: fleet.CodeConflict, Message: "a membership is paid by a card that is kept: keep one first"}
	}
	return card, err
}

// find looks for a membership among the customer's subscriptions, by our metadata.
func (m *Members) find(ctx context.Context, customer string, joined *fleet.Membership) (bool, error) {
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.SubscriptionListParams{Customer: stripe.String(customer), Status: stripe.String("all")}
	params.Context = asking
	list := m.stripe.Subscriptions.List(params)
	for list.Next() {
		if s := list.Subscription(); s.Metadata["membership"] == joined.ID.String() {
			return true, m.keep(ctx, joined, s)
		}
	}
	if err := list.Err(); err != nil {
		said := reduce(err)
		return false, said.failure()
	}
	return false, nil
}

// Leave ends a membership with the period that is paid for.
func (m *Members) Leave(ctx context.Context, user fleet.UserID) (fleet.Membership, error) {
	left, err := m.store.Of(ctx, user)
	if err != nil || left.Cancelling {
		return left, err
	}
	if left.Stripe == "" {
		return left, &fleet.Error{Code: fleet.CodeConflict, Message: "the membership is being made still: try again"}
	}
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.SubscriptionParams{CancelAtPeriodEnd: stripe.Bool(true)}
	params.Context, params.IdempotencyKey = asking, stripe.String("membership/"+left.ID.String()+"/leave")
	s, err := m.stripe.Subscriptions.Update(left.Stripe, params)
	if err != nil {
		said := reduce(err)
		return left, said.failure()
	}
	return left, m.keep(ctx, &left, s)
}

// See looks at a subscription anew. One that is not ours is none of our business.
func (m *Members) See(ctx context.Context, id string) error {
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.SubscriptionParams{}
	params.Context = asking
	s, err := m.stripe.Subscriptions.Get(id, params)
	if err != nil {
		said := reduce(err)
		if err = said.failure(); fleet.CodeOf(err) == fleet.CodeNotFound {
			return nil
		}
		return err
	}
	ours, err := fleet.ParseID[fleet.Membership](s.Metadata["membership"])
	if err != nil {
		return nil //nolint:nilerr // made by hand, or by another hub
	}
	return m.keep(ctx, &fleet.Membership{ID: ours}, s)
}

// keep keeps how a subscription stands.
func (m *Members) keep(ctx context.Context, as *fleet.Membership, s *stripe.Subscription) error {
	as.Stripe, as.Cancelling, as.State = s.ID, s.CancelAtPeriodEnd, fleet.MembershipPastDue // unpaid, paused
	switch s.Status {
	case stripe.SubscriptionStatusTrialing:
		as.State = fleet.MembershipTrialing
	case stripe.SubscriptionStatusActive:
		as.State = fleet.MembershipActive
	case stripe.SubscriptionStatusIncomplete:
		as.State = fleet.MembershipIncomplete
	case stripe.SubscriptionStatusCanceled, stripe.SubscriptionStatusIncompleteExpired:
		as.State = fleet.MembershipEnded
	}
	if s.CurrentPeriodEnd > 0 {
		as.Until = time.Unix(s.CurrentPeriodEnd, 0).UTC()
	}
	return m.store.Set(ctx, as, m.cfg.Clock.Now())
}

// Member reports whether what a person asks for is quoted as to a member. What is
// known of a period that is over is old: Stripe is asked then, and whoever was a
// member remains one while it does not answer.
func (m *Members) Member(ctx context.Context, user fleet.UserID) (bool, error) {
	known, err := m.store.Of(ctx, user)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return false, nil
	}
	if err != nil || !known.Entitled() || m.cfg.Clock.Now().Before(known.Until) {
		return err == nil && known.Entitled(), err
	}
	if err := m.See(ctx, known.Stripe); err != nil {
		m.log.Warn("how a membership stands cannot be seen", "membership", known.ID, "error", err)
		if errors.Is(ctx.Err(), context.Canceled) {
			return false, ctx.Err()
		}
		return true, nil
	}
	known, err = m.store.Of(ctx, user)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return false, nil
	}
	return err == nil && known.Entitled(), err
}

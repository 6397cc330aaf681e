package payment

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/riverqueue/river"
	"github.com/stripe/stripe-go/v76"

	"armora/fleet"
	"armora/schema"
)

// expandSubscription has a subscription come with what its principal may have to do
// for it.
func expandSubscription(params *stripe.SubscriptionParams) {
	params.AddExpand("latest_invoice.payment_intent.payment_method")
	params.AddExpand("pending_setup_intent")
}

// subscription reads one.
func (m *Members) subscription(ctx context.Context, id string) (*stripe.Subscription, error) {
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.SubscriptionParams{}
	params.Context = asking
	expandSubscription(params)
	s, err := m.stripe.Subscriptions.Get(id, params)
	said := reduce(err)
	return s, said.failure()
}

// find looks for a membership among the customer's subscriptions, by our metadata;
// nil: it is not there.
func (m *Members) find(ctx context.Context, customer string, id fleet.MembershipID) (*stripe.Subscription, error) {
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.SubscriptionListParams{Customer: stripe.String(customer), Status: stripe.String("all")}
	params.Context, params.Limit = asking, stripe.Int64(100)
	list := m.stripe.Subscriptions.List(params)
	for list.Next() {
		if s := list.Subscription(); s.Metadata["membership"] == id.String() {
			return m.subscription(ctx, s.ID)
		}
	}
	said := reduce(list.Err())
	return nil, said.failure()
}

// pay pays what a membership waits for, with its principal there, and says what they
// have to do. What their bank has asked and they have not answered is not asked again,
// unless they have chosen another card. An intent is paid once, whatever is repeated:
// confirming it needs no key.
func (m *Members) pay(ctx context.Context, j Joining, s *stripe.Subscription, card fleet.PaymentMethod, chosen bool) (Joining, error) {
	if setup := s.PendingSetupIntent; setup != nil && setup.ClientSecret != "" { // nothing is due yet, but the bank will ask
		j.ClientSecret, j.NextAction = setup.ClientSecret, ActSetUpCard
		return j, nil
	}
	intent := due(s)
	switch {
	case intent == nil || intent.Status == stripe.PaymentIntentStatusProcessing:
		return j, nil
	case card.Stripe == "" || intent.Status == stripe.PaymentIntentStatusRequiresAction && !chosen:
		return j.confirming(intent), nil
	}
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.PaymentIntentConfirmParams{PaymentMethod: stripe.String(card.Stripe), ReturnURL: stripe.String(m.cfg.ReturnURL)}
	params.Context = asking
	confirmed, err := m.stripe.PaymentIntents.Confirm(intent.ID, params)
	said := reduce(err)
	switch {
	case said.verdict == refused && said.intent != nil && said.code != string(stripe.ErrorCodePaymentIntentUnexpectedState):
		j.Code = said.code
		return j.confirming(said.intent), nil
	case err != nil && said.code != string(stripe.ErrorCodePaymentIntentUnexpectedState): // unexpected: somebody else has paid it
		return j, said.failure()
	case err == nil && confirmed.Status == stripe.PaymentIntentStatusRequiresAction:
		return j.confirming(confirmed), nil
	}
	return j, m.look(ctx, s.ID, &j.Membership)
}

// due is the payment that a subscription waits for, nil when it waits for none.
func due(s *stripe.Subscription) *stripe.PaymentIntent {
	invoice := s.LatestInvoice
	waits := s.Status == stripe.SubscriptionStatusIncomplete || s.Status == stripe.SubscriptionStatusPastDue || s.Status == stripe.SubscriptionStatusUnpaid
	if !waits || invoice == nil || invoice.Status != stripe.InvoiceStatusOpen || invoice.PaymentIntent == nil {
		return nil
	}
	return invoice.PaymentIntent
}

// confirming is a membership whose payment the client has to confirm.
func (j Joining) confirming(intent *stripe.PaymentIntent) Joining {
	r := Reservation{}.confirming(intent)
	j.ClientSecret, j.NextAction, j.URL = r.ClientSecret, r.NextAction, r.URL
	return j
}

// See looks at a subscription anew. One that is not ours is none of our business.
func (m *Members) See(ctx context.Context, id string) error {
	return ifNotOurs(m.look(ctx, id, &fleet.Membership{}))
}

// SeeInvoice looks at the subscription of an invoice anew.
func (m *Members) SeeInvoice(ctx context.Context, id string) error {
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.InvoiceParams{}
	params.Context = asking
	invoice, err := m.stripe.Invoices.Get(id, params)
	said := reduce(err)
	if err := said.failure(); err != nil || invoice.Subscription == nil {
		return ifNotOurs(err)
	}
	return m.See(ctx, invoice.Subscription.ID)
}

// look reads a subscription and keeps how it stands.
func (m *Members) look(ctx context.Context, id string, as *fleet.Membership) error {
	asOf := m.cfg.Clock.Now()
	s, err := m.subscription(ctx, id)
	if err != nil {
		return err
	}
	if as.ID, err = fleet.ParseID[fleet.Membership](s.Metadata["membership"]); err != nil {
		return nil //nolint:nilerr // made by hand, or by another hub
	}
	return m.keep(ctx, as, s, asOf)
}

// keep keeps how a subscription stood when it was asked for, and tells who has to see
// to its payment.
func (m *Members) keep(ctx context.Context, as *fleet.Membership, s *stripe.Subscription, asOf time.Time) error {
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
	var told schema.Telling
	if as.State == fleet.MembershipPastDue && due(s) != nil {
		told = m.tellDue(s.LatestInvoice)
	}
	if d := s.CancellationDetails; as.State == fleet.MembershipEnded && d != nil && d.Reason == stripe.SubscriptionCancellationDetailsReasonPaymentFailed {
		told = m.tellEnded(s.ID)
	}
	if err := m.store.Set(ctx, as, asOf, told); err != nil {
		return err
	}
	m.listCard(ctx, as.User, s)
	if as.State == fleet.MembershipEnded && s.LatestInvoice != nil && s.LatestInvoice.Status == stripe.InvoiceStatusOpen {
		return m.void(ctx, s.LatestInvoice.ID)
	}
	return nil
}

// listCard lists the card that has paid the last period, which may have been given for
// it: Stripe keeps it for those to come. One that was taken away is the customer's no
// more. That it is not listed is no reason to fail.
func (m *Members) listCard(ctx context.Context, user fleet.UserID, s *stripe.Subscription) {
	if user.IsZero() || s.LatestInvoice == nil || s.LatestInvoice.PaymentIntent == nil {
		return
	}
	intent := s.LatestInvoice.PaymentIntent
	by := intent.PaymentMethod
	if intent.Status != stripe.PaymentIntentStatusSucceeded || by == nil || by.Card == nil || by.Customer == nil {
		return
	}
	if err := m.cards.Keep(ctx, cardOf(user, by, m.cfg.Clock.Now())); err != nil {
		m.log.Warn("a card that was paid with is not listed", "user", user, "error", err)
	}
}

// tellDue makes what a member is told whose period is not paid: once each time that
// Stripe has tried.
func (m *Members) tellDue(invoice *stripe.Invoice) schema.Telling {
	if m.cfg.Tell == nil {
		return nil
	}
	owed := fleet.Money{Amount: invoice.AmountRemaining, Currency: currencyOf(invoice.Currency)}
	return m.cfg.Tell(fleet.Tidings{
		Kind: "payment_membership", Once: "membership/" + invoice.ID + "/" + strconv.FormatInt(invoice.AttemptCount, 10),
		Expires: m.cfg.Clock.Now().Add(noticeLife), Data: map[string]string{"amount": owed.String(), "link": m.cfg.Link + "membership"},
		Channels: []fleet.Channel{fleet.PushChannel, fleet.MailChannel, fleet.InboxChannel},
	})
}

// tellEnded makes what a member is told whose membership Stripe has ended, since a
// period was not paid however often it had tried.
func (m *Members) tellEnded(subscription string) schema.Telling {
	if m.cfg.Tell == nil {
		return nil
	}
	return m.cfg.Tell(fleet.Tidings{
		Kind: "payment_membership_ended", Once: "membership/" + subscription + "/ended",
		Expires: m.cfg.Clock.Now().Add(noticeLife), Data: map[string]string{"link": m.cfg.Link + "membership"},
		Channels: []fleet.Channel{fleet.PushChannel, fleet.MailChannel, fleet.InboxChannel},
	})
}

// void has nobody pay for a period of a membership that has ended.
func (m *Members) void(ctx context.Context, invoice string) error {
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.InvoiceVoidInvoiceParams{}
	params.Context = asking
	_, err := m.stripe.Invoices.VoidInvoice(invoice, params)
	if said := reduce(err); said.verdict != done && said.verdict != refused { // refused: it is paid, or void already
		return said.away()
	}
	return nil
}

const (
	membersEvery = time.Hour
	membersLimit = 500 // that are looked at a time
)

// seeMembers is the job of looking at the memberships that may have changed while no
// webhook came.
type seeMembers struct{}

// Kind names the job.
func (seeMembers) Kind() string { return "see_members" }

// SeeingMembers has memberships looked at every hour, on one of the hubs that share a
// database.
func SeeingMembers() *river.PeriodicJob {
	return river.NewPeriodicJob(river.PeriodicInterval(membersEvery), func() (river.JobArgs, *river.InsertOpts) {
		return seeMembers{}, &river.InsertOpts{MaxAttempts: 3}
	}, &river.PeriodicJobOpts{RunOnStart: true})
}

// AddWorkers adds the worker of memberships. That of nil members does nothing.
func (m *Members) AddWorkers(workers *river.Workers) {
	river.AddWorker(workers, river.WorkFunc(func(ctx context.Context, _ *river.Job[seeMembers]) error {
		if m == nil {
			return nil
		}
		return m.again(m.SeeAll(ctx))
	}))
}

// SeeAll looks at the memberships whose period is over, or of which a payment waits.
func (m *Members) SeeAll(ctx context.Context) error {
	old, err := m.store.Old(ctx, m.cfg.Clock.Now(), membersLimit)
	for i := 0; i < len(old) && fleet.CodeOf(err) != fleet.CodeUnavailable; i++ { // one that fails is not in the others' way
		err = errors.Join(err, m.See(ctx, old[i].Stripe))
	}
	return err
}

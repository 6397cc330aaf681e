package payment

import (
	"context"
	"fmt"
	"time"

	"github.com/stripe/stripe-go/v76"

	"armora/fleet"
	"armora/schema"
)

// Onboarding is Stripe's own page on which an officer says who they are, and where
// their money is to go. Its address is good once, and stored nowhere.
type Onboarding struct {
	URL     string
	Expires time.Time
}

// Onboard begins, or goes on with, having an officer paid by Stripe. Who signs in as
// no officer is CodeNotFound, and without the switch it is CodeConflict.
func (c *Cashier) Onboard(ctx context.Context, user fleet.UserID) (o Onboarding, err error) {
	if !c.cfg.Connect {
		return o, &fleet.Error{Code: fleet.CodeConflict, Message: "officers are paid by payroll here"}
	}
	account, err := c.payees().Begin(ctx, user, c.cfg.Clock.Now())
	if err == nil && account.Stripe == "" {
		account, err = c.openAccount(ctx, account)
	}
	if err != nil {
		return o, err
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.AccountLinkParams{
		Account: stripe.String(account.Stripe), Type: stripe.String(string(stripe.AccountLinkTypeAccountOnboarding)),
		ReturnURL: stripe.String(c.cfg.ReturnURL), RefreshURL: stripe.String(c.cfg.ReturnURL),
	}
	params.Context = ctx
	link, err := c.stripe.AccountLinks.New(params)
	if err != nil {
		a := reduce(err)
		return o, a.failure()
	}
	return Onboarding{URL: link.URL, Expires: time.Unix(link.ExpiresAt, 0).UTC()}, nil
}

func (c *Cashier) payees() schema.PayoutAccounts { return schema.PayoutAccounts{DB: c.cfg.DB} }

// openAccount has Stripe make an account for an officer, who will tell it all about
// themselves: it learns their id from us. An answer that nobody hears is asked for
// again under the same key; one that is lost for a day leaves an account of nothing.
func (c *Cashier) openAccount(ctx context.Context, a fleet.PayoutAccount) (fleet.PayoutAccount, error) {
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.AccountParams{
		Type: stripe.String(string(stripe.AccountTypeExpress)), Country: stripe.String("GB"), BusinessType: stripe.String(string(stripe.AccountBusinessTypeIndividual)),
		Capabilities: &stripe.AccountCapabilitiesParams{Transfers: &stripe.AccountCapabilitiesTransfersParams{Requested: stripe.Bool(true)}},
	}
	params.Context, params.IdempotencyKey = asking, stripe.String(fmt.Sprintf("account/%s/%d", a.Driver, a.Attempt))
	params.AddMetadata("driver", a.Driver.String())
	made, err := c.stripe.Accounts.New(params)
	now := c.cfg.Clock.Now()
	if err != nil {
		answer := reduce(err)
		if answer.verdict == refused {
			if err := c.payees().Refused(ctx, a, now); err != nil {
				return a, err
			}
		}
		return a, answer.failure()
	}
	if err := c.payees().Name(ctx, a.Driver, made.ID, now); err != nil {
		return a, err
	}
	return c.payees().Of(ctx, a.Driver) // somebody else may have been first
}

// PayoutAccount is how the account of the officer who signs in as a user stands:
// CodeNotFound, if they have none. Until it is ready Stripe is asked, too.
func (c *Cashier) PayoutAccount(ctx context.Context, user fleet.UserID) (fleet.PayoutAccount, error) {
	a, err := c.payees().OfUser(ctx, user)
	if err != nil || a.Ready || a.Stripe == "" {
		return a, err
	}
	if err := c.SeeAccount(ctx, a.Stripe); err != nil && fleet.CodeOf(err) != fleet.CodeUnavailable {
		return a, err
	}
	return c.payees().OfUser(ctx, user)
}

// PayoutAccountOf is how the account of an officer stands, for the staff.
func (c *Cashier) PayoutAccountOf(ctx context.Context, driver fleet.DriverID) (fleet.PayoutAccount, error) {
	return c.payees().Of(ctx, driver)
}

// SeeAccount reads an account anew, of which a webhook has told: whether Stripe may
// pay to it. One that is not ours is nothing.
func (c *Cashier) SeeAccount(ctx context.Context, id string) error {
	asking, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	params := &stripe.AccountParams{}
	params.Context = asking
	from, err := c.stripe.Accounts.GetByID(id, params)
	a := reduce(err)
	if err := a.failure(); err != nil {
		if fleet.CodeOf(err) == fleet.CodeNotFound {
			return c.payees().See(ctx, id, false, c.cfg.Clock.Now())
		}
		return err
	}
	ready := from.PayoutsEnabled && from.Capabilities != nil && from.Capabilities.Transfers == stripe.AccountCapabilityStatusActive
	return c.payees().See(ctx, id, ready, c.cfg.Clock.Now())
}

// ForgetOfficer has Stripe delete the account of an officer, and says so. One that has
// money stays with Stripe, who owes it to them, until they have it.
func (c *Cashier) ForgetOfficer(ctx context.Context, user fleet.UserID) (string, error) {
	account, err := c.payees().OfUser(ctx, user)
	switch {
	case fleet.CodeOf(err) == fleet.CodeNotFound:
		return "", nil
	case err != nil:
		return "", err
	}
	told := "the account by which they were paid was deleted"
	if account.Stripe != "" {
		asking, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		params := &stripe.AccountParams{}
		params.Context = asking
		if _, err := c.stripe.Accounts.Del(account.Stripe, params); err != nil {
			a := reduce(err)
			if a.verdict != refused {
				return "", a.away()
			}
			if a.code != string(stripe.ErrorCodeResourceMissing) {
				told = "Stripe keeps the account by which they were paid, which has money of theirs"
			}
		}
	}
	return told, c.payees().Forget(ctx, account.Driver)
}

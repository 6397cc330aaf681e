package tariff

import (
	"fmt"
	"time"

	"armora/fleet"
)

// Cancellation is what it costs to cancel, as shares of the quoted price.
type Cancellation struct {
	Steps []Step `json:"steps" doc:"The longest notice first"`
	Late  int    `json:"late" doc:"Percent, with shorter notice than any step's and for a principal who does not come"`
	Grace int    `json:"grace" doc:"For how long after an officer has accepted a booking for at once costs nothing yet, minutes"`
}

// Step is what it costs to cancel with a notice of so much at least.
type Step struct {
	Notice  int `json:"notice" doc:"Before the start, minutes"`
	Percent int `json:"percent"`
}

func (c *Cancellation) check(f *flaws) {
	notice, share := int(MaxTime/time.Minute)*12, 0
	for i, step := range c.Steps {
		where := fmt.Sprintf("cancellation.steps.%d", i)
		f.unless(step.Notice > 0 && step.Notice < notice, where+".notice", "is greater than 0, and shorter than that before it")
		f.unless(step.Percent >= share && step.Percent <= 100, where+".percent", "is no less than that before it, and 100 at most")
		notice, share = step.Notice, step.Percent
	}
	f.unless(c.Late >= share && c.Late <= 100, "cancellation.late", "is no less than that of the steps, and 100 at most")
	f.unless(c.Grace >= 0 && c.Grace <= day, "cancellation.grace", "is from 0 to a day")
}

// Cancelled is how a booking came to its end before its trip did.
type Cancelled struct {
	By     fleet.ActorKind // the hub itself: nobody was found, or it was not paid for
	At     time.Time       // by the hub's clock
	Start  time.Time       // for when it was booked
	NoShow bool            // the principal did not come, whoever says so
	Waived bool            // ops let the principal off

	Now      bool      // it was for at once
	Funded   bool      // its amount was held, or the account has terms
	Waits    bool      // it waits for an approver of the account that would pay
	Accepted time.Time // when the officer who has it now accepted; zero: nobody has it

	// Before is what cancelling would have cost at the last of the principal's changes
	// of its time or way, or earlier ones, whichever is most: what costs something by its
	// notice costs no less after it was put off, or made cheaper, than it did before.
	Before fleet.Money
}

// FeeReason is why a cancellation costs what it costs.
type FeeReason string

// The reasons. All but the last three make it free.
const (
	FeeWaived         FeeReason = "waived"           // ops let the principal off
	FeeNotByPrincipal FeeReason = "not_by_principal" // the officer, ops or the hub ended it: nobody was found, for one
	FeeNeverFunded    FeeReason = "never_funded"     // for at once, and never paid for
	FeeNotApproved    FeeReason = "not_approved"     // who would pay has not agreed to it
	FeeNotAccepted    FeeReason = "not_accepted"     // for at once, and no officer had accepted
	FeeInGrace        FeeReason = "in_grace"         // for at once, and an officer had only just accepted
	FeeByNotice       FeeReason = "by_notice"        // a share that rises as the start comes near
	FeeNoShow         FeeReason = "no_show"
	FeePutOff         FeeReason = "put_off" // what it would have cost before it was changed
)

// Fee is what a cancellation costs.
type Fee struct {
	Amount  fleet.Money `json:"amount"`
	Percent int         `json:"percent" doc:"Of the quoted price, by the notice"`
	Reason  FeeReason   `json:"reason"`
}

// CancellationFee returns what the end of a booking costs whose quoted price is
// given. That a booking was never funded, not accepted, or accepted only just now,
// counts for those for at once alone: a scheduled one costs by its notice, since
// its amount is held but a day before its start.
func (t *Table) CancellationFee(quoted fleet.Money, c Cancelled) Fee {
	share, reason := t.Cancellation.share(c)
	fee := Fee{
		Amount:  fleet.Money{Amount: percent(quoted.Amount, share), Currency: quoted.Currency},
		Percent: share, Reason: reason,
	}
	if (reason == FeeByNotice || reason == FeeNoShow || reason == FeeNotApproved) && c.Before.Amount > fee.Amount.Amount {
		fee.Amount.Amount, fee.Reason = c.Before.Amount, FeePutOff
	}
	return fee
}

func (c *Cancellation) share(of Cancelled) (percent int, why FeeReason) {
	switch {
	case of.Waived:
		return 0, FeeWaived
	case of.NoShow:
		return c.Late, FeeNoShow
	case of.By != fleet.ByPrincipal:
		return 0, FeeNotByPrincipal
	case of.Waits:
		return 0, FeeNotApproved
	case of.Now && !of.Funded:
		return 0, FeeNeverFunded
	case of.Now && of.Accepted.IsZero():
		return 0, FeeNotAccepted
	case of.Now && of.At.Sub(of.Accepted) <= time.Duration(c.Grace)*time.Minute:
		return 0, FeeInGrace
	}
	notice := of.Start.Sub(of.At)
	for _, step := range c.Steps {
		if notice >= time.Duration(step.Notice)*time.Minute {
			return step.Percent, FeeByNotice
		}
	}
	return c.Late, FeeByNotice
}

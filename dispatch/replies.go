package dispatch

import (
	"context"
	"encoding/json"
	"fmt"

	"armora/fleet"
)

// maxReason is the longest reason that is kept, in bytes.
const maxReason = 500

// Reply reads what an officer's phone answers to an offer, and returns what keeps
// it. A repeat, or one that comes too late, changes nothing: what became of the
// offer, the phone is told with it.
func (e *Engine) Reply(from *fleet.Identity, payload []byte) func(context.Context) error {
	var r struct {
		Offer  fleet.OfferID `json:"offer_id"`
		Accept *bool         `json:"accept"`
		Reason string        `json:"reason"`
	}
	err := json.Unmarshal(payload, &r)
	switch {
	case err != nil:
	case r.Accept == nil:
		err = fmt.Errorf("accept is missing")
	case len(r.Reason) > maxReason:
		err = fmt.Errorf("reason has more than %d bytes", maxReason)
	}
	if err != nil {
		return func(context.Context) error {
			return &fleet.Error{Code: fleet.CodeInvalid, Message: "reply: " + err.Error()}
		}
	}
	by := fleet.Actor{Kind: fleet.ByOfficer, User: from.User}
	return func(ctx context.Context) error {
		var err error
		if *r.Accept {
			_, err = e.Accept(ctx, from.Driver, r.Offer, by)
		} else {
			_, err = e.Decline(ctx, from.Driver, r.Offer, by, r.Reason)
		}
		switch fleet.CodeOf(err) {
		case fleet.CodeConflict: // the phone is told what became of the offer
			return nil
		case fleet.CodeNotFound:
			return &fleet.Error{Code: fleet.CodeInvalid, Message: "reply: no such offer"}
		}
		return err
	}
}

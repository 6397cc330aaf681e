package safety

import (
	"context"

	"armora/fleet"
	"armora/schema"
)

// Rota returns who is called, in order.
func (w *Watch) Rota(ctx context.Context) ([]fleet.SOSStep, error) {
	return (schema.SOSRota{DB: w.cfg.DB}).List(ctx)
}

// SetRota puts a rota in the place of the one there is. It is in force at once here,
// and on other hubs within a minute.
func (w *Watch) SetRota(ctx context.Context, steps []fleet.SOSStep) error {
	for _, s := range steps {
		if !s.Since.IsZero() && !couldBe(s.Since) || !s.Until.IsZero() && !couldBe(s.Until) { // the snapshot could not say it
			return &fleet.Error{Code: fleet.CodeInvalid, Message: "a step of the rota is on call at no time that could be"}
		}
		if !s.Until.IsZero() && !s.Until.After(s.Since) {
			return &fleet.Error{Code: fleet.CodeInvalid, Message: "a step of the rota ends before it begins"}
		}
	}
	if err := (schema.SOSRota{DB: w.cfg.DB}).Replace(ctx, steps); err != nil {
		return err
	}
	w.relearnFor(ctx)
	return nil
}

// SetCode sets the duress code of a user.
func (w *Watch) SetCode(ctx context.Context, user fleet.UserID, code string) error {
	err := (schema.DuressCodes{DB: w.cfg.DB}).Set(ctx, user, w.cfg.Code(user, code), w.now())
	if err == nil {
		w.relearnFor(ctx)
	}
	return err
}

// DeleteCode has a user have none any more.
func (w *Watch) DeleteCode(ctx context.Context, user fleet.UserID) error {
	err := (schema.DuressCodes{DB: w.cfg.DB}).Delete(ctx, user)
	if err == nil {
		w.relearnFor(ctx)
	}
	return err
}

// Broken returns the first entry of a timeline that is not what was written; 0: none.
func (w *Watch) Broken(ctx context.Context, id fleet.SOSID) (int64, error) {
	return w.table.Broken(ctx, id)
}

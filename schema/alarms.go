package schema

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"armora/fleet"
)

// alarmCalls is for how long after an alarm was raised people are called for it.
const alarmCalls = time.Hour

// AlarmTelling makes what somebody is told of an alarm, by channels.
type AlarmTelling func(a *fleet.Alert, step int, by ...fleet.Channel) Telling

// Step takes a step of telling ops of an alarm, once, however often and by however
// many hubs it is asked for: 0 tells all of ops in the app, which their consoles show,
// and by push; a later one calls whom the rota says next, if the alarm is a danger. Each
// leaves the job of the one after. Nothing is done for one that somebody sees to, or
// whose cause is gone; of two that are a danger together, that is either.
func (t Alerts) Step(ctx context.Context, job fleet.AlarmJob, now time.Time, tell AlarmTelling) error {
	return t.DB.transact(ctx, "alert", func(tx pgx.Tx) error {
		// All that are open about the officer, in one order: of two that are a danger
		// together, one sees that the other is called for.
		rows, err := tx.Query(ctx, `
			SELECT `+alertColumns+` FROM alerts a
			WHERE (booking_id, driver_id) = (SELECT booking_id, driver_id FROM alerts WHERE id = $1) AND closed IS NULL
			ORDER BY a.id FOR UPDATE OF a`, job.Alert)
		if err != nil {
			return err
		}
		open, err := pgx.CollectRows(rows, scanAlert)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(open, func(a fleet.Alert) bool { return a.ID == job.Alert })
		if at < 0 || !open[at].Acked.IsZero() || open[at].Steps != job.Step {
			return nil
		}
		a := &open[at]
		calls := calledFor(a, open)
		if job.Step > 0 && (!calls || !a.Calls) {
			// What it was a danger with is over. Comes that back, it calls of its own.
			_, err = tx.Exec(ctx, `UPDATE alerts SET calls = false WHERE id = $1`, a.ID)
			return err
		}
		if _, err := tx.Exec(ctx, `UPDATE alerts SET steps = steps + 1, calls = $2 WHERE id = $1`, a.ID, calls); err != nil {
			return err
		}
		if job.Step == 0 {
			err = t.DB.tellAll(ctx, tx, tell(a, 0, fleet.PushChannel, fleet.InboxChannel), `id IN (SELECT u.id FROM users u WHERE `+isOps+`)`)
		} else {
			err = t.callFor(ctx, tx, a, job.Step, now, tell)
		}
		next := now.Add(fleet.StepLength)
		if err != nil || !calls || next.After(a.Raised.Add(alarmCalls)) {
			return err
		}
		return t.DB.enqueue(ctx, tx, fleet.AlarmJob{Alert: a.ID, Step: job.Step + 1}, next)
	})
}

// calledFor reports whether the rota is called for an alarm, of all that are open
// about the officer: found out anew by each step.
func calledFor(a *fleet.Alert, open []fleet.Alert) bool {
	var beside []fleet.AlertKind
	for i := range open {
		if other := &open[i]; other.ID != a.ID {
			if a.Kind.Pairs(other.Kind) && other.Calls && other.Acked.IsZero() {
				return false
			}
			beside = append(beside, other.Kind)
		}
	}
	return a.Kind.Danger(beside...)
}

// callFor calls whom the rota says: its steps are gone through again and again, but
// for those of consoles, which show the alarm already. Who is called for another one in
// the same moment finds both: when a hub hears of nobody, that is one call and not a
// hundred.
func (t Alerts) callFor(ctx context.Context, tx pgx.Tx, a *fleet.Alert, number int, now time.Time, tell AlarmTelling) error {
	rota, err := rotaOf(ctx, tx)
	if err != nil {
		return err
	}
	rota = slices.DeleteFunc(rota, func(s fleet.SOSStep) bool { return s.Channel == fleet.ConsoleChannel || !s.OnCall(now) })
	if len(rota) == 0 {
		return nil // somebody may be on call by the next one
	}
	step := rota[(number-1)%len(rota)]
	var called bool
	err = tx.QueryRow(ctx, `
		SELECT EXISTS (SELECT FROM notices WHERE user_id = $1 AND channel = $2 AND starts_with(once, 'alert/') AND strpos(once, '#') > 0 AND created > $3)`,
		step.User, step.Channel, now.Add(-fleet.StepLength/2)).Scan(&called)
	if err != nil || called {
		return err
	}
	return t.DB.tell(ctx, tx, step.User, tell(a, number, step.Channel))
}

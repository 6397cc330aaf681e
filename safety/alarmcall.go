package safety

import (
	"context"
	"fmt"
	"time"

	"github.com/riverqueue/river"

	"armora/fleet"
	"armora/schema"
)

// alarmLife is for how long it is worth while to tell all of ops of an alarm. What the
// rota is told is of use for as long as a step of an SOS is.
const alarmLife = 15 * time.Minute

// alarmCaller tells ops of alarms: all of them once, and then, if there may be danger,
// whom the rota says, one after another, until somebody sees to it.
type alarmCaller struct {
	river.WorkerDefaults[fleet.AlarmJob]
	*Alarms
}

// AddWorkers adds the worker that tells ops of alarms.
func (a *Alarms) AddWorkers(workers *river.Workers) {
	river.AddWorker(workers, &alarmCaller{Alarms: a})
}

// Work implements river.Worker.
func (c *alarmCaller) Work(ctx context.Context, job *river.Job[fleet.AlarmJob]) error {
	return c.alerts.Step(ctx, job.Args, c.cfg.Clock.Now(), c.telling)
}

// alarmWords are what the kinds are to a person. Others see the screen of a phone:
// they name neither who nor where.
var alarmWords = map[fleet.AlertKind]string{
	fleet.AlertSilent:   "nothing is heard of a protection officer",
	fleet.AlertUnfit:    "the protection officer of an assignment may not work any more",
	fleet.AlertOffRoute: "an assignment is off its way",
	fleet.AlertStop:     "an assignment has stopped where no stop was planned",
	fleet.AlertApart:    "a protection officer and their vehicle are apart",
	fleet.AlertSpeed:    "a protection officer is driving too fast",
}

// telling makes what somebody is told by a step, or hears when they are called. It goes
// to all of ops, and so names no booking: its principal may be shown to named staff
// alone.
func (c *alarmCaller) telling(a *fleet.Alert, step int, by ...fleet.Channel) schema.Telling {
	now := c.cfg.Clock.Now()
	t := fleet.Tidings{
		Kind: "safety_alarm", Once: "alert/" + a.ID.String(), Expires: now.Add(alarmLife), Channels: by,
		Data: map[string]string{"what": alarmWords[a.Kind], "at": a.Raised.UTC().Format(time.RFC3339)},
	}
	if step > 0 {
		t.Once, t.Expires = fmt.Sprintf("%s#%d", t.Once, step), now.Add(stepLife)
	}
	return c.cfg.Tell(t)
}

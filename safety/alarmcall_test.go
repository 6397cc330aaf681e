package safety

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river"

	"armora/fleet"
	"armora/schema"
)

// person makes somebody who is signed in with an app.
func (a *alarmed) person(name string, role fleet.Role) fleet.UserID {
	a.t.Helper()
	ctx, id := a.t.Context(), fleet.NewID[fleet.User]()
	a.must(schema.Users{DB: a.db}.Create(ctx, fleet.User{ID: id, Email: name + "@example.com", Name: name, Roles: []fleet.Role{role}, Created: noon}, ""))
	session := fleet.NewID[fleet.UserSession]()
	for _, sql := range []string{
		`UPDATE users SET phone = '+447700900123', phone_verified = $2::timestamptz WHERE id = $1`,
		`INSERT INTO user_sessions (id, user_id, method, second_factor, agent, address, created, authenticated, used, expires)
			VALUES ('` + session.String() + `', $1, 'password', false, '', '', $2, $2, $2, 'infinity')`,
	} {
		_, err := a.db.Pool().Exec(ctx, sql, id, noon)
		a.must(err)
	}
	a.must(schema.PushTokens{DB: a.db}.Put(ctx, schema.SealedPushToken{
		ID: fleet.NewID[fleet.PushToken](), User: id, Session: session, Hash: id[:], Sealed: []byte("x"), Created: noon}, 10))
	return id
}

// raise has an alarm raised, and takes the step of telling all of ops.
func (a *alarmed) raise(kind fleet.AlertKind) fleet.AlertID {
	a.t.Helper()
	id := fleet.NewID[fleet.Alert]()
	a.must(a.alerts.RaiseOf(a.t.Context(), fleet.Alert{ID: id, Kind: kind, Booking: a.booking.ID, Driver: a.driver, Raised: a.clock.Now()}))
	a.work(fleet.AlarmJob{Alert: id})
	return id
}

func (a *alarmed) work(job fleet.AlarmJob) {
	a.t.Helper()
	a.must((&alarmCaller{Alarms: a.Alarms}).Work(a.t.Context(), &river.Job[fleet.AlarmJob]{Args: job}))
}

// left returns the steps of an alarm for which there is a job, and after how long each is due.
func (a *alarmed) left(id fleet.AlertID) (steps []string) {
	a.t.Helper()
	rows, err := a.db.Pool().Query(a.t.Context(), `
		SELECT args, scheduled_at FROM river_job WHERE kind = 'alarm' AND args ->> 'alert' = $1 ORDER BY (args ->> 'step')::integer`, id.String())
	a.must(err)
	defer rows.Close()
	for rows.Next() {
		var args []byte
		var due time.Time
		var job fleet.AlarmJob
		a.must(rows.Scan(&args, &due))
		a.must(json.Unmarshal(args, &job))
		if job.Step > 0 {
			steps = append(steps, fmt.Sprintf("%d after %s", job.Step, due.Sub(noon)))
		}
	}
	a.must(rows.Err())
	return steps
}

// told lists who was told of an alarm, how, and by which step.
func (a *alarmed) told(id fleet.AlertID, names map[fleet.UserID]string) (told []string) {
	a.t.Helper()
	rows, err := a.db.Pool().Query(a.t.Context(), `
		SELECT user_id, channel, split_part(once, '#', 2), convert_from(data, 'UTF8'), kind FROM notices
		WHERE starts_with(once, $1) ORDER BY split_part(once, '#', 2), channel`, "alert/"+id.String())
	a.must(err)
	defer rows.Close()
	for rows.Next() {
		var user fleet.UserID
		var channel, step, what, kind string
		a.must(rows.Scan(&user, &channel, &step, &what, &kind))
		if kind != "safety_alarm" || what == "" || strings.Contains(what, "Bo") {
			a.t.Errorf("a %s says %q", kind, what)
		}
		told = append(told, strings.TrimSpace(names[user]+" "+channel+" "+step))
	}
	a.must(rows.Err())
	slices.Sort(told)
	return told
}

func (a *alarmed) is(what string, got []string, want ...string) {
	a.t.Helper()
	if !slices.Equal(got, want) {
		a.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestOpsAreToldOfAlarmsAndCalledForDangers(t *testing.T) {
	t.Parallel()
	a := newAlarmed(t)
	ctx := t.Context()
	bo, cy := a.person("bo", fleet.RoleDispatcher), a.person("cy", fleet.RoleAdmin)
	names := map[fleet.UserID]string{bo: "bo", cy: "cy", a.person("fin", fleet.RoleFinance): "fin"}
	everybody := []string{"bo inbox", "bo push", "cy inbox", "cy push"}
	a.must(schema.SOSRota{DB: a.db}.Replace(ctx, []fleet.SOSStep{
		{Channel: fleet.ConsoleChannel, User: bo}, {Channel: fleet.SMSChannel, User: bo}, {Channel: fleet.VoiceChannel, User: cy},
		{Channel: fleet.MailChannel, User: cy, Until: noon.Add(-time.Hour)},
	}))

	// Of each all are told, once; nobody is called where nobody is in danger.
	for _, kind := range []fleet.AlertKind{fleet.AlertSpeed, fleet.AlertOffRoute} {
		id := a.raise(kind)
		a.work(fleet.AlarmJob{Alert: id}) // its job runs again
		a.is(string(kind), a.told(id, names), everybody...)
		a.is(string(kind)+" calls", a.left(id))
	}
	// Off the way, and stopped there, is a danger.
	stop := a.raise(fleet.AlertStop)
	a.is("the stop calls", a.left(stop), "1 after 30s")
	for step := 1; step <= 3; step++ {
		a.clock.Advance(fleet.StepLength)
		for range 2 { // two hubs take it
			a.work(fleet.AlarmJob{Alert: stop, Step: step})
		}
	}
	a.is("who is called", a.told(stop, names), "bo inbox", "bo push", "bo sms 1", "bo sms 3", "cy inbox", "cy push", "cy voice 2")
	a.is("and goes on", a.left(stop), "1 after 30s", "2 after 1m0s", "3 after 1m30s", "4 after 2m0s")
	first, second := fleet.Notice{Once: "alert/x#1"}, fleet.Notice{Once: "alert/x"}
	if first.Reference() != second.Reference() {
		t.Error("a repeat is not seen to be one")
	}
	// Until somebody sees to it: who was first stands.
	for _, by := range []string{"bo", "cy"} {
		if got, err := a.alerts.Acknowledge(ctx, fleet.UserID{}, stop, by, a.clock.Now()); err != nil || got.AckedBy != "bo" || got.Acked != a.clock.Now() || got.Steps != 4 {
			t.Errorf("%v, %+v", err, got)
		}
	}
	a.work(fleet.AlarmJob{Alert: stop, Step: 4})
	a.is("once somebody sees to it", a.left(stop), "1 after 30s", "2 after 1m0s", "3 after 1m30s", "4 after 2m0s")

	// Of one that is over nobody hears any more, and nobody is called for longer than an hour.
	silent := a.raise(fleet.AlertSilent)
	a.is("nothing heard calls", a.left(silent), "1 after 2m0s")
	a.must(a.alerts.Settle(ctx, fleet.AlertSilent, a.booking.ID, a.driver, "heard of again", a.clock.Now()))
	a.work(fleet.AlarmJob{Alert: silent, Step: 1})
	a.is("it is heard of again", a.told(silent, names), everybody...)
	apart, lost := a.raise(fleet.AlertApart), a.raise(fleet.AlertSilent)
	a.clock.Advance(fleet.StepLength)
	for _, id := range []fleet.AlertID{apart, lost} { // one call is about both
		a.work(fleet.AlarmJob{Alert: id, Step: 1})
	}
	a.is("two at once", append(a.told(apart, names), a.told(lost, names)...), "bo inbox", "bo push", "bo sms 1", "cy inbox", "cy push", "bo inbox", "bo push", "cy inbox", "cy push")
	a.clock.Advance(time.Hour)
	a.work(fleet.AlarmJob{Alert: apart, Step: 2})
	a.is("after an hour", a.left(apart), "1 after 2m0s", "2 after 2m30s")
}

// Each sees the other, whichever was raised first: the rota is called for one of them.
func TestTwoAlarmsThatAreOneDanger(t *testing.T) {
	t.Parallel()
	a := newAlarmed(t)
	var ids []fleet.AlertID
	for _, kind := range []fleet.AlertKind{fleet.AlertStop, fleet.AlertOffRoute} {
		id := fleet.NewID[fleet.Alert]()
		a.must(a.alerts.RaiseOf(t.Context(), fleet.Alert{ID: id, Kind: kind, Booking: a.booking.ID, Driver: a.driver, Raised: noon}))
		ids = append(ids, id)
	}
	done := make(chan struct{})
	for _, id := range ids {
		go func() {
			defer func() { done <- struct{}{} }()
			if err := (&alarmCaller{Alarms: a.Alarms}).Work(t.Context(), &river.Job[fleet.AlarmJob]{Args: fleet.AlarmJob{Alert: id}}); err != nil {
				t.Error(err)
			}
		}()
	}
	<-done
	<-done
	a.is("the calls", append(a.left(ids[0]), a.left(ids[1])...), "1 after 30s")
}

// When either of the two is over, the other alone is no danger: nobody is called any
// more, until both are there again.
func TestADangerOfTwoAlarmsEndsWithEither(t *testing.T) {
	t.Parallel()
	for calling, other := range map[fleet.AlertKind]fleet.AlertKind{fleet.AlertStop: fleet.AlertOffRoute, fleet.AlertOffRoute: fleet.AlertStop} {
		t.Run(string(other)+" is over", func(t *testing.T) {
			t.Parallel()
			a := newAlarmed(t)
			bo := a.person("bo", fleet.RoleDispatcher)
			names := map[fleet.UserID]string{bo: "bo"}
			a.must(schema.SOSRota{DB: a.db}.Replace(t.Context(), []fleet.SOSStep{{Channel: fleet.SMSChannel, User: bo}}))
			ends := func(kind fleet.AlertKind) {
				a.must(a.alerts.Settle(t.Context(), kind, a.booking.ID, a.driver, "over", a.clock.Now()))
			}
			a.raise(other)
			id := a.raise(calling)
			step := func(number int) {
				a.clock.Advance(fleet.StepLength)
				a.work(fleet.AlarmJob{Alert: id, Step: number})
			}
			step(1)
			ends(other)
			a.raise(other) // and is back by the next step: it goes on
			step(2)
			ends(other)
			for range 2 { // also when the job runs again
				step(3)
			}
			a.is("who was called", a.told(id, names), "bo inbox", "bo push", "bo sms 1", "bo sms 2")
			a.is("what is left", a.left(id), "1 after 30s", "2 after 1m0s", "3 after 1m30s")

			back := a.raise(other)
			a.is("both again", a.left(back), "1 after 2m30s")
			a.work(fleet.AlarmJob{Alert: id, Step: 3})
			a.clock.Advance(fleet.StepLength)
			a.work(fleet.AlarmJob{Alert: back, Step: 1})
			a.is("who is called now", append(a.told(back, names), a.told(id, names)...), "bo inbox", "bo push", "bo sms 1", "bo inbox", "bo push", "bo sms 1", "bo sms 2")
		})
	}
}

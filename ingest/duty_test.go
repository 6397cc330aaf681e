package ingest

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"armora/fleet"
)

// saidDuty is what an officer said of their duty.
type saidDuty struct {
	driver fleet.DriverID
	duty   fleet.Duty
	since  time.Time
}

// dutyBook is the book of duties.
type dutyBook struct{ *book }

func (b dutyBook) SayDuty(_ context.Context, driver fleet.DriverID, duty fleet.Duty, since time.Time) error {
	if err := b.refuse(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.duties = append(b.duties, saidDuty{driver, duty, since})
	return nil
}

func TestDuty(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]saidDuty{
		`{"duty":"on_duty"}`:                              {duty: fleet.OnDuty, since: at(3).Time()},
		`{"duty":"break","t":null}`:                       {duty: fleet.OnBreak, since: at(3).Time()},
		`{"duty":"off_duty","t":"2026-03-01T11:59:00Z"}`:  {duty: fleet.OffDuty, since: at(-60).Time()},
		`{"duty":"on_duty","t":1772366340000,"lat":51.5}`: {duty: fleet.OnDuty, since: at(-60).Time()},
	} {
		b, from := newBook(), phone()
		from.Driver = fleet.NewID[fleet.Driver]()
		m, k := said(from, payload)
		noticing(t, b).Duty(m)
		mustAck(t, k)
		want.driver = from.Driver
		if len(b.duties) != 1 || b.duties[0] != want {
			t.Errorf("%s was read as %+v, want %+v", payload, b.duties, want)
		}
	}
	for payload, reason := range map[string]string{
		`{}`:                                "none of on_duty",
		`{"duty":"asleep"}`:                 "none of on_duty",
		`{"duty":"On_Duty"}`:                "none of on_duty",
		`{"duty":7}`:                        "cannot be read",
		`on_duty`:                           "cannot be read",
		``:                                  "cannot be read",
		`{"duty":"on_duty","t":"tomorrow"}`: "cannot be read",
		`{"duty":"on_duty","t":-1}`:         "cannot be read",
	} {
		b := newBook()
		m, k := said(phone(), payload)
		noticing(t, b).Duty(m)
		mustAck(t, k)
		if len(b.duties) != 0 || len(b.letters) != 1 || !strings.Contains(b.letters[0].Reason, reason) {
			t.Errorf("%s: duties %v, letters %+v", payload, b.duties, b.letters)
		}
	}
}

// It is acknowledged when it is in force, or surely never will be.
func TestDutyIsAcknowledgedOnceItIsInForce(t *testing.T) {
	t.Parallel()
	b := newBook()
	tries := 0
	b.refuse = func() error {
		if tries++; tries < 3 {
			return &fleet.Error{Code: fleet.CodeUnavailable, Message: "away", Err: errors.New("connection refused")}
		}
		return nil
	}
	m, k := said(phone(), `{"duty":"on_duty"}`)
	noticing(t, b).Duty(m)
	mustAck(t, k)
	if tries != 3 || len(b.duties) != 1 {
		t.Errorf("%d tries, in force %v", tries, b.duties)
	}
	for _, code := range []fleet.Code{fleet.CodeConflict, fleet.CodeNotFound, fleet.CodeForbidden, fleet.CodeInvalid} {
		b, refused := newBook(), false
		b.refuse = func() error {
			if refused { // the dead letter is stored
				return nil
			}
			refused = true
			return &fleet.Error{Code: code, Message: "an assignment is under way"}
		}
		m, k := said(phone(), `{"duty":"off_duty"}`)
		noticing(t, b).Duty(m)
		mustAck(t, k)
		if len(b.duties) != 0 || len(b.letters) != 1 || b.letters[0].Reason != "an assignment is under way" {
			t.Errorf("%s: duties %v, letters %+v", code, b.duties, b.letters)
		}
	}
}

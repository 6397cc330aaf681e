package notify

import (
	"log/slog"
	"testing"
	"time"

	"github.com/riverqueue/river"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
	"armora/sim/smtp"
)

func TestANoticeIsSentOnce(t *testing.T) {
	t.Parallel()
	schematest.Each(t, func(t *testing.T, db *schema.DB) {
		w := newWorldOn(t, db)
		mail, text := w.mailCode(), w.textCode()
		for range 2 { // a job may come again
			for _, n := range []fleet.Notice{mail, text} {
				if err := w.work(n); err != nil {
					t.Fatal(err)
				}
				w.is(n, fleet.NoticeSent, "")
			}
		}
		if mails, texts := w.mails.Took(), w.texts.Took(); len(mails) != 1 || len(texts) != 1 {
			t.Fatalf("sent %v and %v", mails, texts)
		}
	})
}

// A hub that dies after the other side took the mail, and before that is
// committed, leaves a notice of which nobody knows: it is not sent again.
func TestADeathBetweenSendingAndCommittingSendsNothingTwice(t *testing.T) {
	t.Parallel()
	dsn := schematest.PlainDSN(t)
	open := func() *schema.DB {
		db, err := schema.Open(t.Context(), dsn, schema.Options{MaxConns: 2})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(db.Close)
		return db
	}
	dying := &dyingClock{Clock: fleet.NewManualClock(noon)}
	w := newWorldOn(t, open(), func(c *Config) { c.Clock = dying })
	dying.dies = func() bool {
		taken := len(w.mails.Took()) > 0
		if taken {
			w.db.Close()
		}
		return taken
	}
	n := w.mailCode()
	if err := w.work(n); err == nil || !dying.dead {
		t.Fatalf("the hub outlived its database: %v", err)
	}
	next := newWorldOn(t, open())
	next.is(n, fleet.NoticeSending, "")
	for range 2 {
		if err := next.work(n); err != nil {
			t.Fatal(err)
		}
		next.is(n, fleet.NoticeUnknown, "")
	}
	if len(w.mails.Took()) != 1 || len(next.mails.Took()) != 0 {
		t.Error("it was sent again")
	}
}

// dyingClock ends the hub's database between two looks at the time.
type dyingClock struct {
	fleet.Clock
	dies func() bool
	dead bool
}

func (c *dyingClock) Now() time.Time {
	c.dead = c.dead || c.dies()
	return c.Clock.Now()
}

func TestWhatHasExpiredIsNotSent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.mailCode()
	w.mails.Plan(smtp.Fault{At: smtp.Recipient, Code: 450})
	if err := w.work(n); err == nil {
		t.Fatal("it is not tried again")
	}
	w.clock.Advance(time.Hour)
	if err := w.work(n); err != nil {
		t.Fatal(err)
	}
	if len(w.mails.Took()) != 0 {
		t.Error("it was sent")
	}
	list, err := w.notices.List(t.Context(), fleet.UserID{}, fleet.NoticeID{}, 1)
	if err != nil || list[0].State != fleet.NoticeExpired {
		t.Errorf("%+v, %v", list, err)
	}
}

func TestTheLastAttemptGivesUp(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.mailCode()
	w.mails.Plan(smtp.Fault{At: smtp.Recipient, Code: 450})
	if err := w.job(t.Context(), n, 25); err != nil {
		t.Fatal(err)
	}
	w.is(n, fleet.NoticeFailed, "450")
}

func TestWithoutAServerItIsShown(t *testing.T) {
	t.Parallel()
	var shown []Message
	w := newWorld(t, func(c *Config) {
		c.Mail, c.SMS = nil, nil
		c.Show = func(_ fleet.Notice, m Message) { shown = append(shown, m) }
	})
	mail, text := w.mailCode(), w.textCode()
	for _, n := range []fleet.Notice{mail, text} {
		if err := w.work(n); err != nil {
			t.Fatal(err)
		}
		w.is(n, fleet.NoticeShown, "")
	}
	if len(shown) != 2 || shown[0].Subject != "Your ARMORA code" || shown[1].Body == "" {
		t.Errorf("shown %+v", shown)
	}
	w.show = nil // nobody looks
	n := w.mailCode()
	if err := w.work(n); err != nil {
		t.Fatal(err)
	}
	w.is(n, fleet.NoticeShown, "")
}

func TestWhatCannotBeFilledFails(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	moved := w.mailCode()
	moved.ID = fleet.NewID[fleet.Notice]() // the data of another notice
	if err := w.notices.Add(t.Context(), moved); err != nil {
		t.Fatal(err)
	}
	for problem, n := range map[string]fleet.Notice{
		"secret key":  moved,
		"no template": w.notice(fleet.SMSChannel, "password_changed", "+447700900123", nil),
		"no entry":    w.notice(fleet.MailChannel, "verify_email", "ada@example.com", map[string]string{"digits": "123456"}),
		"its address": w.notice(fleet.MailChannel, "password_changed", "ada@example.com\r\nBcc: eve@example.com", nil),
	} {
		if err := w.work(n); err != nil {
			t.Errorf("%s: %v", problem, err)
		}
		w.is(n, fleet.NoticeFailed, problem)
	}
	if got := w.mails.Took(); len(got) != 0 {
		t.Errorf("sent %v", got)
	}
}

// Through River, as in a hub.
func TestTheJobSendsTheNotice(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	workers := river.NewWorkers()
	w.AddWorkers(workers)
	jobs, err := schema.NewJobs(schema.JobsConfig{
		DB: w.db, Workers: workers, Clock: fleet.SystemClock{}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := jobs.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := w.mailCode()
	if _, err := w.mails.Wait(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if err := jobs.Close(t.Context()); err != nil { // waits for what runs
		t.Fatal(err)
	}
	w.is(n, fleet.NoticeSent, "")
}

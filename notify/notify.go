// Package notify tells people things, by mail, text message and push, and in the
// app. What is to be told is stored with the change that it tells of
// (schema.Notices); a job then fills its template and sends it.
//
// A notice is sent once at most. That it is being sent is committed before the
// first byte goes out: if the hub dies in between, nobody knows, and it is not
// sent again; a code may be asked for anew. What the other side has surely not
// taken is tried again, at growing intervals, until the notice expires.
//
// What a person wishes of notices is heeded, but for those of safety and of the
// security of their account: see wishes.go.
package notify

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/riverqueue/river"

	"armora/fleet"
	"armora/schema"
)

// Config is what a Sender needs. DB, Unseal, Clock and Log are required.
type Config struct {
	DB     *schema.DB
	Unseal func(sealed []byte, purpose string) ([]byte, error)

	Mail *Mail // nil: this hub sends no mail
	SMS  *SMS  // nil: this hub sends no text messages
	Push *Push // nil: this hub pushes nothing
	// MailPrivacy is the address of whoever carries the mail, for requests to erase
	// somebody; "": they are not written to.
	MailPrivacy string
	// Show is handed what this hub cannot send. It may hold a code. Nil: nobody
	// is shown it.
	Show func(n fleet.Notice, m Message)

	Clock   fleet.Clock
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// Message is a notice as its reader sees it.
type Message struct {
	Subject string // of a mail; the title of a push
	Body    string
}

// Sender sends notices. It is safe for concurrent use.
type Sender struct {
	river.WorkerDefaults[fleet.NoticeJob]
	notices   schema.Notices
	templates *templates
	unseal    func(sealed []byte, purpose string) ([]byte, error)
	mail      *Mail
	sms       *SMS
	push      *Push
	apps      schema.PushTokens
	show      func(fleet.Notice, Message)
	clock     fleet.Clock
	log       *slog.Logger
	sent      *prometheus.CounterVec

	mailPrivacy string
	preferences schema.Preferences
}

// New returns a sender that sends nothing until its worker runs.
func New(cfg Config) (*Sender, error) {
	templates, err := readTemplates()
	if err != nil {
		return nil, err
	}
	s := &Sender{
		notices: schema.Notices{DB: cfg.DB}, preferences: schema.Preferences{DB: cfg.DB}, templates: templates, unseal: cfg.Unseal,
		apps: schema.PushTokens{DB: cfg.DB}, mail: cfg.Mail, mailPrivacy: cfg.MailPrivacy, sms: cfg.SMS, push: cfg.Push, show: cfg.Show, clock: cfg.Clock, log: cfg.Log,
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "armora_notify_notices_total",
			Help: "Attempts to send a notice, by channel and by what became of it; queued is to be tried again.",
		}, []string{"channel", "state"}),
	}
	if cfg.Metrics == nil {
		return s, nil
	}
	if err := cfg.Metrics.Register(s.sent); err != nil {
		return nil, fmt.Errorf("register the metrics of notify: %w", err)
	}
	return s, nil
}

// AddWorkers adds the worker that sends notices.
func (s *Sender) AddWorkers(workers *river.Workers) { river.AddWorker(workers, s) }

// Limits of time.
const (
	sendPatience   = 30 * time.Second // with the other side
	finishPatience = 10 * time.Second // with the database, also when the hub is stopping
)

// Work implements river.Worker. What waits for the end of quiet hours is not
// claimed before: if the hub dies meanwhile, it is known to be unsent.
func (s *Sender) Work(ctx context.Context, job *river.Job[fleet.NoticeJob]) error {
	n, err := s.notices.Get(ctx, job.Args.ID)
	if fleet.CodeOf(err) == fleet.CodeNotFound {
		return nil // retention took it
	}
	if err != nil {
		return err
	}
	wishes, err := s.wishesOf(ctx, n.User)
	if err != nil {
		return err
	}
	if wait := wishes.holdBack(&n, s.clock.Now()); wait > 0 {
		return river.JobSnooze(wait)
	}
	if n, err = s.notices.Claim(ctx, n.ID, s.clock.Now()); fleet.CodeOf(err) == fleet.CodeConflict {
		return nil // it was sent, or is not to be
	}
	if err != nil {
		return err
	}
	did := outcome{state: fleet.NoticeUnwanted}
	if !wishes.refuse(&n) {
		did = s.send(ctx, n)
	}
	return s.finish(ctx, job, &n, did)
}

// finish keeps what became of an attempt.
func (s *Sender) finish(ctx context.Context, job *river.Job[fleet.NoticeJob], n *fleet.Notice, did outcome) error {
	if did.state == fleet.NoticeQueued && job.Attempt >= job.MaxAttempts {
		did.state = fleet.NoticeFailed
	}
	s.sent.WithLabelValues(string(n.Channel), string(did.state)).Inc()
	// What became of it is true, whatever has become of the job.
	finishing, cancel := context.WithTimeout(context.WithoutCancel(ctx), finishPatience)
	defer cancel()
	if err := s.notices.Finish(finishing, n.ID, did.state, did.problem, s.clock.Now()); err != nil {
		return err
	}
	switch did.state {
	case fleet.NoticeQueued:
		return errors.New(did.problem) // River waits, and runs the job again
	case fleet.NoticeFailed, fleet.NoticeUnknown:
		s.log.Warn("a notice may not have reached its reader",
			"notice", n.ID, "kind", n.Kind, "channel", n.Channel, "state", did.state, "problem", did.problem)
	}
	return nil
}

// outcome is what became of an attempt. The problem names no reader, and holds
// nothing that was to be sent.
type outcome struct {
	state   fleet.NoticeState
	problem string
}

func failed(problem string) outcome  { return outcome{fleet.NoticeFailed, problem} }
func again(problem string) outcome   { return outcome{fleet.NoticeQueued, problem} }
func unknown(problem string) outcome { return outcome{fleet.NoticeUnknown, problem} }

// read opens a notice. The error holds nothing of what it says.
func (s *Sender) read(n *fleet.Notice) (Message, error) {
	if len(n.Sealed) == 0 {
		return s.templates.fill(n.Channel, n.Kind, nil)
	}
	plain, err := s.unseal(n.Sealed, n.Purpose())
	if err != nil {
		return Message{}, errors.New("its data does not open: was the hub's secret key changed?")
	}
	var data map[string]string
	if err := json.Unmarshal(plain, &data); err != nil {
		return Message{}, errors.New("its data is not of the form that templates take") // the error would quote it
	}
	return s.templates.fill(n.Channel, n.Kind, data)
}

func (s *Sender) send(ctx context.Context, n fleet.Notice) outcome {
	m, err := s.read(&n)
	if err != nil {
		return failed(err.Error())
	}
	ctx, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	switch {
	case n.Channel == fleet.MailChannel && s.mail != nil:
		return s.mail.send(ctx, n, m, s.clock.Now())
	case n.Channel == fleet.SMSChannel && s.sms != nil:
		return s.sms.send(ctx, n, m, s.clock.Now())
	case n.Channel == fleet.PushChannel && s.push != nil:
		return s.toApps(ctx, n, m)
	}
	if s.show != nil {
		s.show(n, m)
	}
	return outcome{state: fleet.NoticeShown}
}

// Package notify tells people things, by mail, text message and push, and in the
// app. What is to be told is stored with the change that it tells of
// (schema.Notices); a job then fills its template and sends it.
//
// A notice is sent once at most. That it is being sent is committed before the
// first byte goes out: if the hub dies in between, nobody knows, and it is not
// sent again; a code may be asked for anew. What the other side has surely not
// taken is tried again, at growing intervals, until the notice expires. A notice of
// safety is sent at least once: what nobody knows of is sent again too, and it shows
// a reference, by which a person sees that they were told before.
//
// What happens to bookings leaves jobs (fleet.TellBooking); bookings.go says who is
// told of what.
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

// Config is what a Sender needs. DB, Seal, Unseal, Clock and Log are required.
type Config struct {
	DB     *schema.DB
	Seal   func(plain []byte, purpose string) []byte
	Unseal func(sealed []byte, purpose string) ([]byte, error)

	Mail *Mail // nil: this hub sends no mail
	SMS  *SMS  // nil: this hub sends no text messages
	Push *Push // nil: this hub pushes nothing
	// Voice reads messages of safety on the telephone; nil: this hub calls nobody.
	Voice *Voice
	// MailPrivacy is the address of whoever carries the mail, for requests to erase
	// somebody; "": they are not written to.
	MailPrivacy string
	// Attach returns the file that comes with a mail; no content: none does. Nil: no
	// mail has any.
	Attach func(ctx context.Context, n *fleet.Notice, data map[string]string) (name string, content []byte, err error)
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

	FileName string // of a mail
	File     []byte // nil: none comes with it
}

// Sender sends notices. It is safe for concurrent use.
type Sender struct {
	river.WorkerDefaults[fleet.NoticeJob]
	notices   schema.Notices
	profiles  schema.Profiles
	templates templates
	seal      func(plain []byte, purpose string) []byte
	unseal    func(sealed []byte, purpose string) ([]byte, error)
	mail      *Mail
	sms       *SMS
	push      *Push
	voice     *Voice
	apps      schema.PushTokens
	attach    func(context.Context, *fleet.Notice, map[string]string) (string, []byte, error)
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
		notices: schema.Notices{DB: cfg.DB}, preferences: schema.Preferences{DB: cfg.DB}, profiles: schema.Profiles{DB: cfg.DB},
		templates: templates, seal: cfg.Seal, unseal: cfg.Unseal,
		apps: schema.PushTokens{DB: cfg.DB}, mail: cfg.Mail, mailPrivacy: cfg.MailPrivacy, sms: cfg.SMS, push: cfg.Push, voice: cfg.Voice, attach: cfg.Attach, show: cfg.Show, clock: cfg.Clock, log: cfg.Log,
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

// AddWorkers adds the workers that send notices, and that tell of bookings.
func (s *Sender) AddWorkers(workers *river.Workers) {
	river.AddWorker(workers, s)
	river.AddWorker(workers, newTeller(s))
}

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
	language, err := s.languageOf(ctx, n.User)
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
		did = s.send(ctx, n, language)
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
		return did.err() // River waits, and runs the job again
	case fleet.NoticeFailed, fleet.NoticeUnknown:
		s.log.Warn("a notice may not have reached its reader",
			"notice", n.ID, "kind", n.Kind, "channel", n.Channel, "state", did.state, "problem", did.problem)
	}
	if n.Safety() && did.state == fleet.NoticeUnknown {
		return did.err() // it is sent again: better twice than not at all
	}
	return nil
}

// outcome is what became of an attempt. The problem names no reader, and holds
// nothing that was to be sent.
type outcome struct {
	state   fleet.NoticeState
	problem string
}

func (o outcome) err() error {
	if o.problem == "" {
		return nil
	}
	return errors.New(o.problem)
}

func failed(problem string) outcome  { return outcome{fleet.NoticeFailed, problem} }
func again(problem string) outcome   { return outcome{fleet.NoticeQueued, problem} }
func unknown(problem string) outcome { return outcome{fleet.NoticeUnknown, problem} }

// languageOf is the language that a person is told things in, as their profile says.
func (s *Sender) languageOf(ctx context.Context, user fleet.UserID) (string, error) {
	if user.IsZero() {
		return "", nil
	}
	profile, err := s.profiles.Get(ctx, user)
	return profile.Language, err
}

// open returns what a notice's template is filled with.
func (s *Sender) open(n *fleet.Notice) (data map[string]string, err error) {
	if len(n.Sealed) == 0 {
		return nil, nil
	}
	plain, err := s.unseal(n.Sealed, n.Purpose())
	if err != nil {
		return nil, errors.New("its data does not open: was the hub's secret key changed?")
	}
	if err := json.Unmarshal(plain, &data); err != nil {
		return nil, errors.New("its data is not of the form that templates take") // the error would quote it
	}
	return data, nil
}

// addFile adds the file that comes with a mail.
func (s *Sender) addFile(ctx context.Context, n *fleet.Notice, m *Message) error {
	if s.attach == nil {
		return nil
	}
	data, err := s.open(n)
	if err == nil {
		m.FileName, m.File, err = s.attach(ctx, n, data)
	}
	return err
}

// read opens a notice. The error holds nothing of what it says.
func (s *Sender) read(n *fleet.Notice, language string) (Message, error) {
	data, err := s.open(n)
	if err != nil {
		return Message{}, err
	}
	return s.templates.in(language).write(n, data)
}

func (s *Sender) send(ctx context.Context, n fleet.Notice, language string) outcome {
	m, err := s.read(&n, language)
	if err != nil {
		return failed(err.Error())
	}
	ctx, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	if n.Channel == fleet.PushChannel && s.push != nil {
		return s.toApps(ctx, n, m)
	}
	return s.hand(ctx, n, m)
}

// hand gives a message to whoever carries it, or shows it if nobody does.
func (s *Sender) hand(ctx context.Context, n fleet.Notice, m Message) outcome {
	switch {
	case n.Channel == fleet.MailChannel && s.mail != nil:
		if err := s.addFile(ctx, &n, &m); err != nil {
			return again("what is to be attached cannot be had: " + err.Error())
		}
		return s.mail.send(ctx, n, m, s.clock.Now())
	case n.Channel == fleet.SMSChannel && s.sms != nil:
		return s.sms.send(ctx, n, m, s.clock.Now())
	case n.Channel == fleet.VoiceChannel && s.voice != nil:
		return s.voice.send(ctx, n, m)
	}
	if s.show != nil {
		s.show(n, m)
	}
	return outcome{state: fleet.NoticeShown}
}

package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
	"armora/sim/smtp"
	"armora/sim/twilio"
)

// noon is when the tests' clock stands still.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const (
	testAccount = "AC0123456789abcdef0123456789abcdef"
	testSecret  = "s3cretToken"
	testFrom    = "ARMORA <no-reply@armora.example>"
)

// world is a sender with a mail server, a Twilio and a database of its own.
type world struct {
	*Sender
	t     *testing.T
	db    *schema.DB
	clock *fleet.ManualClock
	mails *smtp.Server
	texts *twilio.Server
	log   *lockedBuffer
}

func newWorld(t *testing.T, change ...func(*Config)) *world {
	t.Helper()
	return newWorldOn(t, schematest.Plain(t), change...)
}

func newWorldOn(t *testing.T, db *schema.DB, change ...func(*Config)) *world {
	t.Helper()
	w := &world{
		t: t, db: db, clock: fleet.NewManualClock(noon), log: new(lockedBuffer),
		mails: mailServer(t, smtp.Config{}), texts: twilio.New(testAccount, testSecret),
	}
	phones := httptest.NewServer(w.texts)
	t.Cleanup(phones.Close)
	mail, err := NewMail("smtp://"+w.mails.Addr(), testFrom, nil)
	if err != nil {
		t.Fatal(err)
	}
	sms, err := NewSMS(SMSConfig{AccountSID: testAccount, AuthToken: testSecret, From: "+442071838750", URL: phones.URL})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		DB: db, Seal: seal, Unseal: unseal, Mail: mail, SMS: sms, Clock: w.clock,
		Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&cfg)
	}
	if w.Sender, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	return w
}

func mailServer(t *testing.T, cfg smtp.Config) *smtp.Server {
	t.Helper()
	s := smtp.New(cfg)
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// seal and unseal stand for the keyring, which is tested where it is.
func seal(plain []byte, purpose string) []byte { return append([]byte(purpose+"\n"), plain...) }

func unseal(sealed []byte, purpose string) ([]byte, error) {
	plain, ok := bytes.CutPrefix(sealed, []byte(purpose+"\n"))
	if !ok {
		return nil, errors.New("sealed for something else")
	}
	return plain, nil
}

// notice adds a notice that is good for an hour.
func (w *world) notice(channel fleet.Channel, kind, to string, data map[string]string) fleet.Notice {
	w.t.Helper()
	n := fleet.Notice{
		ID: fleet.NewID[fleet.Notice](), Channel: channel, To: to, Kind: kind, Created: noon, Expires: noon.Add(time.Hour),
	}
	plain, err := json.Marshal(data)
	if err != nil {
		w.t.Fatal(err)
	}
	n.Sealed = append([]byte(n.Purpose()+"\n"), plain...)
	if err := w.notices.Add(w.t.Context(), n); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (w *world) mailCode() fleet.Notice {
	w.t.Helper()
	return w.notice(fleet.MailChannel, "verify_email", "ada@example.com", map[string]string{"code": "123456"})
}

func (w *world) textCode() fleet.Notice {
	w.t.Helper()
	return w.notice(fleet.SMSChannel, "verify_phone", "+447700900123", map[string]string{"code": "654321"})
}

// job does the work of a notice's n-th attempt.
func (w *world) job(ctx context.Context, n fleet.Notice, attempt int) error {
	return w.Work(ctx, &river.Job[fleet.NoticeJob]{
		JobRow: &rivertype.JobRow{Attempt: attempt, MaxAttempts: 25}, Args: fleet.NoticeJob{ID: n.ID},
	})
}

func (w *world) work(n fleet.Notice) error {
	w.t.Helper()
	return w.job(w.t.Context(), n, 1)
}

// is ends the test unless the notice is in a state, with a problem that holds a
// text and neither its reader nor its content.
func (w *world) is(n fleet.Notice, state fleet.NoticeState, problem string) {
	w.t.Helper()
	list, err := w.notices.List(w.t.Context(), fleet.UserID{}, fleet.NoticeID{}, 100)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range list {
		if s.Notice.ID != n.ID {
			continue
		}
		if s.State != state || !strings.Contains(s.Problem, problem) || (problem == "") != (s.Problem == "") {
			w.t.Fatalf("it is %s for %q, want %s for %q", s.State, s.Problem, state, problem)
		}
		for _, secret := range []string{"123456", "654321", n.To} {
			if strings.Contains(s.Problem, secret) || strings.Contains(w.log.String(), secret) {
				w.t.Fatalf("%s is told in %q or in the log: %s", secret, s.Problem, w.log)
			}
		}
		return
	}
	w.t.Fatal("there is no such notice")
}

// lockedBuffer is written by one goroutine and read by another.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

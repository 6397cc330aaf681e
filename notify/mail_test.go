package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

	"armora/fleet"
	"armora/sim/smtp"
)

func TestAMailAsItsReaderSeesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.notice(fleet.MailChannel, "contact_invitation", "bo@example.com",
		map[string]string{"to": "Bo", "from": "Zoë Ångström", "link": "https://hub.example/contact#a-token_of-43-characters-that-must-stay-in-one-piece"})
	if err := w.work(n); err != nil {
		t.Fatal(err)
	}
	mails := w.mails.Took()
	if len(mails) != 1 {
		t.Fatalf("%d mails", len(mails))
	}
	got := mails[0]
	if got.From != "no-reply@armora.example" || len(got.To) != 1 || got.To[0] != "bo@example.com" {
		t.Errorf("the envelope is from %s to %v", got.From, got.To)
	}
	if got.Subject != "Zoë Ångström names you as an emergency contact" {
		t.Errorf("the subject is %q", got.Subject)
	}
	if !strings.HasPrefix(got.Body, "Dear Bo,\n") || !strings.Contains(got.Body, "\nhttps://hub.example/contact#a-token_of-43-characters-that-must-stay-in-one-piece\n") {
		t.Errorf("the body is %q", got.Body)
	}
	for name, want := range map[string]string{
		"From": `"ARMORA" <no-reply@armora.example>`, "To": "<bo@example.com>", "Date": "Sun, 01 Mar 2026 12:00:00 +0000",
		"Message-Id": "<" + n.ID.String() + "@armora.example>", "Auto-Submitted": "auto-generated",
	} {
		if value := got.Header.Get(name); value != want {
			t.Errorf("%s is %q, want %q", name, value, want)
		}
	}
}

func TestAFileComesWithAMail(t *testing.T) {
	t.Parallel()
	file, broken := bytes.Repeat([]byte("%PDF £ \x00\xff\n"), 5000), true
	w := newWorld(t, func(cfg *Config) {
		cfg.Attach = func(_ context.Context, n *fleet.Notice, data map[string]string) (string, []byte, error) {
			if broken {
				return "", nil, errors.New("not now")
			}
			return data["number"] + ".pdf", file, nil
		}
	})
	n := w.notice(fleet.MailChannel, "payment_invoice", "bo@example.com", map[string]string{"number": "ARM-2026-000123", "total": "£120.00"})
	if err := w.work(n); err == nil {
		t.Error("a mail without its file is tried again")
	}
	broken = false
	if err := w.work(n); err != nil {
		t.Fatal(err)
	}
	mails := w.mails.Took()
	if len(mails) != 1 || len(mails[0].Files) != 1 {
		t.Fatalf("%d mails", len(mails))
	}
	if got := mails[0].Files[0]; got.Name != "ARM-2026-000123.pdf" || !bytes.Equal(got.Content, file) || !strings.Contains(mails[0].Body, "£120.00") {
		t.Errorf("%q of %d bytes with %q", got.Name, len(got.Content), mails[0].Body)
	}
}

func TestWhatTheMailServerDoes(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault   smtp.Fault
		state   fleet.NoticeState
		problem string
		taken   int // mails, after the job has run again
	}{
		"busy":                      {smtp.Fault{At: smtp.Sender, Code: 421}, fleet.NoticeQueued, "421", 1},
		"greylisting":               {smtp.Fault{At: smtp.Recipient, Code: 451}, fleet.NoticeQueued, "451", 1},
		"full":                      {smtp.Fault{At: smtp.End, Code: 452}, fleet.NoticeQueued, "452", 1},
		"no such mailbox":           {smtp.Fault{At: smtp.Recipient, Code: 550}, fleet.NoticeFailed, "550", 0},
		"spam":                      {smtp.Fault{At: smtp.End, Code: 554}, fleet.NoticeFailed, "554", 0},
		"gone before the mail":      {smtp.Fault{At: smtp.Recipient, Act: smtp.Drop}, fleet.NoticeQueued, "broke", 1},
		"gone instead of an answer": {smtp.Fault{At: smtp.End, Act: smtp.Drop}, fleet.NoticeUnknown, "never said", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			n := w.mailCode()
			w.mails.Plan(c.fault)
			if err := w.work(n); (err != nil) != (c.state == fleet.NoticeQueued) {
				t.Errorf("the job ends with %v", err)
			}
			w.is(n, c.state, c.problem)
			if err := w.work(n); err != nil {
				t.Fatal(err)
			}
			if c.state == fleet.NoticeQueued {
				w.is(n, fleet.NoticeSent, "")
			} else {
				w.is(n, c.state, c.problem)
			}
			if got := len(w.mails.Took()); got != c.taken {
				t.Errorf("%d mails were taken, want %d", got, c.taken)
			}
		})
	}
}

func TestAMailServerThatStallsIsLeft(t *testing.T) {
	t.Parallel()
	for stage, state := range map[smtp.Stage]fleet.NoticeState{
		smtp.Recipient: fleet.NoticeQueued, smtp.End: fleet.NoticeUnknown,
	} {
		w := newWorld(t)
		n := w.mailCode()
		w.mails.Plan(smtp.Fault{At: stage, Act: smtp.Stall})
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-w.mails.Stalled()
			cancel()
		}()
		if err := w.job(ctx, n, 1); (err != nil) != (state == fleet.NoticeQueued) {
			t.Errorf("the job ends with %v", err)
		}
		w.is(n, state, "context canceled")
	}
}

func TestWithoutAMailServerItIsTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.mailCode()
	if err := w.mails.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.work(n); err == nil {
		t.Error("the job is done")
	}
	w.is(n, fleet.NoticeQueued, "no connection")
}

func TestMailIsEncryptedAndLogsIn(t *testing.T) {
	t.Parallel()
	machine := httptest.NewTLSServer(nil) // for its certificate
	t.Cleanup(machine.Close)
	roots := x509.NewCertPool()
	roots.AddCert(machine.Certificate())
	secure := &tls.Config{Certificates: machine.TLS.Certificates, MinVersion: tls.VersionTLS12}
	login := smtp.Config{TLS: secure, User: "hub", Password: "pass:word"}
	implicit := login
	implicit.Implicit = true
	for name, c := range map[string]struct {
		server  smtp.Config
		url     string // %s is the address
		roots   *x509.CertPool
		state   fleet.NoticeState
		problem string
	}{
		"STARTTLS":             {login, "smtp://hub:pass%3Aword@%s?tls=required", roots, fleet.NoticeSent, ""},
		"TLS":                  {implicit, "smtps://hub:pass%3Aword@%s", roots, fleet.NoticeSent, ""},
		"wrong password":       {login, "smtp://hub:123456@%s?tls=required", roots, fleet.NoticeQueued, "535"},
		"no login":             {login, "smtp://%s?tls=required", roots, fleet.NoticeFailed, "502"},
		"no STARTTLS":          {smtp.Config{}, "smtp://%s?tls=required", roots, fleet.NoticeQueued, "STARTTLS"},
		"a stranger's":         {login, "smtp://hub:pass%3Aword@%s?tls=required", nil, fleet.NoticeQueued, "certificate"},
		"a stranger's, TLS":    {implicit, "smtps://hub:pass%3Aword@%s", nil, fleet.NoticeQueued, "certificate"},
		"plain where TLS is":   {implicit, "smtp://%s?tls=required", roots, fleet.NoticeQueued, "no connection"},
		"unencrypted loopback": {smtp.Config{}, "smtp://%s", nil, fleet.NoticeSent, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := mailServer(t, c.server)
			mail, err := NewMail(strings.Replace(c.url, "%s", server.Addr(), 1), testFrom, c.roots)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, func(cfg *Config) { cfg.Mail = mail })
			n := w.mailCode()
			if err := w.work(n); (err != nil) != (c.state == fleet.NoticeQueued) {
				t.Errorf("the job ends with %v", err)
			}
			w.is(n, c.state, c.problem)
			if sent := len(server.Took()) > 0; sent != (c.state == fleet.NoticeSent) {
				t.Errorf("sent: %v", sent)
			}
		})
	}
}

func TestMailServersThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, server := range []string{
		"", "mail.example", "http://u:hunter2@mail.example", "smtp://", "smtp://u:hunter2@mail.example:port",
		"smtp://u:hunter2@mail.example?tls=maybe", "smtps://u:hunter2@mail.example?tls=off", "smtp://u:hunter2%@mail.example",
	} {
		if _, err := NewMail(server, testFrom, nil); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", server, err)
		}
	}
	if _, err := NewMail("smtp://mail.example", "nobody", nil); err == nil {
		t.Error("mail comes from nobody")
	}
}

package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"armora/fleet"
	"armora/notify"
	"armora/schema/schematest"
	"armora/sim/fcm"
	"armora/sim/smtp"
	"armora/sim/twilio"
)

// Somebody registers, proves a telephone number and forgets the password, on the
// real binary, by what a mail server and Twilio were sent.
func TestPeopleAreTold(t *testing.T) {
	t.Parallel()
	mails, texts := smtp.New(smtp.Config{}), twilio.New("AC01", "token")
	if err := mails.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mails.Close() })
	phones := httptest.NewServer(texts)
	t.Cleanup(phones.Close)
	h := serve(t, "SMTP_URL=smtp://"+mails.Addr(), "ARMORA_PUBLIC_URL=https://hub.example:8443",
		"TWILIO_ACCOUNT_SID=AC01", "TWILIO_AUTH_TOKEN=token", "TWILIO_FROM=ARMORA", "ARMORA_TWILIO_URL="+phones.URL)
	mail := func(n int) (smtp.Mail, string) {
		m, err := mails.Wait(t.Context(), n)
		if err != nil {
			t.Fatal(err)
		}
		return m, digits.FindString(m.Body)
	}
	const email, password, better = "ada@example.com", "correct horse battery", "staple battery horse"
	h.ask("POST", "/api/auth/register", map[string]any{"email": email, "password": password, "name": "Ada"}, http.StatusAccepted)
	first, code := mail(0)
	if first.From != "no-reply@hub.example" || !slices.Equal(first.To, []string{email}) {
		t.Errorf("the mail is from %s to %v", first.From, first.To)
	}
	var tokens struct {
		Token string `json:"access_token"`
	}
	h.read(h.ask("POST", "/api/auth/verify-email", map[string]any{"email": email, "code": code}, http.StatusOK), &tokens)

	admin := h.token
	h.token = tokens.Token
	h.ask("POST", "/api/users/me/phone", map[string]any{"phone": "+447700900123"}, http.StatusAccepted)
	waitFor(t, "the text message", func() bool { return len(texts.Took()) == 1 })
	text := digits.FindString(texts.Took()[0].Body)
	h.ask("POST", "/api/users/me/phone/verify", map[string]any{"code": text}, http.StatusOK)
	h.token = admin
	mail(1) // the telephone number was changed

	h.ask("POST", "/api/auth/forgot-password", map[string]any{"email": email}, http.StatusAccepted)
	_, reset := mail(2)
	h.ask("POST", "/api/auth/reset-password", map[string]any{"email": email, "code": reset, "password": better}, http.StatusNoContent)
	mail(3) // the password was changed
	h.ask("POST", "/api/auth/login", map[string]any{"email": email, "password": better}, http.StatusOK)

	type notice struct{ Kind, Channel, State string }
	var list struct{ Items []notice }
	waitFor(t, "the record of all that was sent", func() bool {
		h.read(h.ask("GET", "/api/notices", nil, http.StatusOK), &list)
		sent := slices.DeleteFunc(list.Items, func(n notice) bool { return n.Channel == "inbox" })
		return len(sent) == 5 && !slices.ContainsFunc(sent, func(n notice) bool { return n.State != "sent" })
	})
	h.stop()
	for _, secret := range []string{code, text, reset, email} {
		if strings.Contains(h.stderr.String(), secret) {
			t.Errorf("the log holds %s", secret)
		}
	}
}

var digits = regexp.MustCompile(`\b\d{6}\b`)

// An app registers with the real binary, and is pushed what FCM then takes.
func TestAnAppIsPushedTo(t *testing.T) {
	t.Parallel()
	service, err := fcm.New()
	if err != nil {
		t.Fatal(err)
	}
	host := httptest.NewServer(service)
	t.Cleanup(host.Close)
	credentials, err := service.Credentials(host.URL)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "firebase.json")
	if err := os.WriteFile(file, credentials, 0o600); err != nil {
		t.Fatal(err)
	}
	mails := smtp.New(smtp.Config{})
	if err := mails.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = mails.Close() })
	h := serve(t, "SMTP_URL=smtp://"+mails.Addr(), "FCM_CREDENTIALS_FILE="+file, "ARMORA_FCM_URL="+host.URL)
	const email, password = "ada@example.com", "correct horse battery"
	h.ask("POST", "/api/auth/register", map[string]any{"email": email, "password": password, "name": "Ada"}, http.StatusAccepted)
	m, err := mails.Wait(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	var tokens struct {
		Token string `json:"access_token"`
	}
	h.read(h.ask("POST", "/api/auth/verify-email", map[string]any{"email": email, "code": digits.FindString(m.Body)}, http.StatusOK), &tokens)
	h.token = tokens.Token
	for _, app := range []string{"app:kept", "app:gone"} {
		h.ask("POST", "/api/users/push-tokens", map[string]any{"token": app}, http.StatusNoContent)
	}
	service.Install("app:kept")
	h.ask("POST", "/api/auth/change-password", map[string]any{"current_password": password, "new_password": "staple battery horse"}, http.StatusOK)
	waitFor(t, "the push", func() bool { return len(service.Took()) == 1 })
	if got := service.Took()[0]; got.Token != "app:kept" || got.Data["kind"] != "password_changed" || got.Notification.Title == "" {
		t.Errorf("FCM took %+v", got)
	}
	h.stop()
	if strings.Contains(h.stderr.String(), "app:") {
		t.Errorf("the log holds a push token: %s", h.stderr.String())
	}
}

func TestSettingsOfMailAndTextMessagesAreChecked(t *testing.T) {
	t.Parallel()
	dir := schematest.Dir(t)
	refuses(t, []string{"SMTP_URL=imap://u:hunter2@mail.example"}, "smtp://user:password@host:port", "serve", "--data-dir", dir)
	refuses(t, []string{"SMTP_URL=smtp://mail.example", "ARMORA_MAIL_FROM=nobody"}, "not an address", "serve", "--data-dir", dir)
	refuses(t, []string{"TWILIO_ACCOUNT_SID=AC01"}, "token", "serve", "--data-dir", dir)
	refuses(t, []string{"FCM_CREDENTIALS_FILE=" + filepath.Join(dir, "none.json")}, "FCM_CREDENTIALS_FILE", "serve", "--data-dir", dir)
}

func TestMailComesFromTheHubsName(t *testing.T) {
	t.Parallel()
	for public, want := range map[string]string{
		"http://127.0.0.1:8080": "localhost", "https://[::1]": "localhost", "https://hub.example:8443/x": "hub.example", "%": "localhost",
	} {
		s := settings{PublicURL: public}
		if got := s.mailDomain(); got != want {
			t.Errorf("%s: %s, want %s", public, got, want)
		}
	}
}

func TestTheDemoShowsWhatPeopleAreTold(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	showOn(&out)(fleet.Notice{Channel: fleet.MailChannel, To: "ada@example.com"}, notify.Message{Subject: "Your code", Body: "It is 123456.\n\nBye\n"})
	if want := "mail to ada@example.com: Your code\n  | It is 123456.\n  | \n  | Bye\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

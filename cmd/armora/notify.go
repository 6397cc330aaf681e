package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"armora/fleet"
	"armora/notify"
)

// notifySettings say by whom people are told things.
type notifySettings struct {
	SMTPURL     string `name:"smtp-url" env:"SMTP_URL" group:"notify" help:"Mail server, smtp://user:password@host:587 (STARTTLS) or smtps://…; without it no mail is sent. ?tls=off lets mail cross the network in the clear. Set it in the environment."`
	MailFrom    string `name:"mail-from" env:"ARMORA_MAIL_FROM" group:"notify" help:"Whom mail comes from, with or without a name; no-reply at the host of --public-url if it is not set."`
	MailPrivacy string `name:"mail-privacy-contact" env:"ARMORA_MAIL_PRIVACY_CONTACT" group:"notify" help:"Address at which whoever carries the mail takes requests to erase somebody."`

	TwilioAccountSID string `name:"twilio-account-sid" env:"TWILIO_ACCOUNT_SID" group:"notify" help:"Twilio account that text messages go by; without it none is sent."`
	TwilioAuthToken  string `name:"twilio-auth-token" env:"TWILIO_AUTH_TOKEN" group:"notify" help:"Its token. Set it in the environment."`
	TwilioFrom       string `name:"twilio-from" env:"TWILIO_FROM" group:"notify" help:"Whom text messages come from: a number of the account, or its sender's name."`
	TwilioVoiceFrom  string `name:"twilio-voice-from" env:"TWILIO_VOICE_FROM" group:"notify" help:"Number of the account that calls of the on-call rota come from; that of text messages if it is not set."`
	TwilioURL        string `name:"twilio-url" env:"ARMORA_TWILIO_URL" group:"notify" help:"Another server that speaks Twilio's protocol, http://host:port."`

	FCMCredentials string `name:"fcm-credentials-file" env:"FCM_CREDENTIALS_FILE" group:"notify" help:"Credentials of a service account of Firebase, a JSON file, by which apps are pushed to; without it none is."`
	FCMURL         string `name:"fcm-url" env:"ARMORA_FCM_URL" group:"notify" help:"Another server that speaks FCM's protocol, http://host:port."`
}

// mail is nil if the hub sends none.
func (s *settings) mail() (*notify.Mail, error) {
	if s.SMTPURL == "" {
		return nil, nil
	}
	from := s.MailFrom
	if from == "" {
		from = "ARMORA <no-reply@" + s.mailDomain() + ">"
	}
	mail, err := notify.NewMail(s.SMTPURL, from, nil)
	if err != nil {
		return nil, fmt.Errorf("SMTP_URL, ARMORA_MAIL_FROM: %w", err)
	}
	return mail, nil
}

// mailDomain is the host of the public URL, where that has a name.
func (s *settings) mailDomain() string {
	public, err := url.Parse(s.PublicURL)
	if err != nil || public.Hostname() == "" {
		return "localhost"
	}
	if _, err := netip.ParseAddr(public.Hostname()); err == nil {
		return "localhost"
	}
	return public.Hostname()
}

// sms is nil if the hub sends no text messages.
func (s *settings) sms() (*notify.SMS, error) {
	if s.TwilioAccountSID == "" && s.TwilioAuthToken == "" && s.TwilioFrom == "" {
		return nil, nil
	}
	sms, err := notify.NewSMS(notify.SMSConfig{
		AccountSID: s.TwilioAccountSID, AuthToken: s.TwilioAuthToken, From: s.TwilioFrom, URL: s.TwilioURL,
	})
	if err != nil {
		return nil, fmt.Errorf("TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, TWILIO_FROM, ARMORA_TWILIO_URL: %w", err)
	}
	return sms, nil
}

// voice is nil if the hub calls nobody.
func (s *settings) voice() (*notify.Voice, error) {
	from := cmp.Or(s.TwilioVoiceFrom, s.TwilioFrom)
	if s.TwilioAccountSID == "" || s.TwilioVoiceFrom == "" && !strings.HasPrefix(from, "+") {
		return nil, nil
	}
	voice, err := notify.NewVoice(notify.SMSConfig{
		AccountSID: s.TwilioAccountSID, AuthToken: s.TwilioAuthToken, From: from, URL: s.TwilioURL,
	})
	if err != nil {
		return nil, fmt.Errorf("TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, TWILIO_VOICE_FROM, ARMORA_TWILIO_URL: %w", err)
	}
	return voice, nil
}

// push is nil if the hub pushes nothing. It calls nobody yet.
func (s *settings) push() (*notify.Push, error) {
	if s.FCMCredentials == "" {
		return nil, nil
	}
	credentials, err := os.ReadFile(s.FCMCredentials)
	if err != nil {
		return nil, fmt.Errorf("FCM_CREDENTIALS_FILE: %w", err)
	}
	push, err := notify.NewPush(context.Background(), notify.PushConfig{Credentials: credentials, URL: s.FCMURL})
	if err != nil {
		return nil, fmt.Errorf("FCM_CREDENTIALS_FILE, ARMORA_FCM_URL: %w", err)
	}
	return push, nil
}

// checkNotify says what is wrong with the settings before anything starts.
func (s *settings) checkNotify() error {
	if _, err := s.mail(); err != nil {
		return err
	}
	if _, err := s.sms(); err != nil {
		return err
	}
	if _, err := s.voice(); err != nil {
		return err
	}
	_, err := s.push()
	return err
}

// openNotify makes what tells people things; jobs run it.
func (h *hub) openNotify(context.Context, context.Context) error {
	mail, err := h.settings.mail()
	if err != nil {
		return err
	}
	sms, err := h.settings.sms()
	if err != nil {
		return err
	}
	push, err := h.settings.push()
	if err != nil {
		return err
	}
	voice, err := h.settings.voice()
	if err != nil {
		return err
	}
	if mail == nil && h.show == nil {
		h.log.Warn("mail is not sent: nobody can register, or reset a password, until SMTP_URL is set")
	}
	if sms == nil && h.show == nil {
		h.log.Info("text messages are not sent: TWILIO_ACCOUNT_SID is not set")
	}
	if push == nil && h.show == nil {
		h.log.Info("apps are not pushed to: FCM_CREDENTIALS_FILE is not set")
	}
	h.notify, err = notify.New(notify.Config{
		DB: h.db, Seal: h.keyring.Seal, Unseal: h.keyring.Unseal, Mail: mail, MailPrivacy: h.settings.MailPrivacy, SMS: sms, Push: push, Voice: voice, Attach: h.invoices.Attached, Show: h.show,
		Clock: h.clock, Log: h.log, Metrics: h.registry,
	})
	return err
}

// showOn prints what people would be told, for whoever looks at the demo. Of what is
// told of assignments, which is much, the subject is enough: the rest is in the inbox.
func showOn(out io.Writer) func(fleet.Notice, notify.Message) {
	return func(n fleet.Notice, m notify.Message) {
		to := n.To
		if n.Channel == fleet.PushChannel {
			to = "the apps of " + n.User.String()
		}
		text := fmt.Sprintf("%s to %s: %s\n%s", n.Channel, to, m.Subject, m.Body)
		if !n.Booking.IsZero() && m.Subject != "" {
			text, _, _ = strings.Cut(text, "\n")
		}
		// In one piece: others write there too.
		_, _ = io.WriteString(out, strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  | ")+"\n")
	}
}

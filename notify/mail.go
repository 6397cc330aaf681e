package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/netip"
	"net/textproto"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"

	"armora/fleet"
)

// Mail sends through an SMTP server.
type Mail struct {
	host string
	port int
	from netmail.Address

	implicit bool // TLS from the first byte
	policy   mail.TLSPolicy
	roots    *x509.CertPool

	user, password string
}

// NewMail returns mail that goes by the server of a URL, such as
// smtp://user:password@host:587, in the name of from, an address with or without
// a name. smtps is TLS from the first byte; smtp is STARTTLS, without which
// nothing is sent, but for a server on loopback or with ?tls=off. The server's
// certificate is checked against roots; nil: the system's.
func NewMail(server, from string, roots *x509.CertPool) (*Mail, error) {
	u, err := url.Parse(server)
	if err != nil || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Hostname() == "" {
		// The error would quote the password.
		return nil, errors.New("the mail server is not of the form smtp://user:password@host:port, or smtps://…")
	}
	sender, err := netmail.ParseAddress(from)
	if err != nil {
		return nil, fmt.Errorf("%q, whom mail comes from, is not an address: %w", from, err)
	}
	m := &Mail{host: u.Hostname(), port: 587, from: *sender, implicit: u.Scheme == "smtps", policy: mail.TLSMandatory, roots: roots}
	if m.implicit {
		m.port = 465
	}
	if text := u.Port(); text != "" {
		if m.port, err = strconv.Atoi(text); err != nil {
			return nil, errors.New("the mail server's port is not a number")
		}
	}
	switch option := u.Query().Get("tls"); {
	case option == "off" && m.implicit:
		return nil, errors.New("the mail server is smtps, and tls=off is said")
	case option == "off", option == "" && isLoopback(m.host):
		m.policy = mail.NoTLS
	case option != "" && option != "required":
		return nil, errors.New("tls of the mail server is off or required")
	}
	m.user = u.User.Username()
	m.password, _ = u.User.Password()
	return m, nil
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// send sends one mail over a connection of its own.
func (m *Mail) send(ctx context.Context, n fleet.Notice, text Message, now time.Time) outcome {
	letter, err := m.letter(n, text, now)
	if err != nil {
		return failed("its address is refused as one") // the error would quote it
	}
	client, err := m.client(ctx)
	if err != nil {
		return failed("the mail client cannot be made: " + err.Error())
	}
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return again("no connection to the mail server: " + reason(ctx, err))
	}
	err = client.SendWithSMTPClient(conn, letter)
	if letter.IsDelivered() {
		_ = conn.Quit() // politeness: the mail is theirs
		return outcome{state: fleet.NoticeSent}
	}
	// Not QUIT: what was cut short would be ended by it, and taken for a mail.
	_ = conn.Close()
	return judge(ctx, err)
}

// judge says what an error while sending means. The mail server answers for the
// mail from the moment that it was sent the end of it.
func judge(ctx context.Context, err error) outcome {
	problem, sent := "the mail was not taken: "+reason(ctx, err), (*mail.SendError)(nil)
	if !errors.As(err, &sent) {
		return unknown(problem)
	}
	switch code := sent.ErrorCode(); {
	case code >= 500:
		return failed(problem)
	case code == 0 && sent.Reason == mail.ErrSMTPDataClose:
		return unknown("the mail server never said whether it took the mail: " + reason(ctx, err))
	}
	return again(problem)
}

func (m *Mail) letter(n fleet.Notice, text Message, now time.Time) (*mail.Msg, error) {
	letter := mail.NewMsg(mail.WithNoDefaultUserAgent())
	if err := letter.FromFormat(m.from.Name, m.from.Address); err != nil {
		return nil, err
	}
	if err := letter.To(n.To); err != nil {
		return nil, err
	}
	letter.Subject(text.Subject)
	letter.SetDateWithValue(now)
	// The same at each attempt: whoever gets it twice can tell.
	letter.SetMessageIDWithValue(n.ID.String() + m.from.Address[strings.LastIndexByte(m.from.Address, '@'):])
	letter.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834: no answer from another machine
	letter.SetBodyString(mail.TypeTextPlain, text.Body)
	if text.File == nil {
		return letter, nil
	}
	return letter, letter.AttachReader(text.FileName, bytes.NewReader(text.File))
}

// client returns a client for one mail, whose connection ends with ctx.
func (m *Mail) client(ctx context.Context) (*mail.Client, error) {
	security := &tls.Config{ServerName: m.host, RootCAs: m.roots, MinVersion: tls.VersionTLS12}
	dial := func(dialing context.Context, network, addr string) (net.Conn, error) {
		var dialer net.Dialer
		conn, err := dialer.DialContext(dialing, network, addr)
		if err != nil {
			return nil, err
		}
		context.AfterFunc(ctx, func() { _ = conn.Close() })
		if !m.implicit {
			return conn, nil
		}
		secure := tls.Client(conn, security)
		if err := secure.HandshakeContext(dialing); err != nil {
			return nil, errors.Join(err, conn.Close())
		}
		return secure, nil
	}
	options := []mail.Option{
		mail.WithPort(m.port), mail.WithTLSPolicy(m.policy), mail.WithTLSConfig(security),
		mail.WithTimeout(sendPatience), mail.WithDialContextFunc(dial),
	}
	if m.implicit {
		options = append(options, mail.WithSSL())
	}
	if m.user != "" {
		options = append(options, mail.WithUsername(m.user), mail.WithPassword(m.password),
			mail.WithOpportunisticSMTPAuth(mail.SMTPAuthSCRAMSHA256, mail.SMTPAuthPlain, mail.SMTPAuthLogin, mail.SMTPAuthCramMD5))
	}
	return mail.NewClient(m.host, options...)
}

// enhanced is a status code of RFC 3463.
var enhanced = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}\b`)

// reason says why an exchange with the mail server failed. Of what the server
// said only the codes are kept: its text may quote anything.
func reason(ctx context.Context, err error) string {
	if ctx.Err() != nil {
		return ctx.Err().Error()
	}
	var sent *mail.SendError
	var answer *textproto.Error
	switch {
	case errors.As(err, &sent) && sent.ErrorCode() == 0:
		return "the connection broke while " + sent.Reason.String()
	case errors.As(err, &sent):
		return strings.TrimSpace(fmt.Sprintf("answer to %s: %d %s", sent.Reason, sent.ErrorCode(), sent.EnhancedStatusCode()))
	case errors.As(err, &answer):
		return strings.TrimSpace(fmt.Sprintf("answer %d %s", answer.Code, enhanced.FindString(answer.Msg)))
	}
	return err.Error()
}

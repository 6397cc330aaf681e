// Package smtp is a mail server for tests and demonstrations: it speaks SMTP
// over TCP to any client, keeps what it is sent, and can be told to misbehave.
package smtp

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"sync"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Config is that of a Server. The zero value takes mail from anybody, in plain.
type Config struct {
	Addr     string      // where to listen; "": a port of 127.0.0.1
	TLS      *tls.Config // offered by STARTTLS; nil: it is not offered
	Implicit bool        // TLS from the first byte
	User     string      // who may send; "": everybody
	Password string
}

// Stage is how far a mail has got.
type Stage int

// The stages.
const (
	Sender    Stage = iota // MAIL FROM
	Recipient              // RCPT TO
	End                    // all of it has come
)

// Act is what the server does instead of taking a mail.
type Act int

// The acts. A mail that is dropped at its End was taken: only its sender cannot
// know.
const (
	Refuse Act = iota // with Fault.Code
	Drop              // the connection
	Stall             // until the server closes
)

// Fault is how the server treats one mail. A greylisting server refuses the
// recipient with 451 the first time.
type Fault struct {
	At   Stage
	Act  Act
	Code int
}

// Server is a mail server. Open starts it, Close stops it.
type Server struct {
	cfg      Config
	smtp     *smtp.Server
	listener net.Listener
	closed   chan struct{}
	serving  sync.WaitGroup

	mu      sync.Mutex
	faults  []Fault
	took    []Mail
	arrived chan struct{} // closed and replaced when a mail is taken
	stalled chan struct{}
}

// New returns a server that does not listen yet.
func New(cfg Config) *Server {
	s := &Server{cfg: cfg, closed: make(chan struct{}), arrived: make(chan struct{}), stalled: make(chan struct{}, 16)}
	s.smtp = smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{server: s, conn: c}, nil
	}))
	s.smtp.Domain, s.smtp.TLSConfig = "mail.sim", cfg.TLS
	if cfg.Implicit {
		s.smtp.TLSConfig = nil
	}
	s.smtp.MaxMessageBytes = 1 << 20
	s.smtp.ErrorLog = log.New(io.Discard, "", 0)
	return s
}

// Open begins to listen.
func (s *Server) Open(ctx context.Context) error {
	addr := s.cfg.Addr
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	var err error
	if s.listener, err = new(net.ListenConfig).Listen(ctx, "tcp", addr); err != nil {
		return err
	}
	listener := s.listener
	if s.cfg.Implicit {
		listener = tls.NewListener(listener, s.cfg.TLS)
	}
	s.serving.Go(func() { _ = s.smtp.Serve(listener) }) // it ends with the listener
	return nil
}

// Addr is where the server listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close stops the server and ends its connections. It may be called twice.
func (s *Server) Close() error {
	if err := s.smtp.Close(); errors.Is(err, smtp.ErrServerClosed) {
		return nil
	}
	close(s.closed)
	// One that had not begun to be served yet is not known to smtp, and stays open.
	_ = s.listener.Close()
	s.serving.Wait()
	return nil
}

// Plan says how the mails to come are treated, one fault each; after them mail
// is taken.
func (s *Server) Plan(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

// Stalled receives whenever the server begins to stall.
func (s *Server) Stalled() <-chan struct{} { return s.stalled }

// Took returns all mail that was taken.
func (s *Server) Took() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Mail(nil), s.took...)
}

// Wait returns the n-th mail that was taken, from 0, once it is there.
func (s *Server) Wait(ctx context.Context, n int) (Mail, error) {
	for {
		s.mu.Lock()
		took, arrived := s.took, s.arrived
		s.mu.Unlock()
		if n < len(took) {
			return took[n], nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return Mail{}, ctx.Err()
		}
	}
}

func (s *Server) take(m Mail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.took = append(s.took, m)
	close(s.arrived)
	s.arrived = make(chan struct{})
}

// due takes the next fault off the plan, if it is of this stage.
func (s *Server) due(at Stage) (Fault, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) == 0 || s.faults[0].At != at {
		return Fault{}, false
	}
	f := s.faults[0]
	s.faults = s.faults[1:]
	return f, true
}

// session is one connection's mail.
type session struct {
	server *Server
	conn   *smtp.Conn
	known  bool // who sends has logged in
	mail   Mail
}

// Reset implements smtp.Session.
func (s *session) Reset() { s.mail = Mail{} }

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }

// AuthMechanisms implements smtp.AuthSession.
func (s *session) AuthMechanisms() []string {
	if s.server.cfg.User == "" {
		return nil
	}
	return []string{sasl.Plain}
}

// Auth implements smtp.AuthSession.
func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		cfg := s.server.cfg
		if subtle.ConstantTimeCompare([]byte(user+"\x00"+password), []byte(cfg.User+"\x00"+cfg.Password)) != 1 {
			return smtp.ErrAuthFailed
		}
		s.known = true
		return nil
	}), nil
}

// Mail implements smtp.Session.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.server.cfg.User != "" && !s.known {
		return smtp.ErrAuthRequired
	}
	s.mail = Mail{From: from}
	return s.at(Sender)
}

// Rcpt implements smtp.Session.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.To = append(s.mail.To, to)
	return s.at(Recipient)
}

// Data implements smtp.Session.
func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.at(End); err != nil {
		return err
	}
	if err := s.mail.read(raw); err != nil {
		return &smtp.SMTPError{Code: 554, EnhancedCode: smtp.EnhancedCode{5, 6, 0}, Message: "this is not a mail"}
	}
	s.server.take(s.mail)
	return nil
}

// at commits the fault that is planned for a stage.
func (s *session) at(stage Stage) error {
	f, ok := s.server.due(stage)
	if !ok {
		return nil
	}
	switch f.Act {
	case Drop:
		return s.conn.Conn().Close()
	case Stall:
		s.server.stalled <- struct{}{}
		<-s.server.closed
		return io.ErrUnexpectedEOF
	case Refuse:
		return &smtp.SMTPError{
			Code: f.Code, EnhancedCode: smtp.EnhancedCode{f.Code / 100, 7, 1}, Message: "planned for " + s.mail.From,
		}
	}
	return nil
}

package api

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// serving is the part of a Server that is there while it is open.
type serving struct {
	mu       sync.Mutex
	listener *listener
	ended    chan struct{} // closed when the server has stopped accepting
	closed   bool
	leave    []func() // the bus

	// Exports outlive their handlers: Close waits for them, and cancels them
	// when its time is up.
	exportsMu sync.Mutex
	noExports bool // none begins any more, so that Close may wait
	exports   sync.WaitGroup
	context   context.Context
	cancel    context.CancelFunc
}

// beginExport reports whether an export may begin; if so, exports.Done ends it.
func (s *serving) beginExport() bool {
	s.exportsMu.Lock()
	defer s.exportsMu.Unlock()
	if s.noExports {
		return false
	}
	s.exports.Add(1)
	return true
}

func (s *serving) endExports() {
	s.exportsMu.Lock()
	s.noExports = true
	s.exportsMu.Unlock()
	s.cancel()
	s.exports.Wait()
}

func (s *serving) init() {
	s.ended = make(chan struct{})
	s.context, s.cancel = context.WithCancel(context.Background())
}

// Open listens and serves until Close. An address that cannot be listened on
// is an error that says why.
func (s *Server) Open(ctx context.Context) error {
	s.serving.mu.Lock()
	defer s.serving.mu.Unlock()
	if s.serving.closed || s.serving.listener != nil {
		return errors.New("the API was opened before")
	}
	inner, err := s.cfg.Listener, error(nil)
	if inner == nil {
		inner, err = new(net.ListenConfig).Listen(ctx, "tcp", s.cfg.Addr)
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("HTTP address %s is taken: another program listens there; stop it or choose another with --http-addr", s.cfg.Addr)
	}
	if err != nil {
		return fmt.Errorf("listen for HTTP on %s: %w", s.cfg.Addr, err)
	}
	s.serving.listener = &listener{Listener: inner, open: make(map[*conn]struct{})}
	s.serving.leave = []func(){s.cfg.Bus.Sessions.Subscribe(s.lines.endSession), s.cfg.Bus.Accounts.Subscribe(s.lines.endAccount),
		s.cfg.Bus.Shares.Subscribe(s.lines.endShare)}
	go func() {
		defer close(s.serving.ended)
		if err := s.app.Listener(s.serving.listener); err != nil {
			s.log.Error("the API has stopped serving", "error", err)
		}
	}()
	return nil
}

// Addr returns the address that Open listens on, nil before.
func (s *Server) Addr() net.Addr {
	s.serving.mu.Lock()
	defer s.serving.mu.Unlock()
	if s.serving.listener == nil {
		return nil
	}
	return s.serving.listener.Addr()
}

// Close stops accepting, ends WebSockets and event streams, lets the requests and exports under way finish until
// ctx ends, then cuts them off. It returns ctx's error when it had to. It may
// be called more than once, and before Open.
func (s *Server) Close(ctx context.Context) error {
	s.serving.mu.Lock()
	defer s.serving.mu.Unlock()
	if s.serving.closed || s.serving.listener == nil {
		s.serving.closed = true
		s.serving.endExports()
		return nil
	}
	s.serving.closed = true
	if err := s.serving.listener.Close(); err != nil {
		s.log.Warn("the HTTP listener did not close", "error", err)
	}
	<-s.serving.ended  // from here on the server knows that it was started
	s.lines.close(ctx) // Fiber knows nothing of them any more
	for _, leave := range s.serving.leave {
		leave()
	}
	s.serving.listener.closeSilent()
	err := s.app.ShutdownWithContext(ctx)
	if errors.Is(err, net.ErrClosed) {
		err = nil // the listener, which we closed first
	}
	s.serving.listener.closeAll()
	s.serving.endExports()
	return err
}

// listener knows its connections, which Fiber's shutdown waits for but never
// closes.
type listener struct {
	net.Listener
	mu   sync.Mutex
	open map[*conn]struct{}
}

func (l *listener) Accept() (net.Conn, error) {
	inner, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: inner, listener: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open[c] = struct{}{}
	return c, nil
}

// closeSilent closes the connections that have not sent a byte: for Fiber they
// are neither idle nor done.
func (l *listener) closeSilent() { l.close(func(c *conn) bool { return !c.heard.Load() }) }

func (l *listener) closeAll() { l.close(func(*conn) bool { return true }) }

func (l *listener) close(which func(*conn) bool) {
	l.mu.Lock()
	var chosen []*conn
	for c := range l.open {
		if which(c) {
			chosen = append(chosen, c)
		}
	}
	l.mu.Unlock()
	for _, c := range chosen {
		// The connection is being given up: how its end went is of no use.
		_ = c.Close()
	}
}

type conn struct {
	net.Conn
	listener *listener
	heard    atomic.Bool
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 && !c.heard.Load() {
		c.heard.Store(true)
	}
	return n, err
}

func (c *conn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.open, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}

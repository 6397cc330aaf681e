package api

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/contrib/websocket"

	"armora/account"
	"armora/fleet"
)

// Limits of a WebSocket.
const (
	pingEvery    = 20 * time.Second
	pongWithin   = 25 * time.Second // of a ping: 45 s after anything was last heard
	socketWrites = 10 * time.Second // for one message to leave
	socketReads  = 16 << 10         // bytes of a message
)

// talk is what goes on over one WebSocket.
type talk struct {
	// begin is called when the socket is up. ctx ends with the socket, and whatever
	// tells the line has to stop then. An error ends the socket.
	begin func(ctx context.Context, l *line) error
	// hear takes a message of the client, JSON with a type, one at a time; an error
	// ends the socket. nil: the client has nothing to say but who it still is.
	hear func(ctx context.Context, l *line, message []byte) error
}

// socketRoute adds a WebSocket. It goes the way of every operation: who may not
// open it is refused by a status, and so is who fails in open, before the upgrade.
// Its input holds a TicketQuery if its access is ticketed.
func socketRoute[I any](s *Server, who access, op huma.Operation, open func(context.Context, *I) (talk, error)) {
	op.Method = http.MethodGet
	op.Responses = map[string]*huma.Response{"101": {Description: "The connection is a WebSocket from here on."}}
	op.Errors = []int{http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusUpgradeRequired, http.StatusTooManyRequests}
	route(s, who, op, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		t, err := open(ctx, in)
		if err == nil {
			err = s.lines.room(callerOf(ctx), account.Network(sourceOf(ctx).Address))
		}
		if err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(request huma.Context) { s.upgrade(ctx, request, t) }}, nil
	})
}

// socketBuffers are shared: a socket that has nothing to write has none.
var socketBuffers = &sync.Pool{}

// upgrade makes a WebSocket of a request.
func (s *Server) upgrade(ctx context.Context, request huma.Context, t talk) {
	c := humafiber.Unwrap(request)
	if !websocket.IsWebSocketUpgrade(c) || c.Get("Sec-WebSocket-Version") != "13" || c.Get("Sec-WebSocket-Key") == "" {
		request.SetHeader("Upgrade", "websocket")
		request.SetHeader("Sec-WebSocket-Version", "13")
		s.refuse(request, refusal(http.StatusUpgradeRequired, fleet.CodeInvalid, "this is a WebSocket, of version 13"))
		return
	}
	// What is of the request is gone once it has been answered.
	kept := context.WithValue(context.WithValue(context.WithValue(context.Background(),
		requestIDKey{}, requestID(ctx)), sourceKey{}, sourceOf(ctx)), callerKey{}, callerOf(ctx))
	serve := func(conn *websocket.Conn) { s.serveSocket(kept, conn, t) }
	config := websocket.Config{WriteBufferPool: socketBuffers, RecoverHandler: s.recoverSocket}
	if err := websocket.New(serve, config)(c); err != nil {
		s.refuse(request, err)
	}
}

// recoverSocket stands behind recoverLine.
func (s *Server) recoverSocket(*websocket.Conn) {
	if cause := recover(); cause != nil {
		s.metrics.panics.Inc()
		s.log.Error("a WebSocket panicked", "panic", cause, "stack", string(debug.Stack()))
	}
}

// socket is a line that is a WebSocket.
type socket struct {
	*line
	s     *Server
	conn  *websocket.Conn
	asked atomic.Int64 // when the client was pinged that has not been heard since, milliseconds; 0: it has
}

// serveSocket runs a WebSocket to its end. It returns once nothing uses conn any
// more: the next client is given it.
func (s *Server) serveSocket(ctx context.Context, conn *websocket.Conn, t talk) {
	l, err := s.openLine(ctx, "socket")
	if err != nil {
		s.log.Info("a line was not opened", "request_id", requestID(ctx), "error", err)
		sayClose(conn, closingFor(err))
		return
	}
	defer s.closeLine(l, "socket")
	sk := &socket{line: l, s: s, conn: conn}
	raw := conn.NetConn()
	// fasthttp's hijacked connections do not close before their handler returns, and
	// are the next client's after. An error means that it is closed.
	defer l.hangUp(func() { _ = raw.SetDeadline(time.Unix(1, 0)) })()
	var writing sync.WaitGroup
	writing.Go(sk.write)
	sk.read(t)
	l.End(closedLeft)
	writing.Wait()
}

// hear notes that somebody is there.
func (sk *socket) hear() { sk.asked.Store(0) }

// silent is when a client that does not answer is taken for gone; zero: nothing was
// asked.
func (sk *socket) silent() time.Time {
	asked := sk.asked.Load()
	if asked == 0 {
		return time.Time{}
	}
	return time.UnixMilli(asked).Add(pongWithin)
}

// read runs the talk until nothing more comes from the client.
func (sk *socket) read(t talk) {
	defer sk.s.recoverLine(sk.line)
	sk.conn.SetReadLimit(socketReads)
	sk.conn.SetPongHandler(func(string) error {
		sk.hear()
		return nil
	})
	if err := t.begin(sk.ctx, sk.line); err != nil {
		sk.s.fail(sk.line, err)
	}
	for {
		kind, message, err := sk.conn.ReadMessage()
		if errors.Is(err, websocket.ErrReadLimit) {
			sk.End(closedTooBig)
		}
		if err != nil {
			return
		}
		sk.hear()
		if err := sk.take(t, kind, message); err != nil {
			sk.s.fail(sk.line, err)
		}
	}
}

// take takes one message of the client.
func (sk *socket) take(t talk, kind int, message []byte) error {
	if sk.ctx.Err() != nil {
		return nil //nolint:nilerr // what comes after the end is not heard
	}
	if err := sk.s.limit(sk.ctx, sk.Caller(), usual); err != nil {
		return &ending{closedTooManyWords}
	}
	var said struct {
		Type  string `json:"type"`
		Token string `json:"token"`
	}
	if kind != websocket.TextMessage || json.Unmarshal(message, &said) != nil {
		return &ending{closedMessage}
	}
	switch {
	case said.Type == "authorize":
		return sk.s.reauthorize(sk.line, said.Token)
	case t.hear == nil:
		return &ending{closedMessage}
	}
	return t.hear(sk.ctx, sk.line, message)
}

// reauthorize lets a line go on by a fresh token of the same session.
func (s *Server) reauthorize(l *line, token string) error {
	fresh, err := s.authenticate(l.ctx, "Bearer "+token)
	if fleet.CodeOf(err) == fleet.CodeUnavailable {
		return err
	}
	if was := l.Caller(); err != nil || fresh.Name != was.Name || fresh.Session != was.Session {
		return &ending{closedToken}
	}
	l.renew(fresh)
	l.Send(aboutExpiry("authorized", fresh.Expires))
	return nil
}

// write sends what the line is told, pings, and says goodbye. It is the one that
// writes.
func (sk *socket) write() {
	defer sk.s.recoverLine(sk.line)
	var expiry expiring
	ping := sk.s.clock.Now().Add(pingEvery)
	for {
		next := sooner(sooner(ping, expiry.next(sk.line)), sk.silent())
		fired, stop := sk.s.clock.NewTimer(next.Sub(sk.s.clock.Now()))
		for due := false; !due; {
			select {
			case <-sk.queue.ready:
				sk.drain()
			case <-fired:
				due = true
			case <-sk.renewed:
				due = true
			case <-sk.ctx.Done():
				stop()
				sk.drain()
				how, _ := sk.how()
				sayClose(sk.conn, how)
				return
			}
		}
		stop()
		now := sk.s.clock.Now()
		if warning := expiry.look(sk.line, now); warning != nil {
			sk.send(websocket.TextMessage, warning)
		}
		if silent := sk.silent(); !silent.IsZero() && !now.Before(silent) {
			sk.End(closedSilent)
		} else if !now.Before(ping) {
			ping = now.Add(pingEvery)
			sk.asked.CompareAndSwap(0, now.UnixMilli())
			sk.send(websocket.PingMessage, nil)
		}
	}
}

func (sk *socket) drain() {
	for data, ok := sk.queue.take(); ok; data, ok = sk.queue.take() {
		sk.send(websocket.TextMessage, data)
	}
}

// send writes one message. A socket that does not take it is over. Its deadline is
// the operating system's, hence its clock.
func (sk *socket) send(kind int, data []byte) {
	err := sk.conn.SetWriteDeadline(time.Now().Add(socketWrites))
	if err == nil {
		err = sk.conn.WriteMessage(kind, data)
	}
	if err != nil {
		sk.End(closedGone)
	}
}

// sayClose says how a WebSocket has ended, to whoever is there to hear it.
func sayClose(conn *websocket.Conn, how closing) {
	if how != closedGone {
		// An error means that nobody is.
		_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(how.Code, how.Reason), time.Now().Add(endGrace))
	}
}

// sooner is the earlier of two times; a zero time never comes.
func sooner(a, b time.Time) time.Time {
	if b.IsZero() || a.Before(b) {
		return a
	}
	return b
}

// sameOrigin refuses what another web site has a browser ask for. What is no
// browser says no origin.
func (s *Server) sameOrigin(ctx huma.Context) error {
	origin := ctx.Header("Origin")
	if origin == "" {
		return nil
	}
	theirs, err := url.Parse(origin)
	ours, failed := url.Parse(s.cfg.PublicURL)
	if err == nil && theirs.Host != "" && (strings.EqualFold(theirs.Host, ctx.Host()) ||
		failed == nil && strings.EqualFold(theirs.Host, ours.Host) && theirs.Scheme == ours.Scheme) {
		return nil
	}
	return &fleet.Error{Code: fleet.CodeForbidden, Message: "this is not open to other web sites"}
}

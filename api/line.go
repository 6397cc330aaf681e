package api

import (
	"context"
	"encoding/json"
	"errors"
	"runtime/debug"
	"sync"
	"time"

	"armora/account"
	"armora/fleet"
)

// Limits of a line.
const (
	warnBefore  = time.Minute // its token expires
	endGrace    = 500 * time.Millisecond
	finishGrace = 5 * time.Second // for what waits to be told
)

// closing is how a line ends: the close code of a WebSocket, and a word for
// programs. An event stream says both in its last event.
type closing struct {
	Code   int    `json:"code"`
	Reason string `json:"reason"`
}

// How lines end. Codes from 4000 on are the hub's own, after the HTTP status that
// says the same.
var (
	closedLeft         = closing{1000, "left"}     // the client did
	closedStopping     = closing{1001, "stopping"} // the hub stops: connect again
	closedGone         = closing{1006, "gone"}     // nobody is there any more
	closedTooBig       = closing{1009, "too_big"}
	closedFailed       = closing{1011, "failed"}             // the hub's fault: connect again
	closedBusy         = closing{1013, "try_later"}          // what the hub needs is away
	closedMessage      = closing{4400, "bad_message"}        // the client said what means nothing
	closedExpired      = closing{4401, "token_expired"}      // no fresh token came in time
	closedSession      = closing{4401, "session_ended"}      // signed out, or may do something else than before
	closedToken        = closing{4401, "bad_token"}          // the token that came is not good, or another's
	closedNotTheirs    = closing{4403, "not_yours_any_more"} // replaced, or not to see it any more
	closedTripOver     = closing{4410, "trip_over"}          // nothing more comes
	closedShareOver    = closing{4410, "share_over"}         // the link was revoked or has run out
	closedSilent       = closing{4408, "no_pong"}
	closedSlow         = closing{4429, "too_slow"} // what may not be lost would be: come back with since
	closedTooMany      = closing{4429, "too_many"} // open at once
	closedTooManyWords = closing{4429, "too_many_messages"}
)

// ending is an error that ends a line in a way of its own.
type ending struct{ how closing }

// Error implements error.
func (e *ending) Error() string { return e.how.Reason }

// closingFor is how a line ends because of an error.
func closingFor(err error) closing {
	if e, ok := errors.AsType[*ending](err); ok {
		return e.how
	}
	switch fleet.CodeOf(err) {
	case fleet.CodeInvalid, fleet.CodeTooLarge:
		return closedMessage
	case fleet.CodeUnauthenticated:
		return closedSession
	case fleet.CodeNotFound, fleet.CodeForbidden:
		return closedNotTheirs
	case fleet.CodeTooMany:
		return closedTooMany
	case fleet.CodeUnavailable:
		return closedBusy
	}
	return closedFailed
}

// line is an open connection to a client that the hub tells things as they happen:
// a WebSocket or an event stream. What it is told waits in a bounded queue, so that
// telling it never blocks.
type line struct {
	ctx     context.Context // of the request, but for its end: it ends with the line
	cancel  context.CancelFunc
	network string // where it comes from, as limits count
	queue   outqueue
	renewed chan struct{} // holds a token when there is another token to expire

	mu      sync.Mutex
	caller  *account.Caller
	closing closing // zero until it has ended
	dropped bool    // what waits is not told any more
}

// Caller returns who is at the other end, as of when they last proved it.
func (l *line) Caller() *account.Caller {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.caller
}

// Send tells something that must not be lost. A client that has too much waiting is
// sent away instead, and asks for what it missed when it comes back. data is not
// changed afterwards.
func (l *line) Send(data []byte) {
	if !l.queue.put("", data) {
		l.End(closedSlow)
	}
}

// SendLatest tells something that stands until the next with the same key: while it
// waits, the next takes its place.
func (l *line) SendLatest(key string, data []byte) { l.queue.put(key, data) }

// End ends the line at once: nothing that waits is told any more. The first end
// stands.
func (l *line) End(how closing) { l.end(how, true) }

// Finish ends the line once what waits has been told.
func (l *line) Finish(how closing) { l.end(how, false) }

func (l *line) end(how closing, drop bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closing == (closing{}) {
		l.closing = how
	}
	l.dropped = l.dropped || drop
	l.queue.close(drop)
	l.cancel()
}

// how returns how the line has ended, and for how long its client may go on
// reading what it was told.
func (l *line) how() (how closing, grace time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped {
		return l.closing, endGrace
	}
	return l.closing, finishGrace
}

// renew puts a caller who has shown a fresh token in the place of the one before.
func (l *line) renew(caller *account.Caller) {
	l.mu.Lock()
	l.caller = caller
	l.mu.Unlock()
	select {
	case l.renewed <- struct{}{}:
	default: // it is known
	}
}

// hangUp has free called some time after the line has ended, should its client not
// have hung up by then: that frees whoever reads or writes. It is not called any more
// once settled has returned, when what it frees may be another's.
func (l *line) hangUp(free func()) (settled func()) {
	var mu sync.Mutex
	over := false
	context.AfterFunc(l.ctx, func() {
		_, grace := l.how()
		time.AfterFunc(grace, func() {
			mu.Lock()
			defer mu.Unlock()
			if !over {
				free()
			}
		})
	})
	return func() {
		mu.Lock()
		defer mu.Unlock()
		over = true
	}
}

// openLine opens a line to whoever asked for it by the request that ctx is of. What
// was taken from them meanwhile counts. closeLine follows.
func (s *Server) openLine(ctx context.Context, kind string) (*line, error) {
	caller := callerOf(ctx)
	l := &line{caller: caller, network: account.Network(sourceOf(ctx).Address), renewed: make(chan struct{}, 1)}
	l.queue.init()
	l.ctx, l.cancel = context.WithCancel(context.WithValue(context.WithValue(context.WithValue(s.serving.context,
		requestIDKey{}, requestID(ctx)), sourceKey{}, sourceOf(ctx)), callerKey{}, caller))
	if err := s.lines.join(l); err != nil {
		l.cancel()
		return nil, err
	}
	s.metrics.lines.WithLabelValues(kind).Inc()
	// Whoever is told of an end ends the lines that there are; a session that ended
	// before this one was there is found ended here.
	if _, err := s.again(l.ctx, caller); err != nil {
		s.closeLine(l, kind)
		return nil, err
	}
	return l, nil
}

func (s *Server) closeLine(l *line, kind string) {
	l.End(closedLeft)
	how, _ := l.how()
	s.lines.leave(l)
	s.metrics.lines.WithLabelValues(kind).Dec()
	s.metrics.ended.WithLabelValues(kind, how.Reason).Inc()
}

// fail ends a line because of an error, once what it was told before has been sent.
func (s *Server) fail(l *line, err error) {
	how := closingFor(err)
	if how == closedFailed || how == closedBusy {
		s.log.Warn("a line failed", "request_id", requestID(l.ctx), "error", err)
	}
	l.Finish(how)
}

// again says who a caller is now.
func (s *Server) again(ctx context.Context, caller *account.Caller) (*account.Caller, error) {
	if caller.Share != nil {
		return s.cfg.Shares.Again(ctx, caller)
	}
	return s.cfg.Sessions.Again(ctx, caller)
}

// recoverLine is deferred by each goroutine of a line: a panic in one would end the
// process, and its text is not for the client.
func (s *Server) recoverLine(l *line) {
	if cause := recover(); cause != nil {
		s.metrics.panics.Inc()
		s.log.Error("a line panicked", "request_id", requestID(l.ctx), "panic", cause, "stack", string(debug.Stack()))
		l.End(closedFailed)
	}
}

// expiring says when to warn a client that its token expires, and when it has. A
// client that does nothing about it is sent away.
type expiring struct {
	warned time.Time // the expiry of which it was warned
}

// next returns when to look at the expiry again; zero: never.
func (e *expiring) next(l *line) time.Time {
	at := l.Caller().Expires
	if at.IsZero() || at.Equal(e.warned) {
		return at
	}
	return at.Add(-warnBefore)
}

// look ends a line whose token has expired, and returns what to warn of one that is
// about to.
func (e *expiring) look(l *line, now time.Time) (warning []byte) {
	caller := l.Caller()
	at, share := caller.Expires, caller.Share
	switch {
	case at.IsZero():
	case share != nil && !share.Expires.IsZero() && !now.Before(share.Expires): // no other token comes of it
		l.End(closedShareOver)
	case !now.Before(at):
		l.End(closedExpired)
	case !at.Equal(e.warned) && !now.Before(at.Add(-warnBefore)):
		e.warned = at
		return aboutExpiry("expiring", at)
	}
	return nil
}

// aboutExpiry is what a client is told of when its token expires.
func aboutExpiry(what string, at time.Time) []byte {
	text, err := json.Marshal(struct {
		Type      string    `json:"type"`
		ExpiresAt time.Time `json:"expires_at"`
	}{what, at.UTC()})
	if err != nil {
		panic(err) // a type of ours that is not JSON
	}
	return text
}

package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

// The kinds of listener, as the metrics name them.
const (
	kindTCP = "tcp"
	kindTLS = "tls"
	kindWS  = "ws"
)

// listener accepts connections of one kind.
type listener struct {
	b    *Broker
	kind string
	ln   net.Listener
	http *http.Server // WebSocket only
}

// listen opens the configured listeners.
func (b *Broker) listen(ctx context.Context) error {
	for _, l := range []struct{ kind, addr string }{
		{kindTCP, b.cfg.TCPAddr}, {kindTLS, b.cfg.TLSAddr}, {kindWS, b.cfg.WSAddr},
	} {
		if l.addr == "" {
			continue
		}
		if err := b.checkPlaintext(l.kind, l.addr); err != nil {
			return err
		}
		ln, err := new(net.ListenConfig).Listen(ctx, "tcp", l.addr)
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("the address %s of the MQTT %s listener is taken: another program listens there; stop it or choose another", l.addr, l.kind)
		}
		if err != nil {
			return fmt.Errorf("MQTT %s listener on %s: %w", l.kind, l.addr, err)
		}
		own := &listener{b: b, kind: l.kind, ln: ln}
		if l.kind == kindWS {
			own.http = b.newWebSocketServer()
		}
		b.listeners = append(b.listeners, own)
	}
	return nil
}

// checkPlaintext refuses an address beyond loopback for a listener without
// TLS, unless that was asked for.
func (b *Broker) checkPlaintext(kind, addr string) error {
	if kind == kindTLS || b.cfg.AllowPlaintext {
		return nil
	}
	tcp, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		return fmt.Errorf("MQTT %s listener on %s: %w", kind, addr, err)
	}
	if !tcp.IP.IsLoopback() {
		return fmt.Errorf("MQTT %s listener on %s would show credentials to the network: listen on 127.0.0.1, use TLS, or allow plaintext explicitly", kind, addr)
	}
	return nil
}

// serve accepts until the listener is closed.
func (l *listener) serve() {
	admitted := &admittedListener{Listener: l.ln, b: l.b, kind: l.kind}
	if l.http != nil {
		if err := l.http.Serve(admitted); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			l.b.log.Error("MQTT WebSocket listener ended", "error", err)
		}
		return
	}
	for {
		raw, err := admitted.Accept()
		if err != nil {
			return // closed: other errors are dealt with there
		}
		l.b.serving.Go(func() { l.b.serveSocket(l.kind, raw) })
	}
}

// closeListeners stops accepting.
func (b *Broker) closeListeners() {
	for _, l := range b.listeners {
		// The listener may be closed already, by the other of the two.
		_ = l.ln.Close()
		if l.http != nil {
			_ = l.http.Close()
		}
	}
}

// admittedListener accepts only what the limits admit. A socket that it
// returns gives its place back when it is closed.
type admittedListener struct {
	net.Listener
	b    *Broker
	kind string
}

// acceptPause is how long accepting rests after an error such as running out
// of file descriptors.
const acceptPause = 50 * time.Millisecond

// Accept implements net.Listener. It returns an error only when the listener
// is closed.
func (l *admittedListener) Accept() (net.Conn, error) {
	for {
		raw, err := l.Listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return nil, err
		}
		if err != nil {
			l.b.log.Error("MQTT accept failed", "listener", l.kind, "error", err)
			time.Sleep(acceptPause)
			continue
		}
		peer := peerOf(raw.RemoteAddr())
		if refused := l.b.admission.enter(peer); refused != "" {
			l.b.metrics.refusals.WithLabelValues(refused).Inc()
			_ = raw.Close() // nothing was said yet
			continue
		}
		l.b.serving.Add(1) // until the socket is closed: net/http does not say when its handlers are done
		l.b.metrics.accepts.WithLabelValues(l.kind).Inc()
		l.b.metrics.connections.WithLabelValues(l.kind).Inc()
		return &admittedConn{Conn: raw, l: l, peer: peer}, nil
	}
}

// serveSocket serves a plain or TLS socket to its end.
func (b *Broker) serveSocket(kind string, raw net.Conn) {
	var cert []byte
	if kind == kindTLS {
		secured, err := b.handshake(raw)
		if err != nil {
			b.metrics.refusals.WithLabelValues("tls_handshake").Inc()
			_ = raw.Close() // the handshake has failed already
			return
		}
		if state := secured.ConnectionState(); len(state.VerifiedChains) > 0 {
			cert = state.PeerCertificates[0].Raw
		}
		raw = secured
	}
	b.serveConn(kind, raw, cert)
}

// handshake makes raw a TLS connection within the time for CONNECT.
func (b *Broker) handshake(raw net.Conn) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(b.reading, b.limits.ConnectTimeout)
	defer cancel()
	secured := tls.Server(raw, b.cfg.TLS)
	return secured, secured.HandshakeContext(ctx)
}

// serveConn serves MQTT on raw until the connection ends, in this goroutine.
func (b *Broker) serveConn(kind string, raw net.Conn, cert []byte) {
	c := b.newConn(kind, raw, peerOf(raw.RemoteAddr()))
	c.cert = cert
	b.registry.add(c)
	// The deadline is the operating system's; an error shows in the first read.
	_ = raw.SetReadDeadline(time.Now().Add(b.limits.ConnectTimeout))
	if b.isStopping() { // it may have missed being told
		c.end(packets.ErrServerShuttingDown, "shutdown")
	}
	err := b.establish(c)
	b.leave(c, err)
	b.followers.leave(c)
	c.end(packets.CodeDisconnect, "")
	c.writers.Wait()
	b.registry.remove(c) // last: until here Close may have to end it by force
}

// errPanic is how a connection ends that made mochi panic.
var errPanic = errors.New("panic in the connection")

// establish hands the connection to mochi until it ends. A panic of mochi's,
// which a malformed packet can cause, ends this connection and nothing else.
func (b *Broker) establish(c *conn) (err error) {
	defer func() {
		if p := recover(); p != nil {
			b.metrics.panics.Inc()
			b.log.Error("MQTT connection panicked", "remote", c.peer, "panic", p, "stack", string(debug.Stack()))
			c.end(packets.ErrMalformedPacket, "panic")
			err = errPanic
		}
	}()
	return b.server.EstablishConnection(c.kind, c)
}

// leave winds up the session side of a connection that has ended: err is nil
// when the client said goodbye.
func (b *Broker) leave(c *conn, err error) {
	defer c.unlockSession()
	b.countDisconnect(c, err)
	if c.session == nil {
		return
	}
	if c.unlock == nil { // mochi did not get as far as OnDisconnect
		c.unlock = b.sessions.lock(c.session.key)
	}
	if err == nil || b.isStopping() { // it said goodbye, or the hub is leaving and not the device
		c.will = nil
	}
	b.wills.lost(c)
	b.sessions.leave(c, b.expiryOf(c.client))
}

// countDisconnect counts the end of a connection by its reason.
func (b *Broker) countDisconnect(c *conn, err error) {
	c.mu.Lock()
	reason := c.reason
	c.mu.Unlock()
	if reason == "" {
		var code packets.Code
		switch {
		case err == nil:
			reason = "client"
		case errors.As(err, &code) && code.Code >= packets.ErrUnspecifiedError.Code:
			reason = "protocol_error"
		default:
			reason = "lost"
		}
	}
	b.metrics.disconnects.WithLabelValues(reason).Inc()
}

package broker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
)

// Shutdown in the order of the design: stop reading, commit what was read,
// write its PUBACKs, say goodbye.
func TestShutdownOrder(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.device()
	c, _ := h.connect(login{id: "phone", name: id.String(), version: 5, clean: true})
	c.publish(pointsTopic(id), 1, 1, "read")
	m := h.points.next(t)
	if err := h.StopReading(t.Context()); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", h.TCPAddr().String()); err == nil {
		t.Error("still accepting")
		_ = conn.Close()
	}
	c.publish(pointsTopic(id), 1, 2, "not read")
	m.Ack.Resolve(nil)
	m.Ack.Flush()
	c.expectAcks(1)
	h.shut(h.Broker)
	if pk := c.expect(packets.Disconnect); pk.ReasonCode != packets.ErrServerShuttingDown.Code {
		t.Errorf("DISCONNECT %#x", pk.ReasonCode)
	}
	if n := len(h.points.got); n != 0 {
		t.Errorf("%d messages were received after reading stopped", n)
	}
	if n := h.metric("connections"); n != 0 {
		t.Errorf("%v connections counted", n)
	}
}

// No message is received after StopReading has returned.
func TestStopReadingIsABarrier(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	h.points.resolve = true
	for range 8 {
		c, id := h.phone()
		packet := encode(t, 4, publishOf(pointsTopic(id), 0, 0, "x"))
		go func() {
			for {
				if _, err := c.conn.Write(packet); err != nil {
					return
				}
			}
		}()
	}
	receiveAll(t, h.points, 1000)
	if err := h.StopReading(t.Context()); err != nil {
		t.Fatal(err)
	}
	read := h.metric("messages_total")
	h.shut(h.Broker)
	if more := h.metric("messages_total") - read; more != 0 {
		t.Errorf("%v messages more", more)
	}
}

// Close does not wait for peers that say nothing.
func TestCloseWithSilentPeers(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) {
		c.TLSAddr, c.WSAddr = "127.0.0.1:0", "127.0.0.1:0"
		c.TLS = &tls.Config{Certificates: []tls.Certificate{newCertificate(t)}, MinVersion: tls.VersionTLS12}
		c.Limits.ConnectTimeout = time.Hour
	})
	for _, addr := range []net.Addr{h.TCPAddr(), h.TLSAddr(), h.WSAddr()} {
		dialTo(t, addr.String())
	}
	h.phone()
	eventually(t, "all are accepted", func() bool { return h.metric("connections") == 4 })
	h.shut(h.Broker)
}

// Close gives up a peer that does not read when its time is up, and says so.
func TestCloseWithStalledPeer(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) { c.Limits.WriteTimeout = time.Hour })
	h.closeFails = true
	ours, theirs := net.Pipe()
	h.serving.Go(func() { h.serveConn(kindTCP, theirs, nil) })
	c := newClient(t, ours)
	c.login(login{id: "x", name: h.device().String(), version: 5, clean: true})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := h.Close(ctx)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("closed with %v", err)
	}
	if again := h.Close(t.Context()); !errors.Is(again, err) {
		t.Errorf("closed again with %v", again)
	}
}

func TestTLSWithClientCertificate(t *testing.T) {
	t.Parallel()
	cert := newCertificate(t)
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	h := newHub(t, func(c *Config) {
		c.TLSAddr = "127.0.0.1:0"
		c.TLS = &tls.Config{
			Certificates: []tls.Certificate{cert}, ClientCAs: pool,
			ClientAuth: tls.VerifyClientCertIfGiven, MinVersion: tls.VersionTLS12,
		}
	})
	h.points.resolve = true
	seen := make(chan fleet.Login, 2)
	h.auth.hold = func(_ context.Context, l fleet.Login) { seen <- l }
	id := h.device()
	for _, certificates := range [][]tls.Certificate{nil, {cert}} {
		c := h.dialTLS(&tls.Config{RootCAs: pool, Certificates: certificates, MinVersion: tls.VersionTLS12})
		c.login(login{id: "phone", name: id.String(), clean: true})
		c.publish(pointsTopic(id), 1, 1, "x")
		c.expectAcks(1)
		if l := <-seen; (l.Certificate != nil) != (certificates != nil) {
			t.Errorf("certificate of %d bytes", len(l.Certificate))
		}
	}
	plain := dialTo(t, h.TLSAddr().String())
	plain.sendConnect(login{id: "phone", name: id.String()})
	_, err := plain.read()
	if err == nil {
		t.Error("answered without TLS")
	}
	eventually(t, "counted", func() bool { return h.metric("refusals_total", "tls_handshake") == 1 })
	c := h.dialTLS(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12})
	c.login(login{id: "phone", name: id.String(), clean: true, version: 5})
	<-seen
	h.Disconnect(id, fleet.CredentialID{})
	if code := c.expectEnd(); code != packets.ErrNotAuthorized.Code {
		t.Errorf("DISCONNECT %#x", code)
	}
}

func TestWebSocket(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) { c.WSAddr = "127.0.0.1:0" })
	h.points.resolve = true
	id := h.device()
	url := "ws://" + h.WSAddr().String() + "/mqtt"
	dialer := websocket.Dialer{Subprotocols: []string{"mqtt"}}
	ws, _, err := dialer.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, &wsConn{Conn: ws.NetConn(), ws: ws})
	c.login(login{id: "phone", name: id.String(), clean: true, version: 5})
	// Packets need not keep to the frames.
	two := append(encode(t, 5, publishOf(pointsTopic(id), 1, 1, "a")), encode(t, 5, publishOf(pointsTopic(id), 1, 2, "b"))...)
	c.write(two[:30])
	c.write(two[30:100])
	c.write(two[100:])
	c.expectAcks(1, 2)
	h.Disconnect(id, fleet.CredentialID{})
	if code := c.expectEnd(); code != packets.ErrNotAuthorized.Code {
		t.Errorf("DISCONNECT %#x", code)
	}

	for _, request := range []func() (*http.Response, error){
		func() (*http.Response, error) { return http.Get("http://" + h.WSAddr().String()) },
		func() (*http.Response, error) { _, r, _ := new(websocket.Dialer).Dial(url, nil); return r, nil },
	} {
		r, err := request()
		if err != nil || r.StatusCode != http.StatusBadRequest {
			t.Fatalf("%v %v", r, err)
		}
		_ = r.Body.Close()
	}
	ws, _, err = dialer.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := ws.WriteMessage(websocket.TextMessage, []byte("text")); err != nil {
		t.Fatal(err)
	}
	newClient(t, &wsConn{Conn: ws.NetConn(), ws: ws}).expectEnd()
	http.DefaultClient.CloseIdleConnections()
}

func TestPortTakenIsOneClearLine(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	cfg := h.cfg
	cfg.TCPAddr, cfg.Metrics = h.TCPAddr().String(), nil
	b, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Open(t.Context()); err == nil {
		t.Error("opened")
	} else {
		t.Log(err)
	}
	h.shut(b)
}

// newCertificate makes a certificate for 127.0.0.1 that signs itself and serves
// for both sides.
func newCertificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "hub"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// The end of a session ends what was opened with its tokens, on every listener, and
// nothing else; so does the revocation of a credential.
func TestEndOfASessionAndOfACredential(t *testing.T) {
	t.Parallel()
	cert := newCertificate(t)
	pool := x509.NewCertPool()
	pool.AddCert(cert.Leaf)
	h := newHub(t, func(c *Config) {
		c.TLSAddr, c.WSAddr = "127.0.0.1:0", "127.0.0.1:0"
		c.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	})
	session := fleet.NewID[fleet.UserSession]()
	phone := func() string {
		id := fleet.NewID[fleet.Device]()
		h.auth.set(id.String(), fleet.Identity{Device: id, Session: session})
		return id.String()
	}
	dialer := websocket.Dialer{Subprotocols: []string{"mqtt"}}
	each := func() []*client { // listener
		ws, _, err := dialer.Dial("ws://"+h.WSAddr().String()+"/mqtt", nil)
		if err != nil {
			t.Fatal(err)
		}
		return []*client{
			h.dial(), h.dialTLS(&tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}), newClient(t, &wsConn{Conn: ws.NetConn(), ws: ws}),
		}
	}
	ended := each()
	for _, c := range ended {
		c.login(login{id: "phone", name: phone(), clean: true, version: 5})
	}
	other, _ := h.phone()

	tracker, old, kept := fleet.NewID[fleet.Device](), fleet.NewID[fleet.Credential](), fleet.NewID[fleet.Credential]()
	with := func(credential fleet.CredentialID, id string, c *client) *client {
		h.auth.set(tracker.String(), fleet.Identity{Device: tracker, Credential: credential})
		c.login(login{id: tracker.String() + id, name: tracker.String(), clean: true, version: 5})
		return c
	}
	going := with(kept, "/kept", h.dial())
	revoked := each()
	for i, c := range revoked {
		with(old, "/"+strconv.Itoa(i), c)
	}
	h.Disconnect(tracker, old)
	for _, c := range revoked {
		if code := c.expectEnd(); code != packets.ErrNotAuthorized.Code {
			t.Errorf("DISCONNECT %#x", code)
		}
	}
	going.ping()
	h.EndSession(fleet.NewID[fleet.UserSession]())
	h.EndSession(fleet.UserSessionID{}) // of those who have none
	for _, c := range append(ended, other) {
		c.ping()
	}
	h.EndSession(session)
	for _, c := range ended {
		if code := c.expectEnd(); code != packets.ErrNotAuthorized.Code {
			t.Errorf("DISCONNECT %#x", code)
		}
	}
	other.ping()

	// Ended after its token was checked, before it is connected.
	name := phone()
	h.auth.hold = func(context.Context, fleet.Login) { h.EndSession(session) }
	if ack := h.dial().login(login{id: "late", name: name, clean: true, version: 5}); ack.ReasonCode != packets.ErrBadUsernameOrPassword.Code {
		t.Errorf("CONNACK %#x", ack.ReasonCode)
	}
}

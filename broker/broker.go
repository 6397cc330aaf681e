// Package broker is the MQTT front door of the hub: listeners, device
// authentication, access control, limits, deferred acknowledgements and the
// ordered outbox to devices. It hands payload bytes up to receivers and takes
// bytes down; it knows nothing of what they mean.
//
// mochi serves as the engine for CONNECT, sessions and subscriptions. It is
// never given a listener, an event loop, a PUBLISH or a will: every connection
// is framed here first (conn.go), and the packets whose handling decides what
// is lost, blocked or allowed are handled here. See docs of the single hook
// for what is left to mochi.
package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/prometheus/client_golang/prometheus"

	"armora/fleet"
)

// Config is what a Broker is made of. Auth, Sessions, Outbox and Clock are
// required.
type Config struct {
	TCPAddr, TLSAddr, WSAddr string // host:port; "" is off, port 0 is chosen by the system

	// AllowPlaintext permits TCPAddr and WSAddr beyond loopback. Without it
	// Open refuses them: credentials would cross the network in the clear.
	AllowPlaintext bool
	TLS            *tls.Config // for TLSAddr; ClientAuth VerifyClientCertIfGiven gives mTLS

	Limits   Limits // zero: DefaultLimits
	Auth     Authenticator
	Sessions Sessions
	Outbox   Outbox
	Trips    TripFollowing // nil: nobody follows trips
	Routes   []Route

	Clock   fleet.Clock
	Log     *slog.Logger          // nil: discarded
	Metrics prometheus.Registerer // nil: not registered
}

// Authenticator says who a login is. fleet.CodeUnauthenticated refuses it for
// good; every other error means "try again later", so that a client does not
// take an outage for a wrong password.
type Authenticator interface {
	Authenticate(ctx context.Context, login fleet.Login) (fleet.Identity, error)
}

// Sessions keeps MQTT sessions beyond the life of the hub. The ClientID of a
// stored session is the broker's own key: the device id, a slash, and the
// client id that the device chose. Save replaces.
type Sessions interface {
	Load(ctx context.Context) ([]fleet.Session, error)
	Save(ctx context.Context, s fleet.Session) error
	Delete(ctx context.Context, clientID string) error
}

// Outbox holds the commands for devices. Pending returns, in order of seq,
// those after a seq that have neither expired nor been acknowledged.
type Outbox interface {
	Pending(ctx context.Context, device fleet.DeviceID, after int64, limit int) ([]fleet.Command, error)
	Acknowledge(ctx context.Context, device fleet.DeviceID, seq int64) error
}

// Receiver takes the messages of a route. Receive must not block: it runs in
// the goroutine that reads the connection.
type Receiver interface {
	Receive(m Message)
}

// Message is one PUBLISH of a device.
type Message struct {
	From     *fleet.Identity // who sent it; shared, not to be changed
	Topic    string
	Payload  []byte // owned by the receiver, never reused
	QoS      byte
	Retain   bool
	Dup      bool
	Received fleet.Millis
	Ack      *Ack // never nil, for any QoS
}

// Broker is the MQTT front door. Make it with New.
type Broker struct {
	cfg     Config
	limits  Limits
	clock   fleet.Clock
	log     *slog.Logger
	metrics *metrics
	acl     acl

	server    *mqtt.Server
	admission *admission
	registry  *registry
	sessions  *sessions
	wills     *wills
	outbox    *outbox
	followers *followers
	auth      chan struct{} // a slot for each login that is being checked
	inflight  atomic.Int64  // what is kept of the messages that are not resolved, see Limits.TotalBytes

	ctx         context.Context // ends with Close; for the calls to the store
	cancel      context.CancelFunc
	reading     context.Context // ends with StopReading; for logins and handshakes
	stopReading context.CancelFunc
	stopOnce    sync.Once
	closeOnce   sync.Once
	closeErr    error

	listeners []*listener
	keeper    sync.WaitGroup // the housekeeping goroutine
	serving   sync.WaitGroup // accept loops, open sockets and their goroutines
}

// New checks cfg and makes a Broker. It starts nothing.
func New(cfg Config) (*Broker, error) {
	if cfg.Auth == nil || cfg.Sessions == nil || cfg.Outbox == nil || cfg.Clock == nil {
		return nil, errors.New("broker: Auth, Sessions, Outbox and Clock are required")
	}
	if cfg.TLSAddr != "" && cfg.TLS == nil {
		return nil, errors.New("broker: a TLS address needs a TLS configuration")
	}
	if cfg.Limits.isZero() {
		cfg.Limits = DefaultLimits()
	}
	if err := cfg.Limits.validate(); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	b := &Broker{
		cfg:       cfg,
		limits:    cfg.Limits,
		clock:     cfg.Clock,
		log:       cfg.Log,
		admission: newAdmission(cfg.Limits, cfg.Clock),
		registry:  newRegistry(),
		auth:      make(chan struct{}, cfg.Limits.AuthConcurrency),
	}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.reading, b.stopReading = context.WithCancel(b.ctx)
	b.wills = newWills(b)
	b.sessions = newSessions(b)
	b.outbox = newOutbox(b)
	b.followers = newFollowers(b)
	b.metrics = newMetrics(b, cfg.Metrics)
	if err := b.newACL(); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	if err := b.newEngine(); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	return b, nil
}

// newACL compiles the routes, with the broker's own for acknowledged commands.
func (b *Broker) newACL() error {
	own := Route{Template: "v1/devices/{device}/commands/+/ack", Receiver: b.outbox}
	acl, err := newACL(append([]Route{own}, b.cfg.Routes...))
	b.acl = acl
	return err
}

// newEngine makes the mochi server that keeps sessions and subscriptions. It
// is never served: no listener, event loop or store of mochi's runs.
func (b *Broker) newEngine() error {
	caps := mqtt.NewDefaultServerCapabilities()
	caps.MaximumSessionExpiryInterval = uint32(b.limits.SessionExpiry.Seconds())
	caps.MaximumPacketSize = uint32(b.limits.PacketSize)
	caps.ReceiveMaximum = b.limits.ReceiveMaximum
	caps.TopicAliasMaximum = topicAliases
	caps.MaximumClientWritesPending = 1 // mochi queues nothing: it is never asked to publish
	b.server = mqtt.New(&mqtt.Options{
		Capabilities:            caps,
		ClientNetReadBufferSize: 16,                            // conn has the real buffer; 16 is bufio's least
		Logger:                  slog.New(slog.DiscardHandler), // mochi logs whole packets, passwords included
	})
	return b.server.AddHook(&hook{b: b}, nil)
}

// Open restores the stored sessions, opens the listeners and starts serving.
// ctx limits the opening only.
func (b *Broker) Open(ctx context.Context) error {
	if err := b.sessions.restore(ctx); err != nil {
		return fmt.Errorf("restore MQTT sessions: %w", err)
	}
	if err := b.listen(ctx); err != nil {
		b.closeListeners()
		return err
	}
	b.sessions.saves.start(b.ctx, storeWorkers)
	b.outbox.start(b.ctx)
	b.keeper.Go(b.keepHouse)
	for _, l := range b.listeners {
		b.serving.Go(l.serve)
	}
	return nil
}

// TCPAddr returns the address of the plain listener, nil if it is off.
func (b *Broker) TCPAddr() net.Addr { return b.addr(kindTCP) }

// TLSAddr returns the address of the TLS listener, nil if it is off.
func (b *Broker) TLSAddr() net.Addr { return b.addr(kindTLS) }

// WSAddr returns the address of the WebSocket listener, nil if it is off.
func (b *Broker) WSAddr() net.Addr { return b.addr(kindWS) }

func (b *Broker) addr(kind string) net.Addr {
	for _, l := range b.listeners {
		if l.kind == kind {
			return l.ln.Addr()
		}
	}
	return nil
}

// Connections returns how many authenticated connections there are.
func (b *Broker) Connections() int { return b.registry.established() }

// Disconnect ends the connections of a device that were opened with a
// credential, or all of them when credential is zero. A login that was being
// checked while Disconnect is called ends as well.
func (b *Broker) Disconnect(device fleet.DeviceID, credential fleet.CredentialID) {
	for _, c := range b.registry.revoke(device, credential) {
		c.end(codeNotAuthorized, "revoked")
	}
}

// EndSession ends the connections that were opened with a token of a person's
// session, on every listener. A login that was being checked while EndSession is
// called ends as well. A zero session has none.
func (b *Broker) EndSession(session fleet.UserSessionID) {
	if session.IsZero() {
		return
	}
	for _, c := range b.registry.revokeSession(session) {
		c.end(codeNotAuthorized, "session_ended")
	}
}

// Wake tells the broker that the outbox of a device has something new.
func (b *Broker) Wake(device fleet.DeviceID) {
	for _, c := range b.registry.ofDevice(device) {
		b.outbox.deliver(c)
	}
}

package broker

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"armora/fleet"
)

func TestMain(m *testing.M) {
	if args := os.Getenv("ARMORA_BROKER_HELPER"); args != "" { // a benchmark's clients
		if err := helper(strings.Fields(args)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is how long a test waits for what must happen. No test measures it.
const patience = 20 * time.Second

// hub is a broker with everything around it in memory.
type hub struct {
	*Broker
	t        *testing.T
	auth     *memoryAuth
	sessions *memorySessions
	outbox   *memoryOutbox
	points   *recorder
	clock    *fleet.ManualClock
	registry *prometheus.Registry

	closeFails bool // closing is expected to run out of time
}

// newHub opens a broker on TCP and closes it when the test ends.
func newHub(t *testing.T, change ...func(*Config)) *hub {
	t.Helper()
	clock := fleet.NewManualClock(time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC))
	h := &hub{
		t: t, clock: clock,
		auth:     &memoryAuth{known: make(map[string]fleet.Identity)},
		sessions: &memorySessions{kept: make(map[string]fleet.Session)},
		outbox:   &memoryOutbox{clock: clock, changed: make(chan struct{}, 1024)},
		points:   &recorder{got: make(chan Message, 1<<16)},
	}
	h.reopen(change...)
	return h
}

// reopen makes a new broker around the same stores, as a restart of the hub
// does.
func (h *hub) reopen(change ...func(*Config)) {
	h.t.Helper()
	h.registry = prometheus.NewRegistry()
	cfg := Config{
		TCPAddr: "127.0.0.1:0", Limits: DefaultLimits(),
		Auth: h.auth, Sessions: h.sessions, Outbox: h.outbox,
		Routes: []Route{
			{"v1/devices/{device}/points", h.points},
			{"v1/devices/{device}/status", h.points},
			{"v1/devices/{device}/events", h.points},
		},
		Clock: h.clock, Metrics: h.registry,
	}
	for _, f := range change {
		f(&cfg)
	}
	b, err := New(cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	if err := b.Open(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	h.Broker = b
	h.t.Cleanup(func() { h.shut(b) })
}

func (h *hub) shut(b *Broker) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Close(ctx); err != nil && !h.closeFails {
		h.t.Errorf("close: %v", err)
	}
}

// device makes a device that may log in with its id as both name and password.
func (h *hub) device() fleet.DeviceID {
	id := fleet.NewID[fleet.Device]()
	h.auth.set(id.String(), fleet.Identity{Device: id, Credential: fleet.NewID[fleet.Credential]()})
	return id
}

// metric returns the value of a counter or gauge, summed over labels that
// match.
func (h *hub) metric(name string, labels ...string) float64 {
	h.t.Helper()
	families, err := h.registry.Gather()
	if err != nil {
		h.t.Fatal(err)
	}
	var sum float64
	for _, f := range families {
		if f.GetName() != "armora_broker_"+name {
			continue
		}
		for _, m := range f.GetMetric() {
			match := true
			for _, want := range labels {
				match = match && slices.ContainsFunc(m.GetLabel(), func(l *dto.LabelPair) bool { return l.GetValue() == want })
			}
			if match {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

// eventually waits until ok, which has no signal to wait for.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// memoryAuth knows identities by user name; the password is the user name.
type memoryAuth struct {
	mu    sync.Mutex
	known map[string]fleet.Identity
	err   error                              // what every login gets
	hold  func(context.Context, fleet.Login) // called before the answer
}

func (a *memoryAuth) set(name string, id fleet.Identity) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known[name] = id
}

func (a *memoryAuth) Authenticate(ctx context.Context, login fleet.Login) (fleet.Identity, error) {
	a.mu.Lock()
	id, ok := a.known[login.Username]
	err, hold := a.err, a.hold
	a.mu.Unlock()
	if hold != nil {
		hold(ctx, login)
	}
	if err != nil {
		return fleet.Identity{}, err
	}
	if !ok || login.Password != login.Username {
		return fleet.Identity{}, &fleet.Error{Code: fleet.CodeUnauthenticated, Message: "who?"}
	}
	return id, nil
}

// memorySessions is a store that can be away.
type memorySessions struct {
	mu     sync.Mutex
	kept   map[string]fleet.Session
	writes int
	away   bool
}

var errAway = &fleet.Error{Code: fleet.CodeUnavailable, Message: "the store is away"}

func (s *memorySessions) setAway(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

func (s *memorySessions) Load(context.Context) ([]fleet.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []fleet.Session
	for _, f := range s.kept {
		all = append(all, f)
	}
	return all, nil
}

func (s *memorySessions) Save(_ context.Context, f fleet.Session) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errAway
	}
	s.writes++
	s.kept[f.ClientID] = f
	return nil
}

func (s *memorySessions) Delete(_ context.Context, clientID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return errAway
	}
	s.writes++
	delete(s.kept, clientID)
	return nil
}

func (s *memorySessions) get(clientID string) (fleet.Session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f, ok := s.kept[clientID]
	return f, ok
}

func (s *memorySessions) written() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}

// memoryOutbox is an outbox that can be away.
type memoryOutbox struct {
	clock   fleet.Clock
	changed chan struct{} // gets a value for each acknowledgement

	mu       sync.Mutex
	commands []fleet.Command
	away     bool
}

func (o *memoryOutbox) add(device fleet.DeviceID, n int, expires time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for range n {
		o.commands = append(o.commands, fleet.Command{
			Device: device, Seq: int64(len(o.commands) + 1), Kind: "test", Created: o.clock.Now(), Expires: expires,
		})
	}
}

func (o *memoryOutbox) Pending(_ context.Context, device fleet.DeviceID, after int64, limit int) ([]fleet.Command, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.away {
		return nil, errAway
	}
	var pending []fleet.Command
	for _, c := range o.commands {
		if c.Device == device && c.Seq > after && c.Acked.IsZero() && c.Expires.After(o.clock.Now()) && len(pending) < limit {
			pending = append(pending, c)
		}
	}
	return pending, nil
}

func (o *memoryOutbox) Acknowledge(_ context.Context, device fleet.DeviceID, seq int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.away {
		return errAway
	}
	i := slices.IndexFunc(o.commands, func(c fleet.Command) bool { return c.Device == device && c.Seq == seq })
	if i < 0 {
		return &fleet.Error{Code: fleet.CodeNotFound, Message: "no such command"}
	}
	o.commands[i].Acked = o.clock.Now()
	o.changed <- struct{}{}
	return nil
}

// recorder keeps what it receives. It resolves nothing by itself unless told.
type recorder struct {
	got     chan Message
	resolve bool
}

func (r *recorder) Receive(m Message) {
	r.got <- m
	if r.resolve {
		m.Ack.Resolve(nil)
		m.Ack.Flush()
	}
}

// next returns the next message.
func (r *recorder) next(t *testing.T) Message {
	t.Helper()
	select {
	case m := <-r.got:
		return m
	case <-time.After(patience):
		t.Fatal("no message was received")
		panic("unreachable")
	}
}

// client is a bare MQTT client: it sends and reads single packets.
type client struct {
	t       *testing.T
	conn    net.Conn
	in      *bufio.Reader
	version byte
}

// login is what a client says when it connects.
type login struct {
	id, name  string // client id, user name and password
	version   byte   // 0: 3.1.1
	clean     bool
	expiry    uint32 // MQTT 5
	keepAlive uint16
	window    uint16 // receive maximum, MQTT 5
	largest   uint32 // maximum packet size, MQTT 5
	will      *packets.ConnectParams
}

func (h *hub) dial() *client {
	h.t.Helper()
	return dialTo(h.t, h.TCPAddr().String())
}

func dialTo(t *testing.T, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return newClient(t, conn)
}

func newClient(t *testing.T, conn net.Conn) *client {
	t.Cleanup(func() { _ = conn.Close() })
	return &client{t: t, conn: conn, in: bufio.NewReader(conn), version: 4}
}

// connect dials, logs in and expects to be let in.
func (h *hub) connect(l login) (c *client, sessionPresent bool) {
	h.t.Helper()
	c = h.dial()
	ack := c.login(l)
	if ack.ReasonCode != 0 {
		h.t.Fatalf("CONNACK %#x", ack.ReasonCode)
	}
	return c, ack.SessionPresent
}

// phone connects a new device with a clean 3.1.1 session.
func (h *hub) phone() (*client, fleet.DeviceID) {
	h.t.Helper()
	id := h.device()
	c, _ := h.connect(login{id: id.String(), name: id.String(), clean: true})
	return c, id
}

// phone5 connects a new device with a clean MQTT 5 session.
func (h *hub) phone5() (*client, fleet.DeviceID) {
	h.t.Helper()
	id := h.device()
	c, _ := h.connect(login{id: id.String(), name: id.String(), clean: true, version: 5})
	return c, id
}

func (c *client) login(l login) packets.Packet {
	c.t.Helper()
	c.sendConnect(l)
	return c.expect(packets.Connack)
}

func (c *client) sendConnect(l login) {
	c.t.Helper()
	c.version = cmp.Or(l.version, 4)
	pk := packets.Packet{ProtocolVersion: c.version, FixedHeader: packets.FixedHeader{Type: packets.Connect}}
	if l.will != nil {
		pk.Connect = *l.will
		pk.Connect.WillFlag = true
	}
	pk.Connect.ProtocolName = []byte("MQTT")
	pk.Connect.ClientIdentifier, pk.Connect.Clean, pk.Connect.Keepalive = l.id, l.clean, l.keepAlive
	pk.Connect.UsernameFlag, pk.Connect.PasswordFlag = true, true
	pk.Connect.Username, pk.Connect.Password = []byte(l.name), []byte(l.name)
	if l.expiry > 0 {
		pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = l.expiry, true
	}
	pk.Properties.ReceiveMaximum, pk.Properties.MaximumPacketSize = l.window, l.largest
	c.send(pk)
}

// send encodes and writes one packet.
func (c *client) send(pk packets.Packet) {
	c.t.Helper()
	c.write(encode(c.t, c.version, pk))
}

func encode(t *testing.T, version byte, pk packets.Packet) []byte {
	t.Helper()
	pk.ProtocolVersion = version
	var buf bytes.Buffer
	var err error
	switch pk.FixedHeader.Type {
	case packets.Connect:
		err = pk.ConnectEncode(&buf)
	case packets.Publish:
		err = pk.PublishEncode(&buf)
	case packets.Puback:
		err = pk.PubackEncode(&buf)
	case packets.Pubrel:
		pk.FixedHeader.Qos = 1
		err = pk.PubrelEncode(&buf)
	case packets.Subscribe:
		pk.FixedHeader.Qos = 1
		err = pk.SubscribeEncode(&buf)
	case packets.Unsubscribe:
		pk.FixedHeader.Qos = 1
		err = pk.UnsubscribeEncode(&buf)
	case packets.Pingreq:
		err = pk.PingreqEncode(&buf)
	case packets.Disconnect:
		err = pk.DisconnectEncode(&buf)
	default:
		t.Fatalf("packet type %d is not encoded", pk.FixedHeader.Type)
	}
	if err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func (c *client) write(p []byte) {
	c.t.Helper()
	if _, err := c.conn.Write(p); err != nil {
		c.t.Fatal(err)
	}
}

// publish sends a PUBLISH.
func (c *client) publish(topic string, qos byte, id uint16, payload string) {
	c.t.Helper()
	c.send(publishOf(topic, qos, id, payload))
}

func publishOf(topic string, qos byte, id uint16, payload string) packets.Packet {
	return packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos},
		TopicName:   topic, PacketID: id, Payload: []byte(payload),
	}
}

// subscribe asks for filters at QoS 1 and returns the reason codes.
func (c *client) subscribe(filters ...string) []byte {
	c.t.Helper()
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 1}
	for _, f := range filters {
		pk.Filters = append(pk.Filters, packets.Subscription{Filter: f, Qos: 1})
	}
	c.send(pk)
	return c.expect(packets.Suback).ReasonCodes
}

// ping asks and waits for the answer: everything sent before has been handled.
func (c *client) ping() {
	c.t.Helper()
	c.write([]byte{packets.Pingreq << 4, 0})
	c.expect(packets.Pingresp)
}

// expect reads the next packet, which has to be of this type.
func (c *client) expect(kind byte) packets.Packet {
	c.t.Helper()
	pk, err := c.read()
	if err != nil {
		c.t.Fatalf("waiting for %s: %v", packets.PacketNames[kind], err)
	}
	if pk.FixedHeader.Type != kind {
		c.t.Fatalf("got %s (reason %#x), not %s", packets.PacketNames[pk.FixedHeader.Type], pk.ReasonCode, packets.PacketNames[kind])
	}
	return pk
}

// expectAcks reads PUBACKs of these packet ids, in this order.
func (c *client) expectAcks(ids ...uint16) {
	c.t.Helper()
	for _, id := range ids {
		if pk := c.expect(packets.Puback); pk.PacketID != id {
			c.t.Fatalf("PUBACK of %d, not of %d", pk.PacketID, id)
		}
	}
}

// expectEnd reads until the connection ends and returns the reason code of the
// DISCONNECT before it, 0 if there was none.
func (c *client) expectEnd() (reason byte) {
	c.t.Helper()
	for {
		pk, err := c.read()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			c.t.Fatal("the connection was not ended")
		}
		if err != nil {
			return reason
		}
		if pk.FixedHeader.Type == packets.Disconnect {
			reason = pk.ReasonCode
		}
	}
}

// read reads the next packet within patience.
func (c *client) read() (packets.Packet, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return packets.Packet{}, err
	}
	return c.readPacket()
}

func (c *client) readPacket() (pk packets.Packet, err error) {
	first, err := c.in.ReadByte()
	if err != nil {
		return pk, err
	}
	if err := pk.FixedHeader.Decode(first); err != nil {
		return pk, err
	}
	if pk.FixedHeader.Remaining, _, err = packets.DecodeLength(c.in); err != nil {
		return pk, err
	}
	body := make([]byte, pk.FixedHeader.Remaining)
	if _, err := io.ReadFull(c.in, body); err != nil {
		return pk, err
	}
	pk.ProtocolVersion = c.version
	switch pk.FixedHeader.Type {
	case packets.Connack:
		err = pk.ConnackDecode(body)
	case packets.Publish:
		err = pk.PublishDecode(body)
	case packets.Puback:
		err = pk.PubackDecode(body)
	case packets.Pubrec:
		err = pk.PubrecDecode(body)
	case packets.Pubcomp:
		err = pk.PubcompDecode(body)
	case packets.Suback:
		err = pk.SubackDecode(body)
	case packets.Unsuback:
		err = pk.UnsubackDecode(body)
	case packets.Disconnect:
		err = pk.DisconnectDecode(body)
	}
	return pk, err
}

// dialTLS connects to the TLS listener.
func (h *hub) dialTLS(cfg *tls.Config) *client {
	h.t.Helper()
	conn, err := tls.Dial("tcp", h.TLSAddr().String(), cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	return newClient(h.t, conn)
}

func pointsTopic(id fleet.DeviceID) string { return "v1/devices/" + id.String() + "/points" }

package sim

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"

	"armora/sim/wire"
)

const (
	keepAlive = 30 // seconds

	// receiveMaximum is how many messages the hub may have on the way to a
	// device. paho makes room for all of them when it connects; at its default
	// of 65,535 that is half a megabyte for each device.
	receiveMaximum = 16

	// sessionExpiry is how long the hub keeps a device's session while it is
	// away, in seconds.
	sessionExpiry = 3600

	// packetTimeout is how long paho waits for the answer to a packet; an
	// outbox that the hub's Receive Maximum holds back is tried again after it.
	packetTimeout = 30 * time.Second

	// outboxLimit bounds what a device keeps while it is offline: nine hours
	// at 1 Hz.
	outboxLimit = 32_768

	appVersion = "sim"
)

// client is the speaking half of a device: an MQTT v5 client with a session
// that outlives its connections, whose messages wait in an outbox until they
// can be sent and are sent again until they are acknowledged.
type client struct {
	device  Device
	tally   *tally
	log     *Log // nil: not kept
	logger  *slog.Logger
	link    *link
	outbox  *outbox
	session *watchedSession
	battery atomic.Uint32 // bits of the float32 last measured
	app     *app          // what else the phone runs; nil: nothing. Set before open

	manager       *autopaho.ConnectionManager
	subscribing   sync.WaitGroup
	subscribed    atomic.Bool
	everConnected atomic.Bool
}

// newClient makes a client whose device reads the time from now.
func newClient(device Device, now func() int64, network *tls.Config, t *tally, log *Log, logger *slog.Logger) *client {
	c := &client{device: device, tally: t, log: log, logger: logger}
	c.link = newLink(network)
	c.outbox = newOutbox(device.Encoding, now, outboxLimit)
	c.session = newWatchedSession(c)
	c.battery.Store(math.Float32bits(float32(math.NaN())))
	return c
}

// open begins to connect and to send, until ctx ends.
func (c *client) open(ctx context.Context, brokers []*url.URL) error {
	cfg := autopaho.ClientConfig{
		ServerUrls:            brokers,
		KeepAlive:             keepAlive,
		SessionExpiryInterval: sessionExpiry,
		ReconnectBackoff:      backoff,
		// Waiting for the network is part of connecting here, and has no end;
		// dialling and the CONNACK have limits of their own.
		ConnectTimeout:  365 * 24 * time.Hour,
		Queue:           c.outbox,
		ConnectUsername: c.device.ID,
		ConnectPassword: []byte(c.device.Secret),
		WillMessage:     &paho.WillMessage{Topic: c.topic("status"), Payload: c.status(false), QoS: 1, Retain: true},
		AttemptConnection: func(ctx context.Context, _ autopaho.ClientConfig, broker *url.URL) (net.Conn, error) {
			return c.link.connect(ctx, broker)
		},
		ConnectPacketBuilder: func(connect *paho.Connect, _ *url.URL) (*paho.Connect, error) {
			connect.Properties.ReceiveMaximum = paho.Uint16(receiveMaximum)
			return connect, nil
		},
		OnConnectionUp: func(m *autopaho.ConnectionManager, ack *paho.Connack) { c.up(ctx, m, ack) },
		OnConnectionDown: func() bool {
			c.tally.online.Add(-1)
			return true
		},
		OnConnectError: c.connectError,
		ClientConfig: paho.ClientConfig{
			ClientID:      c.device.ID,
			Session:       c.session,
			PacketTimeout: packetTimeout,
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
				if c.app != nil && p.Packet.Topic == c.app.topic() {
					c.app.received(p.Packet.Payload)
					return true, nil
				}
				return c.received(p)
			}},
		},
	}
	manager, err := autopaho.NewConnection(ctx, cfg)
	c.manager = manager
	return err
}

// wait returns when everything that open started has ended.
func (c *client) wait() {
	<-c.manager.Done()
	c.subscribing.Wait()
}

// backoff spreads reconnections out, so that a hub that comes back is not met
// by every device at once.
func backoff(attempt int) time.Duration {
	longest := min(50*time.Millisecond<<min(attempt, 6), 2*time.Second)
	return longest/2 + rand.N(longest/2)
}

func (c *client) up(ctx context.Context, m *autopaho.ConnectionManager, ack *paho.Connack) {
	c.tally.online.Add(1)
	if c.everConnected.Swap(true) {
		c.tally.reconnects.Add(1)
	}
	c.publish(&message{topic: c.topic("status"), payload: c.status(true), retain: true})
	if ack.SessionPresent && c.subscribed.Load() {
		return
	}
	topics := []paho.SubscribeOptions{{Topic: c.topic("commands"), QoS: 1}}
	if c.app != nil {
		topics = append(topics, paho.SubscribeOptions{Topic: c.app.topic(), QoS: 1})
	}
	c.subscribing.Go(func() {
		_, err := m.Subscribe(ctx, &paho.Subscribe{Subscriptions: topics})
		c.subscribed.Store(err == nil)
		if err != nil && ctx.Err() == nil {
			c.logger.Warn("device could not subscribe to its commands", "device", c.device.ID, "error", err)
		}
	})
}

func (c *client) connectError(err error) {
	c.tally.connectErrors.Add(1)
	c.logger.Debug("device could not connect", "device", c.device.ID, "error", err)
}

// received answers a command.
func (c *client) received(p paho.PublishReceived) (bool, error) {
	var command struct {
		Seq int64 `json:"seq"`
	}
	if err := json.Unmarshal(p.Packet.Payload, &command); err != nil {
		c.logger.Warn("device got a command that is not JSON", "device", c.device.ID, "topic", p.Packet.Topic, "error", err)
		return false, nil
	}
	c.tally.commands.Add(1)
	ack := c.topic("commands/" + strconv.FormatInt(command.Seq, 10) + "/ack")
	c.publish(&message{topic: ack, payload: []byte("{}")})
	return true, nil
}

// publishPoints hands points to the library as one message. They are the
// client's from then on.
func (c *client) publishPoints(points ...wire.Point) {
	m := &message{topic: c.topic("points"), points: points}
	c.battery.Store(math.Float32bits(points[len(points)-1].Battery))
	// Logged first: once pushed, the message may be acknowledged at any time.
	c.log.add(Handed, c.device.ID, points)
	if !c.publish(m) {
		c.log.add(Refused, c.device.ID, points)
		c.tally.refused.Add(uint64(len(points)))
		return
	}
	c.tally.handed.Add(uint64(len(points)))
}

func (c *client) publish(m *message) bool {
	c.tally.pending.add(1)
	if !c.outbox.push(m) {
		c.tally.pending.add(-1)
		return false
	}
	return true
}

func (c *client) topic(name string) string { return "v1/devices/" + c.device.ID + "/" + name }

func (c *client) status(online bool) []byte {
	status := struct {
		Online  bool     `json:"online"`
		Battery *float32 `json:"battery,omitempty"`
		App     string   `json:"app_version"`
	}{Online: online, App: appVersion}
	if battery := math.Float32frombits(c.battery.Load()); battery == battery {
		status.Battery = &battery
	}
	payload, err := json.Marshal(status)
	if err != nil {
		panic(err) // a struct of a bool, a finite number and a string
	}
	return payload
}

// sent is called when a message is about to go to the wire for the first time.
func (c *client) sent(m *message) { c.tally.published.Add(uint64(len(m.points))) }

// answered is called when the hub has answered a message; a code of 0x80 and
// above is a refusal.
func (c *client) answered(m *message, code byte) {
	defer c.tally.pending.add(-1)
	now := time.Now()
	c.tally.latency.Record(now, now.Sub(m.sent))
	if code >= 0x80 {
		c.tally.rejected.Add(uint64(len(m.points)))
		c.log.add(Rejected, c.device.ID, m.points)
		c.logger.Warn("the hub refused a message", "device", c.device.ID, "topic", m.topic, "code", code)
		return
	}
	c.tally.acknowledged.Add(uint64(len(m.points)))
	c.log.add(Acknowledged, c.device.ID, m.points)
}

// forgotten is called when the hub has lost the session: paho throws away what
// had not been acknowledged.
func (c *client) forgotten(unanswered []*message) {
	for _, m := range unanswered {
		c.tally.lost.Add(uint64(len(m.points)))
		c.log.add(Lost, c.device.ID, m.points)
		c.tally.pending.add(-1)
	}
}

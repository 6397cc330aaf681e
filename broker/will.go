package broker

import (
	"sync"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"

	"armora/fleet"
)

// will is a message that the hub sends for a device whose connection was lost.
// It goes the way of every PUBLISH: to the receiver of its route.
type will struct {
	from     *fleet.Identity
	to       destination
	payload  []byte
	qos      byte
	retain   bool
	delay    time.Duration
	deadline time.Time // when it is sent; set once the connection is lost
}

// wills keeps the wills that wait for their delay. They do not outlive the hub:
// after a restart every device has to connect again anyway.
type wills struct {
	b *Broker

	mu      sync.Mutex
	waiting map[string]*will // by session; at most one each
}

func newWills(b *Broker) *wills { return &wills{b: b, waiting: make(map[string]*will)} }

// take takes the will of a connecting client away from mochi, which would
// publish it without asking whether the device may. A will on a topic that is
// not the device's is dropped, counted and logged; the device is let in, since
// an odd will must not keep its points away.
func (w *wills) take(c *conn) {
	asked := c.client.Properties.Will
	c.client.Properties.Will = mqtt.Will{}
	if asked.Flag == 0 {
		return
	}
	to := w.b.acl.destination(c.identity, asked.TopicName)
	if to.receiver == nil {
		w.b.metrics.wills.WithLabelValues("refused").Inc()
		w.b.log.Warn("MQTT will refused", "device", c.identity.Device, "topic", asked.TopicName)
		return
	}
	c.will = &will{
		from: c.identity, to: to,
		payload: asked.Payload, qos: asked.Qos, retain: asked.Retain,
		delay: min(time.Duration(asked.WillDelayInterval)*time.Second, w.b.expiryOf(c.client)),
	}
}

// lost sends the will of a connection that was lost, or starts its delay. The
// session's lock is held.
func (w *wills) lost(c *conn) {
	if c.will == nil {
		return
	}
	if c.will.delay == 0 {
		w.send(c.will)
	} else {
		w.mu.Lock()
		c.will.deadline = w.b.clock.Now().Add(c.will.delay)
		w.waiting[c.session.key] = c.will
		w.mu.Unlock()
	}
	c.will = nil
}

// takenOver deals with the will of a connection that another one of the same
// session replaces. It is sent before anything that the new connection
// publishes, and not at all if its delay says that coming back is soon enough.
// The session's lock is held.
func (w *wills) takenOver(c *conn, clean bool) {
	if c.will != nil && (clean || c.will.delay == 0) {
		w.send(c.will)
	}
	c.will = nil
}

// returned calls off the will that waits for a session, unless the client has
// started that session afresh.
func (w *wills) returned(key string, clean bool) {
	w.mu.Lock()
	waiting := w.waiting[key]
	delete(w.waiting, key)
	w.mu.Unlock()
	if waiting != nil && clean {
		w.send(waiting)
	}
}

// sweep sends the wills whose delay is over.
func (w *wills) sweep() {
	now := w.b.clock.Now()
	var due []*will
	w.mu.Lock()
	for key, waiting := range w.waiting {
		if !now.Before(waiting.deadline) {
			due = append(due, waiting)
			delete(w.waiting, key)
		}
	}
	w.mu.Unlock()
	for _, d := range due {
		w.send(d)
	}
}

// send hands a will to its receiver. When the hub is stopping its devices are
// not lost, and nobody takes messages any more.
func (w *wills) send(d *will) {
	if w.b.isStopping() {
		return
	}
	w.b.metrics.wills.WithLabelValues("sent").Inc()
	d.to.receiver.Receive(Message{
		From: d.from, Topic: d.to.topic, Payload: d.payload, QoS: d.qos, Retain: d.retain,
		Received: fleet.MillisOf(w.b.clock.Now()), Ack: new(Ack),
	})
}

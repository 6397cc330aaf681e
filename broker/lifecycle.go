package broker

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
)

const (
	houseTick = time.Second      // how late a delayed will may be
	sweepTick = 30 * time.Second // how late expiry of sessions and tokens may be
)

// keepHouse does what comes with time: wills, expiry of sessions and tokens.
func (b *Broker) keepHouse() {
	swept := b.clock.Now()
	for {
		fired, stop := b.clock.NewTimer(houseTick)
		select {
		case <-fired:
		case <-b.ctx.Done():
			stop()
			return
		}
		b.wills.sweep()
		if now := b.clock.Now(); now.Sub(swept) >= sweepTick {
			swept = now
			b.sessions.sweep()
			b.admission.forget()
			// Looked at a sweep and a tick early, so that no connection outlives its
			// grace: the next sweep may be that much later.
			for _, c := range b.registry.expired(now.Add(sweepTick + houseTick - b.limits.TokenGrace)) {
				c.end(packets.ErrNotAuthorized, "token_expired")
			}
		}
	}
}

// StopReading stops accepting connections and reading from those there are. It
// returns when no receiver will be called any more: what they have received
// can be committed, resolved and flushed, then Close says goodbye. The
// connections stay open meanwhile.
func (b *Broker) StopReading(ctx context.Context) error {
	b.stopOnce.Do(func() {
		b.stopReading()
		b.closeListeners()
		for _, c := range b.registry.all() {
			// Wakes the reader, which then parks. An error means that it is gone.
			_ = c.raw.SetReadDeadline(time.Unix(1, 0))
		}
	})
	for _, c := range b.registry.all() {
		if !c.isEstablished() {
			continue // and if it becomes so now, it parks before its first message
		}
		select {
		case <-c.parked:
		case <-c.closing:
		case <-ctx.Done():
			return fmt.Errorf("stop reading MQTT: %w", ctx.Err())
		}
	}
	return nil
}

// Close stops reading, tells MQTT 5 clients that the server is shutting down
// (0x8B), and closes every connection. It returns when all goroutines of the
// broker have ended. When ctx ends first, sockets are closed without a
// goodbye. Close is idempotent.
func (b *Broker) Close(ctx context.Context) error {
	b.closeOnce.Do(func() { b.closeErr = b.close(ctx) })
	return b.closeErr
}

func (b *Broker) close(ctx context.Context) error {
	err := b.StopReading(ctx)
	b.outbox.acknowledgments.drain(ctx)
	for _, c := range b.registry.all() {
		c.end(packets.ErrServerShuttingDown, "shutdown")
	}
	done := make(chan struct{})
	go func() {
		b.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		err = fmt.Errorf("close MQTT connections: %w", ctx.Err())
		for _, c := range b.registry.all() {
			c.closeHard()
		}
		<-done
	}
	if left := b.sessions.saves.drain(ctx); left > 0 {
		b.log.Error("MQTT sessions not stored at shutdown", "sessions", left)
	}
	b.cancel()
	b.keeper.Wait()
	b.sessions.saves.workers.Wait()
	b.outbox.deliveries.workers.Wait()
	b.outbox.acknowledgments.workers.Wait()
	return err
}

// isStopping reports whether reading has stopped.
func (b *Broker) isStopping() bool { return b.reading.Err() != nil }

// Publish sends payload to everybody who is connected and subscribed to topic,
// at QoS 0: what has to arrive goes through the outbox. It does not block.
func (b *Broker) Publish(topic string, payload []byte) error {
	for key := range b.server.Topics.Subscribers(topic).Subscriptions {
		c := b.sessions.connected(key)
		if c == nil || !c.isEstablished() {
			continue
		}
		pk := packets.Packet{
			FixedHeader:     packets.FixedHeader{Type: packets.Publish},
			ProtocolVersion: c.version, TopicName: topic, Payload: payload,
		}
		var buf bytes.Buffer
		if err := pk.PublishEncode(&buf); err != nil {
			return fmt.Errorf("publish on %s: %w", topic, err)
		}
		c.send(buf.Bytes())
	}
	return nil
}

// admittedConn gives its place back when it is closed.
type admittedConn struct {
	net.Conn
	l    *admittedListener
	peer netip.Addr
	once sync.Once
}

// Close implements net.Conn.
func (a *admittedConn) Close() error {
	err := a.Conn.Close()
	a.once.Do(func() {
		a.l.b.admission.leave(a.peer)
		a.l.b.metrics.connections.WithLabelValues(a.l.kind).Dec()
		a.l.b.serving.Done()
	})
	return err
}

// CloseWrite ends the outgoing half, so that the peer reads all before the
// socket goes.
func (a *admittedConn) CloseWrite() error {
	if half, ok := a.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

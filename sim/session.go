package sim

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho/session"
	"github.com/eclipse/paho.golang/paho/session/state"
)

// watchedSession is paho's own session state, with an eye on which message
// each packet id stands for: the library tells nobody when a queued message is
// acknowledged.
type watchedSession struct {
	session.SessionManager
	client *client

	mu       sync.Mutex
	inFlight map[uint16]*message
}

func newWatchedSession(c *client) *watchedSession {
	return &watchedSession{SessionManager: state.NewInMemory(), client: c, inFlight: make(map[uint16]*message)}
}

// AddToSession implements session.SessionManager. autopaho publishes one
// message of the outbox at a time, so a PUBLISH is the outbox's oldest.
func (s *watchedSession) AddToSession(ctx context.Context, packet session.Packet, answer chan<- packets.ControlPacket) error {
	publish, ok := packet.(*packets.Publish)
	if !ok {
		return s.SessionManager.AddToSession(ctx, packet, answer)
	}
	m := s.client.outbox.head()
	if err := s.SessionManager.AddToSession(ctx, packet, answer); err != nil {
		return err
	}
	m.sent = time.Now()
	s.mu.Lock()
	s.inFlight[publish.PacketID] = m
	s.mu.Unlock()
	s.client.sent(m)
	return nil
}

// PacketReceived implements session.SessionManager.
func (s *watchedSession) PacketReceived(packet *packets.ControlPacket, received chan<- *packets.Publish) error {
	ack, ok := packet.Content.(*packets.Puback)
	if !ok {
		return s.SessionManager.PacketReceived(packet, received)
	}
	// Before paho hears of it, because it may then give the id out again.
	s.mu.Lock()
	m := s.inFlight[ack.PacketID]
	delete(s.inFlight, ack.PacketID)
	s.mu.Unlock()
	err := s.SessionManager.PacketReceived(packet, received)
	if m != nil {
		s.client.answered(m, ack.ReasonCode)
	}
	return err
}

// ConAckReceived implements session.SessionManager.
func (s *watchedSession) ConAckReceived(w io.Writer, c *packets.Connect, ack *packets.Connack) error {
	if !ack.SessionPresent {
		s.mu.Lock()
		lost := make([]*message, 0, len(s.inFlight))
		for _, m := range s.inFlight {
			lost = append(lost, m)
		}
		clear(s.inFlight)
		s.mu.Unlock()
		s.client.forgotten(lost)
	}
	return s.SessionManager.ConAckReceived(w, c, ack)
}

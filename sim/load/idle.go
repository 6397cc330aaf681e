package load

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// Idle is a set of connections that are logged in and say nothing but
// keep-alive pings, to measure what a connection costs a broker that waits.
// They share one goroutine.
type Idle struct {
	target  Target
	conns   []*conn
	stop    context.CancelFunc
	pinging sync.WaitGroup
	close   sync.Once
}

// OpenIdle opens the connections and holds them until Close.
func OpenIdle(ctx context.Context, target Target) (*Idle, error) {
	if err := target.check(); err != nil {
		return nil, err
	}
	conns, err := target.open(ctx)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	idle := &Idle{target: target, conns: conns, stop: stop}
	idle.pinging.Go(func() { idle.keepAlive(ctx) })
	return idle, nil
}

// keepAlive pings each connection once in half the keep-alive time. Nobody
// reads the answers: at two bytes each they fit into the socket's buffer for
// days.
func (i *Idle) keepAlive(ctx context.Context) {
	pause := time.Duration(i.target.KeepAlive) * time.Second / 2 / time.Duration(len(i.conns))
	ticker := time.NewTicker(max(pause, time.Millisecond))
	defer ticker.Stop()
	for n := 0; ; n = (n + 1) % len(i.conns) {
		select {
		case <-ticker.C:
			_, _ = i.conns[n].Write(pingRequest) // Close counts those that failed
		case <-ctx.Done():
			return
		}
	}
}

// Close asks every connection for a last sign of life, closes it, and returns
// how many were still alive. Later calls return 0.
func (i *Idle) Close() (alive int) {
	i.close.Do(func() {
		i.stop()
		i.pinging.Wait()
		for _, c := range i.conns {
			if i.answers(c) == nil {
				alive++
			}
			_ = c.leave() // what is closing has nothing more to tell
		}
	})
	return alive
}

// answers asks for something, reads everything that the broker has sent, and
// returns nil when that ends with the answer.
func (i *Idle) answers(c *conn) error {
	if err := c.SetDeadline(time.Now().Add(i.target.Timeout)); err != nil {
		return err
	}
	// Another ping's answer could not be told from those of the earlier ones.
	request := packets.Unsubscribe{PacketID: 1, Topics: []string{"load/idle"}, Properties: &packets.Properties{}}
	if _, err := request.WriteTo(c.TCPConn); err != nil {
		return err
	}
	for {
		kind, length, err := readHeader(c.reader)
		if err != nil {
			return err
		}
		if _, err := c.reader.Discard(length); err != nil {
			return err
		}
		switch kind {
		case packets.UNSUBACK:
			return nil
		case packets.PINGRESP:
		default:
			return fmt.Errorf("unexpected packet type %d", kind)
		}
	}
}

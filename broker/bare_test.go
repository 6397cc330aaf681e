package broker

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// bare is mochi as it comes, with hooks that a first-time user would write. The
// tests of the traps show with it that each trap is there.
type bare struct {
	*mqtt.Server
	t    *testing.T
	addr string
}

// newBare makes a bare mochi. With serve it also accepts on TCP; its own
// listeners race with its Close, so the socket is ours.
func newBare(t *testing.T, serve bool, hooks ...mqtt.Hook) *bare {
	t.Helper()
	s := mqtt.New(&mqtt.Options{Logger: slog.New(slog.DiscardHandler), InlineClient: true})
	for _, h := range hooks {
		if err := s.AddHook(h, nil); err != nil {
			t.Fatal(err)
		}
	}
	b := &bare{Server: s, t: t}
	if !serve {
		return b
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b.addr = ln.Addr().String()
	if err := s.Serve(); err != nil { // its event loop
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { _ = s.EstablishConnection("bare", conn) })
		}
	})
	t.Cleanup(func() { // before it, the clients of the test have hung up
		_ = ln.Close()
		for _, cl := range s.Clients.GetAll() {
			cl.Stop(nil)
		}
		serving.Wait()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// handOver gives mochi a connection and returns the other end. ended receives
// what mochi returned, or the value it panicked with.
func (b *bare) handOver(wrap func(net.Conn) net.Conn) (c *client, ended <-chan any) {
	ours, theirs := net.Pipe()
	if wrap != nil {
		theirs = wrap(theirs)
	}
	end := make(chan any, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				end <- p
			}
		}()
		end <- b.EstablishConnection("bare", theirs)
	}()
	return newClient(b.t, ours), end
}

func (b *bare) connect(l login) (*client, bool) {
	b.t.Helper()
	c := dialTo(b.t, b.addr)
	ack := c.login(l)
	if ack.ReasonCode != 0 {
		b.t.Fatalf("CONNACK %#x", ack.ReasonCode)
	}
	return c, ack.SessionPresent
}

// bareHook lets everybody do everything, except where a field says otherwise.
type bareHook struct {
	mqtt.HookBase
	name    string
	refuse  bool                    // every login
	publish error                   // what OnPublish returns
	allow   func(topic string) bool // publishing; nil: everything
	will    func(topic string)      // called when a will was sent
	mu      sync.Mutex
	checked []string // topics that publishing was checked for
}

func (h *bareHook) ID() string { return "bare" + h.name }

func (h *bareHook) Provides(b byte) bool {
	switch b {
	case mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnPublish, mqtt.OnWillSent:
		return true
	}
	return false
}

func (h *bareHook) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return !h.refuse }

func (h *bareHook) OnACLCheck(_ *mqtt.Client, topic string, write bool) bool {
	if !write {
		return true
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.checked = append(h.checked, topic)
	return h.allow == nil || h.allow(topic)
}

func (h *bareHook) OnPublish(_ *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	return pk, h.publish
}

func (h *bareHook) OnWillSent(_ *mqtt.Client, pk packets.Packet) {
	if h.will != nil {
		h.will(pk.TopicName)
	}
}

func (h *bareHook) topics() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]string(nil), h.checked...)
}

var errStore = errors.New("not stored")

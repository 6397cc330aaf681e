package sim

import (
	"crypto/tls"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var quiet = slog.New(slog.DiscardHandler)

// broker is a bare mochi that keeps what it receives. It takes any client
// whose password is "secret".
type broker struct {
	mqtt.HookBase
	*mqtt.Server
	address string

	mu       sync.Mutex
	received []packets.Packet
	repeats  int           // publishes to …/points that were marked as sent before
	points   int           // publishes to …/points that were not
	enough   int           // how many points reached closes
	reached  chan struct{} // closed when there are enough
	topics   chan string   // of what is not points; nothing is written when full
}

// newBroker starts a broker that closes reached after so many points.
func newBroker(t *testing.T, enough int) *broker {
	t.Helper()
	return newTLSBroker(t, enough, nil)
}

// newTLSBroker is newBroker behind TLS, unless config is nil.
func newTLSBroker(t *testing.T, enough int, config *tls.Config) *broker {
	t.Helper()
	b := &broker{
		Server:  mqtt.New(&mqtt.Options{InlineClient: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))}),
		enough:  enough,
		reached: make(chan struct{}),
		topics:  make(chan string, 1000),
	}
	if err := b.AddHook(b, nil); err != nil {
		t.Fatal(err)
	}
	listener := listeners.NewTCP(listeners.Config{ID: "tcp", Address: "127.0.0.1:0", TLSConfig: config})
	if err := b.AddListener(listener); err != nil {
		t.Fatal(err)
	}
	if err := b.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	b.address = listener.Address()
	return b
}

func (b *broker) ID() string { return "recorder" }

func (b *broker) Init(any) error { return nil }

func (b *broker) Stop() error { return nil }

func (b *broker) Provides(kind byte) bool {
	return kind == mqtt.OnPublish || kind == mqtt.OnConnectAuthenticate || kind == mqtt.OnACLCheck || kind == mqtt.OnSubscribed
}

func (b *broker) OnConnectAuthenticate(_ *mqtt.Client, p packets.Packet) bool {
	return string(p.Connect.Username) == p.Connect.ClientIdentifier && string(p.Connect.Password) == "secret"
}

func (b *broker) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

func (b *broker) OnSubscribed(_ *mqtt.Client, p packets.Packet, _ []byte) {
	b.tell(p.Filters[0].Filter)
}

func (b *broker) OnPublish(_ *mqtt.Client, p packets.Packet) (packets.Packet, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	kept := p.Copy(false)
	kept.FixedHeader.Dup, kept.FixedHeader.Retain = p.FixedHeader.Dup, p.FixedHeader.Retain
	b.received = append(b.received, kept)
	switch {
	case !strings.HasSuffix(p.TopicName, "/points"):
		b.tell(p.TopicName)
	case p.FixedHeader.Dup:
		b.repeats++
	default:
		if b.points++; b.points == b.enough {
			close(b.reached)
		}
	}
	return p, nil
}

func (b *broker) tell(topic string) {
	select {
	case b.topics <- topic:
	default:
	}
}

// await takes topics until it finds one.
func (b *broker) await(topic string) {
	for got := range b.topics {
		if got == topic {
			return
		}
	}
}

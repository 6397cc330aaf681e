package load_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	armorav1 "armora/deploy/proto/armora/v1"
	"armora/sim/load"
	"armora/sim/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// recorder lets users in and keeps what a bare broker received.
type recorder struct {
	mqtt.HookBase
	users    map[string]string // passwords by name; nil: anybody
	mu       sync.Mutex
	messages map[string][][]byte // by topic
}

func (r *recorder) Provides(b byte) bool {
	return b == mqtt.OnPublished || b == mqtt.OnConnectAuthenticate || b == mqtt.OnACLCheck
}

func (r *recorder) OnConnectAuthenticate(_ *mqtt.Client, p packets.Packet) bool {
	password, known := r.users[string(p.Connect.Username)]
	return r.users == nil || known && password == string(p.Connect.Password)
}

func (r *recorder) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

func (r *recorder) OnPublished(_ *mqtt.Client, p packets.Packet) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.messages[p.TopicName] = append(r.messages[p.TopicName], append([]byte(nil), p.Payload...))
}

// broker starts a bare mochi.
func broker(t *testing.T, users map[string]string) (string, *mqtt.Server, *recorder) {
	t.Helper()
	server := mqtt.New(&mqtt.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	r := &recorder{users: users, messages: map[string][][]byte{}}
	if err := server.AddHook(r, nil); err != nil {
		t.Fatal(err)
	}
	listener := listeners.NewTCP(listeners.Config{ID: "tcp", Address: "127.0.0.1:0"})
	if err := server.AddListener(listener); err != nil {
		t.Fatal(err)
	}
	if err := server.Serve(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return listener.Address(), server, r
}

func TestEveryPointIsSentOnceAndAcknowledged(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		qos       byte
		perPacket int
		encoding  wire.Encoding
	}{
		{"qos1", 1, 1, wire.JSON},
		{"qos1 batches of protobuf", 1, 10, wire.Protobuf},
		{"qos0", 0, 1, wire.JSON},
		{"qos0 batches", 0, 10, wire.JSON},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			address, _, received := broker(t, nil)
			const points = 20_000
			result, err := load.Run(t.Context(), load.Config{
				Target: load.Target{Broker: address, Connections: 7},
				QoS:    test.qos, PerPacket: test.perPacket, Encoding: test.encoding,
				Points: points, Topic: "bench/{clientid}/points",
			})
			if err != nil {
				t.Fatal(err)
			}
			if result.Sent != points || result.Acknowledged != points || result.Rejected+result.Unanswered != 0 || result.Errors != 0 {
				t.Errorf("result: %+v", result)
			}
			if result.QoS == 1 && (result.P50 <= 0 || result.P99 < result.P50 || result.Max < result.P99) {
				t.Errorf("latencies are not in order: %+v", result)
			}
			if n := distinctPoints(t, received, test.encoding); n != points {
				t.Errorf("the broker received %d different points, want %d", n, points)
			}
		})
	}
}

// distinctPoints decodes what was received and counts what is different in
// device, time or position.
func distinctPoints(t *testing.T, received *recorder, encoding wire.Encoding) int {
	t.Helper()
	type key struct {
		topic    string
		fix      int64
		lat, lon string
	}
	received.mu.Lock()
	defer received.mu.Unlock()
	seen := make(map[key]bool)
	for topic, messages := range received.messages {
		if !strings.HasPrefix(topic, "bench/load-") {
			t.Errorf("topic %q", topic)
		}
		for _, payload := range messages {
			if encoding == wire.Protobuf {
				var batch armorav1.PointBatch
				if err := proto.Unmarshal(payload, &batch); err != nil {
					t.Fatal(err)
				}
				for _, p := range batch.GetPoints() {
					seen[key{topic, p.GetFixMs(), fmt.Sprint(p.GetLatE7()), fmt.Sprint(p.GetLonE7())}] = true
				}
				continue
			}
			var points []struct {
				T        int64
				Lat, Lon json.Number
			}
			if payload[0] == '{' {
				payload = append(append([]byte("["), payload...), ']')
			}
			if err := json.Unmarshal(payload, &points); err != nil {
				t.Fatal(err)
			}
			for _, p := range points {
				seen[key{topic, p.T, p.Lat.String(), p.Lon.String()}] = true
			}
		}
	}
	return len(seen)
}

func TestCredentialsAreUsedOneToAConnection(t *testing.T) {
	t.Parallel()
	address, _, received := broker(t, map[string]string{"anna": "a", "bert": "b"})
	config := load.Config{
		Target: load.Target{
			Broker: address, Connections: 2,
			Credentials: []load.Credential{{Username: "anna", Password: "a"}, {Username: "bert", Password: "b"}},
		},
		QoS: 1, Points: 10_000,
	}
	if _, err := load.Run(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	received.mu.Lock()
	for _, topic := range []string{"v1/devices/anna/points", "v1/devices/bert/points"} {
		if len(received.messages[topic]) == 0 {
			t.Errorf("nothing was published to %s", topic)
		}
	}
	received.mu.Unlock()

	config.Credentials[1].Password = "wrong"
	if _, err := load.Run(t.Context(), config); err == nil || !strings.Contains(err.Error(), "refused with code 0x8") {
		t.Errorf("a wrong password: %v", err)
	}
	config.Connections = 3
	if _, err := load.Run(t.Context(), config); err == nil || !strings.Contains(err.Error(), "2 credentials for 3 connections") {
		t.Errorf("too few credentials: %v", err)
	}
}

func TestConfigsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	target := load.Target{Broker: "127.0.0.1:1", Connections: 1}
	for name, config := range map[string]load.Config{
		"only 0 and 1":                  {Target: target, QoS: 2, Points: 1},
		"neither points nor a duration": {Target: target},
		"no connections":                {Target: load.Target{Broker: "x"}, Points: 1},
		"more than the 65535":           {Target: target, Points: 1, Window: 70_000},
		"connection 1 of 1":             {Target: target, Points: 1},
	} {
		if _, err := load.Run(t.Context(), config); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestConnectionThatFailsIsCounted uses a broker that acknowledges the login
// and five messages, and then hangs up.
func TestConnectionThatFailsIsCounted(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		connack := []byte{0x20, 3, 0, 0, 0}
		acks := []byte{0x40, 2, 0, 1, 0x40, 4, 0, 2, 0x10, 0, 0x40, 3, 0, 3, 0x97, 0x40, 2, 0, 4, 0x40, 2, 0, 5}
		buffer := make([]byte, 4096)
		for _, answer := range [][]byte{connack, acks} {
			if _, err := conn.Read(buffer); err != nil {
				t.Error(err)
			}
			if _, err := conn.Write(answer); err != nil {
				t.Error(err)
			}
		}
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
			t.Error(err)
		}
		_, _ = io.Copy(io.Discard, conn)
		_ = conn.Close()
	})
	result, err := load.Run(t.Context(), load.Config{
		Target: load.Target{Broker: listener.Addr().String(), Connections: 1}, QoS: 1, Window: 8, Points: 1000,
	})
	if err != nil {
		t.Fatal(err)
	}
	if result.Errors != 1 || result.FirstError == "" || result.Acknowledged != 4 || result.Rejected != 1 {
		t.Errorf("result: %+v", result)
	}
	if result.Unanswered != result.Sent-5 || result.Unanswered == 0 {
		t.Errorf("%d sent, 5 answered, %d unanswered", result.Sent, result.Unanswered)
	}
	_ = listener.Close()
	serving.Wait()
}

func TestDurationEndsARun(t *testing.T) {
	t.Parallel()
	for qos := range byte(2) {
		address, _, _ := broker(t, nil)
		result, err := load.Run(t.Context(), load.Config{
			Target: load.Target{Broker: address, Connections: 3}, QoS: qos, Duration: 50 * time.Millisecond,
		})
		if err != nil || result.Errors != 0 || result.Acknowledged == 0 || result.Acknowledged != result.Sent {
			t.Errorf("QoS %d: %+v, %v", qos, result, err)
		}
	}
}

func TestIdleConnectionsAreHeld(t *testing.T) {
	t.Parallel()
	address, server, _ := broker(t, nil)
	idle, err := load.OpenIdle(t.Context(), load.Target{Broker: address, Connections: 50})
	if err != nil {
		t.Fatal(err)
	}
	if n := server.Clients.Len(); n < 50 {
		t.Errorf("the broker has %d connections", n)
	}
	dropped, ok := server.Clients.Get("load-7")
	if !ok {
		t.Fatal("connection 7 is unknown to the broker")
	}
	dropped.Stop(io.EOF)
	if alive := idle.Close(); alive != 49 {
		t.Errorf("%d alive, want 49", alive)
	}
	if alive := idle.Close(); alive != 0 {
		t.Errorf("closed twice: %d alive", alive)
	}
}

func TestRateHoldsTheRunBack(t *testing.T) {
	t.Parallel()
	for _, qos := range []byte{0, 1} {
		addr, _, _ := broker(t, nil)
		started := 0
		result, err := load.Run(t.Context(), load.Config{
			Target: load.Target{Broker: addr, Connections: 4},
			QoS:    qos, PerPacket: 10, Window: 5, Points: 2000, Rate: 4000, Started: func() { started++ },
		})
		if err != nil {
			t.Fatal(err)
		}
		if started != 1 {
			t.Errorf("QoS %d: Started was called %d times", qos, started)
		}
		if result.Acknowledged != 2000 || result.Errors != 0 {
			t.Errorf("QoS %d: %+v", qos, result)
		}
		// The last place begins a window before the end, and no place comes early.
		if result.Rate > 4200 {
			t.Errorf("QoS %d: %.0f points/s, and 4,000 were asked for", qos, result.Rate)
		}
	}
}

package watch

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/gorilla/websocket"
)

// conn is an MQTT 5 connection without a session.
type conn struct {
	net.Conn
	in *bufio.Reader
}

func connect(ctx context.Context, broker, username, password, clientID string) (*conn, error) {
	raw, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", broker)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, in: bufio.NewReaderSize(raw, 2048)}
	login := packets.Connect{ProtocolName: "MQTT", ProtocolVersion: 5, CleanStart: true, KeepAlive: 600, ClientID: clientID, Properties: &packets.Properties{}}
	if username != "" {
		login.UsernameFlag, login.Username, login.PasswordFlag, login.Password = true, username, true, []byte(password)
	}
	ack, err := exchange[*packets.Connack](c, &login)
	if err == nil && ack.ReasonCode != packets.ConnackSuccess {
		err = fmt.Errorf("CONNACK 0x%02x", ack.ReasonCode)
	}
	if err != nil {
		return nil, errors.Join(err, raw.Close())
	}
	return c, nil
}

// exchange writes a packet and reads its answer.
func exchange[A any](c *conn, p io.WriterTo) (answer A, err error) {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return answer, err
	}
	if _, err := p.WriteTo(c.Conn); err != nil {
		return answer, err
	}
	packet, err := packets.ReadPacket(c.in)
	if err != nil {
		return answer, err
	}
	answer, ok := packet.Content.(A)
	if !ok {
		return answer, fmt.Errorf("got %s", packet.PacketType())
	}
	return answer, c.SetDeadline(time.Time{})
}

func (c *conn) publish(topic string, id uint16, payload []byte) error {
	p := packets.Publish{Topic: topic, PacketID: id, QoS: 1, Payload: payload, Properties: &packets.Properties{}}
	_, err := p.WriteTo(c.Conn)
	return err
}

// discard reads the acknowledgements.
func (c *conn) discard() { _, _ = io.Copy(io.Discard, c.in) } // ends with the connection

func (c *conn) leave() {
	_, _ = c.Write([]byte{packets.DISCONNECT << 4, 0}) // an error means that it is over already
	_ = c.Close()
}

// subscribe has a watcher told on its topic. next returns the fix time that the next
// message names, in milliseconds.
func subscribe(ctx context.Context, broker string, w Watcher) (next func() (int64, error), done func(), err error) {
	c, err := connect(ctx, broker, "", "", "")
	if err != nil {
		return nil, nil, fmt.Errorf("subscribe: %w", err)
	}
	ack, err := exchange[*packets.Suback](c, &packets.Subscribe{
		PacketID: 1, Subscriptions: []packets.SubOptions{{Topic: w.Topic}}, Properties: &packets.Properties{},
	})
	if err == nil && ack.Reasons[0] > 2 {
		err = fmt.Errorf("SUBACK 0x%02x", ack.Reasons[0])
	}
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("subscribe: %w", err), c.Close())
	}
	return func() (int64, error) {
		for {
			packet, err := packets.ReadPacket(c.in)
			if err != nil {
				return 0, err
			}
			if p, ok := packet.Content.(*packets.Publish); ok {
				var point struct {
					T int64 `json:"t"`
				}
				return point.T, json.Unmarshal(p.Payload, &point)
			}
		}
	}, func() { _ = c.Close() }, nil
}

// dial has a watcher told over its WebSocket.
func dial(ctx context.Context, _ string, w Watcher) (next func() (int64, error), done func(), err error) {
	dialer := websocket.Dialer{HandshakeTimeout: patience, ReadBufferSize: 1024, WriteBufferSize: 256}
	c, response, err := dialer.DialContext(ctx, strings.Replace(w.URL, "http", "ws", 1), http.Header{"Authorization": {"Bearer " + w.Token}}) //nolint:bodyclose // gorilla has no body to close: NetConn is the connection
	if err != nil {
		if response != nil {
			err = fmt.Errorf("%w: %s", err, response.Status)
		}
		return nil, nil, fmt.Errorf("watch: %w", err)
	}
	return func() (int64, error) {
		for {
			_, text, err := c.ReadMessage()
			if err != nil {
				return 0, err
			}
			var told struct {
				Type string    `json:"type"`
				Time time.Time `json:"time"`
			}
			if err := json.Unmarshal(text, &told); err != nil {
				return 0, err
			}
			if told.Type == "position" {
				return told.Time.UnixMilli(), nil
			}
		}
	}, func() { _ = c.Close() }, nil
}

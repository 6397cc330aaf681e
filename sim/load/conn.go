package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// conn is one MQTT connection that has been accepted by the broker.
type conn struct {
	*net.TCPConn
	reader             *bufio.Reader
	clientID, username string
	receiveMaximum     int // how many QoS 1 publishes the broker takes unanswered
}

// dialers is how many connections are opened at the same time: enough to hide
// the round trips, too few to overflow a listen queue.
const dialers = 32

// open makes every connection, or none and says why.
func (t *Target) open(ctx context.Context) ([]*conn, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		conns   = make([]*conn, t.Connections)
		numbers = make(chan int)
		dialing sync.WaitGroup
	)
	for range min(dialers, t.Connections) {
		dialing.Go(func() {
			for n := range numbers {
				c, err := t.connect(ctx, n)
				if err != nil {
					cancel(fmt.Errorf("load: connection %d of %d: %w", n+1, t.Connections, err))
					continue
				}
				conns[n] = c
			}
		})
	}
	for n := range conns {
		if ctx.Err() != nil {
			break
		}
		numbers <- n
	}
	close(numbers)
	dialing.Wait()
	if err := context.Cause(ctx); err != nil {
		return nil, errors.Join(err, closeAll(conns))
	}
	return conns, nil
}

func closeAll(conns []*conn) error {
	var errs []error
	for _, c := range conns {
		if c != nil {
			errs = append(errs, c.Close())
		}
	}
	return errors.Join(errs...)
}

// connect dials and logs in with a clean start.
func (t *Target) connect(ctx context.Context, n int) (*conn, error) {
	dialer := net.Dialer{Timeout: t.Timeout}
	raw, err := dialer.DialContext(ctx, "tcp", t.Broker)
	if err != nil {
		return nil, err
	}
	tcp := raw.(*net.TCPConn)
	c := &conn{TCPConn: tcp, reader: bufio.NewReaderSize(tcp, 1024)}
	login := packets.Connect{
		ProtocolName: "MQTT", ProtocolVersion: 5, CleanStart: true, KeepAlive: t.KeepAlive,
		Properties: &packets.Properties{},
	}
	if c.clientID = fmt.Sprintf("%s%d", t.ClientID, n); len(t.Credentials) > 0 {
		c.username = t.Credentials[n].Username
		c.clientID = c.username
		login.UsernameFlag, login.Username = true, c.username
		login.PasswordFlag, login.Password = true, []byte(t.Credentials[n].Password)
	}
	login.ClientID = c.clientID
	if err := c.login(&login, t.Timeout); err != nil {
		return nil, errors.Join(err, tcp.Close())
	}
	return c, nil
}

func (c *conn) login(login *packets.Connect, timeout time.Duration) error {
	if err := c.SetDeadline(time.Now().Add(timeout)); err != nil {
		return err
	}
	if _, err := login.WriteTo(c.TCPConn); err != nil {
		return err
	}
	answer, err := packets.ReadPacket(c.reader)
	if err != nil {
		return fmt.Errorf("waiting for CONNACK: %w", err)
	}
	ack, ok := answer.Content.(*packets.Connack)
	if !ok {
		return fmt.Errorf("got %s in place of CONNACK", answer.PacketType())
	}
	if ack.ReasonCode != packets.ConnackSuccess {
		return fmt.Errorf("refused with code 0x%02x", ack.ReasonCode)
	}
	c.receiveMaximum = MaxWindow
	if m := ack.Properties.ReceiveMaximum; m != nil {
		c.receiveMaximum = int(*m)
	}
	return c.SetDeadline(time.Time{})
}

var (
	pingRequest = []byte{packets.PINGREQ << 4, 0}
	disconnect  = []byte{packets.DISCONNECT << 4, 0}
)

// leave says goodbye and closes.
func (c *conn) leave() error {
	_, err := c.Write(disconnect)
	return errors.Join(err, c.Close())
}

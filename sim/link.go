package sim

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

const dialTimeout = 10 * time.Second

// link is a device's network. It can be cut, which ends the connection without
// a word, as a dead spot does, and restored; while it is cut, connecting waits.
type link struct {
	tls *tls.Config // nil: the system's defaults

	mu   sync.Mutex
	up   chan struct{} // closed while there is network
	conn net.Conn      // the last one made, possibly closed since; nil before
}

func newLink(config *tls.Config) *link {
	l := &link{tls: config, up: make(chan struct{})}
	close(l.up)
	return l
}

// cut takes the network away.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.up:
		l.up = make(chan struct{})
	default:
		return // cut already
	}
	if l.conn != nil {
		_ = l.conn.Close() // of what is gone, nothing is left to report
	}
}

// restore gives the network back.
func (l *link) restore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.up:
	default:
		close(l.up)
	}
}

// connect waits for the network and dials.
func (l *link) connect(ctx context.Context, broker *url.URL) (net.Conn, error) {
	l.mu.Lock()
	up := l.up
	l.mu.Unlock()
	select {
	case <-up:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	conn, err := l.dial(ctx, broker)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.up:
		l.conn = conn
		return conn, nil
	default:
		return nil, errors.Join(errors.New("sim: the network went while connecting"), conn.Close())
	}
}

func (l *link) dial(ctx context.Context, broker *url.URL) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	switch broker.Scheme {
	case "mqtt", "tcp":
		conn, err := dialer.DialContext(ctx, "tcp", broker.Host)
		if err != nil {
			return nil, err
		}
		tcp := conn.(*net.TCPConn)
		return &bufferedConn{TCPConn: tcp, reader: bufio.NewReaderSize(tcp, 512)}, nil
	case "mqtts", "tls":
		dialer := tls.Dialer{NetDialer: &dialer, Config: l.tls}
		conn, err := dialer.DialContext(ctx, "tcp", broker.Host)
		if err != nil {
			return nil, err
		}
		return packets.NewThreadSafeConn(conn), nil
	default:
		return nil, fmt.Errorf("sim: broker %s: scheme %q is not mqtt or mqtts", broker, broker.Scheme)
	}
}

// bufferedConn saves the two system calls of three that paho's reader spends
// on the header of each packet. Writes go to the TCP connection itself, which
// writes a packet's parts in one call.
type bufferedConn struct {
	*net.TCPConn
	reader *bufio.Reader
}

func (c *bufferedConn) Read(p []byte) (int, error) { return c.reader.Read(p) }

// brokerURLs reads addresses: host:port, mqtt://host:port or mqtts://host:port.
func brokerURLs(addresses []string) ([]*url.URL, error) {
	if len(addresses) == 0 {
		return nil, errors.New("sim: no broker address")
	}
	urls := make([]*url.URL, len(addresses))
	for i, address := range addresses {
		if !strings.Contains(address, "://") {
			address = "mqtt://" + address
		}
		u, err := url.Parse(address)
		if err != nil {
			return nil, fmt.Errorf("sim: broker address: %w", err)
		}
		if u.Scheme != "mqtt" && u.Scheme != "tcp" && u.Scheme != "mqtts" && u.Scheme != "tls" || u.Host == "" {
			return nil, fmt.Errorf("sim: broker address %q is not host:port, mqtt://host:port or mqtts://host:port", address)
		}
		urls[i] = u
	}
	return urls, nil
}

package broker

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// Limits bound what clients can make the hub spend. DefaultLimits is safe on
// the open internet.
type Limits struct {
	Connections        int            // at once, over all listeners
	AddressConnections int            // at once from one address (IPv6: from one /64)
	AddressRate        float64        // accepts a second from one address
	AddressBurst       int            // accepts at once from an address that was quiet
	Trusted            []netip.Prefix // peers without limits per address: this machine, a proxy

	ConnectTimeout time.Duration // from accept to the end of CONNECT, TLS handshake included
	ConnectSize    int           // bytes of a CONNECT: all that is read before authentication
	PacketSize     int           // bytes of any later packet
	WriteTimeout   time.Duration // for one write to the socket
	WriteBuffer    int           // bytes waiting for a client that does not read; more ends it
	KeepAliveMin   time.Duration // a shorter keep-alive is taken as this
	KeepAliveMax   time.Duration // none or a longer one is taken as this

	DeviceRate     float64 // packets a second of one device over all its connections; more are read later
	DeviceBurst    int     // packets at once of a device that was quiet
	DeviceSessions int     // MQTT sessions of one device
	SessionExpiry  time.Duration

	ReceiveMaximum   uint16 // unacknowledged QoS 1 and 2 messages of an MQTT 5 connection
	InflightMessages int    // the same for MQTT 3, which has no flow control
	InflightBytes    int64  // what is kept of the unresolved messages of one connection, overhead included
	TotalBytes       int64  // the same of all connections

	AuthConcurrency int           // logins checked at a time
	AuthTimeout     time.Duration // for one login, its waiting included
	TokenGrace      time.Duration // a connection may outlive the expiry of its login by this
	StoreTimeout    time.Duration // for one call to Sessions or Outbox, and for waiting for one
	OutboxWindow    int           // commands sent to a device and not yet acknowledged by its client
}

// DefaultLimits returns the limits in force when Config has none.
func DefaultLimits() Limits {
	return Limits{
		Connections:        50_000,
		AddressConnections: 1_000, // a mobile carrier puts many phones behind one address
		AddressRate:        20,
		AddressBurst:       200,
		Trusted:            []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")},

		ConnectTimeout: 10 * time.Second,
		ConnectSize:    16 << 10,
		PacketSize:     256 << 10,
		WriteTimeout:   10 * time.Second,
		WriteBuffer:    256 << 10,
		KeepAliveMin:   5 * time.Second,
		KeepAliveMax:   20 * time.Minute,

		DeviceRate:     2_000,
		DeviceBurst:    10_000,
		DeviceSessions: 8,
		SessionExpiry:  7 * 24 * time.Hour,

		ReceiveMaximum:   1_024,
		InflightMessages: 8_192,
		InflightBytes:    4 << 20,
		TotalBytes:       256 << 20,

		AuthConcurrency: 32,
		AuthTimeout:     5 * time.Second,
		TokenGrace:      time.Hour,
		StoreTimeout:    2 * time.Second,
		OutboxWindow:    8,
	}
}

// isZero reports whether the limits were left out. Trusted alone is not a
// limit.
func (l Limits) isZero() bool { return l.Connections == 0 && l.PacketSize == 0 }

// validate refuses limits that would stop all traffic or bound nothing.
func (l Limits) validate() error {
	positive := map[string]bool{
		"Connections": l.Connections > 0, "AddressConnections": l.AddressConnections > 0,
		"AddressRate": l.AddressRate > 0, "AddressBurst": l.AddressBurst > 0,
		"ConnectTimeout": l.ConnectTimeout > 0, "ConnectSize": l.ConnectSize > 0,
		"PacketSize": l.PacketSize > 0, "WriteTimeout": l.WriteTimeout > 0, "WriteBuffer": l.WriteBuffer > 0,
		"KeepAliveMin": l.KeepAliveMin >= time.Second, "DeviceRate": l.DeviceRate > 0,
		"DeviceBurst": l.DeviceBurst > 0, "DeviceSessions": l.DeviceSessions > 0,
		"SessionExpiry": l.SessionExpiry >= time.Second, "ReceiveMaximum": l.ReceiveMaximum > 0,
		"InflightMessages": l.InflightMessages > 0, "InflightBytes": l.InflightBytes > 0,
		"TotalBytes": l.TotalBytes > 0, "AuthConcurrency": l.AuthConcurrency > 0,
		"AuthTimeout": l.AuthTimeout > 0, "TokenGrace": l.TokenGrace >= 0,
		"StoreTimeout": l.StoreTimeout > 0, "OutboxWindow": l.OutboxWindow > 0,
	}
	for name, ok := range positive {
		if !ok {
			return fmt.Errorf("limit %s is not positive", name)
		}
	}
	if l.KeepAliveMax < l.KeepAliveMin || l.KeepAliveMax > 0xffff*time.Second {
		return errors.New("limit KeepAliveMax is not within KeepAliveMin..65535 s")
	}
	if l.SessionExpiry > 0xffff_fffe*time.Second {
		return errors.New("limit SessionExpiry is more than MQTT can say")
	}
	return nil
}

// bucket is a token bucket. The zero value is full.
type bucket struct {
	tokens float64
	at     time.Time
}

// take takes n tokens, going into debt if there are too few, and returns how long
// the debt takes to be paid at rate tokens a second.
func (b *bucket) take(now time.Time, n int, rate float64, burst int) time.Duration {
	b.fill(now, rate, burst)
	b.tokens -= float64(n)
	if b.tokens >= 0 {
		return 0
	}
	return time.Duration(-b.tokens / rate * float64(time.Second))
}

// takeIfAny takes one token if there is one.
func (b *bucket) takeIfAny(now time.Time, rate float64, burst int) bool {
	b.fill(now, rate, burst)
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

func (b *bucket) fill(now time.Time, rate float64, burst int) {
	if b.at.IsZero() {
		b.tokens, b.at = float64(burst), now
	}
	if passed := now.Sub(b.at); passed > 0 {
		b.tokens = min(float64(burst), b.tokens+passed.Seconds()*rate)
	}
	b.at = now // also if the clock was set back: or nothing would come until it is there again
}

// full reports whether the bucket is as good as a new one.
func (b *bucket) full(now time.Time, rate float64, burst int) bool {
	b.fill(now, rate, burst)
	return b.tokens >= float64(burst)
}

// Package loopback finds addresses of this machine for tests.
package loopback

import (
	"math/rand/v2"
	"net"
	"testing"
)

// Free returns a TCP address that nobody listens on, and that stays free while whoever
// has it is away. It is of a loopback address of its own (Linux has all of 127.0.0.0/8),
// from which the system opens no connection: a port that was let go of on 127.0.0.1 is
// soon that of somebody's connection, and cannot be listened on.
func Free(t testing.TB) string {
	t.Helper()
	own := net.IPv4(127, byte(1+rand.IntN(254)), byte(rand.IntN(256)), byte(1+rand.IntN(254))) //nolint:gosec // it need not be secret
	l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: own})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // it was never used
	return l.Addr().String()
}

package broker

import (
	"net"
	"net/netip"
	"sync"

	"armora/fleet"
)

// admission decides which accepted sockets are served: how many in all, how
// many from one address, how many a second from one address.
type admission struct {
	limits Limits
	clock  fleet.Clock

	mu        sync.Mutex
	open      int
	addresses map[netip.Addr]*address
}

type address struct {
	open    int
	accepts bucket
}

func newAdmission(limits Limits, clock fleet.Clock) *admission {
	return &admission{limits: limits, clock: clock, addresses: make(map[netip.Addr]*address)}
}

// enter admits a connection from peer, or says why not. An admitted one must
// leave.
func (a *admission) enter(peer netip.Addr) (refused string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.open >= a.limits.Connections {
		return "too_many_connections"
	}
	if !a.trusted(peer) {
		from := a.addresses[peer]
		if from == nil {
			from = new(address)
			a.addresses[peer] = from
		}
		if !from.accepts.takeIfAny(a.clock.Now(), a.limits.AddressRate, a.limits.AddressBurst) {
			return "address_rate"
		}
		if from.open >= a.limits.AddressConnections {
			return "address_connections"
		}
		from.open++
	}
	a.open++
	return ""
}

// leave gives back what enter took.
func (a *admission) leave(peer netip.Addr) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open--
	if from := a.addresses[peer]; from != nil {
		from.open--
	}
}

// forget drops the addresses about which there is nothing to remember, so that
// the table does not grow with every address that was ever seen.
func (a *admission) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := a.clock.Now()
	for peer, from := range a.addresses {
		if from.open == 0 && from.accepts.full(now, a.limits.AddressRate, a.limits.AddressBurst) {
			delete(a.addresses, peer)
		}
	}
}

func (a *admission) trusted(peer netip.Addr) bool {
	for _, prefix := range a.limits.Trusted {
		if prefix.Contains(peer) {
			return true
		}
	}
	return false
}

// peerOf returns the address that limits are counted for: for IPv6 its /64,
// which is what one customer gets.
func peerOf(addr net.Addr) netip.Addr {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	peer := tcp.AddrPort().Addr().Unmap()
	if peer.Is6() && !peer.IsLoopback() {
		if prefix, err := peer.WithZone("").Prefix(64); err == nil {
			return prefix.Addr()
		}
	}
	return peer
}

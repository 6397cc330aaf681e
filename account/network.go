package account

import "net/netip"

// Network is what of an address counts as one caller: whoever has an IPv6
// address has 2^64 of them.
func Network(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil || ip.Unmap().Is4() {
		return address
	}
	prefix, err := ip.Prefix(64)
	if err != nil {
		return address
	}
	return prefix.String()
}

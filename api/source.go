package api

import (
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// peer tells where a request comes from. X-Forwarded-For counts only as far as
// proxies of ours wrote it: it is read from the right, where the nearest proxy
// adds whom it was asked by, up to the first address that is no proxy of ours.
// What is left of that the client may have made up. (Fiber's own IP takes the
// leftmost.)
func (s *Server) peer(c *fiber.Ctx) string {
	addr, _ := netip.AddrFromSlice(c.Context().RemoteIP())
	nearest := addr.Unmap()
	var forwarded []string
	for _, header := range c.Request().Header.PeekAll(fiber.HeaderXForwardedFor) {
		forwarded = append(forwarded, strings.Split(string(header), ",")...)
	}
	for _, hop := range slices.Backward(forwarded) {
		if !s.isProxy(nearest) {
			break
		}
		before, ok := readHop(hop)
		if !ok {
			break
		}
		nearest = before
	}
	return nearest.String()
}

func (s *Server) isProxy(addr netip.Addr) bool {
	return slices.ContainsFunc(s.cfg.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// readHop reads an entry of X-Forwarded-For. Some proxies add the port.
func readHop(hop string) (netip.Addr, bool) {
	hop = strings.TrimSpace(hop)
	if host, _, err := net.SplitHostPort(hop); err == nil {
		hop = host
	}
	addr, err := netip.ParseAddr(strings.Trim(hop, "[]"))
	return addr.Unmap().WithZone(""), err == nil
}

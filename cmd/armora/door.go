package main

import (
	"context"
	"net"
	"net/netip"
	"strings"
)

// tokenIssuer is by whom the tokens of a hub without a public address say that they
// are: a name, which stays the same wherever the hub listens.
const tokenIssuer = "http://127.0.0.1:8080"

func (s *settings) issuer() string {
	if s.PublicURL != "" {
		return s.PublicURL
	}
	return tokenIssuer
}

// publicURL is the hub's address as others know it, as it is set, or else where it
// listens, addr: links lead there.
func (s *settings) publicURL(addr string) string {
	if s.PublicURL != "" {
		return strings.TrimSuffix(s.PublicURL, "/")
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return tokenIssuer // whoever listens there says why that cannot be
	}
	if ip, err := netip.ParseAddr(host); host == "" || err == nil && ip.IsUnspecified() {
		host = "127.0.0.1" // it listens everywhere
	}
	return "http://" + net.JoinHostPort(host, port)
}

// openDoor settles where the API is found, before anything names it. A port that the
// system chooses is listened on from here on.
func (h *hub) openDoor(ctx, _ context.Context) error {
	addr := h.settings.HTTPAddr
	if _, port, err := net.SplitHostPort(addr); err == nil && port == "0" && h.settings.PublicURL == "" {
		if h.door, err = new(net.ListenConfig).Listen(ctx, "tcp", addr); err != nil {
			return err
		}
		h.onClose("API's port", func(context.Context) error {
			_ = h.door.Close() // the API has closed it, if it was opened
			return nil
		})
		addr = h.door.Addr().String()
	}
	h.public = h.settings.publicURL(addr)
	return nil
}

package api

import (
	"context"
	"net/http"
	"net/netip"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

func TestOnlyTrustedProxiesSayWhereARequestComesFrom(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	loopback, inner := netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8")
	for name, c := range map[string]struct {
		proxies   []netip.Prefix
		forwarded []string
		want      string
	}{
		"nothing said":                  {[]netip.Prefix{loopback}, nil, "127.0.0.1"},
		"no proxy trusted":              {nil, []string{"203.0.113.9"}, "127.0.0.1"},
		"another proxy trusted":         {[]netip.Prefix{inner}, []string{"203.0.113.9"}, "127.0.0.1"},
		"one proxy":                     {[]netip.Prefix{loopback}, []string{"203.0.113.9"}, "203.0.113.9"},
		"the client made one up":        {[]netip.Prefix{loopback}, []string{"1.2.3.4, 203.0.113.9"}, "203.0.113.9"},
		"two proxies":                   {[]netip.Prefix{loopback, inner}, []string{"1.2.3.4, 203.0.113.9, 10.0.0.7"}, "203.0.113.9"},
		"two proxies, a header each":    {[]netip.Prefix{loopback, inner}, []string{"1.2.3.4, 203.0.113.9", "10.0.0.7"}, "203.0.113.9"},
		"from inside":                   {[]netip.Prefix{loopback, inner}, []string{"10.0.0.8, 10.0.0.7"}, "10.0.0.8"},
		"with a port":                   {[]netip.Prefix{loopback}, []string{"203.0.113.9:5000"}, "203.0.113.9"},
		"IPv6":                          {[]netip.Prefix{loopback}, []string{"2001:db8::9"}, "2001:db8::9"},
		"IPv6 with a port":              {[]netip.Prefix{loopback}, []string{"[2001:db8::9]:5000"}, "2001:db8::9"},
		"IPv4 in IPv6":                  {[]netip.Prefix{loopback}, []string{"::ffff:203.0.113.9"}, "203.0.113.9"},
		"garbage":                       {[]netip.Prefix{loopback}, []string{"203.0.113.9, unknown"}, "127.0.0.1"},
		"garbage behind a second proxy": {[]netip.Prefix{loopback, inner}, []string{"x, 10.0.0.7"}, "10.0.0.7"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := h.seenFrom(t, c.proxies, c.forwarded); got != c.want {
				t.Errorf("from %s, want %s", got, c.want)
			}
		})
	}
}

type sourceOutput struct{ Body string }

// seenFrom asks a server with these proxies where a request comes from.
func (h *hub) seenFrom(t *testing.T, proxies []netip.Prefix, forwarded []string) string {
	t.Helper()
	cfg := h.cfg
	cfg.TrustedProxies = proxies
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	route(s, anyone(), huma.Operation{OperationID: "source", Method: http.MethodGet, Path: "/source"},
		func(ctx context.Context, _ *struct{}) (*sourceOutput, error) {
			return &sourceOutput{Body: sourceOf(ctx).Address}, nil
		})
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	r := h.request(http.MethodGet, "/source", nil)
	r.URL.Host = s.Addr().String()
	for _, f := range forwarded {
		r.Header.Add("X-Forwarded-For", f)
	}
	return as[string](t, h.send(r))
}

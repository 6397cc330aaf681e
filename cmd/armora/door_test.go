package main

import "testing"

func TestLinksLeadToWhereTheHubIsFound(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ set, listens, want string }{
		{"https://hub.example/x/", "127.0.0.1:8080", "https://hub.example/x"},
		{"", "127.0.0.1:18080", "http://127.0.0.1:18080"},
		{"", "10.0.0.7:80", "http://10.0.0.7:80"},
		{"", "[::1]:8080", "http://[::1]:8080"},
		{"", "0.0.0.0:8081", "http://127.0.0.1:8081"},
		{"", "[::]:8081", "http://127.0.0.1:8081"},
		{"", ":8081", "http://127.0.0.1:8081"},
		{"", "hub.local:8081", "http://hub.local:8081"},
		{"", "nowhere", tokenIssuer},
	} {
		s := settings{PublicURL: c.set}
		if got := s.publicURL(c.listens); got != c.want {
			t.Errorf("set to %q and listening on %q: %s, want %s", c.set, c.listens, got, c.want)
		}
		if want := c.set; c.set == "" && s.issuer() != tokenIssuer || want != "" && s.issuer() != want {
			t.Errorf("set to %q its tokens are %s's", c.set, s.issuer())
		}
	}
}

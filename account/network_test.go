package account

import "testing"

func TestANetworkCountsAsOne(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"192.0.2.7": "192.0.2.7", "::ffff:192.0.2.7": "::ffff:192.0.2.7", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "": "",
	} {
		if got := Network(address); got != want {
			t.Errorf("Network(%q) is %q, want %q", address, got, want)
		}
	}
}

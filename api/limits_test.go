package api

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"armora/fleet"
)

func TestTooManyRequestsWaitAsLongAsTheyAreTold(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) { c.Limits = Limits{Usual: Limit{PerSecond: 0.25, Burst: 2}} })
	ada, bo := h.person(fleet.RoleAdmin), h.person(fleet.RoleAdmin)
	ada.must(http.StatusOK, "GET", "/api/drivers", nil)
	h.clock.Advance(time.Second) // a quarter of a token
	ada.must(http.StatusOK, "GET", "/api/drivers", nil)
	for range 3 { // asking does not make it later
		a := ada.do("GET", "/api/drivers", nil)
		problem(t, a, http.StatusTooManyRequests, fleet.CodeTooMany)
		if got := a.Header.Get("Retry-After"); got != "3" {
			t.Fatalf("Retry-After is %q, want 3", got)
		}
	}
	bo.must(http.StatusOK, "GET", "/api/drivers", nil)
	for range 5 {
		h.must(http.StatusOK, "GET", "/api/drivers", nil) // the bootstrap admin
	}
	h.clock.Advance(3*time.Second - time.Millisecond)
	problem(t, ada.do("GET", "/api/drivers", nil), http.StatusTooManyRequests, fleet.CodeTooMany)
	h.clock.Advance(time.Millisecond)
	ada.must(http.StatusOK, "GET", "/api/drivers", nil)
	problem(t, ada.do("GET", "/api/drivers", nil), http.StatusTooManyRequests, fleet.CodeTooMany)
}

// Whoever tries tokens runs into a limit, and those behind the same address who
// have good ones do not.
func TestGuessesAtTokensAreLimitedByAddress(t *testing.T) {
	t.Parallel()
	h := newHub(t, func(c *Config) { c.Limits = Limits{Usual: Limit{PerSecond: 1, Burst: 3}} })
	ada := h.person(fleet.RoleAdmin)
	for i := range 4 {
		r := h.anonymous(http.MethodGet, "/api/drivers")
		r.Header.Set("Authorization", "Bearer guess"+strconv.Itoa(i))
		r.Header.Set("X-Forwarded-For", "10.0.0."+strconv.Itoa(i)) // nobody's word
		want := http.StatusUnauthorized
		if i == 3 {
			want = http.StatusTooManyRequests
		}
		if a := h.send(r); a.StatusCode != want {
			t.Errorf("guess %d: %s, want %d", i, a.Status, want)
		}
	}
	ada.must(http.StatusOK, "GET", "/api/drivers", nil)
	if a := h.send(h.anonymous(http.MethodGet, "/healthz")); a.StatusCode != http.StatusOK {
		t.Errorf("a probe: %s", a.Status)
	}
}

func TestBucketsAreByClassAndBounded(t *testing.T) {
	t.Parallel()
	clock := fleet.NewManualClock(noon)
	one := Limit{PerSecond: 1, Burst: 1}
	b, err := newBuckets(Limits{Usual: one, Costly: one, Guessing: one}, clock)
	if err != nil {
		t.Fatal(err)
	}
	for _, class := range []rateClass{usual, costly, guessing} {
		if wait := b.take(class, "ada"); wait != 0 {
			t.Errorf("%q: the first waits %v", class, wait)
		}
		if wait := b.take(class, "ada"); wait != time.Second {
			t.Errorf("%q: the second waits %v, want 1s", class, wait)
		}
	}
	for i := range 2 * bucketsKept {
		b.take(usual, strconv.Itoa(i))
	}
	if n := b.classes[usual].kept.Len(); n != bucketsKept {
		t.Errorf("%d buckets are kept, want %d", n, bucketsKept)
	}
}

func TestLimitsAreMultiplied(t *testing.T) {
	t.Parallel()
	got := Limits{Usual: Limit{4, 10}, Costly: Limit{1, 1}}.Times(0.5)
	if got.Usual != (Limit{2, 5}) || got.Costly != (Limit{0.5, 1}) {
		t.Errorf("%+v", got)
	}
}

func TestIfMatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		tag     string
		matches bool
	}{{"", true}, {"*", true}, {`"7"`, true}, {` "7" `, true}, {`"8"`, false}, {"7", false}, {`W/"7"`, false}, {`"07"`, false}, {`"-7"`, false}, {`"x"`, false}} {
		err := IfMatch{IfMatch: c.tag}.check(7)
		if (err == nil) != c.matches || err != nil && fleet.CodeOf(err) != fleet.CodeVersionMismatch {
			t.Errorf("If-Match: %s of version 7: %v", c.tag, err)
		}
	}
	if etag(7) != `"7"` || statusOf(fleet.CodeVersionMismatch) != http.StatusPreconditionFailed {
		t.Error("a version is not told as HTTP has it")
	}
}

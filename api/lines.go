package api

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"armora/account"
	"armora/fleet"
)

// lines are the open lines of a server. It is safe for concurrent use.
type lines struct {
	limits LineLimits

	mu      sync.Mutex
	closed  bool
	open    map[*line]struct{}
	callers map[string]int // how many each caller has open
	network map[string]int
	serving sync.WaitGroup // a count for each that is open
}

// LineLimits are how many WebSockets and event streams may be open at once on this
// node: of one person, of one member of the staff, who watches more, from one
// address, and in all. Those from this machine are not counted by address.
type LineLimits struct {
	Person, Staff, Address, All int
}

// DefaultLineLimits are meant for the open internet.
func DefaultLineLimits() LineLimits {
	return LineLimits{Person: 32, Staff: 1_000, Address: 500, All: 20_000}
}

func (ls *lines) init(limits LineLimits) {
	ls.limits = limits
	ls.open, ls.callers, ls.network = make(map[*line]struct{}), make(map[string]int), make(map[string]int)
}

// room fails when another line may not be opened.
func (ls *lines) room(caller *account.Caller, network string) error {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.roomLocked(caller, network)
}

func (ls *lines) roomLocked(caller *account.Caller, network string) error {
	most := ls.limits.Person
	if caller.Has(fleet.Staff()...) {
		most = ls.limits.Staff
	}
	switch {
	case ls.closed:
		return &fleet.Error{Code: fleet.CodeUnavailable, Message: "the hub is stopping"}
	case len(ls.open) >= ls.limits.All:
		return &fleet.Error{Code: fleet.CodeUnavailable, Message: "too many are watching: try again later"}
	case ls.callers[caller.Name] >= most, !isLoopback(network) && ls.network[network] >= ls.limits.Address:
		return &fleet.Error{Code: fleet.CodeTooMany, Message: "too many connections are open at once: close one first", Retry: 10 * time.Second}
	}
	return nil
}

// join counts a line that is open. leave follows if it does not fail.
func (ls *lines) join(l *line) error {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	caller := l.Caller()
	if err := ls.roomLocked(caller, l.network); err != nil {
		return err
	}
	ls.open[l] = struct{}{}
	ls.callers[caller.Name]++
	ls.network[l.network]++
	ls.serving.Add(1)
	return nil
}

func (ls *lines) leave(l *line) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	delete(ls.open, l)
	discount(ls.callers, l.Caller().Name)
	discount(ls.network, l.network)
	ls.serving.Done()
}

func discount(counts map[string]int, of string) {
	if counts[of]--; counts[of] <= 0 {
		delete(counts, of)
	}
}

// end ends those lines of whose callers which says so.
func (ls *lines) end(how closing, which func(*account.Caller) bool) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	for l := range ls.open {
		if which(l.Caller()) {
			l.End(how)
		}
	}
}

// endSession ends what a session has opened.
func (ls *lines) endSession(id fleet.UserSessionID) {
	ls.end(closedSession, func(c *account.Caller) bool { return c.Session == id && !id.IsZero() })
}

// endAccount ends what a person has opened, of whom has changed what they may do.
// Who may still open it comes straight back.
func (ls *lines) endAccount(user fleet.UserID) {
	ls.end(closedSession, func(c *account.Caller) bool {
		return !user.IsZero() && (c.User == user || c.Share != nil && c.Share.User == user)
	})
}

// endShare ends what was opened by a link that was revoked.
func (ls *lines) endShare(id fleet.ShareID) {
	ls.end(closedShareOver, func(c *account.Caller) bool { return c.Share != nil && c.Share.ID == id })
}

// close ends every line, lets none be opened any more and waits until they are done,
// or ctx is. A line that is over takes no longer than its grace.
func (ls *lines) close(ctx context.Context) {
	ls.mu.Lock()
	ls.closed = true
	ls.mu.Unlock()
	ls.end(closedStopping, func(*account.Caller) bool { return true })
	done := make(chan struct{})
	go func() {
		defer close(done)
		ls.serving.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}

func isLoopback(address string) bool {
	ip, err := netip.ParseAddr(address)
	return err == nil && ip.IsLoopback()
}

package account

import (
	"context"
	"maps"
	"slices"
	"sync"

	"armora/bus"
	"armora/fleet"
)

// changedPeople are people of whom something has changed, their account or their
// trip, until somebody has looked what that means. Each is there once, however
// often it was.
type changedPeople struct {
	mu    sync.Mutex
	users map[fleet.UserID]bool
	wake  chan struct{} // holds a token when there are any
}

func newChangedPeople() changedPeople { return changedPeople{wake: make(chan struct{}, 1)} }

func (c *changedPeople) add(user fleet.UserID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.users == nil {
		c.users = make(map[fleet.UserID]bool)
	}
	c.users[user] = true
	select {
	case c.wake <- struct{}{}:
	default: // there is one
	}
}

func (c *changedPeople) take() []fleet.UserID {
	c.mu.Lock()
	defer c.mu.Unlock()
	users := slices.Collect(maps.Keys(c.users))
	clear(c.users)
	return users
}

// refreshAccounts publishes the standing of those of the people who are officers.
func (o *Officers) refreshAccounts(ctx context.Context, users []fleet.UserID) {
	for _, user := range users {
		own, err := o.drivers.Own(ctx, user)
		switch {
		case err == nil:
			o.refresh(ctx, own.ID)
		case fleet.CodeOf(err) != fleet.CodeNotFound:
			o.log.Warn("whether somebody whose account has changed is an officer could not be looked up, it is in a minute", "user", user, "error", err)
		}
	}
}

// followTrip looks anew when a principal's phone may be followed, if a change of
// their booking may have to do with it.
func (o *Officers) followTrip(c bus.BookingChange) {
	if c.Status == fleet.EnRoute || c.Status == fleet.Searching || c.Status.Ended() {
		o.followed.add(c.User)
	}
}

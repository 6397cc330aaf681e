package account

import (
	"context"
	"maps"
	"slices"
	"sync"

	"armora/fleet"
)

// changedAccounts are people whose accounts have changed, until somebody has
// looked what that means for them as officers. Each is there once, however often
// theirs has changed.
type changedAccounts struct {
	mu    sync.Mutex
	users map[fleet.UserID]bool
	wake  chan struct{} // holds a token when there are any
}

func (c *changedAccounts) add(user fleet.UserID) {
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

func (c *changedAccounts) take() []fleet.UserID {
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

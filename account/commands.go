package account

import (
	"context"
	"encoding/json"
	"regexp"
	"time"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
)

// Limits of a command.
const (
	MaxCommandBody = 16 << 10           // bytes of JSON
	MaxCommandLife = 7 * 24 * time.Hour // how long a command may wait for its device
)

// Commands puts messages to devices into the outbox and wakes whoever holds
// the device's connection.
type Commands struct {
	outbox schema.Outbox
	bus    *bus.Bus
	clock  fleet.Clock
}

// NewCommands returns the commands of a hub.
func NewCommands(db *schema.DB, b *bus.Bus, clock fleet.Clock) *Commands {
	return &Commands{outbox: schema.Outbox{DB: db, Clock: clock}, bus: b, clock: clock}
}

// commandKind is what a kind looks like: apps switch on it.
var commandKind = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// Send queues a command and returns it with its place in the device's order.
// It is on disk when Send returns, and is delivered once the device is
// connected, unless life has passed by then.
func (c *Commands) Send(ctx context.Context, device fleet.DeviceID, kind string, body json.RawMessage, life time.Duration) (fleet.Command, error) {
	switch {
	case !commandKind.MatchString(kind):
		return fleet.Command{}, invalid("kind %.80q is not a word of a-z, 0-9 and _", kind)
	case len(body) > MaxCommandBody:
		return fleet.Command{}, invalid("the body has %d bytes, more than %d", len(body), MaxCommandBody)
	case len(body) > 0 && !json.Valid(body):
		return fleet.Command{}, invalid("the body is not JSON")
	case life < time.Second || life > MaxCommandLife:
		return fleet.Command{}, invalid("a command waits between 1 s and %v, not %v", MaxCommandLife, life)
	}
	now := c.clock.Now()
	command, err := c.outbox.Add(ctx, fleet.Command{
		Device: device, Kind: kind, Body: body, Created: now, Expires: now.Add(life),
	})
	if err != nil {
		return fleet.Command{}, err
	}
	c.bus.Commands.Publish(device)
	return command, nil
}

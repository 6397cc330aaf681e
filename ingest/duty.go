package ingest

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"armora/fleet"
)

// DutyStore takes what officers say of their duty by their own phones: since
// when they have been at work, on a break, or off.
type DutyStore interface {
	SayDuty(ctx context.Context, driver fleet.DriverID, duty fleet.Duty, since time.Time) error
}

// Duty takes a message by which an officer goes on or off duty, or on a break.
// What is refused for good becomes a dead letter.
func (n *Notices) Duty(m Message) {
	duty, since, err := parseDuty(m.Payload, m.Received)
	store := func(ctx context.Context) error {
		err := n.config.Duties.SayDuty(ctx, m.From.Driver, duty, since)
		switch fleet.CodeOf(err) {
		case fleet.CodeNotFound, fleet.CodeConflict, fleet.CodeForbidden: // and not on the next try either
			return misread(err)(ctx)
		}
		return err
	}
	if err != nil {
		store = misread(err)
	}
	n.put(notice{message: m, kind: "duty", store: store})
}

// parseDuty reads a message of duty: duty, and t, since when, in Unix
// milliseconds or RFC 3339; without t, since it was received.
func parseDuty(payload []byte, received fleet.Millis) (duty fleet.Duty, since time.Time, err error) {
	var said struct {
		Duty  fleet.Duty `json:"duty"`
		Since moment     `json:"t"`
	}
	if err := json.Unmarshal(payload, &said); err != nil {
		return "", since, fmt.Errorf("the duty cannot be read: %w", err)
	}
	switch said.Duty {
	case fleet.OnDuty, fleet.OnBreak, fleet.OffDuty:
	default:
		return "", since, fmt.Errorf("duty %.40q is none of %s, %s and %s", said.Duty, fleet.OnDuty, fleet.OnBreak, fleet.OffDuty)
	}
	if said.Since.IsZero() {
		return said.Duty, received.Time(), nil
	}
	return said.Duty, said.Since.Time, nil
}

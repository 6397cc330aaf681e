package account

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"armora/fleet"
	"armora/schema"
)

const (
	// warnAhead is how long before a document stops counting people are told.
	warnAhead = 30 * 24 * time.Hour
	// alarmLife is how long it is worth while to tell that an officer was taken
	// off work.
	alarmLife = 24 * time.Hour
)

// The kinds of notice, which name their templates.
const (
	licenceExpiring = "licence_expiring" // to the officer and to staff
	officerUnfit    = "officer_unfit"    // to staff: a document was suspended or revoked
)

// told lists who among staff is told of officers' documents.
var told = []fleet.Role{fleet.RoleDispatcher, fleet.RoleCompliance, fleet.RoleAdmin}

// Warn tells officers and staff of documents that will soon stop counting: once
// for each document and deadline.
func (o *Officers) Warn(ctx context.Context) error {
	const page = 100
	for {
		expiring, err := o.documents.Expiring(ctx, o.clock.Now().Add(warnAhead), page)
		if err != nil || len(expiring) == 0 {
			return err
		}
		staff, err := o.users.Reachable(ctx, told...)
		if err != nil {
			return err
		}
		for i := range expiring {
			s := &expiring[i]
			expires := s.Deadline()
			if now := o.clock.Now(); expires.Before(now.Add(alarmLife)) {
				expires = now.Add(alarmLife) // it is told late, and no less needed
			}
			notices, err := o.notices(licenceExpiring, s, staff, expires, fleet.MailChannel, fleet.InboxChannel)
			if err == nil && !s.User.IsZero() {
				var more []fleet.Notice
				officer := []fleet.User{{ID: s.User, Email: s.Email}}
				more, err = o.notices(licenceExpiring, s, officer, expires, fleet.MailChannel, fleet.InboxChannel, fleet.PushChannel)
				notices = append(notices, more...)
			}
			if err == nil {
				err = o.documents.Warned(ctx, s.ID, s.Deadline(), notices)
			}
			if err != nil {
				return err
			}
		}
	}
}

// alarm makes the notices by which staff hear that an officer is taken off work.
func (o *Officers) alarm(ctx context.Context, id fleet.DocumentID, status fleet.DocumentStatus, reason string) ([]fleet.Notice, error) {
	if status != fleet.Suspended && status != fleet.Revoked {
		return nil, nil
	}
	s, err := o.documents.Subject(ctx, id)
	if err != nil {
		return nil, err
	}
	s.Status, s.Reason = status, reason
	staff, err := o.users.Reachable(ctx, told...)
	if err != nil {
		return nil, err
	}
	return o.notices(officerUnfit, &s, staff, o.clock.Now().Add(alarmLife), fleet.MailChannel, fleet.InboxChannel)
}

// notices makes notices about a document to each of the people by each channel that
// they have.
func (o *Officers) notices(kind string, s *schema.Subject, to []fleet.User, expires time.Time, by ...fleet.Channel) ([]fleet.Notice, error) {
	data := map[string]string{
		"document": string(s.Kind), "status": string(s.Status), "officer": s.Name, "vehicle": s.Registration,
		"deadline": s.Deadline().UTC().Format(time.RFC3339), "reason": s.Reason,
	}
	plain, err := json.Marshal(data)
	if err != nil {
		return nil, fmt.Errorf("write a notice: %w", err)
	}
	notices := make([]fleet.Notice, 0, len(to)*len(by))
	for _, user := range to {
		for _, channel := range by {
			n := fleet.Notice{
				ID: fleet.NewID[fleet.Notice](), User: user.ID, Channel: channel, Kind: kind, Created: o.clock.Now(), Expires: expires,
			}
			if channel == fleet.MailChannel {
				if n.To = user.Email; n.To == "" {
					continue
				}
			}
			n.Sealed = o.keyring.Seal(plain, n.Purpose())
			notices = append(notices, n)
		}
	}
	return notices, nil
}

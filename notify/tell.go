package notify

import (
	"context"
	"encoding/json"
	"fmt"

	"armora/fleet"
	"armora/schema"
)

// Telling makes the notices by which a person is told something, by each of the
// channels that they have: mail goes to an address that is verified, a text message
// or a call to such a number. A push to who has no app is left out when it is stored.
func (s *Sender) Telling(t fleet.Tidings) schema.Telling {
	return func(to fleet.User) ([]fleet.Notice, error) {
		plain, err := json.Marshal(t.Data)
		if err != nil {
			return nil, fmt.Errorf("write a notice: %w", err)
		}
		var notices []fleet.Notice
		for _, channel := range t.Channels {
			n := fleet.Notice{
				ID: fleet.NewID[fleet.Notice](), User: to.ID, Channel: channel, Kind: t.Kind,
				Booking: t.Booking, Once: t.Once, Created: s.clock.Now(), Expires: t.Expires,
			}
			switch {
			case channel == fleet.MailChannel && !to.EmailVerified.IsZero():
				n.To = to.Email
			case (channel == fleet.SMSChannel || channel == fleet.VoiceChannel) && !to.PhoneVerified.IsZero():
				n.To = to.Phone
			case channel == fleet.MailChannel, channel == fleet.SMSChannel, channel == fleet.VoiceChannel:
				continue
			}
			n.Sealed = s.seal(plain, n.Purpose())
			notices = append(notices, n)
		}
		return notices, nil
	}
}

// Tell tells a person of what no other change belongs to.
func (s *Sender) Tell(ctx context.Context, user fleet.UserID, t fleet.Tidings) error {
	return s.notices.Tell(ctx, user, s.Telling(t))
}

// Direct sends a notice at once, and keeps nothing of it: for what has to be told
// while the database is away. A push goes to the given apps. Nobody is asked what
// they wish, and the language is the one that all understand.
func (s *Sender) Direct(ctx context.Context, n fleet.Notice, data map[string]string, apps ...schema.SealedPushToken) (fleet.NoticeState, error) {
	m, err := s.templates.in(fallback).write(&n, data)
	if err != nil {
		return fleet.NoticeFailed, err
	}
	ctx, cancel := context.WithTimeout(ctx, sendPatience)
	defer cancel()
	var did outcome
	switch {
	case n.Channel == fleet.PushChannel && s.push != nil:
		did = s.toThese(ctx, n, m, apps)
	default:
		did = s.hand(ctx, n, m)
	}
	s.sent.WithLabelValues(string(n.Channel), string(did.state)).Inc()
	return did.state, did.err()
}

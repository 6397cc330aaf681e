package payment

import (
	"encoding/json"
	"time"

	"armora/fleet"
	"armora/schema"
)

// noticeLife is for how long a notice about money is of use.
const noticeLife = 7 * 24 * time.Hour

// teller makes the notices by which people are told of money. They are stored by
// the transaction of what they tell of.
type teller struct {
	seal  func(plain []byte, purpose string) []byte
	clock fleet.Clock
}

// telling tells a person in the app, by push and by mail.
func (t teller) telling(kind string, data map[string]string) schema.Telling {
	return func(to fleet.User) ([]fleet.Notice, error) {
		channels := []fleet.Channel{fleet.InboxChannel, fleet.PushChannel}
		if !to.EmailVerified.IsZero() {
			channels = append(channels, fleet.MailChannel)
		}
		plain, err := json.Marshal(data)
		if err != nil {
			return nil, err
		}
		now, notices := t.clock.Now(), make([]fleet.Notice, 0, len(channels))
		for _, channel := range channels {
			n := fleet.Notice{ID: fleet.NewID[fleet.Notice](), User: to.ID, Channel: channel, Kind: kind, Created: now, Expires: now.Add(noticeLife)}
			if channel == fleet.MailChannel {
				n.To = to.Email
			}
			n.Sealed = t.seal(plain, n.Purpose())
			notices = append(notices, n)
		}
		return notices, nil
	}
}

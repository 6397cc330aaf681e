package account

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"armora/fleet"
	"armora/schema"
)

const noticeLife = 24 * time.Hour // of a notice that holds no code

// teller makes the notices by which people are told things. They are stored by
// the transaction of what they tell of.
type teller struct {
	keyring *Keyring
	clock   fleet.Clock
}

// notice makes a mail to an address; whose it is, the transaction that sends it
// fills in.
func (t teller) notice(to, kind string, data map[string]string, expires time.Time) (fleet.Notice, error) {
	n := fleet.Notice{
		ID: fleet.NewID[fleet.Notice](), Channel: fleet.MailChannel, To: to, Kind: kind,
		Created: t.clock.Now(), Expires: expires,
	}
	plain, err := json.Marshal(data)
	if err != nil {
		return n, fmt.Errorf("write a notice: %w", err)
	}
	n.Sealed = t.keyring.Seal(plain, n.Purpose())
	return n, nil
}

// telling tells a person in all their sessions, by push and by mail: of what somebody
// who has got into their account would rather they did not hear. A mail goes to
// further addresses too, those that were the person's until now.
func (t teller) telling(kind string, data map[string]string, further ...string) schema.Telling {
	return t.tellingOf(kind, func(*fleet.User) map[string]string { return data }, further...)
}

// tellingOf is telling, of what is known of the person by then.
func (t teller) tellingOf(kind string, of func(to *fleet.User) map[string]string, further ...string) schema.Telling {
	return func(to fleet.User) ([]fleet.Notice, error) {
		data, expires := of(&to), t.clock.Now().Add(noticeLife)
		inbox, err := t.notice("", kind, data, expires)
		if err != nil {
			return nil, err
		}
		push, err := t.notice("", kind, data, expires)
		if err != nil {
			return nil, err
		}
		inbox.Channel, inbox.User = fleet.InboxChannel, to.ID
		push.Channel, push.User = fleet.PushChannel, to.ID
		notices, addresses := []fleet.Notice{inbox, push}, slices.Clone(further)
		if !to.EmailVerified.IsZero() {
			addresses = append(addresses, to.Email)
		}
		for _, address := range addresses {
			n, err := t.notice(address, kind, data, expires)
			if err != nil {
				return nil, err
			}
			n.User = to.ID
			notices = append(notices, n)
		}
		return notices, nil
	}
}

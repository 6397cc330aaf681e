package notify

import (
	"context"

	"armora/fleet"
	"armora/schema"
)

// Item is a notice as its person reads it in the app.
type Item struct {
	Notice fleet.Notice
	Message
	// Deliveries are what became of the same by the other channels.
	Deliveries []schema.NoticeStatus
}

// Inbox returns up to limit items of a person's with ids before the given one,
// the newest first. The zero id starts with the newest. Nothing takes an item
// away, or hides it, before retention does: whoever has got into one session of
// a person's keeps nothing from the others.
func (s *Sender) Inbox(ctx context.Context, user fleet.UserID, before fleet.NoticeID, limit int) ([]Item, error) {
	notices, err := s.notices.Inbox(ctx, user, before, limit)
	if err != nil {
		return nil, err
	}
	language, err := s.languageOf(ctx, user)
	if err != nil {
		return nil, err
	}
	of := make([]string, len(notices))
	for i, n := range notices {
		of[i] = n.Once
	}
	deliveries, err := s.notices.Deliveries(ctx, user, of)
	if err != nil {
		return nil, err
	}
	items := make([]Item, len(notices))
	for i, n := range notices {
		m, err := s.read(&n, language)
		if err != nil { // that there was something is told all the same
			s.log.Warn("a notice cannot be read", "notice", n.ID, "kind", n.Kind, "problem", err)
		}
		items[i] = Item{Notice: n, Message: m, Deliveries: deliveries[n.Once]}
	}
	return items, nil
}

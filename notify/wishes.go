package notify

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"armora/fleet"
)

// topic is what a kind of notice is about, as people's preferences know it.
type topic struct {
	name  string // of the switch in notifications; "": there is none, it always comes
	waits bool   // for the end of quiet hours
}

// topics are known by the first word of a kind: booking_confirmed is about
// bookings. What is not among them concerns safety, or the security of an account,
// and is told at once and by every channel.
var topics = map[string]topic{
	"booking":    {"bookings", true},
	"assignment": {"bookings", true}, // as an officer is told of it
	"trip":       {"trips", false},   // it is under way
	"chat":       {"chat", true},
	"payment":    {"payments", true},
	"news":       {"news", true},
	"licence":    {"", true},
}

func topicOf(kind string) topic {
	word, _, _ := strings.Cut(kind, "_")
	return topics[word]
}

// wishes are what a person's preferences say of notices. The form of them is in
// account/preferences.
type wishes struct {
	Notifications map[string][]string `json:"notifications"` // channels by topic; one that is absent comes by all
	Quiet         *quietHours         `json:"quiet_hours"`
}

// quietHours are from one time of day to another, which may be on the next day,
// as the clocks of a zone have it.
type quietHours struct {
	From string `json:"from"` // 15:04
	To   string `json:"to"`
	Zone string `json:"zone"` // IANA
}

// wishesOf reads what a person wishes; nothing of who has no account, or has not
// said.
func (s *Sender) wishesOf(ctx context.Context, user fleet.UserID) (w wishes, err error) {
	if user.IsZero() {
		return w, nil
	}
	stored, err := s.preferences.Get(ctx, user)
	if err != nil || stored.Body == nil {
		return w, err
	}
	if json.Unmarshal(stored.Body, &w) != nil { // whose error may quote them
		s.log.Error("preferences cannot be read, and are not heeded", "user", user)
		w = wishes{}
	}
	return w, nil
}

// channelNames are the channels as preferences call them.
var channelNames = map[fleet.Channel]string{fleet.MailChannel: "email", fleet.SMSChannel: "sms", fleet.PushChannel: "push", fleet.InboxChannel: "inbox"}

// refuse reports whether a notice is not to come by its channel.
func (w *wishes) refuse(n *fleet.Notice) bool {
	channels, said := w.Notifications[topicOf(n.Kind).name]
	if !said {
		return false
	}
	return !slices.Contains(channels, channelNames[n.Channel])
}

// holdBack returns for how long a notice waits for the end of quiet hours; 0: it
// does not. What would be of no use by then does not wait.
func (w *wishes) holdBack(n *fleet.Notice, now time.Time) time.Duration {
	if w.Quiet == nil || !topicOf(n.Kind).waits {
		return 0
	}
	end, quiet := w.Quiet.end(now)
	if !quiet || !end.Before(n.Expires) {
		return 0
	}
	return end.Sub(now)
}

// end returns when the quiet hours end in which a moment lies, if it lies in any.
func (q *quietHours) end(now time.Time) (end time.Time, quiet bool) {
	zone, err := time.LoadLocation(q.Zone)
	from, err2 := time.Parse("15:04", q.From)
	to, err3 := time.Parse("15:04", q.To)
	if err != nil || err2 != nil || err3 != nil {
		return end, false // by a later form than this hub's
	}
	local := now.In(zone)
	at, first, last := minutes(local), minutes(from), minutes(to)
	tomorrow := 0
	switch {
	case first <= last && (at < first || at >= last), first > last && at < first && at >= last:
		return end, false
	case first > last && at >= first:
		tomorrow = 1
	}
	end = time.Date(local.Year(), local.Month(), local.Day()+tomorrow, to.Hour(), to.Minute(), 0, 0, zone)
	if !end.After(now) { // the clocks jump over it
		end = end.Add(time.Hour)
	}
	return end, true
}

func minutes(t time.Time) int { return t.Hour()*60 + t.Minute() }

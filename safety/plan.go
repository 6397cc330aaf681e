package safety

import (
	"crypto/sha256"
	"strconv"
	"strings"
	"time"

	"armora/fleet"
	"armora/schema"
)

// Limits of time.
const (
	opsLife      = 15 * time.Minute // for which all of ops are tried to be told
	stepLife     = 2 * time.Minute  // a step of the rota
	contactsLife = time.Hour
	// cancelKnown is how long a cancel may take to be known to all hubs.
	cancelKnown = lookEvery + time.Second
	// maxRounds is how often the whole rota is gone through.
	maxRounds = 20
)

// telling is one message to one person by one channel. Its notice's id follows from
// what it is about: told again, also by another hub, it is seen to be the same.
type telling struct {
	notice  fleet.Notice
	data    map[string]string
	apps    []schema.SealedPushToken
	contact fleet.ContactID
	step    int
}

// noticeID makes an id of what a notice is about (RFC 9562 §5.8: of our own design). It
// begins with the time that the SOS's does: notices are listed by their ids.
func noticeID(s fleet.SOSID, about ...string) (id fleet.NoticeID) {
	sum := sha256.Sum256([]byte(s.String() + "/" + strings.Join(about, "/")))
	copy(id[:], sum[:])
	copy(id[:6], s[:6])
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return id
}

// Ref is how people name an SOS to each other: every message about it ends with it.
func Ref(id fleet.SOSID) string {
	n := fleet.Notice{Once: onceOf(id)}
	return n.Reference()
}

func onceOf(id fleet.SOSID) string { return "sos/" + id.String() }

// planner says who is to be told of an SOS.
type planner struct {
	book    *book
	contact func(schema.SealedContact) (fleet.Contact, error)
	now     time.Time
	opened  time.Time // since when this hub is up: what it missed, it makes up for
}

// since is when the time for telling began.
func (p *planner) since(s *fleet.SOS) time.Time {
	if p.opened.After(s.Received) {
		return p.opened
	}
	return s.Received
}

// all returns all who are to be told now, told already or not, and when somebody
// else is; zero: nobody.
func (p *planner) all(s *fleet.SOS) (now []telling, next time.Time) {
	if s.Wants() {
		now = p.ops(s)
		for _, step := range begun(s) {
			if step.at.Add(stepLife).After(p.now) {
				now = append(now, p.step(s, step)...)
			}
		}
		next = p.nextStep(s)
	}
	// Contacts are told once it cannot be cancelled any more, and not where somebody
	// might look over a shoulder: they would call back.
	if at := s.Received.Add(fleet.CancelWindow + cancelKnown); !s.Over() && !s.Drill && !s.Discreet() {
		if p.now.After(at) || p.setBack(s.Received) {
			now = append(now, p.contacts(s)...)
		} else {
			next = earlier(next, at.Add(time.Millisecond))
		}
	}
	return now, next
}

// ops are told all at once, by every channel that they have.
func (p *planner) ops(s *fleet.SOS) (all []telling) {
	for i := range p.book.Ops {
		person := &p.book.Ops[i]
		for _, channel := range []fleet.Channel{fleet.PushChannel, fleet.SMSChannel, fleet.MailChannel} {
			if t, ok := p.toOps(s, person, channel, "ops", p.since(s).Add(opsLife)); ok {
				all = append(all, t)
			}
		}
	}
	return all
}

// toOps makes a telling for somebody of ops; not ok if the channel does not reach them.
func (p *planner) toOps(s *fleet.SOS, person *schema.SOSPerson, channel fleet.Channel, round string, expires time.Time) (t telling, ok bool) {
	t.notice = fleet.Notice{
		ID: noticeID(s.ID, round, person.User.String(), string(channel)), User: person.User, Channel: channel,
		Kind: "safety_sos", Once: onceOf(s.ID), Booking: s.Trip, Created: s.Received, Expires: expires,
	}
	t.data = opsData(s)
	switch channel {
	case fleet.PushChannel:
		t.apps = person.Apps
		return t, len(t.apps) > 0
	case fleet.SMSChannel, fleet.VoiceChannel:
		t.notice.To = person.Phone
	case fleet.MailChannel:
		t.notice.To = person.Email
	case fleet.ConsoleChannel, fleet.InboxChannel:
		return t, true
	}
	return t, t.notice.To != ""
}

// opsData says no more than a locked screen may show.
func opsData(s *fleet.SOS) map[string]string {
	what := string(s.Type)
	switch {
	case !s.Duress.IsZero():
		what = "under duress"
	case s.Silent:
		what += ", silent"
	}
	kind := "SOS"
	if s.Drill {
		kind = "DRILL: SOS"
	}
	who := "a principal"
	if !s.Driver.IsZero() {
		who = "a protection officer"
	} else if s.User.IsZero() {
		who = "a device"
	}
	return map[string]string{
		"kind": kind, "what": what, "who": who, "at": s.Received.UTC().Format(time.RFC3339),
	}
}

// beginning is a step that has begun.
type beginning struct {
	*fleet.SOSNote
	at time.Time
}

func begun(s *fleet.SOS) (steps []beginning) {
	for i := range s.Timeline {
		e := &s.Timeline[i]
		if e.Kind == fleet.SOSEscalated && e.Note != nil && e.Note.Step > len(steps) { // two hubs may have begun the first
			steps = append(steps, beginning{e.Note, e.At})
		}
	}
	return steps
}

// due returns the step that is to begin by now; 0 if none is.
func (p *planner) due(s *fleet.SOS) int {
	at := p.nextStep(s)
	if at.IsZero() || at.After(p.now) {
		return 0
	}
	return len(begun(s)) + 1
}

// nextStep is when the next step begins: the first at once, each later one when the
// one before has had its time. Zero: none does.
func (p *planner) nextStep(s *fleet.SOS) time.Time {
	steps := begun(s)
	if !s.Wants() || len(p.onCall()) == 0 || len(steps) >= maxRounds*len(p.onCall()) {
		return time.Time{}
	}
	last, next := s.Received, s.Received
	if len(steps) > 0 {
		last = steps[len(steps)-1].at
		next = last.Add(fleet.StepLength)
	}
	if p.setBack(last) {
		return p.now
	}
	return next
}

// setBack reports whether the clock was set back since something happened, by more than
// that of another hub may differ: it is not waited for that time to come again.
func (p *planner) setBack(since time.Time) bool { return since.Sub(p.now) > fleet.StepLength }

// onCall are the steps that are on call now.
func (p *planner) onCall() (steps []fleet.SOSStep) {
	for _, s := range p.book.Rota {
		if s.OnCall(p.now) {
			steps = append(steps, s)
		}
	}
	return steps
}

// called is who is called by a step: they are counted on over the rounds. There is
// one on call.
func (p *planner) called(number int) fleet.SOSStep {
	steps := p.onCall()
	return steps[(number-1)%len(steps)]
}

// step tells whom a step that has begun calls.
func (p *planner) step(s *fleet.SOS, step beginning) []telling {
	person := p.book.person(step.User)
	if person == nil {
		return nil // of ops no more
	}
	// Whom the channel does not reach is told so in the timeline.
	t, _ := p.toOps(s, person, step.Channel, "step-"+strconv.Itoa(step.Step), step.at.Add(stepLife))
	t.step = step.Step
	return []telling{t}
}

// contacts are those of who raised it who have agreed to be told.
func (p *planner) contacts(s *fleet.SOS) (all []telling) {
	for i := range p.book.Contacts {
		sealed := &p.book.Contacts[i]
		if sealed.User != s.User || s.User.IsZero() || sealed.State != fleet.ContactOptedIn {
			continue
		}
		c, err := p.contact(sealed.SealedContact)
		if err != nil {
			continue // of another secret key: there is no address to tell
		}
		for channel, to := range map[fleet.Channel]string{fleet.MailChannel: c.Email, fleet.SMSChannel: c.Phone} {
			if to == "" {
				continue
			}
			all = append(all, telling{
				notice: fleet.Notice{
					ID: noticeID(s.ID, "contact", c.ID.String(), string(channel)), Channel: channel, To: to,
					Kind: "safety_contact", Once: onceOf(s.ID), Created: s.Received, Expires: p.since(s).Add(contactsLife),
				},
				data:    map[string]string{"to": c.Name, "from": sealed.Owner, "at": s.Received.UTC().Format(time.RFC3339)},
				contact: c.ID,
			})
		}
	}
	return all
}

// earlier returns the earlier of two times; zero is never.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

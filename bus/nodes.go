package bus

import (
	"sync"

	"armora/fleet"
)

// News is what one node tells the others: what may not be opened any more, and what
// has changed in the database, by its id, so that they read it anew. One of the fields
// besides Node is set.
type News struct {
	Node       fleet.ID[Nodes]     `json:"node"` // who tells
	Session    fleet.UserSessionID `json:"session,omitzero"`
	Account    fleet.UserID        `json:"account,omitzero"`
	Share      fleet.ShareID       `json:"share,omitzero"`
	Viewers    fleet.UserID        `json:"viewers,omitzero"`
	Partner    fleet.PartnerID     `json:"partner,omitzero"`
	Revocation Revocation          `json:"revocation,omitzero"`
	Booking    BookingChange       `json:"booking,omitzero"`
	Chat       ChatChange          `json:"chat,omitzero"`
	Device     fleet.DeviceID      `json:"device,omitzero"` // whose outbox has something new
}

// Ends reports whether it is of what may not be opened any more. Of all else, who is not
// told finds out when they look again, and a phone, of a command, when it connects at the
// latest.
func (n *News) Ends() bool {
	return n.Booking.ID.IsZero() && n.Chat.Booking.IsZero() && n.Device.IsZero()
}

// Nodes connects a node's bus to those of the others: what is published on one is
// published on all. It is safe for concurrent use.
type Nodes struct {
	bus   *Bus
	self  fleet.ID[Nodes]
	tell  func(News)
	leave []func()

	mu    sync.Mutex
	heard map[News]int // what is being published because another has told it
}

// Connect has tell called with what the others are to hear, which does not block. What
// they tell is to be given to Hear.
func Connect(b *Bus, tell func(News)) *Nodes {
	n := &Nodes{bus: b, self: fleet.NewID[Nodes](), tell: tell, heard: make(map[News]int)}
	n.leave = []func(){
		b.Sessions.Subscribe(func(id fleet.UserSessionID) { n.pass(News{Session: id}) }),
		b.Accounts.Subscribe(func(id fleet.UserID) { n.pass(News{Account: id}) }),
		b.Shares.Subscribe(func(id fleet.ShareID) { n.pass(News{Share: id}) }),
		b.Viewers.Subscribe(func(id fleet.UserID) { n.pass(News{Viewers: id}) }),
		b.Partners.Subscribe(func(id fleet.PartnerID) { n.pass(News{Partner: id}) }),
		b.Revocations.Subscribe(func(r Revocation) { n.pass(News{Revocation: r}) }),
		b.Bookings.Subscribe(func(c BookingChange) { n.pass(News{Booking: c}) }),
		b.Chats.Subscribe(func(c ChatChange) { n.pass(News{Chat: c}) }),
		b.Commands.Subscribe(func(id fleet.DeviceID) { n.pass(News{Device: id}) }),
	}
	return n
}

// Leave ends it.
func (n *Nodes) Leave() {
	for _, leave := range n.leave {
		leave()
	}
}

// pass tells the others, unless one of them has told it.
func (n *Nodes) pass(news News) {
	n.mu.Lock()
	theirs := n.heard[news] > 0
	if theirs {
		n.done(news)
	}
	n.mu.Unlock()
	if !theirs {
		news.Node = n.self
		n.tell(news)
	}
}

// done forgets one hearing. mu is held.
func (n *Nodes) done(news News) {
	if n.heard[news]--; n.heard[news] <= 0 {
		delete(n.heard, news)
	}
}

// Hear publishes what another node has told. One's own is nothing new.
func (n *Nodes) Hear(news News) {
	if news.Node == n.self {
		return
	}
	news.Node = fleet.ID[Nodes]{}
	n.mu.Lock()
	n.heard[news]++
	n.mu.Unlock()
	switch {
	case !news.Session.IsZero():
		n.bus.Sessions.Publish(news.Session)
	case !news.Account.IsZero():
		n.bus.Accounts.Publish(news.Account)
	case !news.Share.IsZero():
		n.bus.Shares.Publish(news.Share)
	case !news.Viewers.IsZero():
		n.bus.Viewers.Publish(news.Viewers)
	case !news.Partner.IsZero():
		n.bus.Partners.Publish(news.Partner)
	case !news.Revocation.Device.IsZero():
		n.bus.Revocations.Publish(news.Revocation)
	case !news.Booking.ID.IsZero():
		n.bus.Bookings.Publish(news.Booking)
	case !news.Chat.Booking.IsZero():
		n.bus.Chats.Publish(news.Chat)
	case !news.Device.IsZero():
		n.bus.Commands.Publish(news.Device)
	default: // of a kind that only a newer hub knows
		n.mu.Lock()
		n.done(news)
		n.mu.Unlock()
	}
}

package broker

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
)

// The topics of a trip, v1/trips/{trip}/…, on which its people are told of it.
const (
	TripPosition = "position"
	TripState    = "state"
	TripChat     = "chat"
)

const tripPrefix = "v1/trips/"

// maxFollowed is how many topics of trips one connection may follow at once.
const maxFollowed = 64

// tripQuestion is as how many packets of the device it counts to ask whether it may follow
// a trip: the database is asked, and one SUBSCRIBE may ask for thousands.
const tripQuestion = 100

// TripFollowing says who may follow a trip, and hears who does.
type TripFollowing interface {
	// MayFollow reports whether a device may subscribe to the topics of a trip. It
	// is asked at SUBSCRIBE; when it fails the subscription is let in, since nobody
	// is told anything whose right to it is not known then.
	MayFollow(ctx context.Context, id *fleet.Identity, trip fleet.BookingID) (bool, error)
	// Follow is called when a connection has subscribed to a topic of a trip, or has
	// come back with such a session; Unfollow when that is over. Neither may block.
	Follow(f *Follower)
	Unfollow(f *Follower)
}

// Follower is a connection that has subscribed to one topic of a trip. Its device
// may or may not have a right to what is told there: who sends knows.
type Follower struct {
	Trip  fleet.BookingID
	Topic string // TripPosition, TripState or TripChat

	c *conn
}

// Identity returns whose connection it is.
func (f *Follower) Identity() *fleet.Identity { return f.c.identity }

// Send sends a message to the follower at QoS 0, unless the connection is over. A
// client that leaves too much unread is sent away.
func (f *Follower) Send(payload []byte) { f.c.tellTrip(f, payload, f.c.b.limits.WriteBuffer) }

// SendLatest is Send of what the next message replaces: a client with much unread
// goes without it.
func (f *Follower) SendLatest(payload []byte) { f.c.tellTrip(f, payload, f.c.b.limits.WriteBuffer/4) }

// tellTrip sends unless more than limit bytes would be waiting then.
func (c *conn) tellTrip(f *Follower, payload []byte, limit int) {
	pk := packets.Packet{
		FixedHeader:     packets.FixedHeader{Type: packets.Publish},
		ProtocolVersion: c.version,
		TopicName:       tripPrefix + f.Trip.String() + "/" + f.Topic,
		Payload:         payload,
	}
	var buf bytes.Buffer
	if err := pk.PublishEncode(&buf); err != nil {
		c.b.log.Error("MQTT message of a trip cannot be sent", "trip", f.Trip, "error", err)
		return
	}
	if most := c.client.Properties.Props.MaximumPacketSize; most > 0 && buf.Len() > int(most) {
		c.b.metrics.dropped.WithLabelValues("too_large").Inc()
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if limit < c.b.limits.WriteBuffer && len(c.out)+buf.Len() > limit {
		c.b.metrics.dropped.WithLabelValues("slow_reader").Inc()
		return
	}
	c.sendLocked(buf.Bytes())
}

// followers are the connections that follow trips.
type followers struct {
	b *Broker

	mu     sync.Mutex
	byConn map[*conn]map[string]*Follower // by filter
	byTrip map[fleet.BookingID]map[*Follower]struct{}
}

func newFollowers(b *Broker) *followers {
	return &followers{b: b, byConn: make(map[*conn]map[string]*Follower), byTrip: make(map[fleet.BookingID]map[*Follower]struct{})}
}

// readTripTopic reads a topic on which people are told of a trip.
func readTripTopic(topic string) (trip fleet.BookingID, kind string, ok bool) {
	rest, ok := strings.CutPrefix(topic, tripPrefix)
	if !ok {
		return trip, "", false
	}
	id, kind, ok := strings.Cut(rest, "/")
	trip, err := fleet.ParseID[fleet.Booking](id)
	return trip, kind, ok && err == nil && trip.String() == id && (kind == TripPosition || kind == TripState || kind == TripChat)
}

// isPersons reports whether a device is the phone of somebody who may have a trip:
// a car's tracker has none.
func isPersons(id *fleet.Identity) bool {
	return id.Kind != fleet.Tracker && (!id.User.IsZero() || !id.Driver.IsZero())
}

// mayFollow reports whether c may subscribe to a filter that is a topic of a trip.
func (fs *followers) mayFollow(c *conn, filter string) bool {
	trip, _, ok := readTripTopic(filter)
	if !ok || fs.b.cfg.Trips == nil || !isPersons(c.identity) {
		return false
	}
	if _, has := c.client.State.Subscriptions.Get(filter); !has && c.client.State.Subscriptions.Len() >= maxFollowed {
		return false
	}
	if !c.waits(tripQuestion) {
		return false
	}
	ctx, cancel := context.WithTimeout(fs.b.ctx, fs.b.limits.StoreTimeout)
	defer cancel()
	may, err := fs.b.cfg.Trips.MayFollow(ctx, c.identity, trip)
	if err != nil {
		fs.b.metrics.storeErrors.WithLabelValues("trip").Inc()
		return true
	}
	return may
}

// update takes over which trips c follows now, and has it follow those anew that it has
// asked for: who did so before may have been told no more since, and be told again.
func (fs *followers) update(c *conn, asked ...string) {
	if fs.b.cfg.Trips == nil || !isPersons(c.identity) {
		return
	}
	var begun, ended []*Follower
	fs.mu.Lock()
	now := c.client.State.Subscriptions.GetAll()
	of := fs.byConn[c]
	for filter, f := range of {
		if _, still := now[filter]; !still || slices.Contains(asked, filter) {
			fs.remove(c, filter)
			ended = append(ended, f)
		}
	}
	for filter := range now {
		trip, kind, ok := readTripTopic(filter)
		if !ok || of[filter] != nil {
			continue
		}
		f := &Follower{Trip: trip, Topic: kind, c: c}
		fs.add(c, filter, f)
		of = fs.byConn[c]
		begun = append(begun, f)
	}
	fs.mu.Unlock()
	fs.tell(begun, ended)
}

// leave takes c out: its connection is over.
func (fs *followers) leave(c *conn) {
	fs.mu.Lock()
	ended := slices.Collect(maps.Values(fs.byConn[c]))
	for filter := range fs.byConn[c] {
		fs.remove(c, filter)
	}
	fs.mu.Unlock()
	fs.tell(nil, ended)
}

func (fs *followers) tell(begun, ended []*Follower) {
	for _, f := range ended {
		fs.b.cfg.Trips.Unfollow(f)
	}
	for _, f := range begun {
		fs.b.cfg.Trips.Follow(f)
	}
}

// add and remove keep both maps. fs.mu is held.
func (fs *followers) add(c *conn, filter string, f *Follower) {
	if fs.byConn[c] == nil {
		fs.byConn[c] = make(map[string]*Follower)
	}
	if fs.byTrip[f.Trip] == nil {
		fs.byTrip[f.Trip] = make(map[*Follower]struct{})
	}
	fs.byConn[c][filter], fs.byTrip[f.Trip][f] = f, struct{}{}
}

func (fs *followers) remove(c *conn, filter string) {
	f := fs.byConn[c][filter]
	delete(fs.byConn[c], filter)
	if len(fs.byConn[c]) == 0 {
		delete(fs.byConn, c)
	}
	delete(fs.byTrip[f.Trip], f)
	if len(fs.byTrip[f.Trip]) == 0 {
		delete(fs.byTrip, f.Trip)
	}
}

// of returns who follows a topic of a trip.
func (fs *followers) of(trip fleet.BookingID, topic string) []*Follower {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	var found []*Follower
	for f := range fs.byTrip[trip] {
		if f.Topic == topic {
			found = append(found, f)
		}
	}
	return found
}

// PublishTrip sends a message on a topic of a trip to those who follow it and of
// whom may says that they have a right to it. It does not block.
func (b *Broker) PublishTrip(trip fleet.BookingID, topic string, payload []byte, may func(*fleet.Identity) bool) {
	for _, f := range b.followers.of(trip, topic) {
		if may(f.c.identity) {
			f.Send(payload)
		}
	}
}

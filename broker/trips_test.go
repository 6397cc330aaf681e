package broker

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
)

// memoryTrips lets the people of trips follow them.
type memoryTrips struct {
	mu     sync.Mutex
	people map[fleet.BookingID]fleet.UserID
	asked  int
	away   bool
	begun  chan *Follower
	ended  chan *Follower
}

func (m *memoryTrips) MayFollow(_ context.Context, id *fleet.Identity, trip fleet.BookingID) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if m.away {
		return false, errors.New("away")
	}
	return m.people[trip] == id.User, nil
}

func (m *memoryTrips) Follow(f *Follower)   { m.begun <- f }
func (m *memoryTrips) Unfollow(f *Follower) { m.ended <- f }

func newTripHub(t *testing.T, change ...func(*Config)) (*hub, *memoryTrips) {
	t.Helper()
	trips := &memoryTrips{people: make(map[fleet.BookingID]fleet.UserID), begun: make(chan *Follower, 100), ended: make(chan *Follower, 100)}
	return newHub(t, append(change, func(c *Config) { c.Trips = trips })...), trips
}

// rider makes the phone of a person with a trip.
func (m *memoryTrips) rider(h *hub) (device fleet.DeviceID, user fleet.UserID, trip fleet.BookingID) {
	device, user, trip = fleet.NewID[fleet.Device](), fleet.NewID[fleet.User](), fleet.NewID[fleet.Booking]()
	h.auth.set(device.String(), fleet.Identity{Device: device, Kind: fleet.Phone, User: user, Credential: fleet.NewID[fleet.Credential]()})
	m.mu.Lock()
	defer m.mu.Unlock()
	m.people[trip] = user
	return device, user, trip
}

// Whoever asks for thousands of trips is answered as slowly as if they sent packets, and the
// database hears of it as often.
func TestWhoAsksForManyTripsIsAnsweredSlowly(t *testing.T) {
	t.Parallel()
	const burst, more = 3, 2
	h, trips := newTripHub(t, func(c *Config) {
		c.Limits.DeviceRate, c.Limits.DeviceBurst = tripQuestion, burst*tripQuestion+10 // a question a second
	})
	device, _, _ := trips.rider(h)
	c, _ := h.connect(login{id: "app", name: device.String(), clean: true, version: 5})
	var filters packets.Subscriptions
	for range burst + more {
		filters = append(filters, packets.Subscription{Filter: tripTopic(fleet.NewID[fleet.Booking](), "state")})
	}
	c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 1, Filters: filters})
	for n := range more {
		eventually(t, "it to wait", func() bool { return h.metric("throttled_total") == float64(n+1) })
		trips.mu.Lock()
		if trips.asked != burst+n {
			t.Errorf("asked %d times, want %d", trips.asked, burst+n)
		}
		trips.mu.Unlock()
		h.clock.Advance(time.Second)
	}
	if got := c.expect(packets.Suback).ReasonCodes; len(got) != burst+more {
		t.Errorf("SUBACK %x", got)
	}
}

func tripTopic(trip fleet.BookingID, kind string) string {
	return "v1/trips/" + trip.String() + "/" + kind
}

func TestTripsAreFollowedByTheirPeopleAlone(t *testing.T) {
	t.Parallel()
	h, trips := newTripHub(t)
	device, user, trip := trips.rider(h)
	_, _, anothers := trips.rider(h)
	c, _ := h.connect(login{id: "app", name: device.String(), clean: true, version: 5})
	got := c.subscribe(
		tripTopic(trip, "state"), tripTopic(trip, "position"), tripTopic(trip, "chat"),
		tripTopic(anothers, "state"), tripTopic(trip, "secret"), tripTopic(trip, "chat/send"),
		"v1/trips/+/state", "v1/trips/#", "$share/g/"+tripTopic(trip, "state"), "v1/trips/"+strings.ToUpper(trip.String())+"/state",
	)
	refused := packets.ErrNotAuthorized.Code
	if want := string([]byte{1, 1, 1, refused, refused, refused, refused, refused, refused, refused}); string(got) != want {
		t.Fatalf("SUBACK %x, want %x", got, want)
	}
	tracker := fleet.NewID[fleet.Device]()
	h.auth.set(tracker.String(), fleet.Identity{Device: tracker, Kind: fleet.Tracker, User: user, Credential: fleet.NewID[fleet.Credential]()})
	car, _ := h.connect(login{id: "car", name: tracker.String(), clean: true})
	if got := car.subscribe(tripTopic(trip, "position")); got[0] < 0x80 {
		t.Errorf("a car's tracker follows a trip: SUBACK %x", got)
	}

	told := map[string]*Follower{}
	for range 3 {
		f := <-trips.begun
		told[f.Topic] = f
	}
	if f := told[TripState]; f == nil || f.Trip != trip || f.Identity().User != user {
		t.Fatalf("told of %v", told)
	}
	h.PublishTrip(trip, TripState, []byte("hidden"), func(*fleet.Identity) bool { return false })
	h.PublishTrip(trip, TripState, []byte("arrived"), func(id *fleet.Identity) bool { return id.User == user })
	if pk := c.expect(packets.Publish); string(pk.Payload) != "arrived" || pk.TopicName != tripTopic(trip, "state") || pk.FixedHeader.Qos != 0 {
		t.Errorf("got %q on %s at QoS %d", pk.Payload, pk.TopicName, pk.FixedHeader.Qos)
	}

	// Who asks again is told anew.
	if got := c.subscribe(tripTopic(trip, "state")); got[0] != 1 {
		t.Fatalf("SUBACK %x", got)
	}
	if f := <-trips.ended; f != told[TripState] {
		t.Errorf("the end of %s was told", f.Topic)
	}
	told[TripState] = <-trips.begun

	c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe}, PacketID: 2,
		Filters: packets.Subscriptions{{Filter: tripTopic(trip, "state")}}})
	c.expect(packets.Unsuback)
	if f := <-trips.ended; f != told[TripState] {
		t.Errorf("the end of %s was told", f.Topic)
	}
	h.PublishTrip(trip, TripState, []byte("nobody's"), func(*fleet.Identity) bool { return true })
	told[TripPosition].Send([]byte("here"))
	if pk := c.expect(packets.Publish); string(pk.Payload) != "here" {
		t.Errorf("got %q after unsubscribing", pk.Payload)
	}
	if err := c.conn.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		<-trips.ended
	}
	told[TripPosition].Send([]byte("to nobody")) // and nothing breaks
}

// A session that comes back follows what it did. While nobody can say whose a trip
// is, its people are let in all the same: what they are sent is checked again.
func TestSessionsGoOnFollowing(t *testing.T) {
	t.Parallel()
	h, trips := newTripHub(t)
	device, _, trip := trips.rider(h)
	trips.away = true
	l := login{id: "app", name: device.String(), version: 5, expiry: 3600}
	c, _ := h.connect(l)
	if got := c.subscribe(tripTopic(trip, "state")); got[0] != 1 {
		t.Fatalf("SUBACK %x", got)
	}
	<-trips.begun
	if err := c.conn.Close(); err != nil {
		t.Fatal(err)
	}
	<-trips.ended
	c, present := h.connect(l)
	f := <-trips.begun
	if !present || f.Trip != trip {
		t.Fatalf("session present %v, following %v", present, f.Trip)
	}
	f.Send([]byte("again"))
	if pk := c.expect(packets.Publish); string(pk.Payload) != "again" {
		t.Errorf("got %q", pk.Payload)
	}
}

// Who does not read goes without positions first, and costs no more than the buffer.
func TestASlowFollowerLosesWhatIsReplaced(t *testing.T) {
	t.Parallel()
	h, trips := newTripHub(t, func(c *Config) { c.Limits.WriteBuffer = 16 << 10 })
	device, _, trip := trips.rider(h)
	c, _ := h.connect(login{id: "app", name: device.String(), version: 5})
	c.subscribe(tripTopic(trip, "position"))
	f := <-trips.begun
	big := make([]byte, 1<<10)
	for range 100_000 {
		f.SendLatest(big)
		if h.metric("dropped_total", "slow_reader") > 0 {
			break
		}
	}
	if h.metric("dropped_total", "slow_reader") == 0 || h.metric("disconnects_total", "slow_reader") > 0 {
		t.Fatal("nothing was dropped, or the client was")
	}
	for range 1_000 {
		f.Send(big)
	}
	eventually(t, "the client is sent away", func() bool { return h.metric("disconnects_total", "slow_reader") == 1 })
	<-trips.ended
}

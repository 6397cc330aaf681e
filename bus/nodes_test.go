package bus_test

import (
	"slices"
	"testing"

	"armora/bus"
	"armora/fleet"
)

// What one node tells all others publish, once, and nobody tells it on.
func TestNodesPublishWhatOthersTellAndTellItOnToNobody(t *testing.T) {
	t.Parallel()
	const count = 3
	var buses [count]bus.Bus
	var nodes [count]*bus.Nodes
	var told []bus.News
	for i := range buses {
		nodes[i] = bus.Connect(&buses[i], func(n bus.News) { told = append(told, n) })
		t.Cleanup(nodes[i].Leave)
	}
	var heard [count][]any
	for i := range buses {
		buses[i].Sessions.Subscribe(func(id fleet.UserSessionID) { heard[i] = append(heard[i], id) })
		buses[i].Accounts.Subscribe(func(id fleet.UserID) { heard[i] = append(heard[i], id) })
		buses[i].Shares.Subscribe(func(id fleet.ShareID) { heard[i] = append(heard[i], id) })
		buses[i].Viewers.Subscribe(func(id fleet.UserID) { heard[i] = append(heard[i], id) })
		buses[i].Partners.Subscribe(func(id fleet.PartnerID) { heard[i] = append(heard[i], id) })
		buses[i].Revocations.Subscribe(func(r bus.Revocation) { heard[i] = append(heard[i], r) })
		buses[i].Bookings.Subscribe(func(c bus.BookingChange) { heard[i] = append(heard[i], c) })
		buses[i].Chats.Subscribe(func(c bus.ChatChange) { heard[i] = append(heard[i], c) })
		buses[i].Commands.Subscribe(func(id fleet.DeviceID) { heard[i] = append(heard[i], id) })
	}
	session, account := fleet.NewID[fleet.UserSession](), fleet.NewID[fleet.User]()
	share, partner := fleet.NewID[fleet.Share](), fleet.NewID[fleet.Partner]()
	revocation := bus.Revocation{Device: fleet.NewID[fleet.Device]()}
	booking := bus.BookingChange{ID: fleet.NewID[fleet.Booking](), User: account, Status: fleet.Assigned, Seq: 3}
	written, device := bus.ChatChange{Booking: booking.ID, Seq: 4}, fleet.NewID[fleet.Device]()
	buses[0].Sessions.Publish(session)
	buses[0].Accounts.Publish(account)
	buses[0].Shares.Publish(share)
	buses[0].Viewers.Publish(account)
	buses[0].Partners.Publish(partner)
	buses[0].Revocations.Publish(revocation)
	buses[0].Bookings.Publish(booking)
	buses[0].Chats.Publish(written)
	buses[0].Commands.Publish(device)
	for i := range told {
		if want := i < 6; told[i].Ends() != want {
			t.Errorf("%+v ends something: %v", told[i], !want)
		}
	}
	if len(told) != 9 {
		t.Fatalf("told %+v", told)
	}
	for _, news := range slices.Clone(told) {
		for _, n := range nodes {
			n.Hear(news)
		}
	}
	nodes[1].Hear(bus.News{}) // of a kind that it does not know
	if len(told) != 9 {
		t.Errorf("told on: %+v", told[9:])
	}
	for i := range heard {
		if want := []any{session, account, share, account, partner, revocation, booking, written, device}; !slices.Equal(heard[i], want) {
			t.Errorf("node %d hears %v, want %v", i, heard[i], want)
		}
	}
	// The same, anew, on another node: it is news again.
	buses[1].Sessions.Publish(session)
	if len(told) != 10 {
		t.Errorf("told %d things", len(told))
	}
}

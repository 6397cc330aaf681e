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
		buses[i].Partners.Subscribe(func(id fleet.PartnerID) { heard[i] = append(heard[i], id) })
		buses[i].Revocations.Subscribe(func(r bus.Revocation) { heard[i] = append(heard[i], r) })
	}
	session, account := fleet.NewID[fleet.UserSession](), fleet.NewID[fleet.User]()
	share, partner := fleet.NewID[fleet.Share](), fleet.NewID[fleet.Partner]()
	revocation := bus.Revocation{Device: fleet.NewID[fleet.Device]()}
	buses[0].Sessions.Publish(session)
	buses[0].Accounts.Publish(account)
	buses[0].Shares.Publish(share)
	buses[0].Partners.Publish(partner)
	buses[0].Revocations.Publish(revocation)
	if len(told) != 5 {
		t.Fatalf("told %+v", told)
	}
	for _, news := range slices.Clone(told) {
		for _, n := range nodes {
			n.Hear(news)
		}
	}
	nodes[1].Hear(bus.News{}) // of a kind that it does not know
	if len(told) != 5 {
		t.Errorf("told on: %+v", told[5:])
	}
	for i := range heard {
		if want := []any{session, account, share, partner, revocation}; !slices.Equal(heard[i], want) {
			t.Errorf("node %d hears %v, want %v", i, heard[i], want)
		}
	}
	// The same, anew, on another node: it is news again.
	buses[1].Sessions.Publish(session)
	if len(told) != 6 {
		t.Errorf("told %d things", len(told))
	}
}

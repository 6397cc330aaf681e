package main

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"armora/fleet"
	"armora/schema/schematest"
	"armora/sim"
)

// Two hubs share a database. What is ended on one ends on the other, which is told
// there and then, and remembers nothing of it.
func TestWhatEndsOnOneHubEndsOnTheOther(t *testing.T) {
	t.Parallel()
	dsn, dirs := schematest.PlainDSN(t), [2]string{t.TempDir(), t.TempDir()}
	one := openInsideOn(t, dsn, dirs[0])
	key, err := os.ReadFile(filepath.Join(dirs[0], "secret.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dirs[1], "secret.key"), key, 0o600); err != nil {
		t.Fatal(err)
	}
	two := openInsideOn(t, dsn, dirs[1])
	for _, from := range []struct{ here, there inside }{{one, two}, {two, one}} {
		here, there := from.here, from.there
		rider, user, _ := here.person(fleet.RoleRider)
		phone := rider.enrol("")
		elsewhere := &served{t: t, mqtt: there.mqtt, api: there.served.api, token: rider.token}
		elsewhere.ask("GET", "/api/users/me", nil, http.StatusOK)
		c, ack := there.dial(phone, 5)
		if ack.ReasonCode != 0 {
			t.Fatalf("let in with %#x", ack.ReasonCode)
		}
		rider.ask("POST", "/api/auth/logout", nil, http.StatusNoContent)
		c.ended()
		elsewhere.ask("GET", "/api/users/me", nil, http.StatusUnauthorized)

		suspended := make(chan fleet.UserID, 1)
		leave := there.bus.Accounts.Subscribe(func(id fleet.UserID) { suspended <- id })
		here.ask("POST", "/api/users/"+user.String()+"/suspend", map[string]any{"reason": "x"}, http.StatusNoContent)
		if got := <-suspended; got != user {
			t.Errorf("of %s is told, and not of %s", got, user)
		}
		leave()

		tracker := here.device(sim.Tracker)
		c, _ = there.dial(tracker, 4)
		var held struct{ Items []struct{ ID string } }
		here.read(here.ask("GET", "/api/devices/"+tracker.ID+"/credentials", nil, http.StatusOK), &held)
		here.ask("DELETE", "/api/devices/"+tracker.ID+"/credentials/"+held.Items[0].ID, nil, http.StatusNoContent)
		c.ended()
		if _, ack := there.dial(tracker, 5); ack.ReasonCode != packets.ErrBadUsernameOrPassword.Code {
			t.Errorf("after it was revoked: %#x", ack.ReasonCode)
		}
	}
}

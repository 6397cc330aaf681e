package account

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"armora/bus"
	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func TestCommandIsStoredBeforeItsDeviceIsWoken(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	d := newTestDevices(t, db)
	device, _ := d.provision(fleet.Device{})
	b := &bus.Bus{}
	outbox := schema.Outbox{DB: db, Clock: d.clock}
	var woken []fleet.DeviceID
	b.Commands.Subscribe(func(id fleet.DeviceID) {
		woken = append(woken, id)
		pending, err := outbox.Pending(t.Context(), id, 0, 10)
		if err != nil || len(pending) != len(woken) {
			t.Errorf("woken %d times, %d pending, %v", len(woken), len(pending), err)
		}
	})
	commands := NewCommands(db, b, d.clock)
	for i := range 3 {
		sent, err := commands.Send(t.Context(), device.ID, "say", json.RawMessage(`{"text": "hello"}`), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if sent.Seq != int64(i+1) || !sent.Expires.Equal(noon.Add(time.Minute)) || string(sent.Body) != `{"text": "hello"}` {
			t.Errorf("got %+v", sent)
		}
	}
	if len(woken) != 3 {
		t.Errorf("woken %d times", len(woken))
	}
	_, err := commands.Send(t.Context(), fleet.NewID[fleet.Device](), "say", nil, time.Minute)
	checkCode(t, fleet.CodeNotFound, err)
}

func TestCommandsThatMakeNoSenseAreRefused(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	d := newTestDevices(t, db)
	device, _ := d.provision(fleet.Device{})
	commands := NewCommands(db, &bus.Bus{}, d.clock)
	for name, c := range map[string]struct {
		kind string
		body string
		life time.Duration
	}{
		"no kind":   {"", "", time.Minute},
		"two words": {"say it", "", time.Minute},
		"not JSON":  {"say", "{", time.Minute},
		"large":     {"say", `"` + strings.Repeat("x", MaxCommandBody) + `"`, time.Minute},
		"no life":   {"say", "", 0},
		"long life": {"say", "", MaxCommandLife + time.Second},
	} {
		if _, err := commands.Send(t.Context(), device.ID, c.kind, json.RawMessage(c.body), c.life); fleet.CodeOf(err) != fleet.CodeInvalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

package safety

import (
	"testing"

	"armora/fleet"
)

func TestNothingInAnEventButItsKindHasToBeRight(t *testing.T) {
	t.Parallel()
	w := newWorld(t).open()
	for _, payload := range []string{
		`sos`, `"sos"`, `{"kind":"sos"}`,
		`{"kind":"sos","id":"no uuid","t":"yesterday","body":"help"}`,
		`{"kind":"sos","t":-1e300,"body":{"type":7,"silent":"yes","lat":"here","lon":1e9,"trip":[]}}`,
		`{"kind":"sos","body":{"type":"threat","silent":true,"lat":51.5,"lon":-0.1,"acc":-5}}`,
	} {
		from := &fleet.Identity{Device: fleet.NewID[fleet.Device](), Kind: fleet.Tracker}
		if !IsEmergency([]byte(payload)) {
			t.Errorf("%s is no emergency", payload)
		}
		done := make(chan error, 1)
		w.Receive(Message{From: from, Payload: []byte(payload), Ack: func(err error) { done <- err }})
		if err := <-done; err != nil {
			t.Fatalf("%s: %v", payload, err)
		}
		raised := w.openOfDevice(from.Device)
		if raised == nil || raised.Occurred.IsZero() {
			t.Errorf("%s raised %+v", payload, raised)
		}
	}
	for _, payload := range []string{`{"kind":"ignition"}`, `{"kind":"sosage"}`, `help`, ``, `[`} {
		if IsEmergency([]byte(payload)) {
			t.Errorf("%s is an emergency", payload)
		}
	}
}

func (w *world) openOfDevice(device fleet.DeviceID) *fleet.SOS {
	w.Watch.mu.Lock()
	defer w.Watch.mu.Unlock()
	return w.openOf(&fleet.Raiser{Device: device}, true)
}

func TestWhatADeviceSaysIsUnderstood(t *testing.T) {
	t.Parallel()
	said := parseEvent([]byte(`{"id":"0190c0de-0000-7000-8000-000000000001","kind":"sos","t":1772366400000,
		"body":{"type":"medical","silent":true,"drill":true,"lat":51.5,"lon":-0.1,"acc":12,"trip":"0190c0de-0000-7000-8000-000000000002"}}`))
	c := said.call
	if c.Client.IsZero() || c.Type != fleet.SOSMedical || !c.Silent || !c.Drill || c.Place == nil || *c.Place != (fleet.SOSPlace{Lat: 51.5, Lon: -0.1, Accuracy: 12}) ||
		c.Trip.IsZero() || !c.Occurred.Equal(noon) {
		t.Errorf("%+v", c)
	}
	cancel := parseEvent([]byte(`{"kind":"sos_cancel","body":{"raised":"0190c0de-0000-7000-8000-000000000001","code":"9911"}}`))
	if cancel.raised != said.call.Client || cancel.code != "9911" {
		t.Errorf("%+v", cancel)
	}
}

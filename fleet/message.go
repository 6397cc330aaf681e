package fleet

import (
	"encoding/json"
	"time"
)

// Session is what an MQTT session needs to outlive the hub. It belongs to the
// device that opened it: another device that presents the same client id
// starts afresh.
type Session struct {
	ClientID      string
	Device        DeviceID
	Version       byte          // MQTT protocol level: 3, 4 or 5
	Expiry        time.Duration // how long it is kept once the connection has ended
	Disconnected  time.Time     // zero while connected
	Subscriptions []Subscription
}

// Subscription is one topic filter of a session.
type Subscription struct {
	Filter            string
	QoS               byte
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte
	Identifier        int // 0: none
}

// Command is a message from the hub to one device. Commands of a device are
// delivered in order of Seq, until the device has acknowledged them or they
// have expired.
type Command struct {
	Device  DeviceID        `json:"-"`
	Driver  DriverID        `json:"-"`   // the officer whom it is for, as one of their phones; zero: it is for the device itself
	Seq     int64           `json:"seq"` // rises by at least one for each command of the device
	Kind    string          `json:"kind"`
	Body    json.RawMessage `json:"body,omitempty"`
	Created time.Time       `json:"created_at"`
	Expires time.Time       `json:"expires_at"`
	Acked   time.Time       `json:"-"` // zero until the device has acknowledged it, by PUBACK what is for an officer
}

// Event is something that happened at a device, as it tells it: ignition, a
// harsh brake, tampering.
type Event struct {
	ID       ID[Event]       `json:"id"`
	Device   DeviceID        `json:"device_id"`
	Kind     string          `json:"kind"`
	At       time.Time       `json:"at"` // by the device's clock
	Received time.Time       `json:"received_at"`
	Body     json.RawMessage `json:"body,omitempty"`
}

// Status is the last that a device said about itself.
type Status struct {
	Device   DeviceID  `json:"device_id"`
	Online   bool      `json:"online"`
	Battery  float32   `json:"battery"` // 0 to 1; Unknown if not said
	App      string    `json:"app_version,omitempty"`
	Received time.Time `json:"received_at"`
}

// DeadLetter is a message that could not be understood, kept with the reason
// so that ops can see it. It was acknowledged: sending it again would not help.
type DeadLetter struct {
	ID       ID[DeadLetter] `json:"id"`
	Device   DeviceID       `json:"device_id"`
	Topic    string         `json:"topic"`
	Reason   string         `json:"reason"`
	Payload  []byte         `json:"payload"`
	Received time.Time      `json:"received_at"`
}

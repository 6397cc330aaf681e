package safety

import (
	"bytes"
	"context"
	"encoding/json"
	"math"
	"time"

	"armora/fleet"
)

// Message is an event of a device that is about an emergency.
type Message struct {
	From     *fleet.Identity
	Payload  []byte
	Received fleet.Millis
	// Ack is called once: with nil when what the event says is on disk.
	Ack func(error)
}

// inboxSize bounds the events that wait to be written down. One that does not fit is
// refused: its device sends it again.
const inboxSize = 1024

// IsEmergency reports whether an event is for Receive. A bare word will do: a panic
// button knows no more.
func IsEmergency(payload []byte) bool {
	kind := kindOf(payload)
	return kind == "sos" || kind == "sos_cancel"
}

func kindOf(payload []byte) string {
	if word := string(bytes.Trim(payload, "\" \t\r\n")); word == "sos" || word == "sos_cancel" {
		return word
	}
	var said struct{ Kind string }
	_ = json.Unmarshal(payload, &said) // what cannot be read is somebody else's to refuse; what could be of it counts
	return said.Kind
}

// Receive takes an event in. It does not block.
func (w *Watch) Receive(m Message) {
	select {
	case w.inbox <- m:
	default:
		m.Ack(errBusy)
	}
}

var (
	errBusy   error = &fleet.Error{Code: fleet.CodeUnavailable, Message: "too many emergencies at once"}
	errClosed error = &fleet.Error{Code: fleet.CodeUnavailable, Message: "the hub is stopping"}
)

// read deals with what comes, in order, until ctx ends.
func (w *Watch) read(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-w.inbox:
			m.Ack(w.event(&m))
		}
	}
}

// drop refuses what was not dealt with.
func (w *Watch) drop() {
	for {
		select {
		case m := <-w.inbox:
			m.Ack(errClosed)
		default:
			return
		}
	}
}

// event raises or cancels an SOS. Nothing in an event but its kind has to be right:
// what is not, is passed over, since sending it again would not make it so.
func (w *Watch) event(m *Message) error {
	said := parseEvent(m.Payload)
	raiser := fleet.Raiser{User: m.From.User, Driver: m.From.Driver, Device: m.From.Device}
	if kindOf(m.Payload) == "sos_cancel" {
		_, err := w.cancel(Cancel{Raiser: raiser, SOS: said.sos, Client: said.raised, Code: said.code})
		return err
	}
	call := said.call
	call.Raiser, call.Via = raiser, "mqtt"
	_, err := w.Raise(call)
	return err
}

// saidEvent is what an event says, as far as it can be understood.
type saidEvent struct {
	call   fleet.SOSCall
	sos    fleet.SOSID       // that is cancelled
	raised fleet.SOSClientID // likewise, by the id of its press
	code   string
}

// parseEvent reads {"id", "kind", "t", "body": {"type", "silent", "drill", "lat",
// "lon", "acc", "trip", "sos", "code"}}, each by itself: one that is wrong takes no
// other with it.
func parseEvent(payload []byte) (said saidEvent) {
	var event, body map[string]json.RawMessage
	_ = json.Unmarshal(payload, &event)
	_ = json.Unmarshal(event["body"], &body)
	var word string
	read(body["type"], &word)
	said.call.Type = fleet.SOSTypeOf(word)
	read(event["id"], &said.call.Client)
	read(body["silent"], &said.call.Silent)
	read(body["drill"], &said.call.Drill)
	read(body["trip"], &said.call.Trip)
	read(body["sos"], &said.sos)
	read(body["raised"], &said.raised)
	read(body["code"], &said.code)
	said.call.Occurred = readTime(event["t"])
	var place fleet.SOSPlace
	if read(body["lat"], &place.Lat) && read(body["lon"], &place.Lon) && math.Abs(place.Lat) <= 90 && math.Abs(place.Lon) <= 180 {
		if !read(body["acc"], &place.Accuracy) || place.Accuracy < 0 {
			place.Accuracy = 0
		}
		said.call.Place = &place
	}
	return said
}

func read(text json.RawMessage, into any) bool {
	return len(text) > 0 && !bytes.Equal(text, []byte("null")) && json.Unmarshal(text, into) == nil
}

// readTime reads Unix milliseconds or RFC 3339; zero if it is neither, or none that
// could be.
func readTime(text json.RawMessage) (at time.Time) {
	var ms float64
	if read(text, &ms) && math.Abs(ms) < 1e14 {
		at = time.UnixMilli(int64(ms))
	} else {
		read(text, &at)
	}
	if !couldBe(at) {
		return time.Time{}
	}
	return at
}

// couldBe reports whether a device's clock may have shown a time: one outside of these
// years is none, and may be one that cannot even be written down.
func couldBe(at time.Time) bool { y := at.UTC().Year(); return y >= 1970 && y <= 2262 }

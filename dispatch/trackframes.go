package dispatch

import (
	"encoding/json"
	"fmt"
	"time"

	"armora/fleet"
	"armora/live"
	"armora/schema"
)

// Frame is one thing that those who watch a trip are told, written once for all who
// are told the same.
type Frame struct {
	Kind FrameKind
	Seq  int64  // that who is told this has reached; 0: none
	Key  string // a later frame with the same key stands in its place; "": it must not be lost
	JSON []byte // shared: not to be changed
}

// FrameKind is what a frame tells.
type FrameKind string

// The kinds of frames.
const (
	FrameSnapshot FrameKind = "snapshot" // the trip as it is
	FrameState    FrameKind = "state"    // an event of it
	FramePosition FrameKind = "position" // where one of its officers is
	FrameETA      FrameKind = "eta"
)

// audience are those who are told the same of a trip.
type audience int

// The audiences. The party are the principal and the officers.
const (
	toOps audience = iota
	toParty
	toGuest
	audiences
)

// frameHead begins every frame.
type frameHead struct {
	Type FrameKind       `json:"type"`
	Trip fleet.BookingID `json:"trip_id"`
}

// snapshotFrame is the whole of what a watcher starts from.
type snapshotFrame struct {
	frameHead
	Seq       int64               `json:"seq"` // of the last event that it is after
	Status    fleet.BookingStatus `json:"status"`
	Since     time.Time           `json:"since"`
	Start     time.Time           `json:"start"`
	Zone      string              `json:"zone"`
	Minutes   int                 `json:"minutes"`
	Officers  []officerFrame      `json:"officers"`
	Positions []positionFrame     `json:"positions"`
	ETA       *etaBody            `json:"eta,omitempty"`
}

// officerFrame says which of a trip's officers. Guests are not told who that is.
type officerFrame struct {
	Driver fleet.DriverID `json:"driver_id,omitzero"`
	Seat   int            `json:"seat"`
	Lead   bool           `json:"lead"`
}

// positionFrame is where an officer was at Time, the fix's; it has no seq.
type positionFrame struct {
	frameHead
	officerFrame
	Lat      float64   `json:"lat"`
	Lon      float64   `json:"lon"`
	Accuracy *float32  `json:"accuracy_m,omitempty"`
	Speed    *float32  `json:"speed_mps,omitempty"`
	Heading  *float32  `json:"heading_deg,omitempty"`
	Time     time.Time `json:"time"`
	Received time.Time `json:"received_at"`
}

// stateFrame is an event of the booking. Who has the event Prev, or began later, has
// missed none.
type stateFrame struct {
	frameHead
	Seq      int64               `json:"seq"`
	Prev     int64               `json:"prev"`
	Kind     string              `json:"kind"`
	From     fleet.BookingStatus `json:"from,omitempty"`
	To       fleet.BookingStatus `json:"to,omitempty"`
	Driver   fleet.DriverID      `json:"driver_id,omitzero"` // of a fence
	Seat     int                 `json:"seat,omitempty"`
	Occurred time.Time           `json:"occurred_at"`
	At       time.Time           `json:"at"`
	Data     json.RawMessage     `json:"data,omitempty"` // for ops
}

type etaFrame struct {
	frameHead
	etaBody
}

type etaBody struct {
	Place    fleet.TripPlace `json:"place"`
	Arrives  time.Time       `json:"arrives_at"`
	Distance int             `json:"distance_m"` // that is left, by road
	Source   string          `json:"source"`
	Fix      time.Time       `json:"fix_at"`
}

func etaOf(e ETA) etaBody {
	return etaBody{e.To, e.At.UTC().Truncate(time.Second), int(e.Metres), string(e.Source), e.Fix.UTC()}
}

func frame(kind FrameKind, seq int64, key string, v any) Frame {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("a frame of ours is not JSON: %v", err))
	}
	return Frame{Kind: kind, Seq: seq, Key: key, JSON: text}
}

// identified is an officer as an audience is told of them.
func identified(s *fleet.Seat, to audience) officerFrame {
	o := officerFrame{Driver: s.Driver, Seat: s.Number, Lead: s.Number == 1}
	if to == toGuest {
		o.Driver = fleet.DriverID{}
	}
	return o
}

func positionOf(trip fleet.BookingID, s *fleet.Seat, f *live.Fix, to audience) positionFrame {
	return positionFrame{
		frameHead: frameHead{FramePosition, trip}, officerFrame: identified(s, to), Lat: f.Lat, Lon: f.Lon,
		Accuracy: measured(f.Accuracy), Speed: measured(f.Speed), Heading: measured(f.Heading),
		Time: f.At.Time().UTC(), Received: f.Received.Time().UTC(),
	}
}

// measured is nil for what was not.
func measured(v float32) *float32 {
	if !fleet.Known(v) {
		return nil
	}
	return &v
}

// stateOf is an event as an audience is told of it; ok is false if it is not.
func stateOf(e *schema.TrackedEvent, to audience) (s stateFrame, ok bool) {
	s = stateFrame{
		frameHead: frameHead{FrameState, e.Booking}, Seq: e.Seq, Prev: e.BeforeOps, Kind: e.Kind, From: e.From, To: e.To,
		Occurred: e.Occurred, At: e.At,
	}
	var who struct {
		Driver fleet.DriverID `json:"driver"`
		Seat   int            `json:"seat"`
	}
	if e.From == "" && e.To == "" && e.Data != nil && json.Unmarshal(e.Data, &who) == nil {
		s.Driver, s.Seat = who.Driver, who.Seat
	}
	switch to {
	case toParty:
		s.Prev, ok = e.BeforeParty, e.ToParty
	case toGuest:
		s.Prev, ok, s.Driver = e.BeforeGuest, e.ToGuest, fleet.DriverID{}
	default:
		s.Data, ok = e.Data, true
	}
	return s, ok
}

package ingest

import (
	"errors"
	"strings"
	"sync"
	"unsafe"

	"armora/fleet"
	"armora/ingest/format/flespi"
	"armora/ingest/format/geojson"
	"armora/ingest/format/native"
	"armora/ingest/format/owntracks"
	"armora/ingest/format/pointbatch"
	"armora/ingest/format/teltonika"
	"armora/ingest/format/thingsboard"
)

// reports is what one message says. It is scratch space: whoever wants a point
// of it copies it before release.
type reports struct {
	points   []fleet.Point // of the sender itself
	children []child       // of the devices that a gateway speaks for
}

type child struct {
	Name   string
	Points []fleet.Point
	to     fleet.Child // who that is, once known
}

// pointWeight is what a point weighs until it is committed: batches grow by a
// quarter at a time.
const pointWeight = int(unsafe.Sizeof(fleet.Point{})) * 5 / 4

// weight is what is kept of a message: its points, and its own bytes if it
// becomes a dead letter as well.
func (r *reports) weight(m *Message, letter bool) int {
	points := len(r.points)
	for i := range r.children {
		points += len(r.children[i].Points)
	}
	bytes := points * pointWeight
	if letter {
		bytes += len(m.Topic) + len(m.Payload)
	}
	return bytes
}

var reportsPool = sync.Pool{New: func() any { return new(reports) }}

// keptPoints is how many points a pooled buffer holds at most: a rare huge
// batch is not worth keeping the memory for.
const keptPoints = 1024

func (r *reports) release() {
	if cap(r.points) > keptPoints {
		return
	}
	clear(r.children)
	r.points, r.children = r.points[:0], r.children[:0]
	reportsPool.Put(r)
}

// formatOf tells the format of a message from its topic where the format has a
// conventional one, else from what the device was provisioned to speak. GeoJSON
// and flespi have no topic of their own; the two native formats share one, and
// differ in the first byte.
func formatOf(m *Message) fleet.Format {
	switch {
	case m.From.Format == fleet.FormatGeoJSON, m.From.Format == fleet.FormatFlespi:
		return m.From.Format
	case m.Topic == deviceTelemetry, m.Topic == gatewayTelemetry:
		return fleet.FormatThingsBoard
	case strings.HasPrefix(m.Topic, "owntracks/"):
		return fleet.FormatOwnTracks
	case strings.HasPrefix(m.Topic, "v1/devices/"):
		if looksLikeJSON(m.Payload) {
			return fleet.FormatJSON
		}
		return fleet.FormatProtobuf
	case strings.HasSuffix(m.Topic, "/data"):
		return fleet.FormatTeltonika
	default:
		return m.From.Format
	}
}

// The topics of ThingsBoard.
const (
	deviceTelemetry  = "v1/devices/me/telemetry"
	gatewayTelemetry = "v1/gateway/telemetry"
)

// looksLikeJSON looks at the first byte. A PointBatch begins with the tag of
// one of its fields, 0x08 or 0x12, which no JSON does. An empty payload is left
// to the JSON parser, which says so.
func looksLikeJSON(payload []byte) bool {
	return len(payload) == 0 || strings.IndexByte("{[ \t\r\n", payload[0]) >= 0
}

// decode reads a message's payload into r.
func (p *Pipeline) decode(r *reports, format fleet.Format, m *Message) (err error) {
	switch format {
	case fleet.FormatJSON:
		r.points, err = native.Parse(r.points, m.Payload)
	case fleet.FormatProtobuf:
		r.points, err = pointbatch.Parse(r.points, m.Payload)
	case fleet.FormatOwnTracks:
		err = p.decodeOwnTracks(r, m)
	case fleet.FormatTeltonika:
		r.points, err = teltonika.Parse(r.points, m.Payload)
	case fleet.FormatGeoJSON:
		r.points, err = geojson.Parse(r.points, m.Payload, m.Received)
	case fleet.FormatFlespi:
		if len(m.From.Children) == 0 {
			r.points, err = flespi.Parse(r.points, m.Payload)
			break
		}
		var children []flespi.Child
		children, err = flespi.ParseGateway(m.Payload)
		for _, c := range children {
			r.children = append(r.children, child{Name: c.Name, Points: c.Points})
		}
	case fleet.FormatThingsBoard:
		if m.Topic != gatewayTelemetry {
			r.points, err = thingsboard.Parse(r.points, m.Payload, m.Received)
			break
		}
		var children []thingsboard.Child
		children, err = thingsboard.ParseGateway(m.Payload, m.Received)
		for _, c := range children {
			r.children = append(r.children, child{Name: c.Name, Points: c.Points})
		}
	default:
		err = errors.New("the format " + format.String() + " is not taken on this topic")
	}
	return err
}

// decodeOwnTracks reads what the OwnTracks apps send, in the clear or sealed
// with the device's payload key.
func (p *Pipeline) decodeOwnTracks(r *reports, m *Message) (err error) {
	r.points, err = owntracks.Parse(r.points, m.Payload)
	if !errors.Is(err, owntracks.ErrEncrypted) {
		return err
	}
	if p.keys == nil {
		return errors.New("the message is encrypted, and this hub keeps no payload keys")
	}
	return p.keys.open(m, func(key []byte) error {
		opened, err := owntracks.Decrypt(key, m.Payload)
		if err != nil {
			return err
		}
		r.points, err = owntracks.Parse(r.points, opened)
		return err
	})
}

package ingest

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"golang.org/x/crypto/nacl/secretbox"
	"google.golang.org/protobuf/proto"

	armorav1 "armora/deploy/proto/armora/v1"
	"armora/fleet"
)

const (
	nativePoint       = `{"t":1772366400000,"lat":51.5,"lon":-0.12}`
	ownTracksLocation = `{"_type":"location","tst":1772366400,"lat":51.5,"lon":-0.12}`
	teltonikaRecord   = `{"state":{"reported":{"ts":1772366400000,"latlng":"51.5,-0.12"}}}`
	flespiMessages    = `[{"ident":"a","timestamp":1772366400,"position.latitude":51.5,"position.longitude":-0.12}]`
	telemetry         = `{"ts":1772366400000,"values":{"latitude":51.5,"longitude":-0.12}}`
	feature           = `{"type":"Feature","geometry":{"type":"Point","coordinates":[-0.12,51.5]},"properties":{"time":"2026-03-01T12:00:00Z"}}`
	someTopic         = "trackers/feed"
	points            = "v1/devices/x/points"
	ownTracksHome     = "owntracks/anna/phone"
)

// pointBatch is the point of the others as a PointBatch.
func pointBatch(t *testing.T) string {
	t.Helper()
	fix, lat, lon := int64(at(0)), int32(515000000), int32(-1200000)
	body, err := proto.Marshal(&armorav1.PointBatch{Points: []*armorav1.Point{{FixMs: &fix, LatE7: &lat, LonE7: &lon}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestFormatOfATopic(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		topic, body string
		speaks      fleet.Format
		want        fleet.Format
	}{
		"native":               {points, nativePoint, fleet.FormatJSON, fleet.FormatJSON},
		"native array":         {points, "\n [" + nativePoint + "]", fleet.FormatProtobuf, fleet.FormatJSON},
		"protobuf":             {points, pointBatch(t), fleet.FormatJSON, fleet.FormatProtobuf},
		"OwnTracks":            {ownTracksHome, ownTracksLocation, fleet.FormatJSON, fleet.FormatOwnTracks},
		"Teltonika":            {"352093081452251/data", teltonikaRecord, fleet.FormatTeltonika, fleet.FormatTeltonika},
		"flespi":               {someTopic, flespiMessages, fleet.FormatFlespi, fleet.FormatFlespi},
		"flespi on our topic":  {points, flespiMessages, fleet.FormatFlespi, fleet.FormatFlespi},
		"GeoJSON":              {points, feature, fleet.FormatGeoJSON, fleet.FormatGeoJSON},
		"ThingsBoard":          {deviceTelemetry, telemetry, fleet.FormatThingsBoard, fleet.FormatThingsBoard},
		"a topic of nobody's":  {someTopic, nativePoint, fleet.FormatJSON, fleet.FormatJSON},
		"OsmAnd is HTTP alone": {someTopic, "lat=51.5", fleet.FormatOsmAnd, fleet.FormatOsmAnd},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newMemory()
			p := running(t, config(s, eager()))
			from := phone()
			from.Format = c.speaks
			k := deliver(p, from, c.topic, []byte(c.body), at(0))
			mustAck(t, k)
			if c.want == fleet.FormatOsmAnd {
				if len(s.buried()) != 1 || p.count.letters[c.want].Load() != 1 {
					t.Error("want a dead letter")
				}
				return
			}
			for _, l := range s.buried() {
				t.Fatalf("dead letter: %s", l.Reason)
			}
			stored, found := s.points[key0(from, fix(0, 0))]
			if !found || stored.Format != c.want || stored.Verdict != fleet.OK {
				t.Errorf("stored: %+v", s.points)
			}
		})
	}
}

func TestMessageWithoutAPositionIsAcknowledged(t *testing.T) {
	t.Parallel()
	s := newMemory()
	p := running(t, config(s, eager()))
	mustAck(t,
		deliver(p, phone(), ownTracksHome, []byte(`{"_type":"lwt","tst":1}`), at(0)),
		deliver(p, phone(), points, []byte(`[]`), at(0)))
	if len(s.points) != 0 || len(s.letters) != 0 || p.count.empty.Load() != 2 {
		t.Errorf("%d points, %d dead letters, %d empty", len(s.points), len(s.letters), p.count.empty.Load())
	}
}

func TestGatewaySpeaksForItsOwnChildrenAlone(t *testing.T) {
	t.Parallel()
	flespiOf := func(ident string) string {
		return fmt.Sprintf(`{"ident":%q,"timestamp":1772366400,"position.latitude":51.5,"position.longitude":-0.12}`, ident)
	}
	for name, c := range map[string]struct {
		topic, body string
		format      fleet.Format
	}{
		"ThingsBoard": {gatewayTelemetry, fmt.Sprintf(`{"a":[%s],"b":[%[1]s],"stranger":[%[1]s]}`, telemetry), fleet.FormatThingsBoard},
		"flespi":      {someTopic, "[" + flespiOf("a") + "," + flespiOf("b") + "," + flespiOf("stranger") + "]", fleet.FormatFlespi},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newMemory()
			p := running(t, config(s, eager()))
			a, b := fleet.NewID[fleet.Device](), fleet.NewID[fleet.Device]()
			gateway := phone()
			gateway.Format = c.format
			gateway.Children = map[string]fleet.Child{"a": {Device: a, Unit: fleet.Unit(a)}, "b": {Device: b, Unit: fleet.Unit(b)}}
			mustAck(t, deliver(p, gateway, c.topic, []byte(c.body), at(0)))
			want := fix(0, 0)
			for _, child := range []fleet.DeviceID{a, b} {
				want.Device = child
				if !s.has(want.Key()) {
					t.Errorf("child %v has no point", child)
				}
			}
			letters := s.buried()
			if len(s.points) != 2 || len(letters) != 1 || !strings.Contains(letters[0].Reason, "stranger") {
				t.Errorf("%d points; dead letters %+v", len(s.points), letters)
			}
		})
	}
}

// A gateway that speaks for many strangers makes one dead letter of its message,
// and not a copy of it for each.
func TestManyStrangersAreOneDeadLetter(t *testing.T) {
	t.Parallel()
	s := newMemory()
	p := running(t, config(s, eager()))
	from := phone()
	body := fmt.Sprintf(`{"x":[%s],"y":[%[1]s],"z":[%[1]s]}`, telemetry)
	k := deliver(p, from, gatewayTelemetry, []byte(body), at(0))
	mustAck(t, k)
	letters := s.buried()
	if len(letters) != 1 || !strings.Contains(letters[0].Reason, `"x" and 2 others`) || string(letters[0].Payload) != body {
		t.Errorf("dead letters %+v", letters)
	}
	if want := len(gatewayTelemetry) + len(body); k.weight != want {
		t.Errorf("the message weighs %d, and its dead letter %d", k.weight, want)
	}
}

// locker gives payload keys, once it is open.
type locker struct {
	mu     sync.Mutex
	keys   map[fleet.DeviceID][]byte
	broken fleet.DeviceID // whose key does not open
	err    error
	asked  int
}

func (l *locker) PayloadKey(_ context.Context, device fleet.DeviceID) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asked++
	if l.err != nil {
		err := l.err
		l.err = nil
		return nil, err
	}
	if device == l.broken {
		return nil, errors.New("it does not open")
	}
	if key, found := l.keys[device]; found {
		return key, nil
	}
	return nil, &fleet.Error{Code: fleet.CodeNotFound, Message: "no key"}
}

func (l *locker) set(device fleet.DeviceID, key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys[device] = []byte(key)
}

func sealed(key, message string) []byte {
	var padded [32]byte
	copy(padded[:], key)
	var nonce [24]byte
	box := secretbox.Seal(nonce[:], []byte(message), &nonce, &padded)
	return fmt.Appendf(nil, `{"_type":"encrypted","data":%q}`, base64.StdEncoding.EncodeToString(box))
}

func TestEncryptedOwnTracks(t *testing.T) {
	t.Parallel()
	s, l := newMemory(), &locker{keys: make(map[fleet.DeviceID][]byte), err: errAway}
	clock := eager()
	c := config(s, clock)
	c.PayloadKeys = l
	p := running(t, c)
	from := phone()
	l.set(from.Device, "first")
	location := func(second int) string {
		return fmt.Sprintf(`{"_type":"location","tst":%d,"lat":51.5,"lon":-0.12}`, start.Unix()+int64(second))
	}
	send := func(key string, second int) *ticket {
		return deliver(p, from, ownTracksHome, sealed(key, location(second)), at(60))
	}
	mustAck(t, send("first", 0), send("first", 1)) // the database is away at first
	if s.count() != 2 || len(s.buried()) != 0 {
		t.Fatalf("%d points, dead letters %+v", s.count(), s.buried())
	}
	asked := l.asked
	mustAck(t, send("first", 2), send("wrong", 3), send("wrong", 4))
	if s.count() != 3 || len(s.buried()) != 2 || l.asked != asked {
		t.Errorf("%d points, %d dead letters, asked %d times more", s.count(), len(s.buried()), l.asked-asked)
	}
	l.set(from.Device, "second")
	clock.Advance(keyRetry + 1)
	mustAck(t, send("second", 5))
	if s.count() != 4 {
		t.Error("a key that was changed is not taken up")
	}
	stranger := phone()
	mustAck(t, deliver(p, stranger, ownTracksHome, sealed("first", location(0)), at(60)))
	if letters := s.buried(); len(letters) != 3 || !strings.Contains(letters[2].Reason, "no payload key") {
		t.Errorf("dead letters %+v", letters)
	}
}

// A key that was sealed with another root secret never opens. Nobody waits for it.
func TestAPayloadKeyThatDoesNotOpenHoldsUpNobody(t *testing.T) {
	t.Parallel()
	s, l := newMemory(), &locker{keys: make(map[fleet.DeviceID][]byte), broken: phone().Device}
	c := config(s, fleet.NewManualClock(start)) // whoever waits to ask again waits for ever
	c.PayloadKeys = l
	p := running(t, c)
	first, second := phone(), phone()
	first.Device = l.broken
	l.set(second.Device, "key")
	one := deliver(p, first, ownTracksHome, sealed("key", ownTracksLocation), at(0))
	two := deliver(p, second, ownTracksHome, sealed("key", ownTracksLocation), at(0))
	mustDrain(t, p)
	mustAck(t, one, two)
	letters := s.buried()
	if len(letters) != 1 || letters[0].Device != first.Device || !strings.Contains(letters[0].Reason, "does not open") || s.count() != 1 {
		t.Errorf("%d points, dead letters %+v", s.count(), letters)
	}
}

func TestParkedMessagesAreDrainedAndDropped(t *testing.T) {
	t.Parallel()
	s, l := newMemory(), &locker{keys: make(map[fleet.DeviceID][]byte)}
	c := config(s, fleet.NewManualClock(start))
	c.PayloadKeys = l
	from := phone()
	l.set(from.Device, "key")
	body := sealed("key", ownTracksLocation)
	p := running(t, c)
	k := deliver(p, from, ownTracksHome, body, at(0))
	mustDrain(t, p)
	mustAck(t, k)

	never, err := New(c) // was never opened: nobody asks
	if err != nil {
		t.Fatal(err)
	}
	k = deliver(never, from, ownTracksHome, body, at(0))
	never.Close()
	if err := k.outcome(t); !errors.Is(err, ErrClosed) {
		t.Errorf("parked when the hub stopped: %v", err)
	}
}

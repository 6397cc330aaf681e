package ingest

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"time"

	"armora/fleet"
)

// parseStatus reads what a device says about itself: an object with online,
// battery (0 to 1) and app_version, or one of the bare words online and
// offline, which is what a will often is. All but Device and Received is filled.
func parseStatus(payload []byte) (fleet.Status, error) {
	s := fleet.Status{Battery: fleet.Unknown}
	switch word := string(bytes.Trim(payload, "\" \t\r\n")); word {
	case "online", "offline":
		s.Online = word == "online"
		return s, nil
	case "":
		return s, errors.New("the status is empty")
	}
	var said struct {
		Online  *bool    `json:"online"`
		Battery *float64 `json:"battery"`
		App     string   `json:"app_version"`
	}
	if err := json.Unmarshal(payload, &said); err != nil {
		return s, fmt.Errorf("the status is neither online, offline nor an object: %w", err)
	}
	if said.Online == nil {
		return s, errors.New("the status has no online")
	}
	if len(said.App) > maxAppVersion {
		return s, fmt.Errorf("app_version has %d bytes, more than %d", len(said.App), maxAppVersion)
	}
	if b := said.Battery; b != nil && *b >= 0 && *b <= 1 {
		s.Battery = float32(*b)
	}
	s.Online, s.App = *said.Online, said.App
	return s, nil
}

const (
	maxAppVersion = 100      // bytes
	maxEventBody  = 16 << 10 // bytes
)

// eventKind is what a kind looks like: ops filter by it.
var eventKind = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// parseEvent reads an event: kind, and if they are said id (a UUID of the
// device's own), t (Unix milliseconds or RFC 3339) and body (any JSON). An
// event that comes again is known by its id, or by all that it says when it has
// a time.
func parseEvent(m *Message) (fleet.Event, error) {
	var said struct {
		ID   *fleet.ID[fleet.Event] `json:"id"`
		Kind string                 `json:"kind"`
		At   moment                 `json:"t"`
		Body json.RawMessage        `json:"body"`
	}
	if err := json.Unmarshal(m.Payload, &said); err != nil {
		return fleet.Event{}, fmt.Errorf("the event cannot be read: %w", err)
	}
	switch {
	case !eventKind.MatchString(said.Kind):
		return fleet.Event{}, fmt.Errorf("kind %.80q is not a word of a-z, 0-9 and _", said.Kind)
	case len(said.Body) > maxEventBody:
		return fleet.Event{}, fmt.Errorf("the body has %d bytes, more than %d", len(said.Body), maxEventBody)
	}
	e := fleet.Event{
		Device: m.From.Device, Kind: said.Kind, At: said.At.Time, Received: m.Received.Time(), Body: said.Body,
	}
	switch {
	case said.ID != nil && !said.ID.IsZero():
		e.ID = *said.ID
	case e.At.IsZero():
		e.ID = fleet.NewID[fleet.Event]()
	default:
		sum := sha256.Sum256(m.Payload)
		copy(e.ID[:], sum[:])
		e.ID[6], e.ID[8] = e.ID[6]&0x0f|0x80, e.ID[8]&0x3f|0x80 // RFC 9562 §5.8: of the maker's own design
	}
	if e.At.IsZero() {
		e.At = e.Received
	}
	return e, nil
}

// moment is a time as a payload writes it; zero if it is not said.
type moment struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (t *moment) UnmarshalJSON(text []byte) error {
	if bytes.Equal(text, []byte("null")) {
		return nil
	}
	if text[0] == '"' {
		var parsed time.Time
		if err := json.Unmarshal(text, &parsed); err != nil {
			return fmt.Errorf("t is not a time in RFC 3339: %w", err)
		}
		t.Time = parsed.UTC()
		return t.plausible()
	}
	var ms float64
	if err := json.Unmarshal(text, &ms); err != nil {
		return fmt.Errorf("t is neither Unix milliseconds nor RFC 3339: %w", err)
	}
	if math.Abs(ms) > 1e14 {
		return fmt.Errorf("t %v is not a time in Unix milliseconds", ms)
	}
	t.Time = time.UnixMilli(int64(ms)).UTC()
	return t.plausible()
}

// plausible keeps out what PostgreSQL cannot write down.
func (t *moment) plausible() error {
	if year := t.Year(); year < 1970 || year > 2262 {
		return fmt.Errorf("t is not within the years 1970..2262: %d", year)
	}
	return nil
}

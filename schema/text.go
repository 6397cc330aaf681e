package schema

import (
	"encoding/json"
	"strings"

	"armora/fleet"
)

// text makes what a device said storable: PostgreSQL's text takes neither NUL
// nor bytes that are not UTF-8, and a dead letter must not die of its own reason.
func text(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}

// body maps an absent JSON body to NULL.
func body(raw json.RawMessage) *string {
	if len(raw) == 0 {
		return nil
	}
	s := string(raw)
	return &s
}

// fromBody is the reverse of body.
func fromBody(s *string) json.RawMessage {
	if s == nil {
		return nil
	}
	return json.RawMessage(*s)
}

// known maps an unknown measurement to NULL.
func known(v float32) *float32 {
	if !fleet.Known(v) {
		return nil
	}
	return &v
}

// orUnknown is the reverse of known.
func orUnknown(v *float32) float32 {
	if v == nil {
		return fleet.Unknown
	}
	return *v
}

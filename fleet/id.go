package fleet

import (
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// ID identifies one K. The type parameter exists only to keep ids of different
// nouns apart at compile time; the value is a UUID, version 7 when made here.
type ID[K any] uuid.UUID

type (
	// DeviceID identifies a device.
	DeviceID = ID[Device]
	// DriverID identifies a driver.
	DriverID = ID[Driver]
	// VehicleID identifies a vehicle.
	VehicleID = ID[Vehicle]
	// CredentialID identifies a credential.
	CredentialID = ID[Credential]
)

// NewID makes a fresh version 7 UUID: ids made later sort later, which keeps
// index inserts at the right-hand edge.
func NewID[K any]() ID[K] { return ID[K](uuid.Must(uuid.NewV7())) }

// Made returns when the id was made, by the clock of the machine that made it;
// zero for one of another version than ours.
func (id ID[K]) Made() time.Time {
	u := uuid.UUID(id)
	if u.Version() != 7 {
		return time.Time{}
	}
	return time.Unix(u.Time().UnixTime()).UTC()
}

// ParseID reads the canonical 36-character form and nothing else, so that one
// id has one spelling in topics and URLs.
func ParseID[K any](s string) (ID[K], error) {
	if len(s) != 36 {
		return ID[K]{}, fmt.Errorf("id %.40q is not a UUID of 36 characters", s)
	}
	u, err := uuid.Parse(s)
	if err != nil {
		return ID[K]{}, fmt.Errorf("id %q is not a UUID", s)
	}
	return ID[K](u), nil
}

// IsZero reports whether id was never set.
func (id ID[K]) IsZero() bool { return id == ID[K]{} }

// String returns the canonical lower-case form.
func (id ID[K]) String() string { return uuid.UUID(id).String() }

// MarshalText implements encoding.TextMarshaler.
func (id ID[K]) MarshalText() ([]byte, error) { return uuid.UUID(id).MarshalText() }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID[K]) UnmarshalText(text []byte) error {
	parsed, err := ParseID[K](string(text))
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// Value implements driver.Valuer. A zero id is stored as NULL.
func (id ID[K]) Value() (driver.Value, error) {
	if id.IsZero() {
		return nil, nil
	}
	return id.String(), nil
}

// Scan implements sql.Scanner. NULL is read as the zero id.
func (id *ID[K]) Scan(src any) error {
	if src == nil {
		*id = ID[K]{}
		return nil
	}
	return (*uuid.UUID)(id).Scan(src)
}

package account

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"armora/fleet"
	"armora/schema"
)

// MaxAddresses is how many addresses a person may save.
const MaxAddresses = 50

// Addresses are the places that people have saved, each sealed: where somebody
// lives is what they are protected for. It is safe for concurrent use.
type Addresses struct {
	store   schema.Addresses
	keyring *Keyring
	clock   fleet.Clock
}

// NewAddresses returns the addresses of a hub.
func NewAddresses(db *schema.DB, keyring *Keyring, clock fleet.Clock) *Addresses {
	return &Addresses{store: schema.Addresses{DB: db}, keyring: keyring, clock: clock}
}

// addressText is what is sealed of an address.
type addressText struct {
	Label string  `json:"label"`
	Text  string  `json:"text"`
	Lat   float64 `json:"lat"`
	Lon   float64 `json:"lon"`
}

// List returns a user's addresses, the oldest first.
func (a *Addresses) List(ctx context.Context, user fleet.UserID) ([]fleet.Address, error) {
	rows, err := a.store.List(ctx, user)
	if err != nil {
		return nil, err
	}
	list := make([]fleet.Address, len(rows))
	for i, row := range rows {
		if list[i], err = a.open(row); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Add saves an address and returns it with its id.
func (a *Addresses) Add(ctx context.Context, user fleet.UserID, address fleet.Address) (fleet.Address, error) {
	address.ID, address.Created = fleet.NewID[fleet.Address](), a.clock.Now()
	sealed, err := a.seal(user, address)
	if err != nil {
		return address, err
	}
	return address, a.store.Add(ctx, schema.SealedAddress{
		ID: address.ID, User: user, Sealed: sealed, Created: address.Created,
	}, MaxAddresses)
}

// Change saves an address of the user's anew.
func (a *Addresses) Change(ctx context.Context, user fleet.UserID, address fleet.Address) (fleet.Address, error) {
	sealed, err := a.seal(user, address)
	if err != nil {
		return address, err
	}
	row, err := a.store.Change(ctx, user, address.ID, sealed, a.clock.Now())
	if err != nil {
		return address, err
	}
	return a.open(row)
}

// Delete deletes an address of the user's.
func (a *Addresses) Delete(ctx context.Context, user fleet.UserID, id fleet.AddressID) error {
	return a.store.Delete(ctx, user, id)
}

func (a *Addresses) seal(user fleet.UserID, address fleet.Address) ([]byte, error) {
	if strings.TrimSpace(address.Text) == "" {
		return nil, invalid("the address has no text")
	}
	// Written so that NaN is refused.
	if !(math.Abs(address.Lat) <= 90 && math.Abs(address.Lon) <= 180) {
		return nil, invalid("the position is not on earth")
	}
	plain, err := json.Marshal(addressText{Label: address.Label, Text: address.Text, Lat: address.Lat, Lon: address.Lon})
	if err != nil {
		return nil, err
	}
	return a.keyring.Seal(plain, addressPurpose(user, address.ID)), nil
}

func (a *Addresses) open(row schema.SealedAddress) (fleet.Address, error) {
	plain, err := a.keyring.Unseal(row.Sealed, addressPurpose(row.User, row.ID))
	if err != nil {
		return fleet.Address{}, err
	}
	var text addressText
	if err := json.Unmarshal(plain, &text); err != nil {
		return fleet.Address{}, fmt.Errorf("a stored address: %w", err)
	}
	return fleet.Address{ID: row.ID, Label: text.Label, Text: text.Text, Lat: text.Lat, Lon: text.Lon, Created: row.Created}, nil
}

func addressPurpose(user fleet.UserID, id fleet.AddressID) string {
	return "address/" + user.String() + "/" + id.String()
}

package account

import (
	"context"

	"armora/fleet"
)

// maxPayloadKey is the longest key that OwnTracks takes: libsodium's secretbox
// key, filled up with zeros by the app.
const maxPayloadKey = 32

// SetPayloadKey keeps the key with which an OwnTracks device encrypts its
// payloads: 1 to 32 bytes, as typed into the app. It is sealed, not hashed,
// because the hub must decrypt with it. An empty key means none any more.
func (d *Devices) SetPayloadKey(ctx context.Context, device fleet.DeviceID, key string) error {
	if len(key) > maxPayloadKey {
		return invalid("the payload key has %d bytes, more than %d", len(key), maxPayloadKey)
	}
	var sealed []byte
	if key != "" {
		sealed = d.keyring.Seal([]byte(key), payloadKeyPurpose(device))
	}
	if err := d.devices.SetPayloadKey(ctx, device, sealed); err != nil {
		return err
	}
	d.payloadKeys.forget(string(device[:]))
	return nil
}

// PayloadKey returns the device's payload key, from memory under the limits of
// Freshness and Staleness. CodeNotFound means that it has none. The caller
// does not change the bytes.
func (d *Devices) PayloadKey(ctx context.Context, device fleet.DeviceID) ([]byte, error) {
	key, _, err := d.payloadKeys.get(ctx, string(device[:]))
	return key, err
}

func (d *Devices) readPayloadKey(ctx context.Context, id string) ([]byte, error) {
	device := fleet.DeviceID([]byte(id))
	sealed, err := d.devices.PayloadKey(ctx, device)
	if err != nil {
		return nil, err
	}
	if len(sealed) == 0 {
		return nil, &fleet.Error{Code: fleet.CodeNotFound, Message: "the device has no payload key"}
	}
	return d.keyring.Unseal(sealed, payloadKeyPurpose(device))
}

func payloadKeyPurpose(device fleet.DeviceID) string { return "payload-key/" + device.String() }

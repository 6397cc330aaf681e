package owntracks

import (
	"encoding/base64"
	"errors"
	"fmt"

	"golang.org/x/crypto/nacl/secretbox"

	"armora/ingest/format/jsonread"
)

const (
	keySize   = 32 // of XSalsa20-Poly1305
	nonceSize = 24
)

// Decrypt opens a message of type encrypted,
//
//	{"_type": "encrypted", "data": "<base64>"}
//
// and returns the message inside, which Parse reads and the caller owns. data
// is a nonce of 24 bytes followed by a NaCl secretbox (XSalsa20-Poly1305), and
// key is the app's "encryption key" setting: up to 32 bytes, padded with zeros
// (https://owntracks.org/booklet/features/encrypt/). The message inside is
// never encrypted itself; a caller that finds it so should give up.
func Decrypt(key, payload []byte) ([]byte, error) {
	if len(key) == 0 || len(key) > keySize {
		return nil, fmt.Errorf("an encryption key has 1 to %d bytes, and this one %d", keySize, len(key))
	}
	sealed, err := sealedData(payload)
	if err != nil {
		return nil, err
	}
	if len(sealed) < nonceSize+secretbox.Overhead {
		return nil, fmt.Errorf("data is %d bytes long, too short for a nonce and a sealed message", len(sealed))
	}
	var padded [keySize]byte
	copy(padded[:], key)
	nonce := [nonceSize]byte(sealed)
	message, ok := secretbox.Open(nil, sealed[nonceSize:], &nonce, &padded)
	if !ok {
		return nil, errors.New("data cannot be decrypted: it was sealed with another key, or damaged")
	}
	return message, nil
}

// sealedData returns what the data of an encrypted message stands for.
func sealedData(payload []byte) ([]byte, error) {
	r := jsonread.Open(payload)
	defer r.Close()
	var (
		encrypted, found bool
		sealed           []byte
		broken           error
	)
	r.Begin(jsonread.Object, "the message")
	for r.Member() {
		switch string(r.Name()) {
		case "_type":
			encrypted = string(r.Text()) == "encrypted"
		case "data":
			found = true
			sealed, broken = base64.StdEncoding.AppendDecode(nil, r.Text())
		default:
			r.Skip()
		}
	}
	switch err := r.End(); {
	case err != nil:
		return nil, err
	case !encrypted:
		return nil, errors.New("the message is not of type encrypted")
	case !found:
		return nil, errors.New("data is missing")
	case broken != nil:
		return nil, fmt.Errorf("data is not base64: %w", broken)
	}
	return sealed, nil
}

package files

import (
	"bytes"
	"errors"
	"io"

	"filippo.io/age"

	"armora/fleet"
)

// A blob is an age file (age-encryption.org/v1): ChaCha20-Poly1305 in chunks, so
// that a file can be decrypted as it is read, and one that was cut, changed or
// reordered is found out. Its key is not in its header, where age has it, but
// sealed in the file's row.

// keptElsewhere is the type of the one stanza in a blob's header.
const keptElsewhere = "armora-row"

// recipient seals the key that age has made for a file.
type recipient struct {
	seal   func(key []byte) []byte
	sealed []byte
}

// Wrap implements age.Recipient.
func (r *recipient) Wrap(key []byte) ([]*age.Stanza, error) {
	r.sealed = r.seal(key)
	return []*age.Stanza{{Type: keptElsewhere}}, nil
}

// identity is the key of one file.
type identity []byte

// Unwrap implements age.Identity.
func (key identity) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	if len(stanzas) != 1 || stanzas[0].Type != keptElsewhere {
		return nil, errors.New("the blob was not made by this hub")
	}
	return key, nil
}

func keyPurpose(id fleet.FileID) string { return "file/" + id.String() }

func (f *Files) encrypt(id fleet.FileID, content []byte) (blob, sealedKey []byte, err error) {
	var out bytes.Buffer
	out.Grow(len(content) + len(content)/1000 + 1000) // the header, and a tag for each chunk
	sealedKey, err = f.encryptTo(&out, id, func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
	return out.Bytes(), sealedKey, err
}

// encryptTo makes a blob of what is written, as it is written.
func (f *Files) encryptTo(blob io.Writer, id fleet.FileID, write func(io.Writer) error) (sealedKey []byte, err error) {
	r := &recipient{seal: func(key []byte) []byte { return f.sealer.Seal(key, keyPurpose(id)) }}
	w, err := age.Encrypt(blob, r)
	if err != nil {
		return nil, err
	}
	if err := write(w); err != nil {
		return nil, err
	}
	return r.sealed, w.Close()
}

// decrypt returns the content of a blob, which closes the blob when it is closed.
func (f *Files) decrypt(id fleet.FileID, sealedKey []byte, blob io.ReadCloser) (io.ReadCloser, error) {
	key, err := f.sealer.Unseal(sealedKey, keyPurpose(id))
	if err != nil {
		return nil, err
	}
	content, err := age.Decrypt(blob, identity(key))
	if err != nil {
		return nil, err
	}
	return struct {
		io.Reader
		io.Closer
	}{content, blob}, nil
}

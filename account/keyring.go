package account

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"armora/fleet"
)

// rootSize is the length of the root secret in bytes.
const rootSize = 32

// secretFile is the root secret's name in the data folder.
const secretFile = "secret.key"

// Keyring holds the keys derived from the root secret, one for each use, so
// that what is learnt about one says nothing about another. It prints as
// "[keyring]" whatever the verb.
type Keyring struct {
	hashKey []byte
	bindKey []byte
	sealer  cipher.AEAD
}

// OpenKeyring reads the root secret: from encoded (base64, 32 bytes) when that
// is not empty, else from secret.key in dataDir, which is made on the first
// run, readable by its owner alone.
//
// Whoever loses the secret loses every device credential and sealed key of the
// database; it belongs in the backup, but not beside the database's.
func OpenKeyring(dataDir, encoded string) (*Keyring, error) {
	if encoded != "" {
		root, err := decodeRoot(encoded)
		if err != nil {
			return nil, fmt.Errorf("the secret key in the environment: %w", err)
		}
		return NewKeyring(root)
	}
	path := filepath.Join(dataDir, secretFile)
	root, err := readRoot(path)
	if errors.Is(err, fs.ErrNotExist) {
		root, err = createRoot(path)
	}
	if err != nil {
		return nil, fmt.Errorf("secret key: %w", err)
	}
	return NewKeyring(root)
}

// NewKeyring derives the keys from a root secret of 32 random bytes.
func NewKeyring(root []byte) (*Keyring, error) {
	if len(root) != rootSize {
		return nil, fmt.Errorf("the root secret has %d bytes, not %d", len(root), rootSize)
	}
	hashKey, err := subkey(root, "armora credential hash v1")
	if err != nil {
		return nil, err
	}
	bindKey, err := subkey(root, "armora bind v1")
	if err != nil {
		return nil, err
	}
	sealKey, err := subkey(root, "armora seal v1")
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(sealKey)
	if err != nil {
		return nil, fmt.Errorf("make the sealing cipher: %w", err)
	}
	// 96-bit random nonces are safe for 2^32 sealings under one key; the hub
	// seals a few for each device, and some for each change of what a person says.
	sealer, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make the sealing mode: %w", err)
	}
	return &Keyring{hashKey: hashKey, bindKey: bindKey, sealer: sealer}, nil
}

func subkey(root []byte, use string) ([]byte, error) {
	key, err := hkdf.Key(sha256.New, root, nil, use, sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive the key for %q: %w", use, err)
	}
	return key, nil
}

// Hash returns the keyed hash (HMAC-SHA256) under which a secret is stored and
// found. The secret is machine-made with 256 bits, so one fast hash is enough,
// and finding by a keyed hash tells nothing by its timing.
func (k *Keyring) Hash(secret string) []byte {
	mac := hmac.New(sha256.New, k.hashKey)
	mac.Write([]byte(secret))
	return mac.Sum(nil)
}

// HashCode is Hash of a code that a person has chosen, and which is short: it is of use
// to nobody without the root secret, and to nobody else's account.
func (k *Keyring) HashCode(user fleet.UserID, code string) []byte {
	return k.Hash("duress-code/" + user.String() + "/" + code)
}

// Seal encrypts plain for storage (AES-256-GCM). What is sealed for one
// purpose, "signing-key/" and an id for example, opens for no other, so a
// value moved to another row of the database is found out.
func (k *Keyring) Seal(plain []byte, purpose string) []byte {
	return k.sealer.Seal(nil, nil, plain, []byte(purpose))
}

// Unseal returns what was sealed for purpose. It fails when the value was
// changed, moved, or sealed under another root secret.
func (k *Keyring) Unseal(sealed []byte, purpose string) ([]byte, error) {
	plain, err := k.sealer.Open(nil, nil, sealed, []byte(purpose))
	if err != nil {
		return nil, fmt.Errorf("%s does not open: it was changed, or %s is not the one that it was sealed with", purpose, secretFile)
	}
	return plain, nil
}

// SealUnder encrypts plain under a secret that is not kept, and the root secret:
// who has the database, and even the root secret, cannot open it without the
// one who brings the secret again.
func (k *Keyring) SealUnder(secret string, plain []byte, purpose string) ([]byte, error) {
	sealer, err := k.bound(secret)
	if err != nil {
		return nil, err
	}
	return sealer.Seal(nil, nil, plain, []byte(purpose)), nil
}

// UnsealUnder returns what SealUnder sealed for purpose.
func (k *Keyring) UnsealUnder(secret string, sealed []byte, purpose string) ([]byte, error) {
	sealer, err := k.bound(secret)
	if err != nil {
		return nil, err
	}
	plain, err := sealer.Open(nil, nil, sealed, []byte(purpose))
	if err != nil {
		return nil, fmt.Errorf("%s does not open: it was changed, or sealed under another secret", purpose)
	}
	return plain, nil
}

// bound is the AEAD of a secret (HKDF, salted by a key of the root secret).
func (k *Keyring) bound(secret string) (cipher.AEAD, error) {
	key, err := hkdf.Key(sha256.New, []byte(secret), k.bindKey, "armora sealed under a secret v1", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("derive a key: %w", err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("make a cipher: %w", err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Format implements fmt.Formatter: a keyring never prints its keys.
func (k *Keyring) Format(state fmt.State, _ rune) {
	// The state of a print is a buffer: there is no error to act on.
	_, _ = state.Write([]byte("[keyring]"))
}

func readRoot(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("%s may be read by others (mode %04o): run chmod 600 on it", path, mode)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	root, err := decodeRoot(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return root, nil
}

// decodeRoot never repeats its input in an error.
func decodeRoot(text string) ([]byte, error) {
	root, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
	if err != nil || len(root) != rootSize {
		return nil, fmt.Errorf("it is not %d bytes in base64 (make one with: openssl rand -base64 %d)", rootSize, rootSize)
	}
	return root, nil
}

// createRoot makes the secret in a file of its own and links it into place:
// the name appears with the whole content or not at all, and of two hubs that
// start together one wins and the other reads what it wrote.
func createRoot(path string) ([]byte, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root := make([]byte, rootSize)
	rand.Read(root)
	draft, err := os.CreateTemp(dir, secretFile+".*") // mode 0600
	if err != nil {
		return nil, err
	}
	defer os.Remove(draft.Name()) //nolint:errcheck // a draft left behind does no harm
	_, err = draft.WriteString(base64.StdEncoding.EncodeToString(root) + "\n")
	if err = errors.Join(err, draft.Sync(), draft.Close()); err != nil {
		return nil, err
	}
	if err := os.Link(draft.Name(), path); errors.Is(err, fs.ErrExist) {
		return readRoot(path)
	} else if err != nil {
		return nil, err
	}
	return root, syncDir(dir)
}

// syncDir makes a new name in dir survive a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

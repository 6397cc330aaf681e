package account

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func testKeyring(t *testing.T, seed byte) *Keyring {
	t.Helper()
	k, err := NewKeyring(bytes.Repeat([]byte{seed}, rootSize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestSecretFileIsMadeOnceAndKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	first, err := OpenKeyring(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(filepath.Join(dir, secretFile))
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, want 0600", info.Mode().Perm())
	}
	again, err := OpenKeyring(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first.Hash("x"), again.Hash("x")) {
		t.Error("the second run has another secret")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("drafts were left behind: %v", entries)
	}
}

func TestHubsThatStartTogetherShareOneSecret(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	hashes := make([][]byte, 8)
	var wg sync.WaitGroup
	for i := range hashes {
		wg.Go(func() {
			k, err := OpenKeyring(dir, "")
			if err != nil {
				t.Error(err)
				return
			}
			hashes[i] = k.Hash("x")
		})
	}
	wg.Wait()
	for _, h := range hashes {
		if !bytes.Equal(h, hashes[0]) {
			t.Fatal("two secrets were made")
		}
	}
}

func TestSecretOfTheEnvironmentWins(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	root := bytes.Repeat([]byte{7}, rootSize)
	k, err := OpenKeyring(dir, base64.StdEncoding.EncodeToString(root)+"\n")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(k.Hash("x"), testKeyring(t, 7).Hash("x")) {
		t.Error("another secret was used")
	}
	if _, err := os.Stat(filepath.Join(dir, secretFile)); !os.IsNotExist(err) {
		t.Errorf("a file was made: %v", err)
	}
}

func TestBadSecretsAreRefusedWithoutRepeatingThem(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"not base64 s3cr3t!", base64.StdEncoding.EncodeToString([]byte("s3cr3t"))} {
		if _, err := OpenKeyring(t.TempDir(), bad); err == nil || strings.Contains(err.Error(), bad) {
			t.Errorf("%q: %v", bad, err)
		}
		path := filepath.Join(t.TempDir(), secretFile)
		if err := os.WriteFile(path, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenKeyring(filepath.Dir(path), ""); err == nil || strings.Contains(err.Error(), bad) {
			t.Errorf("file with %q: %v", bad, err)
		}
	}
}

func TestSecretFileThatOthersMayReadIsRefused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := OpenKeyring(dir, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, secretFile), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeyring(dir, ""); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("got %v", err)
	}
}

func TestSealedOpensOnlyForItsPurposeAndSecret(t *testing.T) {
	t.Parallel()
	k := testKeyring(t, 1)
	sealed := k.Seal([]byte("plain"), "payload-key/a")
	if plain, err := k.Unseal(sealed, "payload-key/a"); err != nil || string(plain) != "plain" {
		t.Fatalf("%q, %v", plain, err)
	}
	if bytes.Equal(sealed, k.Seal([]byte("plain"), "payload-key/a")) {
		t.Error("sealing is the same twice")
	}
	if _, err := k.Unseal(sealed, "payload-key/b"); err == nil {
		t.Error("it opens for another purpose")
	}
	if _, err := testKeyring(t, 2).Unseal(sealed, "payload-key/a"); err == nil {
		t.Error("it opens under another secret")
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := k.Unseal(changed, "payload-key/a"); err == nil {
			t.Fatalf("it opens with byte %d changed", i)
		}
	}
	if _, err := k.Unseal(nil, "payload-key/a"); err == nil {
		t.Error("nothing opens")
	}
}

func TestKeyringNeverPrintsItsKeys(t *testing.T) {
	t.Parallel()
	k := testKeyring(t, 1)
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q", "%d"} {
		fmt.Fprintf(&out, verb+"\n", k)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "keyring", k)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "keyring", k)
	for _, key := range [][]byte{k.hashKey[:8], bytes.Repeat([]byte{1}, 8)} {
		for _, form := range []string{string(key), fmt.Sprintf("%x", key), strings.Trim(fmt.Sprintf("%d", key), "[]")} {
			if strings.Contains(out.String(), form) {
				t.Fatalf("a key was printed: %s", out.String())
			}
		}
	}
}

func TestHashesOfTwoSecretsDiffer(t *testing.T) {
	t.Parallel()
	k := testKeyring(t, 1)
	if bytes.Equal(k.Hash("a"), k.Hash("b")) || bytes.Equal(k.Hash("a"), testKeyring(t, 2).Hash("a")) {
		t.Error("the hash does not depend on the secret and the key")
	}
}

func TestSealedUnderASecretOpensWithBothAlone(t *testing.T) {
	t.Parallel()
	ring, other := testKeyring(t, 1), testKeyring(t, 2)
	sealed, err := ring.SealUnder("secret", []byte("plain"), "a")
	if err != nil || bytes.Contains(sealed, []byte("plain")) {
		t.Fatalf("%q, %v", sealed, err)
	}
	if plain, err := ring.UnsealUnder("secret", sealed, "a"); err != nil || string(plain) != "plain" {
		t.Errorf("%q, %v", plain, err)
	}
	for what, open := range map[string]func() ([]byte, error){
		"another secret":  func() ([]byte, error) { return ring.UnsealUnder("Secret", sealed, "a") },
		"another root":    func() ([]byte, error) { return other.UnsealUnder("secret", sealed, "a") },
		"another purpose": func() ([]byte, error) { return ring.UnsealUnder("secret", sealed, "b") },
		"the root alone":  func() ([]byte, error) { return ring.Unseal(sealed, "a") },
	} {
		if _, err := open(); err == nil {
			t.Errorf("%s opens it", what)
		}
	}
}

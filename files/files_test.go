package files

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/minio/minio-go/v7"
	"go.uber.org/goleak"

	"armora/fleet"
	"armora/schema"
	"armora/schema/schematest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"), // idle connections of the S3 client
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// seal is a Sealer that can be told apart from none: it is not secret.
type seal struct{}

func (seal) Seal(plain []byte, purpose string) []byte {
	sum := sha256.Sum256([]byte(purpose))
	return append(sum[:], plain...)
}

func (seal) Unseal(sealed []byte, purpose string) ([]byte, error) {
	sum := sha256.Sum256([]byte(purpose))
	plain, ok := bytes.CutPrefix(sealed, sum[:])
	if !ok {
		return nil, errors.New("sealed for another purpose")
	}
	return plain, nil
}

// inStores runs a test on a folder and on S3-compatible storage.
func inStores(t *testing.T, test func(t *testing.T, store Store)) {
	t.Helper()
	t.Run("folder", func(t *testing.T) {
		t.Parallel()
		test(t, newFolder(t))
	})
	t.Run("s3", func(t *testing.T) {
		t.Parallel()
		test(t, newBucket(t))
	})
}

func newFolder(t *testing.T) *folder {
	t.Helper()
	store, err := OpenStore("file://" + filepath.Join(t.TempDir(), "new", "files"))
	if err != nil {
		t.Fatal(err)
	}
	return store.(*folder)
}

func newBucket(t *testing.T) *bucket {
	t.Helper()
	memory := s3mem.New()
	if err := memory.CreateBucket("blobs"); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(gofakes3.New(memory).Server())
	t.Cleanup(server.Close)
	store, err := OpenStore("s3://KEY:SECRET@" + strings.TrimPrefix(server.URL, "http://") + "/blobs/of/hub?region=eu-west-2&insecure=true")
	if err != nil {
		t.Fatal(err)
	}
	return store.(*bucket)
}

type house struct {
	*Files
	t     *testing.T
	db    *schema.DB
	clock *fleet.ManualClock
}

func newHouse(t *testing.T, db *schema.DB, store Store) *house {
	t.Helper()
	clock := fleet.NewManualClock(noon)
	return &house{
		Files: New(Config{DB: db, Store: store, Sealer: seal{}, Clock: clock, Log: slog.New(slog.DiscardHandler)}),
		t:     t, db: db, clock: clock,
	}
}

func (h *house) user(roles ...fleet.Role) fleet.UserID {
	h.t.Helper()
	id := fleet.NewID[fleet.User]()
	u := fleet.User{ID: id, Email: id.String() + "@example.com", Name: "Ada Vale", Roles: roles, Created: noon}
	if err := (schema.Users{DB: h.db}).Create(h.t.Context(), u, ""); err != nil {
		h.t.Fatal(err)
	}
	return id
}

func (h *house) add(owner fleet.UserID, content []byte) fleet.File {
	h.t.Helper()
	f, err := h.Add(h.t.Context(), owner, fleet.DocumentFile, "a.pdf", content)
	if err != nil {
		h.t.Fatal(err)
	}
	return f
}

func (h *house) read(reader Reader, id fleet.FileID) ([]byte, error) {
	h.t.Helper()
	_, content, err := h.Open(h.t.Context(), reader, id)
	if err != nil {
		return nil, err
	}
	defer func() { _ = content.Close() }()
	return io.ReadAll(content)
}

func (h *house) blobs() (ids []fleet.FileID) {
	h.t.Helper()
	err := h.store.List(h.t.Context(), func(id fleet.FileID) error {
		ids = append(ids, id)
		return nil
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return ids
}

// pdf is a document of the given size.
func pdf(size int) []byte {
	content := make([]byte, size)
	rand.Read(content)
	copy(content, "%PDF-1.7\n")
	return content
}

func wantCode(t *testing.T, err error, code fleet.Code) {
	t.Helper()
	if err == nil || fleet.CodeOf(err) != code {
		t.Errorf("error %v has code %q, want %q", err, fleet.CodeOf(err), code)
	}
}

func TestWhatIsKeptIsRead(t *testing.T) {
	t.Parallel()
	inStores(t, func(t *testing.T, store Store) {
		h := newHouse(t, schematest.Plain(t), store)
		ada, eve := h.user(fleet.RoleRider), h.user(fleet.RoleRider)
		for _, size := range []int{9, 1000, 64 << 10, 64<<10 + 1, MaxSize} {
			content := pdf(size)
			f := h.add(ada, content)
			if f.Size != int64(size) || f.MediaType != "application/pdf" || f.Name != "a.pdf" {
				t.Errorf("kept as %+v", f)
			}
			got, err := h.read(Reader{User: ada}, f.ID)
			if err != nil || !bytes.Equal(got, content) {
				t.Fatalf("%d bytes: read %d, error %v", size, len(got), err)
			}
			_, err = h.read(Reader{User: eve}, f.ID)
			wantCode(t, err, fleet.CodeNotFound)
			wantCode(t, h.Delete(t.Context(), eve, f.ID), fleet.CodeNotFound)
		}
		_, err := h.Add(t.Context(), ada, fleet.DocumentFile, "", pdf(MaxSize+1))
		wantCode(t, err, fleet.CodeTooLarge)
		if list, err := h.List(t.Context(), ada); err != nil || len(list) != 5 || len(h.blobs()) != 5 {
			t.Errorf("listed %v, error %v, blobs %v", list, err, h.blobs())
		}
	})
}

// Nothing of the content can be found in the store, and what was changed there
// is not read as if it were the file.
func TestBlobsTellNothingAndBearNoChange(t *testing.T) {
	t.Parallel()
	inStores(t, func(t *testing.T, store Store) {
		h := newHouse(t, schematest.Plain(t), store)
		ada := h.user(fleet.RoleRider)
		content := append(pdf(100<<10), "the passport number is 123456789"...)
		f, other := h.add(ada, content), h.add(ada, pdf(100<<10))
		blob := readBlob(t, store, f.ID)
		if bytes.Contains(blob, []byte("passport")) || bytes.Contains(blob, content[:9]) {
			t.Error("the blob can be read")
		}
		cut := blob[:len(blob)-1000]
		turned := bytes.Clone(blob)
		turned[len(turned)/2] ^= 1
		for what, bad := range map[string][]byte{"cut": cut, "cut at a chunk": blob[:len(blob)-len(blob)%(64<<10)], "changed": turned, "a byte": []byte("x"),
			"garbage": []byte("age-encryption.org/v1\n-> X25519 x\n"), "another's": readBlob(t, store, other.ID)} {
			if err := store.Delete(t.Context(), f.ID); err != nil {
				t.Fatal(err)
			}
			if err := put(t.Context(), store, f.ID, bad); err != nil {
				t.Fatal(err)
			}
			if got, err := h.read(Reader{User: ada}, f.ID); err == nil {
				t.Errorf("%s: read %d bytes without an error", what, len(got))
			}
		}
		if err := store.Delete(t.Context(), f.ID); err != nil {
			t.Fatal(err)
		}
		_, err := h.read(Reader{User: ada}, f.ID)
		wantCode(t, err, fleet.CodeInternal) // a row that points to nothing is our fault
	})
}

func readBlob(t *testing.T, store Store, id fleet.FileID) []byte {
	t.Helper()
	r, err := store.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	blob, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

func TestStoreTakesRepeatedDeletesAndSkipsStrangers(t *testing.T) {
	t.Parallel()
	folder := newFolder(t)
	if err := os.WriteFile(filepath.Join(folder.root.Name(), "README"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	stray := fleet.NewID[fleet.File]().String()
	if err := os.WriteFile(filepath.Join(folder.root.Name(), stray), nil, 0o600); err != nil { // not where it belongs
		t.Fatal(err)
	}
	bucket := newBucket(t)
	if _, err := bucket.client.PutObject(t.Context(), bucket.name, stray, strings.NewReader("x"), 1, minio.PutObjectOptions{}); err != nil { // beyond the prefix
		t.Fatal(err)
	}
	for _, store := range []Store{folder, bucket} {
		id := fleet.NewID[fleet.File]()
		if err := put(t.Context(), store, id, []byte("x")); err != nil {
			t.Fatal(err)
		}
		var listed []fleet.FileID
		if err := store.List(t.Context(), func(id fleet.FileID) error { listed = append(listed, id); return nil }); err != nil || len(listed) != 1 || listed[0] != id {
			t.Errorf("%T lists %v, error %v", store, listed, err)
		}
		for range 2 {
			if err := store.Delete(t.Context(), id); err != nil {
				t.Errorf("%T: %v", store, err)
			}
		}
		if _, err := store.Get(t.Context(), id); !errors.Is(err, errMissing) {
			t.Errorf("%T: %v", store, err)
		}
		if err := store.List(t.Context(), func(fleet.FileID) error { return errors.New("called") }); err != nil {
			t.Errorf("%T: after the end: %v", store, err)
		}
	}
}

func TestAddressesOfStores(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", "/var/files", "ftp://x/y", "file://host/path", "s3://KEY:hunter2@host", "s3:///bucket", "s3://KEY:hunter2@ho st/b", "%zz://hunter2"} {
		if _, err := OpenStore(bad); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// A storage that is away, or fails, is a reason to try again; nothing is left in
// the table of what it did not take.
func TestStorageThatFails(t *testing.T) {
	t.Parallel()
	db := schematest.Plain(t)
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }))
	t.Cleanup(broken.Close)
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	for server, want := range map[*httptest.Server]fleet.Code{broken: fleet.CodeInternal, away: fleet.CodeUnavailable} {
		store, err := OpenStore("s3://KEY:hunter2@" + strings.TrimPrefix(server.URL, "http://") + "/blobs?region=x&insecure=true")
		if err != nil {
			t.Fatal(err)
		}
		h := newHouse(t, db, store)
		ada := h.user(fleet.RoleRider)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second) // the client tries again by itself
		_, err = h.Add(ctx, ada, fleet.DocumentFile, "", pdf(100))
		cancel()
		wantCode(t, err, want)
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error says %v", err)
		}
		if list, err := h.List(t.Context(), ada); err != nil || len(list) != 0 {
			t.Errorf("listed %v, error %v", list, err)
		}
	}
}

// When the row cannot be written, the blob goes again.
func TestNoBlobWithoutARow(t *testing.T) {
	t.Parallel()
	h := newHouse(t, schematest.Plain(t), newFolder(t))
	_, err := h.Add(t.Context(), fleet.NewID[fleet.User](), fleet.DocumentFile, "", pdf(100))
	wantCode(t, err, fleet.CodeNotFound)
	if left := h.blobs(); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestFilesHaveALimit(t *testing.T) {
	t.Parallel()
	h := newHouse(t, schematest.Plain(t), newFolder(t))
	ada := h.user(fleet.RoleRider)
	for range MaxFiles {
		h.add(ada, pdf(20))
	}
	_, err := h.Add(t.Context(), ada, fleet.DocumentFile, "", pdf(20))
	wantCode(t, err, fleet.CodeTooMany)
	if left := h.blobs(); len(left) != MaxFiles {
		t.Errorf("%d blobs", len(left))
	}
}

func TestNamesOfFiles(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		"passport.pdf": "passport.pdf", "../../etc/passwd": "passwd", `C:\docs\a.pdf`: "a.pdf", "": "", "/": "", "..": "",
		"a\r\nSet-Cookie: x": "aSet-Cookie x", "ab\u202efdp.exe": "abfdp.exe", "Führerschein.pdf": "Führerschein.pdf", `"`: "",
		strings.Repeat("ü", 150): strings.Repeat("ü", 100),
	} {
		if got := fileName(given); got != want {
			t.Errorf("%q becomes %q, want %q", given, got, want)
		}
	}
}

// put keeps a blob that is in memory.
func put(ctx context.Context, store Store, id fleet.FileID, blob []byte) error {
	return store.Put(ctx, id, bytes.NewReader(blob), int64(len(blob)))
}

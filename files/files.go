// Package files keeps private files: pictures of people and documents. Their
// content lies in a folder or in S3-compatible storage, encrypted, each under a
// key of its own that is kept, sealed, in the database: deleting its row is
// what makes a file unreadable for ever, copies and backups of the store
// included.
//
// A file's blob is written before its row, and its row is deleted before its
// blob: a row never points to nothing. A blob that a crash left without a row is
// swept away a day later.
package files

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"log/slog"
	"path"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sync/semaphore"

	"armora/fleet"
	"armora/schema"
)

// MaxFiles is how many files a person may keep.
const MaxFiles = 200

// MaxSize is the size of the largest file that any purpose takes, in bytes.
const MaxSize = 10 << 20

// uses says what a purpose takes.
var uses = map[fleet.FilePurpose]struct {
	size int // at most, as it is sent
	side int // of a picture, as it is kept: larger ones are made smaller
	pdf  bool
}{
	fleet.AvatarFile:   {size: 5 << 20, side: 1024},
	fleet.DocumentFile: {size: MaxSize, side: 4096, pdf: true},
}

// Sealer keeps the keys of files: it is the hub's keyring.
type Sealer interface {
	Seal(plain []byte, purpose string) []byte
	Unseal(sealed []byte, purpose string) ([]byte, error)
}

// Config is what Files needs. All is required.
type Config struct {
	DB     *schema.DB
	Store  Store
	Sealer Sealer
	Clock  fleet.Clock
	Log    *slog.Logger
}

// Files are the private files of a hub. It is safe for concurrent use.
type Files struct {
	table  schema.Files
	audit  schema.Audit
	store  Store
	sealer Sealer
	clock  fleet.Clock
	log    *slog.Logger
	pixels *semaphore.Weighted // that may be decoded at a time
}

// New returns the files of a hub.
func New(cfg Config) *Files {
	return &Files{
		table: schema.Files{DB: cfg.DB}, audit: schema.Audit{DB: cfg.DB}, store: cfg.Store, sealer: cfg.Sealer,
		clock: cfg.Clock, log: cfg.Log, pixels: semaphore.NewWeighted(maxPixels),
	}
}

// Add keeps a file of owner's. What it is, is found from its content. A picture
// is made anew, so that nothing is left of what a camera writes besides.
func (f *Files) Add(ctx context.Context, owner fleet.UserID, purpose fleet.FilePurpose, name string, content []byte) (fleet.File, error) {
	kept, mediaType, err := f.clean(ctx, purpose, content)
	if err != nil {
		return fleet.File{}, err
	}
	sum := sha256.Sum256(kept)
	file := fleet.File{
		ID: fleet.NewID[fleet.File](), Owner: owner, Purpose: purpose, Name: fileName(name), MediaType: mediaType,
		Size: int64(len(kept)), SHA256: sum[:], Created: f.clock.Now(),
	}
	blob, key, err := f.encrypt(file.ID, kept)
	if err != nil {
		return fleet.File{}, err
	}
	if err := f.store.Put(ctx, file.ID, bytes.NewReader(blob), int64(len(blob))); err != nil {
		return fleet.File{}, err
	}
	if err := f.table.Add(ctx, file, key, MaxFiles); err != nil {
		f.drop(context.WithoutCancel(ctx), file.ID)
		return fleet.File{}, err
	}
	return file, nil
}

// drop deletes a blob that has no row. If that fails, it is swept away later.
func (f *Files) drop(ctx context.Context, id fleet.FileID) {
	const patience = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := f.store.Delete(ctx, id); err != nil {
		f.log.Warn("a blob that nobody refers to was left behind", "file", id, "error", err)
	}
}

// Reader is who wants to read a file.
type Reader struct {
	Name string              // in the audit log
	User fleet.UserID        // zero: the bootstrap admin
	May  []fleet.FilePurpose // what they may read of others, as staff
}

// Open returns a file and its content, decrypted as it is read. What is another's
// is read by staff alone, and entered in the audit log first. The caller closes
// the content. Its end is certain only once it has been read to io.EOF.
func (f *Files) Open(ctx context.Context, reader Reader, id fleet.FileID) (fleet.File, io.ReadCloser, error) {
	file, key, err := f.table.Get(ctx, reader.User, reader.May, id)
	if err != nil {
		return fleet.File{}, nil, err
	}
	if file.Owner != reader.User {
		err := f.audit.Record(ctx, fleet.AuditEntry{
			Actor: reader.Name, ActorUser: reader.User, Action: "read_file", Subject: file.Owner, Object: "file/" + file.ID.String(), At: f.clock.Now(),
		})
		if err != nil {
			return fleet.File{}, nil, err
		}
	}
	content, err := f.read(ctx, id, key)
	return file, content, err
}

// read opens the content of a file whose key is known.
func (f *Files) read(ctx context.Context, id fleet.FileID, key []byte) (io.ReadCloser, error) {
	blob, err := f.store.Get(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("the blob of file %s: %w", id, err)
	}
	content, err := f.decrypt(id, key, blob)
	if err != nil {
		_ = blob.Close() // it was only read
	}
	return content, err
}

// List returns a user's files, the oldest first.
func (f *Files) List(ctx context.Context, owner fleet.UserID) ([]fleet.File, error) {
	return f.table.List(ctx, owner)
}

// Delete deletes a file of owner's. From then on nobody can read it; its blob
// goes a little later.
func (f *Files) Delete(ctx context.Context, owner fleet.UserID, id fleet.FileID) error {
	return f.table.Delete(ctx, owner, id)
}

// clean returns what is kept of a content, and what it is.
func (f *Files) clean(ctx context.Context, purpose fleet.FilePurpose, content []byte) ([]byte, string, error) {
	use, known := uses[purpose]
	switch {
	case !known:
		return nil, "", &fleet.Error{Code: fleet.CodeInvalid, Message: "a file is for no such purpose"}
	case len(content) > use.size:
		return nil, "", &fleet.Error{Code: fleet.CodeTooLarge, Message: fmt.Sprintf("for this purpose a file has %d bytes at most", use.size)}
	case use.pdf && bytes.HasPrefix(content, []byte("%PDF-")):
		return content, "application/pdf", nil
	}
	return f.picture(ctx, content, use.side, use.size)
}

// fileName keeps of a name what can be one on any system.
func fileName(name string) string {
	const longest = 200 // bytes
	name = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune(`"*:<>?|`, r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(name, ""))
	name = path.Base(strings.ReplaceAll(name, `\`, "/"))
	if name = strings.Trim(name, " ./"); len(name) > longest {
		name = strings.ToValidUTF8(name[:longest], "")
	}
	return name
}

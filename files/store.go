package files

import (
	"context"
	"errors"
	"io"
	"net/url"

	"armora/fleet"
)

// Store is where blobs lie, each under the id of its file. It is a folder, or a
// bucket of S3-compatible storage.
type Store interface {
	// Put keeps a blob of size bytes. When it returns, the blob is durable.
	Put(ctx context.Context, id fleet.FileID, blob io.Reader, size int64) error
	// Get returns a blob, which the caller closes.
	Get(ctx context.Context, id fleet.FileID) (io.ReadCloser, error)
	// Delete deletes a blob. One that is not there is no error.
	Delete(ctx context.Context, id fleet.FileID) error
	// List calls yield with the id of each blob, half-written ones too, until it
	// returns an error.
	List(ctx context.Context, yield func(fleet.FileID) error) error
}

// OpenStore opens the store at an address:
//
//	file:///var/lib/armora/files
//	s3://KEY:SECRET@host[:port]/bucket[/prefix][?region=eu-west-2][&insecure=true]
//
// Without KEY:SECRET, they are found as the AWS tools find them: in
// AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or from the machine's role. No
// error repeats the address, which may hold them.
func OpenStore(address string) (Store, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("the address of the store of files cannot be read; it looks like file:///path or s3://key:secret@host/bucket")
	}
	switch {
	case u.Scheme == "file" && u.Host == "" && u.Path != "":
		return openFolder(u.Path)
	case u.Scheme == "s3":
		return openBucket(u)
	}
	return nil, errors.New("the address of the store of files is neither file:///path nor s3://key:secret@host/bucket")
}

// errMissing is the error for a blob that a row refers to and that is not there:
// not the fault of who asks for it.
var errMissing = errors.New("it is not in the store")

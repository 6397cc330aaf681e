package files

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"os"

	"armora/fleet"
)

// Write keeps a file of any size as write makes it, under the id that it was given,
// and returns it with its sealed key for whoever makes its row. No more of it is in
// memory than its writer holds; on disk it is encrypted from the first byte.
func (f *Files) Write(ctx context.Context, file fleet.File, write func(io.Writer) error) (fleet.File, []byte, error) {
	draft, err := os.CreateTemp("", "armora-file-*")
	if err != nil {
		return file, nil, err
	}
	defer func() { _ = draft.Close() }() // it has no name any more
	if err := os.Remove(draft.Name()); err != nil {
		return file, nil, err
	}
	sum, length := sha256.New(), new(counter)
	key, err := f.encryptTo(draft, file.ID, func(w io.Writer) error { return write(io.MultiWriter(w, sum, length)) })
	if err != nil {
		return file, nil, err
	}
	size, err := draft.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = draft.Seek(0, io.SeekStart)
	}
	if err != nil {
		return file, nil, err
	}
	file.Size, file.SHA256, file.Created = int64(*length), sum.Sum(nil), f.clock.Now()
	return file, key, f.store.Put(ctx, file.ID, draft, size)
}

// Discard deletes what Write kept, or was keeping, and nobody made a row for.
func (f *Files) Discard(ctx context.Context, id fleet.FileID) { f.drop(context.WithoutCancel(ctx), id) }

// Read opens the content of a file whose row and sealed key the caller has, and
// who answers for who it is that reads.
func (f *Files) Read(ctx context.Context, file fleet.File, key []byte) (io.ReadCloser, error) {
	content, err := f.read(ctx, file.ID, key)
	if errors.Is(err, errMissing) {
		err = &fleet.Error{Code: fleet.CodeNotFound, Message: "the file is gone", Err: err}
	}
	return content, err
}

// counter counts the bytes that are written to it.
type counter int64

func (c *counter) Write(b []byte) (int, error) {
	*c += counter(len(b))
	return len(b), nil
}

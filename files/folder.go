package files

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"armora/fleet"
)

// folder keeps blobs as files, in folders by the last two digits of their ids. A
// blob is written under another name first: under its own, it is whole.
type folder struct{ root *os.Root }

// halfWritten is the ending of a blob's name until it is whole.
const halfWritten = ".part"

func openFolder(dir string) (*folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &folder{root: root}, nil
}

func blobPath(id fleet.FileID) string {
	name := id.String()
	return path.Join(name[len(name)-2:], name)
}

// Put implements Store.
func (f *folder) Put(_ context.Context, id fleet.FileID, blob io.Reader, _ int64) error {
	name := blobPath(id)
	err := f.root.Mkdir(path.Dir(name), 0o700)
	if err == nil {
		err = f.sync(".")
	} else if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err != nil {
		return err
	}
	if err := f.write(name+halfWritten, blob); err != nil {
		return errors.Join(err, f.remove(name+halfWritten))
	}
	if err := f.root.Rename(name+halfWritten, name); err != nil {
		return err
	}
	return f.sync(path.Dir(name))
}

func (f *folder) write(name string, blob io.Reader) error {
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, blob)
	return errors.Join(err, file.Sync(), file.Close())
}

// sync makes new names in a folder survive a power cut.
func (f *folder) sync(dir string) error {
	d, err := f.root.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Get implements Store.
func (f *folder) Get(_ context.Context, id fleet.FileID) (io.ReadCloser, error) {
	file, err := f.root.Open(blobPath(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errMissing
	}
	return file, err
}

// Delete implements Store.
func (f *folder) Delete(_ context.Context, id fleet.FileID) error {
	name := blobPath(id)
	return errors.Join(f.remove(name), f.remove(name+halfWritten))
}

func (f *folder) remove(name string) error {
	if err := f.root.Remove(name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// List implements Store. What has another name than a blob's is not ours.
func (f *folder) List(ctx context.Context, yield func(fleet.FileID) error) error {
	return fs.WalkDir(f.root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // deleted meanwhile
		}
		if err != nil || entry.IsDir() {
			return errors.Join(err, ctx.Err())
		}
		id, notOurs := fleet.ParseID[fleet.File](strings.TrimSuffix(entry.Name(), halfWritten))
		if notOurs != nil || path.Dir(blobPath(id)) != path.Dir(name) {
			return nil //nolint:nilerr // it is somebody else's, and left alone
		}
		return yield(id)
	})
}

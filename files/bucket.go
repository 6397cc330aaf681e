package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"armora/fleet"
)

// bucket keeps blobs as objects of S3-compatible storage.
type bucket struct {
	client *minio.Client
	name   string
	prefix string // "" or with a slash at its end
}

// openBucket makes no request: a storage that is away is met by the first that
// needs it.
func openBucket(u *url.URL) (*bucket, error) {
	name, prefix, _ := strings.Cut(strings.Trim(u.Path, "/"), "/")
	if u.Host == "" || name == "" {
		return nil, errors.New("the address of the store of files lacks a host or a bucket: s3://key:secret@host/bucket")
	}
	if prefix != "" {
		prefix += "/"
	}
	key := credentials.NewChainCredentials([]credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{}})
	if secret, given := u.User.Password(); given {
		key = credentials.NewStaticV4(u.User.Username(), secret, "")
	}
	client, err := minio.New(u.Host, &minio.Options{
		Creds: key, Region: u.Query().Get("region"), Secure: u.Query().Get("insecure") != "true",
	})
	if err != nil {
		return nil, fmt.Errorf("the store of files: %w", err)
	}
	return &bucket{client: client, name: name, prefix: prefix}, nil
}

func (b *bucket) key(id fleet.FileID) string { return b.prefix + id.String() }

// Put implements Store.
func (b *bucket) Put(ctx context.Context, id fleet.FileID, blob io.Reader, size int64) error {
	_, err := b.client.PutObject(ctx, b.name, b.key(id), blob, size,
		minio.PutObjectOptions{ContentType: "application/octet-stream", DisableMultipart: true})
	return b.failed("write", err)
}

// Get implements Store.
func (b *bucket) Get(ctx context.Context, id fleet.FileID) (io.ReadCloser, error) {
	object, err := b.client.GetObject(ctx, b.name, b.key(id), minio.GetObjectOptions{})
	if err == nil {
		if _, err = object.Stat(); err == nil { // the request is made here
			return object, nil
		}
		_ = object.Close() // there is nothing in it
	}
	return nil, b.failed("read", err)
}

// Delete implements Store.
func (b *bucket) Delete(ctx context.Context, id fleet.FileID) error {
	return b.failed("delete", b.client.RemoveObject(ctx, b.name, b.key(id), minio.RemoveObjectOptions{}))
}

// List implements Store.
func (b *bucket) List(ctx context.Context, yield func(fleet.FileID) error) error {
	for object := range b.client.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: b.prefix, Recursive: true}) {
		if object.Err != nil {
			return b.failed("list", object.Err)
		}
		id, err := fleet.ParseID[fleet.File](path.Base(object.Key))
		if err != nil || b.key(id) != object.Key {
			continue // not ours
		}
		if err := yield(id); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// failed translates an error: a storage that does not answer, or not well, is
// away; one that says no is set up wrongly.
func (b *bucket) failed(what string, err error) error {
	if err == nil {
		return nil
	}
	answer := minio.ToErrorResponse(err)
	switch {
	case answer.Code == minio.NoSuchKey:
		return errMissing
	case answer.StatusCode >= http.StatusBadRequest && answer.StatusCode < http.StatusInternalServerError:
		return fmt.Errorf("%s the bucket %s: %w", what, b.name, err)
	}
	return &fleet.Error{Code: fleet.CodeUnavailable, Message: "the store of files is away, try again", Err: err}
}

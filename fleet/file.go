package fleet

import "time"

// FileID identifies a file.
type FileID = ID[File]

// File is a private file of a user's. Its content lies encrypted in the store of
// files, under its id.
type File struct {
	ID        FileID
	Owner     UserID
	Purpose   FilePurpose
	Name      string // as its owner called it; "" if it was not said
	MediaType string
	Size      int64  // in bytes, in clear
	SHA256    []byte // of the content in clear
	Created   time.Time
}

// FilePurpose is what a file is for. It decides what it may be and who may see it.
type FilePurpose string

// The purposes.
const (
	AvatarFile   FilePurpose = "avatar"
	DocumentFile FilePurpose = "document"
	ExportFile   FilePurpose = "export" // made by the hub for the owner; it is not among their files
)

// DropBlob is the job of deleting the blob of a file that was deleted.
type DropBlob struct {
	File FileID `json:"file"`
}

// Kind names the job.
func (DropBlob) Kind() string { return "drop_blob" }

// SweepBlobs is the job of deleting the blobs that no file refers to.
type SweepBlobs struct{}

// Kind names the job.
func (SweepBlobs) Kind() string { return "sweep_blobs" }

package api

import (
	"context"
	"errors"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/account"
	"armora/files"
	"armora/fleet"
)

// filesPath is where files are sent: the one path that takes more than maxBody,
// and from those alone who have signed in.
const filesPath = "/api/files"

// File is a private file as the API shows it.
type File struct {
	ID        fleet.FileID      `json:"id" format:"uuid"`
	Purpose   fleet.FilePurpose `json:"purpose" enum:"avatar,document"`
	Name      string            `json:"name,omitempty"`
	MediaType string            `json:"media_type"`
	Size      int64             `json:"size" doc:"In bytes, as it is kept"`
	CreatedAt time.Time         `json:"created_at"`
}

func showFile(f fleet.File) File {
	return File{ID: f.ID, Purpose: f.Purpose, Name: f.Name, MediaType: f.MediaType, Size: f.Size, CreatedAt: f.Created}
}

type createFileInput struct {
	Purpose     fleet.FilePurpose `query:"purpose" required:"true" enum:"avatar,document"`
	Disposition string            `header:"Content-Disposition" maxLength:"1000" doc:"attachment; filename=\"passport.pdf\" names the file"`
	RawBody     []byte            `contentType:"application/octet-stream" doc:"JPEG, PNG or WebP; for a document, PDF as well. What it is, is found from the content"`
}

// name is what the client calls the file. One that cannot be read is none.
func (in *createFileInput) name() string {
	_, parameters, err := mime.ParseMediaType(in.Disposition)
	if err != nil {
		return ""
	}
	return parameters["filename"]
}

type createdFileOutput struct {
	Location string `header:"Location"`
	Body     File
}

// FilePath names a file in a path.
type FilePath struct {
	ID fleet.FileID `path:"id" format:"uuid"`
}

func (s *Server) addFiles() {
	route(s, signedIn().rated(costly), huma.Operation{
		OperationID: "create-file", Method: http.MethodPost, Path: filesPath, DefaultStatus: http.StatusCreated,
		MaxBodyBytes: files.MaxSize + 1, // huma takes the limit itself for too much
		Summary:      "Keep a private file: an avatar of 5 MiB or a document of 10 MiB at most", Tags: []string{"files"},
		Description: "A picture is made anew, upright: nothing is left of where and with what it was taken. What is sent by people who have not signed in is cut off at 1 MiB, and so is a fifth at the same time: send one after the other.",
	}, s.createFile)
	route(s, signedIn(), huma.Operation{
		OperationID: "list-files", Method: http.MethodGet, Path: filesPath,
		Summary: "List one's own files, the oldest first; there are 200 at most", Tags: []string{"files"},
	}, s.listFiles)
	route(s, signedIn(), huma.Operation{
		OperationID: "get-file", Method: http.MethodGet, Path: filesPath + "/{id}",
		Summary: "Download a file of one's own, or, for staff, of another; that is entered in the audit log", Tags: []string{"files"},
	}, s.getFile)
	route(s, signedIn(), huma.Operation{
		OperationID: "delete-file", Method: http.MethodDelete, Path: filesPath + "/{id}", DefaultStatus: http.StatusNoContent,
		Summary: "Delete a file of one's own: nobody can read it from then on", Tags: []string{"files"},
	}, s.deleteFile)
}

func (s *Server) createFile(ctx context.Context, in *createFileInput) (*createdFileOutput, error) {
	f, err := s.cfg.Files.Add(ctx, callerOf(ctx).User, in.Purpose, in.name(), in.RawBody)
	if err != nil {
		return nil, err
	}
	return &createdFileOutput{Location: filesPath + "/" + f.ID.String(), Body: showFile(f)}, nil
}

func (s *Server) listFiles(ctx context.Context, _ *struct{}) (*pageOutput[File], error) {
	list, err := s.cfg.Files.List(ctx, callerOf(ctx).User)
	if err != nil {
		return nil, err
	}
	return newPage(list, len(list), showFile, nil)
}

// mayRead says which files of others a caller may read: documents are for those
// who verify them.
func mayRead(caller *account.Caller) []fleet.FilePurpose {
	switch {
	case caller.Has(fleet.RoleCompliance, fleet.RoleAdmin):
		return []fleet.FilePurpose{fleet.AvatarFile, fleet.DocumentFile}
	case caller.Has(fleet.RoleDispatcher):
		return []fleet.FilePurpose{fleet.AvatarFile}
	}
	return nil
}

func (s *Server) getFile(ctx context.Context, in *FilePath) (*huma.StreamResponse, error) {
	return s.sendFile(ctx, in.ID, mayRead(callerOf(ctx)))
}

// sendFile sends a file to the caller, who may read those of others that are for
// the given purposes.
func (s *Server) sendFile(ctx context.Context, id fleet.FileID, may []fleet.FilePurpose) (*huma.StreamResponse, error) {
	caller := callerOf(ctx)
	f, content, err := s.cfg.Files.Open(ctx, files.Reader{Name: caller.Name, User: caller.User, May: may}, id)
	if err != nil {
		return nil, err
	}
	name := f.Name
	if name == "" {
		name = f.ID.String()
	}
	out, err := s.stream(f.MediaType, name, func(_ context.Context, w io.Writer) error {
		_, err := io.Copy(w, content)
		return errors.Join(err, content.Close())
	})
	if err != nil {
		_ = content.Close() // it may not have been read
	}
	return out, err
}

func (s *Server) deleteFile(ctx context.Context, in *FilePath) (*struct{}, error) {
	return nil, s.cfg.Files.Delete(ctx, callerOf(ctx).User, in.ID)
}

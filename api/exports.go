package api

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

const exportsPath = "/api/users/exports"

// Export is all that is known of a person, as they asked for it.
type Export struct {
	ID        fleet.ExportID `json:"id" format:"uuid"`
	State     string         `json:"state" enum:"running,ready"`
	AskedAt   time.Time      `json:"asked_at"`
	ReadyAt   time.Time      `json:"ready_at,omitzero"`
	ExpiresAt time.Time      `json:"expires_at,omitzero" doc:"It is deleted then"`
	Size      int64          `json:"size,omitempty" doc:"In bytes"`
}

func showExport(e fleet.Export) Export {
	shown := Export{ID: e.ID, State: "running", AskedAt: e.Asked, ReadyAt: e.Ready, ExpiresAt: e.Expires, Size: e.Size}
	if !e.Ready.IsZero() {
		shown.State = "ready"
	}
	return shown
}

type exportPath struct {
	ID fleet.ExportID `path:"id" format:"uuid"`
}

type exportOutput struct{ Body Export }

type askedExportOutput struct {
	Location string `header:"Location"`
	Body     Export
}

func (s *Server) addExports() {
	tags := []string{"privacy"}
	route(s, signedIn().afresh().rated(costly), huma.Operation{
		OperationID: "ask-export", Method: http.MethodPost, Path: exportsPath, DefaultStatus: http.StatusAccepted,
		Summary: "Have all that is known of you put together, as a ZIP of JSON and CSV; you are told when it is ready", Tags: tags,
	}, s.askExport)
	route(s, signedIn(), huma.Operation{
		OperationID: "list-exports", Method: http.MethodGet, Path: exportsPath,
		Summary: "List your exports, the newest first", Tags: tags,
	}, s.listExports)
	route(s, signedIn(), huma.Operation{
		OperationID: "get-export", Method: http.MethodGet, Path: exportsPath + "/{id}",
		Summary: "Show an export of your own", Tags: tags,
	}, s.getExport)
	route(s, signedIn().afresh().rated(costly), huma.Operation{
		OperationID: "download-export", Method: http.MethodGet, Path: exportsPath + "/{id}/download",
		Summary: "Download an export of your own, while it is kept", Tags: tags,
	}, s.downloadExport)
}

func (s *Server) askExport(ctx context.Context, _ *struct{}) (*askedExportOutput, error) {
	e, err := s.cfg.Exports.Ask(ctx, callerOf(ctx).User)
	if err != nil {
		return nil, err
	}
	return &askedExportOutput{Location: exportsPath + "/" + e.ID.String(), Body: showExport(e)}, nil
}

func (s *Server) listExports(ctx context.Context, _ *struct{}) (*pageOutput[Export], error) {
	list, err := s.cfg.Exports.List(ctx, callerOf(ctx).User)
	if err != nil {
		return nil, err
	}
	return newPage(list, len(list), showExport, nil)
}

func (s *Server) getExport(ctx context.Context, in *exportPath) (*exportOutput, error) {
	e, err := s.cfg.Exports.Get(ctx, callerOf(ctx).User, in.ID)
	if err != nil {
		return nil, err
	}
	return &exportOutput{Body: showExport(e)}, nil
}

func (s *Server) downloadExport(ctx context.Context, in *exportPath) (*huma.StreamResponse, error) {
	f, content, err := s.cfg.Exports.Open(ctx, callerOf(ctx).User, in.ID)
	if err != nil {
		return nil, err
	}
	out, err := s.stream(f.MediaType, f.Name, func(_ context.Context, w io.Writer) error {
		_, err := io.Copy(w, content)
		return errors.Join(err, content.Close())
	})
	if err != nil {
		_ = content.Close() // it may not have been read
	}
	return out, err
}

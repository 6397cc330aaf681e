package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

type restrictInput struct {
	UserPath
	Body struct {
		Restricted bool `json:"restricted"`
	}
}

type viewersOutput struct {
	Body struct {
		Items []fleet.UserID `json:"items" doc:"Ids of staff"`
	}
}

type viewerPath struct {
	ID     fleet.UserID `path:"id" format:"uuid"`
	Viewer fleet.UserID `path:"viewer" format:"uuid" doc:"A member of the staff"`
}

func (s *Server) addViewers() {
	tags := []string{"users"}
	route(s, admins(), huma.Operation{
		OperationID: "restrict-user", Method: http.MethodPut, Path: "/api/users/{id}/restricted", DefaultStatus: http.StatusNoContent,
		Summary: "Make a person visible to named staff alone, or, as an admin who is named, to all staff again", Tags: tags,
	}, s.restrictUser)
	route(s, admins(), huma.Operation{
		OperationID: "list-user-viewers", Method: http.MethodGet, Path: "/api/users/{id}/viewers",
		Summary: "List the staff who see a person who is restricted", Tags: tags,
	}, s.listViewers)
	route(s, admins(), huma.Operation{
		OperationID: "add-user-viewer", Method: http.MethodPut, Path: "/api/users/{id}/viewers/{viewer}", DefaultStatus: http.StatusNoContent,
		Summary: "Let a member of the staff, another than yourself, see a person who is restricted", Tags: tags,
	}, s.addViewer)
	route(s, admins(), huma.Operation{
		OperationID: "remove-user-viewer", Method: http.MethodDelete, Path: "/api/users/{id}/viewers/{viewer}", DefaultStatus: http.StatusNoContent,
		Summary: "Take that back", Tags: tags,
	}, s.removeViewer)
}

func (s *Server) restrictUser(ctx context.Context, in *restrictInput) (*struct{}, error) {
	return nil, s.cfg.Directory.Restrict(ctx, callerOf(ctx), in.ID, in.Body.Restricted)
}

func (s *Server) listViewers(ctx context.Context, in *UserPath) (*viewersOutput, error) {
	ids, err := s.cfg.Directory.Viewers(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := &viewersOutput{}
	out.Body.Items = append([]fleet.UserID{}, ids...)
	return out, nil
}

func (s *Server) addViewer(ctx context.Context, in *viewerPath) (*struct{}, error) {
	return nil, s.cfg.Directory.AddViewer(ctx, callerOf(ctx), in.ID, in.Viewer)
}

func (s *Server) removeViewer(ctx context.Context, in *viewerPath) (*struct{}, error) {
	return nil, s.cfg.Directory.RemoveViewer(ctx, in.ID, in.Viewer)
}

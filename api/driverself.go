package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// What a driver sees and says of themselves. Nothing of it makes them fit to
// work: the documents that they submit count once staff have verified them.

type describeInput struct{ Body Personal }

func (s *Server) addDriverSelf() {
	self := only(fleet.RoleDriver)
	route(s, self, huma.Operation{
		OperationID: "get-own-driver", Method: http.MethodGet, Path: "/api/drivers/me",
		Summary: "Get your own profile as a protection officer", Tags: []string{"drivers"},
	}, s.getOwnDriver)
	route(s, self, huma.Operation{
		OperationID: "describe-own-driver", Method: http.MethodPut, Path: "/api/drivers/me",
		Summary: "Say who you are to those you protect", Tags: []string{"drivers"},
	}, s.describeOwnDriver)
	route(s, self, huma.Operation{
		OperationID: "get-own-fitness", Method: http.MethodGet, Path: "/api/drivers/me/fitness",
		Summary: "Whether you may be offered work now, and why not", Tags: []string{"drivers"},
	}, s.getOwnFitness)
	route(s, self, huma.Operation{
		OperationID: "list-own-documents", Method: http.MethodGet, Path: "/api/drivers/me/documents",
		Summary: "List your own documents", Tags: []string{"documents"},
	}, s.listOwnDocuments)
	route(s, self, huma.Operation{
		OperationID: "submit-own-document", Method: http.MethodPost, Path: "/api/drivers/me/documents", DefaultStatus: http.StatusCreated,
		Summary: "Submit a document of your own for staff to verify", Tags: []string{"documents"},
	}, s.submitOwnDocument)
}

// ownDriver is the driver that the caller is.
func (s *Server) ownDriver(ctx context.Context) (fleet.DriverProfile, error) {
	return s.tables.drivers.Own(ctx, callerOf(ctx).User)
}

func (s *Server) getOwnDriver(ctx context.Context, _ *struct{}) (*driverProfileOutput, error) {
	p, err := s.ownDriver(ctx)
	if err != nil {
		return nil, err
	}
	return &driverProfileOutput{Body: showProfile(p)}, nil
}

func (s *Server) describeOwnDriver(ctx context.Context, in *describeInput) (*driverProfileOutput, error) {
	p, err := s.cfg.Officers.Describe(ctx, callerOf(ctx).User, fleet.Personal{
		Languages: in.Body.Languages, Gender: in.Body.Gender, Bio: in.Body.Bio, Photo: in.Body.PhotoID,
	})
	if err != nil {
		return nil, err
	}
	return &driverProfileOutput{Body: showProfile(p)}, nil
}

func (s *Server) getOwnFitness(ctx context.Context, _ *struct{}) (*fitnessOutput, error) {
	p, err := s.ownDriver(ctx)
	if err != nil {
		return nil, err
	}
	return s.getFitness(ctx, &DriverPath{ID: p.ID})
}

func (s *Server) listOwnDocuments(ctx context.Context, _ *struct{}) (*documentsOutput, error) {
	p, err := s.ownDriver(ctx)
	if err != nil {
		return nil, err
	}
	return s.listDriverDocuments(ctx, &DriverPath{ID: p.ID})
}

func (s *Server) submitOwnDocument(ctx context.Context, in *struct{ Body NewDocument }) (*documentOutput, error) {
	p, err := s.ownDriver(ctx)
	if err != nil {
		return nil, err
	}
	return s.submit(ctx, &in.Body, callerOf(ctx).User, fleet.Document{Driver: p.ID})
}

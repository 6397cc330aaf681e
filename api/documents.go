package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// Document is a licence or paper as the API shows it.
type Document struct {
	ID          fleet.DocumentID     `json:"id" format:"uuid"`
	DriverID    fleet.DriverID       `json:"driver_id,omitzero" format:"uuid" doc:"Whose it is"`
	VehicleID   fleet.VehicleID      `json:"vehicle_id,omitzero" format:"uuid" doc:"Or of which car"`
	Kind        fleet.DocumentKind   `json:"kind"`
	Number      string               `json:"number,omitempty"`
	Category    string               `json:"category,omitempty"`
	IssuedAt    time.Time            `json:"issued_at,omitzero"`
	ExpiresAt   time.Time            `json:"expires_at,omitzero"`
	FileID      fleet.FileID         `json:"file_id,omitzero" format:"uuid"`
	Status      fleet.DocumentStatus `json:"status" enum:"submitted,verified,rejected,suspended,revoked"`
	Reason      string               `json:"reason,omitempty" doc:"Why it was turned down"`
	Counts      bool                 `json:"counts" doc:"It is verified, and neither it nor its verification has run out"`
	SubmittedAt time.Time            `json:"submitted_at"`
	VerifiedAt  time.Time            `json:"verified_at,omitzero"`
	VerifiedBy  string               `json:"verified_by,omitempty"`
	ReverifyAt  time.Time            `json:"reverify_at,omitzero" doc:"When staff have to look again"`
}

func (s *Server) showDocument(d fleet.Document) Document {
	return Document{
		ID: d.ID, DriverID: d.Driver, VehicleID: d.Vehicle, Kind: d.Kind, Number: d.Number, Category: d.Category,
		IssuedAt: utcOrZero(d.Issued), ExpiresAt: utcOrZero(d.Expires), FileID: d.File, Status: d.Status, Reason: d.Reason,
		Counts: d.Counts(s.clock.Now()), SubmittedAt: d.Submitted.UTC(),
		VerifiedAt: utcOrZero(d.Verified), VerifiedBy: d.VerifiedBy, ReverifyAt: utcOrZero(d.Reverify),
	}
}

// NewDocument is a document to be verified.
type NewDocument struct {
	Kind      fleet.DocumentKind `json:"kind" enum:"sia_licence,background_check,right_to_work,driving_licence,private_hire_driver,certification,insurance,mot,private_hire_vehicle,other" doc:"insurance, mot and private_hire_vehicle are a car's; other is of either; the rest are a person's"`
	Number    string             `json:"number,omitempty" maxLength:"100" doc:"Of an SIA licence 16 digits"`
	Category  string             `json:"category,omitempty" maxLength:"100" doc:"What a licence is for (an officer needs an SIA licence for close_protection), or what a certification is in"`
	IssuedAt  time.Time          `json:"issued_at,omitzero"`
	ExpiresAt time.Time          `json:"expires_at,omitzero" doc:"It no longer counts from then on"`
	FileID    fleet.FileID       `json:"file_id,omitzero" format:"uuid" doc:"A document of POST /api/files; your own, unless you are staff"`
}

// VehiclePath names a vehicle in a path.
type VehiclePath struct {
	ID fleet.VehicleID `path:"id" format:"uuid"`
}

type driverDocumentInput struct {
	DriverPath
	Body NewDocument
}

type vehicleDocumentInput struct {
	VehiclePath
	Body NewDocument
}

type decideInput struct {
	ID   fleet.DocumentID `path:"id" format:"uuid"`
	Body struct {
		Status     fleet.DocumentStatus `json:"status" enum:"verified,rejected,suspended,revoked"`
		Reason     string               `json:"reason,omitempty" maxLength:"1000" doc:"Required unless it is verified"`
		ReverifyAt time.Time            `json:"reverify_at,omitzero" doc:"When staff have to look again; a year from now if absent, three at most"`
	}
}

type documentQueueInput struct {
	PageQuery
	Status fleet.DocumentStatus `query:"status" enum:"submitted,verified,rejected,suspended,revoked" default:"submitted"`
}

type (
	documentOutput  struct{ Body Document }
	documentsOutput struct {
		Body struct {
			Items []Document `json:"items" doc:"The oldest first"`
		}
	}
)

func (s *Server) addDocuments() {
	route(s, seesDrivers(), huma.Operation{
		OperationID: "list-driver-documents", Method: http.MethodGet, Path: "/api/drivers/{id}/documents",
		Summary: "List a protection officer's documents", Tags: []string{"documents"},
	}, s.listDriverDocuments)
	route(s, vetsDrivers(), huma.Operation{
		OperationID: "submit-driver-document", Method: http.MethodPost, Path: "/api/drivers/{id}/documents",
		DefaultStatus: http.StatusCreated,
		Summary:       "Submit a document of a protection officer", Tags: []string{"documents"},
	}, s.submitDriverDocument)
	route(s, seesDrivers(), huma.Operation{
		OperationID: "list-vehicle-documents", Method: http.MethodGet, Path: "/api/vehicles/{id}/documents",
		Summary: "List a vehicle's documents", Tags: []string{"documents"},
	}, s.listVehicleDocuments)
	route(s, vetsDrivers(), huma.Operation{
		OperationID: "submit-vehicle-document", Method: http.MethodPost, Path: "/api/vehicles/{id}/documents",
		DefaultStatus: http.StatusCreated,
		Summary:       "Submit a document of a vehicle", Tags: []string{"documents"},
	}, s.submitVehicleDocument)
	route(s, vetsDrivers(), huma.Operation{
		OperationID: "list-documents", Method: http.MethodGet, Path: "/api/documents",
		Summary: "List documents of a status, the oldest first: those that wait to be verified, unless another is asked for", Tags: []string{"documents"},
	}, s.listDocuments)
	route(s, vetsDrivers(), huma.Operation{
		OperationID: "decide-document", Method: http.MethodPut, Path: "/api/documents/{id}/status",
		Summary:     "Verify, reject, suspend or revoke a document",
		Description: "Takes effect at once: who is no longer fit to work is offered nothing from then on. Nobody decides about their own.",
		Tags:        []string{"documents"},
	}, s.decideDocument)
}

func (s *Server) listDriverDocuments(ctx context.Context, in *DriverPath) (*documentsOutput, error) {
	if _, err := s.tables.drivers.Get(ctx, in.ID); err != nil {
		return nil, err
	}
	return s.showDocuments(s.tables.documents.OfDriver(ctx, in.ID))
}

func (s *Server) listVehicleDocuments(ctx context.Context, in *VehiclePath) (*documentsOutput, error) {
	if _, err := s.tables.vehicles.Get(ctx, in.ID); err != nil {
		return nil, err
	}
	return s.showDocuments(s.tables.documents.OfVehicle(ctx, in.ID))
}

func (s *Server) showDocuments(documents []fleet.Document, err error) (*documentsOutput, error) {
	if err != nil {
		return nil, err
	}
	out := &documentsOutput{}
	out.Body.Items = make([]Document, len(documents))
	for i := range documents {
		out.Body.Items[i] = s.showDocument(documents[i])
	}
	return out, nil
}

func (s *Server) submitDriverDocument(ctx context.Context, in *driverDocumentInput) (*documentOutput, error) {
	return s.submit(ctx, &in.Body, fleet.UserID{}, fleet.Document{Driver: in.ID})
}

func (s *Server) submitVehicleDocument(ctx context.Context, in *vehicleDocumentInput) (*documentOutput, error) {
	return s.submit(ctx, &in.Body, fleet.UserID{}, fleet.Document{Vehicle: in.ID})
}

// submit takes in a document of the subject that d names, with a file of the
// owner's; zero: of anybody's.
func (s *Server) submit(ctx context.Context, in *NewDocument, owner fleet.UserID, d fleet.Document) (*documentOutput, error) {
	d.Kind, d.Number, d.Category, d.File = in.Kind, in.Number, in.Category, in.FileID
	d.Issued, d.Expires = in.IssuedAt, in.ExpiresAt
	d, err := s.cfg.Officers.Submit(ctx, callerOf(ctx).Name, owner, d)
	if err != nil {
		return nil, err
	}
	return &documentOutput{Body: s.showDocument(d)}, nil
}

func (s *Server) listDocuments(ctx context.Context, in *documentQueueInput) (*pageOutput[Document], error) {
	var after fleet.DocumentID
	if err := readCursor(in.Cursor, &after); err != nil {
		return nil, err
	}
	rows, err := s.tables.documents.List(ctx, in.Status, after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return newPage(rows, in.Limit, s.showDocument, func(d fleet.Document) any { return d.ID })
}

func (s *Server) decideDocument(ctx context.Context, in *decideInput) (*documentOutput, error) {
	d, err := s.cfg.Officers.Decide(ctx, callerOf(ctx), in.ID, in.Body.Status, in.Body.Reason, in.Body.ReverifyAt)
	if err != nil {
		return nil, err
	}
	return &documentOutput{Body: s.showDocument(d)}, nil
}

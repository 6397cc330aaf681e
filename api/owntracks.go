package api

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

type ownTracksOutput struct {
	Body struct {
		Config json.RawMessage `json:"config" doc:"The file to import, with the suffix .otrc; it holds the device's secret, told this once"`
		URL    string          `json:"url" doc:"Opened on the phone, it imports the same"`
		QR     []byte          `json:"qr_png" doc:"The URL as a QR code: a PNG in base64"`
	}
}

func (s *Server) addOwnTracks() {
	route(s, admins(), huma.Operation{
		OperationID: "set-up-owntracks", Method: http.MethodPost, Path: "/api/devices/{id}/owntracks",
		DefaultStatus: http.StatusCreated,
		Summary:       "Give an OwnTracks device one more secret, in the form that its app imports", Tags: []string{"credentials"},
	}, s.setUpOwnTracks)
}

func (s *Server) setUpOwnTracks(ctx context.Context, in *DevicePath) (*ownTracksOutput, error) {
	if _, err := s.device(ctx, in.ID); err != nil {
		return nil, err
	}
	set, err := s.cfg.Devices.SetUpOwnTracks(ctx, in.ID, s.cfg.PublicMQTTURL)
	if err != nil {
		return nil, err
	}
	out := &ownTracksOutput{}
	out.Body.Config, out.Body.URL, out.Body.QR = set.Config, set.URL, set.QR
	return out, nil
}

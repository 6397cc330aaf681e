package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/account"
	"armora/fleet"
)

type eraseInput struct {
	Body struct {
		Confirm string `json:"confirm" minLength:"1" maxLength:"254" doc:"The e-mail address of your account"`
	}
}

// Erasure is that of an account.
type Erasure struct {
	ID      fleet.ErasureID `json:"id" format:"uuid" doc:"By it staff find the proof; it says nothing of you"`
	AskedAt time.Time       `json:"asked_at"`
}

type eraseOutput struct{ Body Erasure }

func (s *Server) addErasure() {
	route(s, signedIn().afresh(), huma.Operation{
		OperationID: "erase-account", Method: http.MethodPost, Path: "/api/users/erase", DefaultStatus: http.StatusAccepted,
		Summary: "Delete your account: you are signed out everywhere at once, what is known of you is erased, and nobody can bring it back", Tags: []string{"privacy"},
	}, s.erase)
}

func (s *Server) erase(ctx context.Context, in *eraseInput) (*eraseOutput, error) {
	e, err := s.cfg.Erasures.Ask(ctx, callerOf(ctx), in.Body.Confirm)
	if err != nil {
		return nil, err
	}
	return &eraseOutput{Body: Erasure{ID: e.ID, AskedAt: e.Asked}}, nil
}

// DataClass is a kind of personal data.
type DataClass struct {
	Name          string `json:"name" example:"off_trip"`
	Data          string `json:"data" doc:"What belongs to it"`
	Purpose       string `json:"purpose"`
	Basis         string `json:"basis" doc:"UK GDPR"`
	Period        string `json:"period" example:"30 days"`
	PeriodSeconds int64  `json:"period_seconds,omitempty" doc:"Absent: it is no matter of time alone"`
}

type retentionOutput struct {
	Body struct {
		Items []DataClass `json:"items"`
	}
}

func (s *Server) addRetention() {
	route(s, signedIn(), huma.Operation{
		OperationID: "list-data-classes", Method: http.MethodGet, Path: "/api/retention",
		Summary: "List what kinds of personal data are kept, what for, on what ground and for how long; a legal hold beats each period", Tags: []string{"privacy"},
	}, s.listClasses)
}

func (s *Server) listClasses(context.Context, *struct{}) (*retentionOutput, error) {
	out := new(retentionOutput)
	for _, c := range s.cfg.DB.Classes() {
		out.Body.Items = append(out.Body.Items, DataClass{
			Name: c.Name, Data: c.Data, Purpose: c.Purpose, Basis: c.Basis,
			Period: account.PeriodText(c), PeriodSeconds: int64(c.Period.Seconds()),
		})
	}
	return out, nil
}

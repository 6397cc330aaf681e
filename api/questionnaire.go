package api

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/account"
	"armora/fleet"
)

// Questionnaire is a person's security assessment, as the API shows it.
type Questionnaire struct {
	Version     int64           `json:"version" doc:"Also the ETag"`
	Form        int             `json:"form" doc:"The version of the form by which it was filled in"`
	RiskBand    fleet.RiskBand  `json:"risk_band,omitempty" enum:"green,yellow,orange,red" doc:"Absent until the threats were answered"`
	Answers     json.RawMessage `json:"answers" doc:"By step"`
	Missing     []string        `json:"missing" doc:"Steps that are still to be answered, in order"`
	CompletedAt time.Time       `json:"completed_at,omitzero" doc:"When the consents were given"`
	ChangedAt   time.Time       `json:"changed_at,omitzero"`
	Contacts    []Contact       `json:"contacts,omitempty" doc:"For staff: the person's emergency contacts"`
}

type questionnaireOutput struct {
	ETag string `header:"ETag"`
	Body Questionnaire
}

func showQuestionnaire(a account.Assessment) *questionnaireOutput {
	return &questionnaireOutput{ETag: etag(a.Version), Body: Questionnaire{
		Version: a.Version, Form: a.Form, RiskBand: a.Risk, Answers: a.Body, Missing: a.Missing,
		CompletedAt: a.Completed, ChangedAt: a.Changed,
	}}
}

type putStepInput struct {
	Step string `path:"step" maxLength:"40"`
	PutDocument
}

type formOutput struct{ Body json.RawMessage }

func (s *Server) addQuestionnaire() {
	route(s, signedIn(), huma.Operation{
		OperationID: "get-questionnaire-form", Method: http.MethodGet, Path: "/api/users/questionnaire/form",
		Summary: "Get the newest form of the security assessment, a JSON Schema", Tags: []string{"questionnaire"},
	}, s.getQuestionnaireForm)
	route(s, signedIn(), huma.Operation{
		OperationID: "get-questionnaire", Method: http.MethodGet, Path: "/api/users/questionnaire",
		Summary: "Get one's own security assessment", Tags: []string{"questionnaire"},
	}, s.getQuestionnaire)
	route(s, signedIn(), huma.Operation{
		OperationID: "put-questionnaire", Method: http.MethodPut, Path: "/api/users/questionnaire",
		Summary: "Save all answers at once; with the review, every step must be there", Tags: []string{"questionnaire"},
	}, s.putQuestionnaire)
	route(s, signedIn(), huma.Operation{
		OperationID: "put-questionnaire-step", Method: http.MethodPut, Path: "/api/users/questionnaire/steps/{step}",
		Summary: "Save one step; the review, which takes all the others and names the consents, completes the assessment", Tags: []string{"questionnaire"},
	}, s.putQuestionnaireStep)
	route(s, only(fleet.RoleDispatcher, fleet.RoleCompliance, fleet.RoleAdmin), huma.Operation{
		OperationID: "read-questionnaire", Method: http.MethodGet, Path: "/api/users/{id}/questionnaire",
		Summary: "Read a person's security assessment; that is entered in the audit log", Tags: []string{"questionnaire"},
	}, s.readQuestionnaire)
}

func (s *Server) getQuestionnaireForm(context.Context, *struct{}) (*formOutput, error) {
	return &formOutput{Body: s.cfg.Questionnaires.Form()}, nil
}

func (s *Server) getQuestionnaire(ctx context.Context, _ *struct{}) (*questionnaireOutput, error) {
	a, err := s.cfg.Questionnaires.Get(ctx, callerOf(ctx).User)
	if err != nil {
		return nil, err
	}
	return showQuestionnaire(a), nil
}

func (s *Server) putQuestionnaire(ctx context.Context, in *PutDocument) (*questionnaireOutput, error) {
	version, err := in.wanted()
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Questionnaires.Put(ctx, signatory(ctx), version, in.Body); err != nil {
		return nil, err
	}
	return s.getQuestionnaire(ctx, nil)
}

func (s *Server) putQuestionnaireStep(ctx context.Context, in *putStepInput) (*questionnaireOutput, error) {
	version, err := in.wanted()
	if err != nil {
		return nil, err
	}
	if err := s.cfg.Questionnaires.PutStep(ctx, signatory(ctx), version, in.Step, in.Body); err != nil {
		return nil, err
	}
	return s.getQuestionnaire(ctx, nil)
}

func (s *Server) readQuestionnaire(ctx context.Context, in *UserPath) (*questionnaireOutput, error) {
	a, err := s.cfg.Questionnaires.ReadBy(ctx, callerOf(ctx), in.ID)
	if err != nil {
		return nil, err
	}
	// Whoever may read the one may read the other: they are one entry in the log.
	contacts, err := s.cfg.Contacts.List(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	out := showQuestionnaire(a)
	for _, c := range contacts {
		out.Body.Contacts = append(out.Body.Contacts, showContact(c))
	}
	return out, nil
}

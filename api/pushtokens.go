package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
)

// PushTokenBody names an app to the push service. The token is a secret, and
// stands in no URL.
type PushTokenBody struct {
	Token string `json:"token" minLength:"1" maxLength:"4096" pattern:"^[!-~]+$" doc:"The registration token of Firebase Cloud Messaging"`
}

type pushTokenInput struct{ Body PushTokenBody }

func (s *Server) addPushTokens() {
	route(s, signedIn(), huma.Operation{
		OperationID: "register-push-token", Method: http.MethodPost, Path: "/api/users/push-tokens", DefaultStatus: http.StatusNoContent,
		Summary: "Let the hub push to the app that one is signed in with",
		Description: "It ends with the session, or when the push service says that the app is gone. A token belongs to whoever registered it last; " +
			"of more than 20 the oldest is forgotten. Registering it again changes nothing.",
		Tags: []string{"profile"},
	}, s.registerPushToken)
	route(s, signedIn(), huma.Operation{
		OperationID: "delete-push-token", Method: http.MethodDelete, Path: "/api/users/push-tokens", DefaultStatus: http.StatusNoContent,
		Summary: "Push no more to one of one's own apps", Tags: []string{"profile"},
	}, s.deletePushToken)
}

func (s *Server) registerPushToken(ctx context.Context, in *pushTokenInput) (*struct{}, error) {
	return nil, s.cfg.PushTokens.Register(ctx, callerOf(ctx), in.Body.Token)
}

func (s *Server) deletePushToken(ctx context.Context, in *pushTokenInput) (*struct{}, error) {
	return nil, s.cfg.PushTokens.Forget(ctx, callerOf(ctx).User, in.Body.Token)
}

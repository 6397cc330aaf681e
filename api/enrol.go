package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/account"
	"armora/fleet"
)

type enrolPhoneInput struct {
	Body struct {
		Name       string         `json:"name" minLength:"1" maxLength:"200" doc:"As its owner knows it"`
		Platform   string         `json:"platform" enum:"ios,android,other"`
		AppVersion string         `json:"app_version,omitempty" maxLength:"100"`
		DeviceID   fleet.DeviceID `json:"device_id,omitzero" format:"uuid" doc:"Of a phone that you enrolled before"`
	}
}

type enrolledPhoneOutput struct {
	Body struct {
		DeviceID  fleet.DeviceID `json:"device_id" format:"uuid" doc:"The user name over MQTT"`
		Token     string         `json:"token" doc:"The password over MQTT: good at CONNECT until it expires, and while your session lives"`
		TokenType string         `json:"token_type" enum:"device+jwt"`
		ExpiresAt time.Time      `json:"expires_at"`
		MQTTURL   string         `json:"mqtt_url"`
		JWKSURL   string         `json:"jwks_url" doc:"The keys that the token is signed with"`
		Topics    DeviceTopics   `json:"topics"`
	}
}

// DeviceTopics are where a phone publishes and what it subscribes to.
type DeviceTopics struct {
	Points   string `json:"points"`
	Status   string `json:"status"`
	Events   string `json:"events"`
	Commands string `json:"commands"`
	Duty     string `json:"duty,omitempty" doc:"Of a protection officer"`
}

func (s *Server) addEnrolment() {
	route(s, only(fleet.RoleRider, fleet.RoleDriver), huma.Operation{
		OperationID: "enrol-device", Method: http.MethodPost, Path: "/api/devices/enrol",
		Summary:     "Enrol the phone on which you are signed in",
		Description: "It is yours alone, and lets go of the hub when your session ends.",
		Tags:        []string{"devices"},
	}, s.enrolPhone)
}

func (s *Server) enrolPhone(ctx context.Context, in *enrolPhoneInput) (*enrolledPhoneOutput, error) {
	device, token, err := s.cfg.Devices.Enrol(ctx, callerOf(ctx), account.Enrolment{
		Device: in.Body.DeviceID, Name: in.Body.Name, Platform: in.Body.Platform, App: in.Body.AppVersion,
	})
	if err != nil {
		return nil, err
	}
	out := &enrolledPhoneOutput{}
	b, topic := &out.Body, "v1/devices/"+device.String()+"/"
	b.DeviceID, b.Token, b.TokenType, b.ExpiresAt = device, token.Token, "device+jwt", token.Expires.UTC()
	b.MQTTURL, b.JWKSURL = s.cfg.PublicMQTTURL, s.cfg.PublicURL+"/.well-known/jwks.json"
	b.Topics = DeviceTopics{Points: topic + "points", Status: topic + "status", Events: topic + "events", Commands: topic + "commands"}
	own, err := s.ownDriver(ctx)
	switch {
	case err == nil:
		b.Topics.Duty = "v1/drivers/" + own.ID.String() + "/duty"
	case fleet.CodeOf(err) != fleet.CodeNotFound:
		return nil, err
	}
	return out, nil
}

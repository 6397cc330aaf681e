package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

type newShare struct {
	Label string           `json:"label,omitempty" maxLength:"60" doc:"For whom it is, in your words"`
	Until fleet.ShareUntil `json:"until" enum:"30_min,1_h,arrival,trip_end" doc:"It ends with the trip at the latest"`
}

// Share is a link by which others watch a trip.
type Share struct {
	ID        fleet.ShareID    `json:"id" format:"uuid"`
	Label     string           `json:"label"`
	Until     fleet.ShareUntil `json:"until" enum:"30_min,1_h,arrival,trip_end"`
	CreatedAt time.Time        `json:"created_at"`
	ExpiresAt time.Time        `json:"expires_at,omitzero"`
	RevokedAt time.Time        `json:"revoked_at,omitzero"`
	OpenedAt  time.Time        `json:"opened_at,omitzero" doc:"When it was last opened"`
	Opened    int              `json:"opened" doc:"How often"`
	Live      bool             `json:"live" doc:"It lets whoever has it watch"`
}

// MadeShare is a share with its link, which is told this once.
type MadeShare struct {
	Share
	URL string `json:"url" doc:"Its token is in the fragment, which browsers send to nobody"`
}

func showShare(s *fleet.Share, live bool) Share {
	return Share{
		ID: s.ID, Label: s.Label, Until: s.Until, CreatedAt: s.Created, ExpiresAt: s.Expires, RevokedAt: s.Revoked,
		OpenedAt: s.Opened, Opened: s.Times, Live: live,
	}
}

// SharePath names a share of a booking.
type SharePath struct {
	BookingPath
	Share fleet.ShareID `path:"share" format:"uuid"`
}

type (
	makeShareInput struct {
		BookingPath
		Body newShare
	}
	madeShareOutput struct{ Body MadeShare }
	sharesOutput    struct {
		Body struct {
			Items []Share `json:"items"`
		}
	}
	exchangeShareInput struct {
		Body struct {
			Token string `json:"token" minLength:"1" maxLength:"100" doc:"The fragment of the link"`
		}
	}
)

// Watching is what a link is exchanged for.
type Watching struct {
	AccessToken string           `json:"access_token" doc:"A bearer token for watching this trip, and for nothing else"`
	TokenType   string           `json:"token_type" enum:"Bearer"`
	ExpiresIn   int              `json:"expires_in" doc:"Seconds; the link gives another token while it is live"`
	TripID      fleet.BookingID  `json:"trip_id" format:"uuid"`
	Until       fleet.ShareUntil `json:"until" enum:"30_min,1_h,arrival,trip_end"`
	ExpiresAt   time.Time        `json:"expires_at,omitzero" doc:"When the link ends; absent: with the arrival or the trip"`
}

type watchingOutput struct{ Body Watching }

func (s *Server) addShares() {
	tags := []string{"tracking"}
	route(s, only(fleet.RoleRider).afresh(), huma.Operation{
		OperationID: "share-trip", Method: http.MethodPost, Path: "/api/bookings/{id}/shares", DefaultStatus: http.StatusCreated,
		Summary: "Make a link by which others watch a trip",
		Description: "Whoever has the link sees the trip's status, when the officers arrive and where they are, and not who anybody is. " +
			"All sessions of the principal are told. It ends at the time that was chosen, with the trip, or when it is revoked.",
		Tags: tags,
	}, s.makeShare)
	route(s, only(fleet.RoleRider), huma.Operation{
		OperationID: "list-shares", Method: http.MethodGet, Path: "/api/bookings/{id}/shares",
		Summary: "The links to a trip, the newest first", Tags: tags,
	}, s.listShares)
	route(s, only(fleet.RoleRider), huma.Operation{
		OperationID: "revoke-share", Method: http.MethodDelete, Path: "/api/bookings/{id}/shares/{share}", DefaultStatus: http.StatusNoContent,
		Summary: "Revoke a link: who watches by it does so no more", Tags: tags,
	}, s.revokeShare)
	route(s, anyone().rated(guessing), huma.Operation{
		OperationID: "exchange-share", Method: http.MethodPost, Path: "/api/shares/exchange",
		Summary: "Exchange a link for a token by which to watch", Tags: tags,
	}, s.exchangeShare)
}

func (s *Server) makeShare(ctx context.Context, in *makeShareInput) (*madeShareOutput, error) {
	share, link, err := s.cfg.Shares.Make(ctx, callerOf(ctx), in.ID, in.Body.Label, in.Body.Until)
	if err != nil {
		return nil, err
	}
	return &madeShareOutput{Body: MadeShare{showShare(&share, true), link}}, nil
}

func (s *Server) listShares(ctx context.Context, in *BookingPath) (*sharesOutput, error) {
	shares, live, err := s.cfg.Shares.List(ctx, callerOf(ctx).User, in.ID)
	if err != nil {
		return nil, err
	}
	out := &sharesOutput{}
	out.Body.Items = []Share{}
	for i := range shares {
		out.Body.Items = append(out.Body.Items, showShare(&shares[i], live[shares[i].ID]))
	}
	return out, nil
}

func (s *Server) revokeShare(ctx context.Context, in *SharePath) (*struct{}, error) {
	return nil, s.cfg.Shares.Revoke(ctx, callerOf(ctx).User, in.ID, in.Share)
}

func (s *Server) exchangeShare(ctx context.Context, in *exchangeShareInput) (*watchingOutput, error) {
	token, expires, share, err := s.cfg.Shares.Exchange(ctx, in.Body.Token)
	if err != nil {
		return nil, err
	}
	return &watchingOutput{Body: Watching{
		AccessToken: token, TokenType: "Bearer", ExpiresIn: int(expires.Sub(s.clock.Now()).Seconds()),
		TripID: share.Booking, Until: share.Until, ExpiresAt: share.Expires,
	}}, nil
}

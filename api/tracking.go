package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"armora/dispatch"
	"armora/fleet"
)

// TrackQuery is which trip to watch, and from where on.
type TrackQuery struct {
	TicketQuery
	ID    fleet.BookingID `path:"tripId" format:"uuid"`
	Since int64           `query:"since" default:"-1" minimum:"-1" doc:"The seq that was reached last: what has happened since comes first. Absent: the trip as it is is what comes first."`
}

type trackEventsInput struct {
	TrackQuery
	LastEventID string `header:"Last-Event-ID" maxLength:"20" doc:"As since, sent by browsers that reconnect"`
}

const trackDescription = "For its principal from when it is booked, for the officers who have it, for ops, and for who holds a share of it; until a day after its end. " +
	"First comes what has happened beyond since, if that is given, then a snapshot, then what happens: " +
	"state (events, and officers who come to a place or leave it; with seq, and prev, the seq of the one before: who has that has missed nothing), " +
	"position (of each officer from en route to the end, with driver_id, seat and lead; time is the fix's; a reader that is slow misses older ones), " +
	"eta (with the distance that is left). See docs/tracking.md."

func (s *Server) addTracking() {
	who := only(fleet.RoleRider, fleet.RoleDriver, fleet.RoleDispatcher, fleet.RoleAdmin).orGuests()
	socketRoute(s, who.ticketed(fleet.OpensTracking), huma.Operation{
		OperationID: "track-trip", Path: "/api/tracking/{tripId}",
		Summary: "Watch a trip over a WebSocket", Description: trackDescription +
			" The hub says {\"type\":\"expiring\"} before the token expires; {\"type\":\"authorize\",\"token\":\"…\"} with a fresh one of the same session lets the socket go on.",
		Tags: []string{"tracking"},
	}, func(ctx context.Context, in *TrackQuery) (talk, error) {
		admitted, err := s.admit(ctx, in.ID)
		return talk{begin: func(ctx context.Context, l *line) error {
			return s.track(ctx, admitted, in.Since, socketOutlet{l})
		}}, err
	})
	route(s, who.ticketed(fleet.OpensEvents), huma.Operation{
		OperationID: "track-trip-events", Method: http.MethodGet, Path: "/api/tracking/{tripId}/events",
		Summary: "Watch a trip as server-sent events", Description: trackDescription +
			" For who cannot hold a WebSocket. The last event, end, says why it ends: with code 4410 there is nothing to come back for.",
		Tags: []string{"tracking"},
	}, s.trackEvents)
}

func (s *Server) trackEvents(ctx context.Context, in *trackEventsInput) (*huma.StreamResponse, error) {
	since := in.Since
	if in.LastEventID != "" {
		last, err := strconv.ParseInt(in.LastEventID, 10, 64)
		if err != nil || last < 0 {
			return nil, &fleet.Error{Code: fleet.CodeInvalid, Message: "Last-Event-ID is not an id of this stream"}
		}
		since = last
	}
	admitted, err := s.admit(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return s.eventStream(ctx, func(ctx context.Context, l *line) error {
		return s.track(ctx, admitted, since, streamOutlet{l})
	})
}

// admit finds out whether the caller may watch a trip.
func (s *Server) admit(ctx context.Context, trip fleet.BookingID) (dispatch.Admission, error) {
	caller := callerOf(ctx)
	return s.cfg.Tracks.Admit(ctx, dispatch.Watcher{
		Name: caller.Name, User: caller.User, Ops: caller.Has(fleet.RoleDispatcher, fleet.RoleAdmin), Share: caller.Share, RequestID: requestID(ctx),
	}, trip)
}

// track tells a line of a trip for as long as it is open.
func (s *Server) track(ctx context.Context, admitted dispatch.Admission, since int64, out dispatch.Outlet) error {
	leave, err := s.cfg.Tracks.Watch(ctx, admitted, since, out)
	if err == nil {
		context.AfterFunc(ctx, leave)
	}
	return err
}

// socketOutlet tells a trip over a WebSocket.
type socketOutlet struct{ *line }

// Tell implements dispatch.Outlet.
func (o socketOutlet) Tell(f dispatch.Frame) { o.tell(f.Key, f.JSON) }

// End implements dispatch.Outlet.
func (o socketOutlet) End(why dispatch.TrackEnd) { o.endTrack(why) }

// streamOutlet tells a trip as an event stream.
type streamOutlet struct{ *line }

// Tell implements dispatch.Outlet.
func (o streamOutlet) Tell(f dispatch.Frame) { o.tell(f.Key, event(string(f.Kind), f.Seq, f.JSON)) }

// End implements dispatch.Outlet.
func (o streamOutlet) End(why dispatch.TrackEnd) { o.endTrack(why) }

func (l *line) tell(key string, data []byte) {
	if key == "" {
		l.Send(data)
	} else {
		l.SendLatest(key, data)
	}
}

// endTrack ends a line whose trip, or whose right to it, has ended.
func (l *line) endTrack(why dispatch.TrackEnd) {
	switch why {
	case dispatch.EndTripOver:
		l.Finish(closedTripOver)
	case dispatch.EndShareOver:
		l.Finish(closedShareOver)
	case dispatch.EndMore:
		l.Finish(closedSlow)
	default:
		l.End(closedNotTheirs)
	}
}

package ingest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"armora/fleet"
	"armora/ingest/format/osmand"
	"armora/ingest/format/report"
)

// Authenticator tells who a login is.
type Authenticator interface {
	// Authenticate returns CodeUnauthenticated for a login that is no good, and
	// any other code when that can't be told.
	Authenticate(ctx context.Context, login fleet.Login) (fleet.Identity, error)
}

const (
	maxBody = 1 << 20 // bytes of a request's body
	// maxHeld is the bytes that are kept of requests until their commit, over all
	// clients: the broker's limits don't hold for HTTP. A request beyond it is
	// refused with 503.
	maxHeld = 64 << 20
	// heldExtra is counted for each request beside its bytes.
	heldExtra = 1 << 10
)

// HTTP returns the handler of the devices that speak HTTP: /api/ingest/osmand
// for OsmAnd and Traccar Client, /api/ingest/owntracks for OwnTracks.
//
// 200 means committed. 400 comes with the reason, when the message has become a
// dead letter: it is not to be sent again, whereas after 503 it is.
func (p *Pipeline) HTTP() http.Handler {
	h := &handler{Pipeline: p}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/ingest/osmand", h.osmand)
	mux.HandleFunc("POST /api/ingest/osmand", h.osmand)
	mux.HandleFunc("POST /api/ingest/owntracks", h.owntracks)
	return mux
}

type handler struct {
	*Pipeline
	held atomic.Int64 // bytes, see maxHeld
}

// reply is the ack of a request.
type reply struct {
	outcome chan error // takes one without blocking
	held    *atomic.Int64
	bytes   int64
}

// errOverload is what becomes of a request beyond maxHeld.
var errOverload error = &fleet.Error{Code: fleet.CodeTooMany, Message: "too many points wait to be stored"}

// Weigh implements Ack.
func (r *reply) Weigh(bytes int) error {
	more := int64(bytes+heldExtra) - r.bytes
	if r.held.Add(more) > maxHeld && more > 0 {
		r.held.Add(-more)
		return errOverload
	}
	r.bytes += more
	return nil
}

// Resolve implements Ack.
func (r *reply) Resolve(err error) {
	r.held.Add(-r.bytes)
	r.outcome <- err
}

// Refuse implements Ack.
func (r *reply) Refuse(why error) { r.Resolve(why) }

// Flush implements Ack.
func (r *reply) Flush() {}

// osmand takes a point as OsmAnd and Traccar Client send it. The id, which is
// the credential, is kept out of everything that is logged or stored.
func (h *handler) osmand(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	request := readOsmAnd(r.URL.RawQuery, body)
	from, ok := h.authenticate(w, r, fleet.Login{Username: request.id})
	if !ok {
		return
	}
	received := fleet.MillisOf(h.config.Clock.Now())
	reports := reportsPool.Get().(*reports)
	defer reports.release()
	err := request.err
	switch {
	case err != nil:
	case request.form != nil:
		reports.points, err = osmand.ParseForm(reports.points, request.form, received)
	default:
		reports.points, err = osmand.ParseJSON(reports.points, body, received)
	}
	m := Message{From: &from, Topic: r.URL.Path, Payload: request.shown, Received: received}
	h.commit(w, r, fleet.FormatOsmAnd, &m, reports, err, nil)
}

// owntracks takes a message of an OwnTracks app in its HTTP mode. The app wants
// a JSON array for an answer: what its friends and the hub have to tell it.
func (h *handler) owntracks(w http.ResponseWriter, r *http.Request) {
	username, password, given := r.BasicAuth()
	if !given {
		refuse(w, http.StatusUnauthorized, fleet.CodeUnauthenticated, "user name and password are missing")
		return
	}
	from, ok := h.authenticate(w, r, fleet.Login{Username: username, Password: password})
	if !ok {
		return
	}
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	m := Message{From: &from, Topic: r.URL.Path, Payload: body, Received: fleet.MillisOf(h.config.Clock.Now())}
	reports := reportsPool.Get().(*reports)
	defer reports.release()
	err := h.decode(reports, fleet.FormatOwnTracks, &m)
	if errors.Is(err, errKeyWanted) {
		ctx, cancel := context.WithTimeout(r.Context(), h.config.HTTPTimeout)
		defer cancel()
		if h.keys.ask(ctx, from.Device) == nil {
			err = h.decode(reports, fleet.FormatOwnTracks, &m)
		}
		if errors.Is(err, errKeyWanted) {
			unavailable(w, "the device's payload key can't be had now")
			return
		}
	}
	h.commit(w, r, fleet.FormatOwnTracks, &m, reports, err, []byte("[]"))
}

// commit takes a decoded message in and answers when it is committed.
func (h *handler) commit(w http.ResponseWriter, r *http.Request, format fleet.Format, m *Message,
	reports *reports, err error, answer []byte) {
	ack := &reply{outcome: make(chan error, 1), held: &h.held, bytes: int64(len(m.Payload) + heldExtra)}
	if h.held.Add(ack.bytes) > maxHeld {
		h.held.Add(-ack.bytes)
		h.count.overload.Add(1)
		unavailable(w, errOverload.Error())
		return
	}
	expired, stop := h.config.Clock.NewTimer(h.config.HTTPTimeout)
	defer stop()
	h.take(newReceipt(ack, &h.count.acked), format, m, reports, err)
	select {
	case outcome := <-ack.outcome:
		switch {
		case outcome != nil:
			if errors.Is(outcome, errOverload) {
				h.count.overload.Add(1)
			}
			unavailable(w, outcome.Error())
		case err != nil && !errors.Is(err, report.ErrNoPosition):
			refuse(w, http.StatusBadRequest, fleet.CodeInvalid, err.Error())
		default:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusOK)
			// An error is the client's going away, which changes nothing.
			_, _ = w.Write(answer)
		}
	case <-expired:
		unavailable(w, "the point could not be stored in time")
	case <-r.Context().Done():
		// Nobody is there to be answered.
	}
}

func (h *handler) authenticate(w http.ResponseWriter, r *http.Request, login fleet.Login) (fleet.Identity, bool) {
	login.Remote = r.RemoteAddr
	if h.config.Auth == nil {
		unavailable(w, "this hub takes no points over HTTP")
		return fleet.Identity{}, false
	}
	identity, err := h.config.Auth.Authenticate(r.Context(), login)
	switch {
	case err == nil:
		return identity, true
	case fleet.CodeOf(err) == fleet.CodeUnauthenticated:
		refuse(w, http.StatusUnauthorized, fleet.CodeUnauthenticated, "the credentials are not good")
	default:
		h.config.Log.Warn("credentials of an HTTP device can't be checked", "remote", r.RemoteAddr, "err", err)
		unavailable(w, "credentials can't be checked now")
	}
	return fleet.Identity{}, false
}

// readBody reads a request's body whole; it is the caller's.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, bool) {
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		refuse(w, http.StatusUnsupportedMediaType, fleet.CodeInvalid, "a body with a Content-Encoding is not taken")
		return nil, false
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		refuse(w, http.StatusRequestEntityTooLarge, fleet.CodeInvalid, "the body is larger than 1 MiB")
		return nil, false
	}
	if err != nil {
		refuse(w, http.StatusBadRequest, fleet.CodeInvalid, "the body could not be read whole")
		return nil, false
	}
	return body, true
}

func unavailable(w http.ResponseWriter, detail string) {
	w.Header().Set("Retry-After", "5")
	refuse(w, http.StatusServiceUnavailable, fleet.CodeUnavailable, detail)
}

// refuse answers with RFC 9457 problem details.
func refuse(w http.ResponseWriter, status int, code fleet.Code, detail string) {
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Basic realm="armora"`)
	}
	body, err := json.Marshal(map[string]any{
		"status": status, "title": http.StatusText(status), "code": code, "detail": detail,
	})
	if err != nil {
		body = nil // a map of texts and a number: can't be
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	// An error is the client's going away, which changes nothing.
	_, _ = w.Write(body)
}

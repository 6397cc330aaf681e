package api

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
	"github.com/gofiber/fiber/v2"

	"armora/fleet"
	"armora/schema"
)

// keyHeader names a request, so that it can be sent again when its answer got
// lost, and is carried out once.
const keyHeader = "Idempotency-Key"

// replayedHeader tells that the answer is the one that was given before.
const replayedHeader = "Idempotent-Replayed"

const maxKey = 255

// leaseOf is how long a request may be under way. Whoever takes longer is taken
// to have died, and the next try is carried out: it is longer than any handler
// takes, since a death between the effect and the record of it cannot be told
// from one before the effect.
const leaseOf = 2 * time.Minute

var keyParameter = huma.Param{
	Name: keyHeader, In: "header",
	Description: "Names this request, best by a fresh UUID: sent again under its key within 48 hours, it is answered as it was the first time " +
		"and not carried out again (with the header " + replayedHeader + "). A key belongs to its caller and operation. The same key with another " +
		"request is 422 (code " + string(codeKeyReused) + "), and while the first is under way, 409 (code " + string(codeUnderWay) + ").",
	Schema: &huma.Schema{Type: huma.TypeString, MinLength: new(1), MaxLength: new(maxKey)},
}

// takesKey reports whether an operation takes an Idempotency-Key: every POST by
// somebody whom the hub knows. What is open to anyone takes none: there is no
// caller to whom a key could belong, and such operations (signing in and up)
// either do no harm twice or use up a secret.
func takesKey(op *huma.Operation) bool {
	return op.Method == http.MethodPost && !open(op) && op.Extensions[detachedKey] != true
}

// once carries a request with an Idempotency-Key out once. An answer that may
// be another at the next try is not kept.
func (s *Server) once(ctx huma.Context, next func(huma.Context)) {
	key := ctx.Header(keyHeader)
	if key == "" {
		next(ctx)
		return
	}
	r, kept, err := s.claim(ctx, key)
	if err != nil {
		s.refuse(ctx, err)
		return
	}
	if kept != nil {
		kept.write(humafiber.Unwrap(ctx))
		return
	}
	finished := false
	defer func() {
		if !finished { // refused, or a panic
			s.released(ctx.Context(), r)
		}
	}()
	next(ctx)
	c := humafiber.Unwrap(ctx)
	if !keeps(c.Response().StatusCode()) || c.Response().IsBodyStream() {
		return
	}
	// From here on something has happened that must not happen twice: should
	// the answer not be kept, the claim is left to its lease.
	finished = true
	if err := s.keep(ctx.Context(), r, readReply(c)); err != nil {
		s.log.ErrorContext(ctx.Context(), "an answer could not be kept: the request, sent again after its lease, would be carried out again",
			"request_id", requestID(ctx.Context()), "error", err)
	}
}

// keeps reports whether an answer of a status stands for good.
func keeps(status int) bool {
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		return false
	}
	return status < http.StatusInternalServerError
}

// claimedRequest is a request that this caller is to carry out.
type claimedRequest struct {
	id    []byte
	claim schema.Claim
	key   string
}

// claim claims a request. It returns either the claimed request, or the reply
// that was given before, or why there is neither.
func (s *Server) claim(ctx huma.Context, key string) (*claimedRequest, *reply, error) {
	if !isKey(key) {
		return nil, nil, &fleet.Error{Code: fleet.CodeInvalid, Message: keyHeader + " is up to 255 visible ASCII characters"}
	}
	c := humafiber.Unwrap(ctx)
	caller := callerOf(ctx.Context()).Name
	r := &claimedRequest{
		id:    s.cfg.Keyring.Hash(strings.Join([]string{"idempotency", caller, ctx.Operation().OperationID, key}, "\n")),
		claim: fleet.NewID[schema.IdempotentRequests](), key: key,
	}
	request := s.cfg.Keyring.Hash(string(c.Request().RequestURI()) + "\n" + string(c.Request().Body()))
	now := s.clock.Now()
	claimed, err := s.tables.requests.Claim(ctx.Context(), r.id, r.claim, request, now, now.Add(leaseOf))
	switch {
	case err != nil:
		return nil, nil, err
	case claimed.Mine:
		return r, nil, nil
	case claimed.Other:
		return nil, nil, refusal(http.StatusUnprocessableEntity, codeKeyReused, "this "+keyHeader+" was used for another request")
	case claimed.Reply == nil:
		p := refusal(http.StatusConflict, codeUnderWay, "this request is under way: ask again")
		p.retry = time.Second
		return nil, nil, p
	}
	plain, err := s.cfg.Keyring.UnsealUnder(key, claimed.Reply, replyPurpose(r.id))
	if err != nil {
		return nil, nil, err
	}
	kept := new(reply)
	return nil, kept, json.Unmarshal(plain, kept)
}

func isKey(key string) bool {
	return len(key) <= maxKey && !strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' })
}

// keep seals every reply alike: which one holds a secret is not for this to know.
func (s *Server) keep(ctx context.Context, r *claimedRequest, answer reply) error {
	plain, err := json.Marshal(answer)
	if err != nil {
		return err
	}
	sealed, err := s.cfg.Keyring.SealUnder(r.key, plain, replyPurpose(r.id))
	if err != nil {
		return err
	}
	return s.tables.requests.Finish(ctx, r.id, r.claim, sealed)
}

func (s *Server) released(ctx context.Context, r *claimedRequest) {
	if err := s.tables.requests.Release(ctx, r.id, r.claim); err != nil {
		s.log.WarnContext(ctx, "a failed request is under way until its lease is over", "request_id", requestID(ctx), "error", err)
	}
}

func replyPurpose(id []byte) string { return "reply/" + hex.EncodeToString(id) }

// reply is an answer as it is kept.
type reply struct {
	Status int         `json:"status"`
	Header [][2]string `json:"header"`
	Body   []byte      `json:"body"`
}

// ownHeaders are those that each answer has for itself.
var ownHeaders = map[string]bool{
	fiber.HeaderContentLength: true, fiber.HeaderConnection: true, fiber.HeaderDate: true,
	fiber.HeaderServer: true, "X-Request-Id": true,
}

func readReply(c *fiber.Ctx) reply {
	r := reply{Status: c.Response().StatusCode(), Body: c.Response().Body()}
	for name, value := range c.Response().Header.All() {
		if !ownHeaders[http.CanonicalHeaderKey(string(name))] {
			r.Header = append(r.Header, [2]string{string(name), string(value)})
		}
	}
	return r
}

func (r *reply) write(c *fiber.Ctx) {
	for _, h := range r.Header {
		c.Response().Header.Del(h[0])
	}
	for _, h := range r.Header {
		c.Response().Header.Add(h[0], h[1])
	}
	c.Set(replayedHeader, "true")
	c.Status(r.Status)
	c.Response().SetBody(r.Body)
}

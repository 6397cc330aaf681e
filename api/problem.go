package api

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gofiber/fiber/v2"

	"armora/fleet"
)

// Problem is the one shape of an error answer: problem details (RFC 9457) with
// a stable code and the id under which the request is in the logs.
type Problem struct {
	Title     string     `json:"title" doc:"The HTTP status in words"`
	Status    int        `json:"status" doc:"The HTTP status"`
	Detail    string     `json:"detail,omitempty" doc:"What went wrong this time, for a person"`
	Code      fleet.Code `json:"code" doc:"What went wrong, for a program: stable"`
	RequestID string     `json:"request_id,omitempty" doc:"Names this request in the logs"`
	Errors    []Flaw     `json:"errors,omitempty" doc:"What is wrong with the request, one by one"`

	retry time.Duration // after which to try again; 0: nobody can say
}

// Flaw is one thing that is wrong with a request. It does not repeat the value,
// which may be a secret.
type Flaw struct {
	Location string `json:"location,omitempty" doc:"Where it is: body.name, query.limit"`
	Message  string `json:"message"`
}

const problemType = "application/problem+json"

// Error implements error.
func (p *Problem) Error() string { return p.Detail }

// GetStatus implements huma.StatusError.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType implements huma.ContentTypeFilter.
func (p *Problem) ContentType(string) string { return problemType }

// GetHeaders implements huma.HeadersError.
func (p *Problem) GetHeaders() http.Header {
	header := make(http.Header)
	retry := p.retry
	switch p.Status {
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		if retry == 0 {
			retry = 5 * time.Second
		}
	case http.StatusUnauthorized:
		header.Set("WWW-Authenticate", "Bearer")
	}
	if retry > 0 {
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(retry.Seconds()))))
	}
	return header
}

// newProblem replaces huma.NewError: details keep their place and message and
// lose the value; a failure of ours keeps nothing.
func newProblem(status int, detail string, flaws ...error) huma.StatusError {
	p := &Problem{Title: http.StatusText(status), Status: status, Detail: detail, Code: codeOfStatus(status)}
	if status >= http.StatusInternalServerError {
		return p
	}
	for _, flaw := range flaws {
		if detailed, ok := flaw.(huma.ErrorDetailer); ok {
			d := detailed.ErrorDetail()
			p.Errors = append(p.Errors, Flaw{Location: d.Location, Message: d.Message})
		} else if flaw != nil {
			p.Errors = append(p.Errors, Flaw{Message: flaw.Error()})
		}
	}
	return p
}

// stampProblem puts the request's id into its error answer.
func (s *Server) stampProblem(ctx huma.Context, _ string, v any) (any, error) {
	if p, ok := v.(*Problem); ok {
		p.RequestID = requestID(ctx.Context())
	}
	return v, nil
}

// asProblem translates what a handler failed with. The cause of a failure of
// ours goes to the log and not to the client.
func (s *Server) asProblem(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	code := fleet.CodeOf(err)
	status := statusOf(code)
	p := refusal(status, code, http.StatusText(http.StatusInternalServerError))
	if e, ok := errors.AsType[*fleet.Error](err); ok && code != fleet.CodeInternal {
		p.Detail, p.retry = e.Message, e.Retry
		for _, f := range e.Flaws {
			p.Errors = append(p.Errors, Flaw{Location: strings.TrimSuffix("body."+f.Location, "."), Message: f.Message})
		}
	}
	if status >= http.StatusInternalServerError {
		s.log.ErrorContext(ctx, "a request failed", "request_id", requestID(ctx), "code", code, "error", err)
	}
	return p
}

// refusal is a problem of which all is known.
func refusal(status int, code fleet.Code, detail string) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Detail: detail, Code: code}
}

// writeError is Fiber's ErrorHandler: it gives Fiber's own errors, which are
// plain text and repeat the input, the one shape.
func (s *Server) writeError(c *fiber.Ctx, err error) error {
	status := http.StatusInternalServerError
	if e, ok := errors.AsType[*fiber.Error](err); ok {
		status = e.Code
	}
	p, ok := errors.AsType[*Problem](err)
	if !ok {
		p = &Problem{Status: status, Title: http.StatusText(status), Detail: plainDetail(status), Code: codeOfStatus(status)}
	}
	if status >= http.StatusInternalServerError && !ok {
		s.log.Error("a request failed", "request_id", requestID(c.Context()), "error", err)
	}
	p.RequestID = requestID(c.Context())
	for name, values := range p.GetHeaders() {
		c.Set(name, values[0])
	}
	return c.Status(p.Status).JSON(p, problemType)
}

func plainDetail(status int) string {
	switch status {
	case http.StatusNotFound:
		return "there is nothing at this path"
	case http.StatusMethodNotAllowed:
		return "this path does not take this method; see the Allow header"
	case http.StatusRequestEntityTooLarge:
		return "the request body is larger than this path takes, or takes now"
	}
	return http.StatusText(status)
}

func statusOf(code fleet.Code) int {
	switch code {
	case fleet.CodeInvalid, fleet.CodeArmed:
		return http.StatusUnprocessableEntity
	case fleet.CodeUnauthenticated, fleet.CodeOTPNeeded:
		return http.StatusUnauthorized
	case fleet.CodePaymentDue:
		return http.StatusPaymentRequired
	case fleet.CodeForbidden, fleet.CodeStaleSignIn, fleet.CodeApprovalNeeded, fleet.CodeConsentNeeded:
		return http.StatusForbidden
	case fleet.CodeNotFound:
		return http.StatusNotFound
	case fleet.CodeConflict, fleet.CodeLinkNeeded:
		return http.StatusConflict
	case fleet.CodeVersionMismatch:
		return http.StatusPreconditionFailed
	case fleet.CodeTooLarge:
		return http.StatusRequestEntityTooLarge
	case fleet.CodeMediaType:
		return http.StatusUnsupportedMediaType
	case fleet.CodeUnavailable:
		return http.StatusServiceUnavailable
	case fleet.CodeTooMany:
		return http.StatusTooManyRequests
	default:
		return http.StatusInternalServerError
	}
}

// Codes that only HTTP knows.
const (
	codeMethodNotAllowed fleet.Code = "method_not_allowed"
	codeTimeout          fleet.Code = "timeout"
	codeKeyReused        fleet.Code = "idempotency_key_reused"
	codeUnderWay         fleet.Code = "request_under_way"
)

func codeOfStatus(status int) fleet.Code {
	switch status {
	case http.StatusUnauthorized:
		return fleet.CodeUnauthenticated
	case http.StatusForbidden:
		return fleet.CodeForbidden
	case http.StatusNotFound:
		return fleet.CodeNotFound
	case http.StatusMethodNotAllowed:
		return codeMethodNotAllowed
	case http.StatusRequestTimeout:
		return codeTimeout
	case http.StatusConflict:
		return fleet.CodeConflict
	case http.StatusPreconditionFailed:
		return fleet.CodeVersionMismatch
	case http.StatusRequestEntityTooLarge, http.StatusRequestHeaderFieldsTooLarge, http.StatusRequestURITooLong:
		return fleet.CodeTooLarge
	case http.StatusUnsupportedMediaType:
		return fleet.CodeMediaType
	case http.StatusTooManyRequests:
		return fleet.CodeTooMany
	case http.StatusServiceUnavailable:
		return fleet.CodeUnavailable
	}
	if status >= http.StatusInternalServerError {
		return fleet.CodeInternal
	}
	return fleet.CodeInvalid
}

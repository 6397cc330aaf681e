package api

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"armora/fleet"
)

// raw sends bytes that no HTTP client would send, and returns the answer.
func (h *hub) raw(request string) answer {
	h.t.Helper()
	var dialer net.Dialer
	conn, err := dialer.DialContext(h.t.Context(), "tcp", h.Addr().String())
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, request); err != nil {
		h.t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: http.MethodGet})
	if err != nil {
		h.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		h.t.Fatal(err)
	}
	resp.Request, err = http.NewRequestWithContext(h.t.Context(), http.MethodGet, "http://raw/", nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return answer{Response: resp, body: body}
}

// Fiber answers all of these in plain text, and repeats the path in some.
func TestFibersOwnErrorsHaveTheOneShape(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for name, c := range map[string]struct {
		send   func() answer
		status int
		code   fleet.Code
	}{
		"unknown path":   {func() answer { return h.do("GET", "/api/nothing?secret=s3cr3t", nil) }, 404, fleet.CodeNotFound},
		"trailing slash": {func() answer { return h.do("GET", "/api/devices/", nil) }, 404, fleet.CodeNotFound},
		"other case":     {func() answer { return h.do("GET", "/API/devices", nil) }, 404, fleet.CodeNotFound},
		"wrong method":   {func() answer { return h.do("PATCH", "/api/devices", nil) }, 405, codeMethodNotAllowed},
		"body too large": {func() answer {
			return h.raw(fmt.Sprintf("POST /api/devices HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", maxBody+1))
		}, 413, fleet.CodeTooLarge},
		"unknown method":  {func() answer { return h.raw("BREW / HTTP/1.1\r\nHost: x\r\n\r\n") }, 400, fleet.CodeInvalid},
		"not HTTP":        {func() answer { return h.raw("s3cr3t\r\n\r\n") }, 400, fleet.CodeInvalid},
		"headers too big": {func() answer { return h.raw("GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 10000) + "\r\n\r\n") }, 431, fleet.CodeTooLarge},
		"bad target":      {func() answer { return h.raw("GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n") }, 400, fleet.CodeInvalid},
		"bad JSON":        {func() answer { return h.do("POST", "/api/devices", "{") }, 400, fleet.CodeInvalid},
		"no body":         {func() answer { return h.do("POST", "/api/devices", nil) }, 400, fleet.CodeInvalid},
		"not JSON": {func() answer {
			r := h.request("POST", "/api/devices", "kind=phone")
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			return h.send(r)
		}, 415, fleet.CodeMediaType},
	} {
		t.Run(name, func(t *testing.T) {
			a := c.send()
			problem(t, a, c.status, c.code)
			if strings.Contains(string(a.body), "s3cr3t") {
				t.Errorf("the answer repeats the request: %s", a.body)
			}
		})
	}
}

func TestProblemNamesTheRequest(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for _, path := range []string{"/api/nothing", "/api/devices?limit=0", "/api/devices/" + fleet.NewID[fleet.Device]().String()} {
		a := h.do("GET", path, nil)
		id := a.Header.Get("X-Request-Id")
		if p := as[Problem](t, a); id == "" || p.RequestID != id {
			t.Errorf("%s: header %q, body %q", path, id, p.RequestID)
		}
	}
}

// huma repeats the value that it refuses.
func TestProblemDoesNotRepeatTheInput(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	for _, body := range []string{
		`{"kind":"s3cr3t","name":"x"}`,
		`{"kind":"phone","name":"x","s3cr3t":1}`,
		`{"kind":"phone","name":["s3cr3t"]}`,
	} {
		a := h.do("POST", "/api/devices", body)
		p := problem(t, a, http.StatusUnprocessableEntity, fleet.CodeInvalid)
		if len(p.Errors) == 0 || p.Errors[0].Location == "" {
			t.Errorf("%s: the flaw is not named: %s", body, a.body)
		}
		if strings.Contains(string(a.body), `"value"`) {
			t.Errorf("%s: the answer holds a value: %s", body, a.body)
		}
	}
	if a := h.do("POST", "/api/devices", `["s3cr3t"]`); strings.Contains(string(a.body), "s3cr3t") {
		t.Errorf("the answer repeats the body: %s", a.body)
	}
}

// A panic, and an error whose text is for the log, tell the client nothing.
func TestFailuresOfOursTellNothing(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	s, err := New(h.cfg)
	if err != nil {
		t.Fatal(err)
	}
	fail := func(path string, handle func() error) {
		route(s, anyone(), huma.Operation{Method: http.MethodGet, Path: path},
			func(context.Context, *struct{}) (*struct{}, error) { return nil, handle() })
	}
	fail("/panic", func() error { panic("s3cr3t") })
	fail("/error", func() error { return fmt.Errorf("s3cr3t") })
	fail("/away", func() error {
		return &fleet.Error{Code: fleet.CodeUnavailable, Message: "the database is away", Err: fmt.Errorf("s3cr3t")}
	})
	if err := s.Open(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	for path, want := range map[string]struct {
		status int
		code   fleet.Code
	}{
		"/panic": {500, fleet.CodeInternal}, "/error": {500, fleet.CodeInternal}, "/away": {503, fleet.CodeUnavailable},
	} {
		r := h.request("GET", path, nil)
		r.URL.Host = s.Addr().String()
		a := h.send(r)
		problem(t, a, want.status, want.code)
		if strings.Contains(string(a.body), "s3cr3t") {
			t.Errorf("%s: %s", path, a.body)
		}
		if want.status == 503 && a.Header.Get("Retry-After") == "" {
			t.Errorf("%s: 503 without Retry-After", path)
		}
	}
}

// Fiber inflates a request body before any limit applies.
func TestCompressedRequestIsRefusedUnread(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write(bytes.Repeat([]byte(" "), 32<<20)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	r := h.request("POST", "/api/devices", &packed)
	r.Header.Set("Content-Encoding", "gzip")
	problem(t, h.send(r), http.StatusUnsupportedMediaType, fleet.CodeMediaType)
}

// encoding/json matches names in any case, huma's validation does not.
func TestNamesMatchExactly(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	a := h.do("POST", "/api/devices", `{"kind":"phone","name":"x","NAME":""}`)
	problem(t, a, http.StatusUnprocessableEntity, fleet.CodeInvalid)
}

func TestWhatIsNotTextIsRefused(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	id := h.device(nil).ID
	for name, r := range map[string]*http.Request{
		"NUL in a query":            h.request("GET", "/api/devices?cursor=%00", nil),
		"bad UTF-8 in a query":      h.request("GET", "/api/devices?cursor=%ff", nil),
		"NUL in a path":             h.request("GET", "/api/devices/%00", nil),
		"NUL escaped in a body":     h.request("POST", "/api/devices", `{"kind":"phone","name":"a\u0000b"}`),
		"bad UTF-8 in a body":       h.request("POST", "/api/devices", "{\"kind\":\"phone\",\"name\":\"a\xffb\"}"),
		"NUL escaped in free JSON":  h.request("POST", "/api/devices/"+id+"/commands", `{"kind":"say","body":{"text":"\u0000"}}`),
		"NUL after a backslash":     h.request("POST", "/api/devices/"+id+"/commands", `{"kind":"say","body":"\\\u0000"}`),
		"unknown query parameter":   h.request("GET", "/api/devices?limt=5", nil),
		"cursor of nobody":          h.request("GET", "/api/devices?cursor=abc", nil),
		"cursor of another list":    h.request("GET", "/api/devices/"+id+"/events?cursor=NQ", nil),
		"time without a zone":       h.request("GET", "/api/devices/"+id+"/points?from=2026-01-01T00:00:00", nil),
		"id in another spelling":    h.request("GET", "/api/devices/{"+id+"}", nil),
		"command kind of two words": h.request("POST", "/api/devices/"+id+"/commands", `{"kind":"say it"}`),
	} {
		problem(t, h.send(r), http.StatusUnprocessableEntity, fleet.CodeInvalid)
		_ = name
	}
	h.must(http.StatusCreated, "POST", "/api/devices/"+id+"/commands", `{"kind":"say","body":"\\u0000"}`)
}

// X-Forwarded-Host is believed by default, and a link made of it is a
// stranger's.
func TestForwardedHeadersAreNotBelieved(t *testing.T) {
	t.Parallel()
	h := newHub(t)
	r := h.request("POST", "/api/devices", `{"kind":"phone","name":"x"}`)
	r.Header.Set("X-Forwarded-Host", "evil.example")
	r.Header.Set("X-Forwarded-Proto", "https")
	a := h.send(r)
	if a.StatusCode != http.StatusCreated || strings.Contains(fmt.Sprint(a.Header)+string(a.body), "evil.example") {
		t.Errorf("%s %v %s", a.Status, a.Header, a.body)
	}
	if !strings.HasPrefix(a.Header.Get("Location"), "/api/devices/") {
		t.Errorf("location %q", a.Header.Get("Location"))
	}
}

package api

import (
	"bytes"
	"net/http"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// ingestPrefix is where devices report over HTTP. What is behind it
// authenticates by itself.
const ingestPrefix = "/api/ingest/"

// mountIngest hands the requests of devices to the given handler. Fiber's own
// adaptor is not used: the strings that it hands over are overwritten by the
// next request, and it runs the handler where no recover of ours reaches.
func (s *Server) mountIngest() {
	if s.cfg.Ingest == nil {
		return
	}
	s.app.All(ingestPrefix+"*", func(c *fiber.Ctx) error {
		request, err := http.NewRequestWithContext(s.serving.context, strings.Clone(c.Method()),
			string(c.Request().RequestURI()), bytes.NewReader(bytes.Clone(c.Request().Body())))
		if err != nil {
			return fiber.ErrBadRequest
		}
		request.RemoteAddr = c.Context().RemoteAddr().String()
		request.TLS = c.Context().TLSConnectionState()
		for name, value := range c.Request().Header.All() {
			request.Header.Add(string(name), string(value))
		}
		answer := &response{c: c, header: make(http.Header)}
		s.cfg.Ingest.ServeHTTP(answer, request)
		answer.writeHeader()
		return nil
	})
}

// response is the http.ResponseWriter of a small answer.
type response struct {
	c       *fiber.Ctx
	header  http.Header
	written bool
}

// Header implements http.ResponseWriter.
func (r *response) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *response) WriteHeader(status int) {
	if !r.written {
		r.c.Status(status)
		r.writeHeader()
	}
}

// Write implements http.ResponseWriter.
func (r *response) Write(b []byte) (int, error) {
	r.writeHeader()
	return r.c.Write(b)
}

func (r *response) writeHeader() {
	if r.written {
		return
	}
	r.written = true
	for name, values := range r.header {
		r.c.Response().Header.Del(name)
		for _, value := range values {
			r.c.Response().Header.Add(name, value)
		}
	}
}

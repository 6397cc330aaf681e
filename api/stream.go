package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"

	"armora/fleet"
)

// exportBuffer is how much is gathered before it is written, in bytes: what
// fails within that is still answered with a status of its own.
const exportBuffer = 64 << 10

// stream answers with what produce writes, as it writes it, within the time
// limit of an export. When produce fails before much was written, its error is
// the answer; later, the answer ends without its last chunk, and the client
// knows that it has not got everything.
//
// huma's own body writer keeps the whole answer in memory, and Fiber's stream
// writer ends every answer as if it were complete; so the body is a pipe whose
// reading end fasthttp drains, and whose error cuts the connection.
func (s *Server) stream(mediaType, filename string, produce func(context.Context, io.Writer) error) (*huma.StreamResponse, error) {
	if !s.serving.beginExport() {
		return nil, &fleet.Error{Code: fleet.CodeUnavailable, Message: "the hub is stopping"}
	}
	ctx, cancel := context.WithTimeout(s.serving.context, s.cfg.ExportLimit)
	reader, writer := io.Pipe()
	out := &firstWrite{to: writer, begun: make(chan struct{})}
	ended := make(chan error, 1)
	// A pipe that nobody reads any more ends with the time limit too.
	stop := context.AfterFunc(ctx, func() { writer.CloseWithError(context.Cause(ctx)) })
	s.metrics.exports.Inc()
	go func() {
		defer s.serving.exports.Done()
		defer s.metrics.exports.Dec()
		defer cancel()
		defer stop()
		err := s.produce(ctx, out, produce)
		writer.CloseWithError(err) // nil is the end of the body
		ended <- err
	}()
	select {
	case <-out.begun:
	case err := <-ended:
		if err != nil {
			return nil, err
		}
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		c := humafiber.Unwrap(ctx)
		ctx.SetStatus(http.StatusOK)
		ctx.SetHeader("Content-Type", mediaType)
		ctx.SetHeader("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": filename}))
		ctx.SetHeader("Content-Security-Policy", "sandbox; default-src 'none'") // whatever it is, it runs nothing here
		c.Context().SetBodyStream(&patience{PipeReader: reader, conn: c.Context().Conn(), stall: s.stall}, -1)
	}}, nil
}

// produce runs the producer into a buffer in front of w. Its goroutine has no
// other recover, and a panic in it would end the process.
func (s *Server) produce(ctx context.Context, w io.Writer, produce func(context.Context, io.Writer) error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			s.metrics.panics.Inc()
			s.log.Error("an export panicked", "panic", cause, "stack", string(debug.Stack()))
			err = fmt.Errorf("export: panic: %v", cause)
		}
	}()
	buffered := bufio.NewWriterSize(w, exportBuffer)
	if err := produce(ctx, buffered); err != nil {
		s.log.Warn("an export ended early", "error", err)
		return err
	}
	return buffered.Flush()
}

// answer writes v as JSON, for an operation that otherwise streams.
func (s *Server) answer(v any) *huma.StreamResponse {
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetStatus(http.StatusOK)
		ctx.SetHeader("Content-Type", "application/json")
		if err := json.NewEncoder(ctx.BodyWriter()).Encode(v); err != nil {
			panic(err) // a type of ours that is not JSON: recovered and answered by observe
		}
	}}
}

// firstWrite tells when the first byte leaves the buffer.
type firstWrite struct {
	to    io.Writer
	begun chan struct{}
	once  sync.Once
}

func (f *firstWrite) Write(b []byte) (int, error) {
	f.once.Do(func() { close(f.begun) })
	return f.to.Write(b)
}

// patience is a body that gives its client some time to take each piece, in
// place of the whole answer: it moves the connection's write deadline whenever
// there is a piece to write.
type patience struct {
	*io.PipeReader
	conn  net.Conn
	stall time.Duration
}

func (p *patience) Read(b []byte) (int, error) {
	n, err := p.PipeReader.Read(b)
	// The operating system's clock is what deadlines of a socket are set by.
	if failed := p.conn.SetWriteDeadline(time.Now().Add(p.stall)); failed != nil && err == nil {
		err = failed
	}
	return n, err
}

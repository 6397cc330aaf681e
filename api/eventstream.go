package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humafiber"
)

// heartbeatEvery is how often an event stream says that it is there: nothing else
// tells that a client has left.
const heartbeatEvery = 12 * time.Second

// eventStream answers with server-sent events (WHATWG HTML, 9.2), which begin tells
// to the line. Its last event, end, says why it ends.
func (s *Server) eventStream(ctx context.Context, begin func(context.Context, *line) error) (*huma.StreamResponse, error) {
	l, err := s.openLine(ctx, "stream")
	if err != nil {
		return nil, err
	}
	reader, writer := io.Pipe()
	stream := &eventStream{line: l, s: s, to: writer}
	stream.settled = l.hangUp(func() { _ = reader.Close() }) // never fails
	go stream.run(begin)
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		c := humafiber.Unwrap(ctx)
		ctx.SetStatus(http.StatusOK)
		ctx.SetHeader("Content-Type", "text/event-stream; charset=utf-8")
		ctx.SetHeader("X-Accel-Buffering", "no")
		c.Context().SetConnectionClose()
		c.Context().SetBodyStream(&patience{PipeReader: reader, conn: c.Context().Conn(), stall: s.stall}, -1)
	}}, nil
}

// eventStream is a line that is an event stream.
type eventStream struct {
	*line
	s       *Server
	to      *io.PipeWriter
	settled func()
}

// event is one of the events of a stream. id, if not zero, is what the client comes
// back with.
func event(kind string, id int64, data []byte) []byte {
	var text []byte
	if id != 0 {
		text = fmt.Appendf(text, "id: %d\n", id)
	}
	return fmt.Appendf(text, "event: %s\ndata: %s\n\n", kind, data)
}

func (e *eventStream) run(begin func(context.Context, *line) error) {
	defer e.s.closeLine(e.line, "stream")
	defer e.settled()
	defer func() { _ = e.to.Close() }() // never fails
	defer e.s.recoverLine(e.line)
	if err := begin(e.ctx, e.line); err != nil {
		e.s.fail(e.line, err)
	}
	var expiry expiring
	beat := e.s.clock.Now().Add(heartbeatEvery)
	e.write([]byte(": here\n\n")) // the client knows at once that it is through
	for {
		fired, stop := e.s.clock.NewTimer(sooner(beat, expiry.next(e.line)).Sub(e.s.clock.Now()))
		for due := false; !due; {
			select {
			case <-e.queue.ready:
				e.drain()
			case <-fired:
				due = true
			case <-e.ctx.Done():
				stop()
				e.drain()
				e.sayEnd()
				return
			}
		}
		now := e.s.clock.Now()
		if warning := expiry.look(e.line, now); warning != nil {
			e.write(event("expiring", 0, warning))
		}
		if !now.Before(beat) {
			beat = now.Add(heartbeatEvery)
			e.write([]byte(": here\n\n"))
		}
	}
}

func (e *eventStream) drain() {
	for data, ok := e.queue.take(); ok; data, ok = e.queue.take() {
		e.write(data)
	}
}

func (e *eventStream) write(b []byte) {
	if _, err := e.to.Write(b); err != nil {
		e.End(closedGone)
	}
}

func (e *eventStream) sayEnd() {
	how, _ := e.how()
	text, err := json.Marshal(how)
	if err != nil {
		panic(err) // a type of ours that is not JSON
	}
	_, _ = e.to.Write(event("end", 0, text)) // an error means that nobody listens
}

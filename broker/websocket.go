package broker

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// newWebSocketServer returns the HTTP server that upgrades every request to
// MQTT over WebSocket.
func (b *Broker) newWebSocketServer() *http.Server {
	upgrader := &websocket.Upgrader{
		HandshakeTimeout: b.limits.ConnectTimeout,
		ReadBufferSize:   readBuffer,
		WriteBufferPool:  &sync.Pool{},
		Subprotocols:     []string{"mqtt"},
		// MQTT carries its own credential, no cookie does: a page of another
		// origin can do no more than its own server could.
		CheckOrigin: func(*http.Request) bool { return true },
	}
	return &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !slices.Contains(websocket.Subprotocols(r), "mqtt") {
				http.Error(w, "this is MQTT over WebSocket: ask for the subprotocol mqtt", http.StatusBadRequest)
				return
			}
			ws, err := upgrader.Upgrade(w, r, nil)
			if err != nil {
				return // the upgrader has answered
			}
			// A goroutine of our own, so that net/http's and its buffers go.
			b.serving.Go(func() { b.serveConn(kindWS, &wsConn{Conn: ws.NetConn(), ws: ws}, nil) })
		}),
		ReadHeaderTimeout: b.limits.ConnectTimeout,
		IdleTimeout:       b.limits.ConnectTimeout,
		MaxHeaderBytes:    b.limits.ConnectSize,
		ErrorLog:          slog.NewLogLogger(b.log.Handler(), slog.LevelDebug),
	}
}

// wsConn is a WebSocket as a stream of bytes: the frames of MQTT need not be
// those of WebSocket.
type wsConn struct {
	net.Conn
	ws  *websocket.Conn
	now io.Reader // the rest of the current message; nil between messages
}

var errNotBinary = errors.New("WebSocket message is not binary")

// Read implements io.Reader. Pings are answered as they come by.
func (w *wsConn) Read(p []byte) (int, error) {
	for {
		if w.now == nil {
			kind, message, err := w.ws.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, errNotBinary
			}
			w.now = message
		}
		n, err := w.now.Read(p)
		if errors.Is(err, io.EOF) {
			w.now, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// Write implements io.Writer: one message for each call.
func (w *wsConn) Write(p []byte) (int, error) {
	if err := w.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// sayClose sends the closing frame, best effort.
func (w *wsConn) sayClose() {
	closing := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = w.ws.WriteControl(websocket.CloseMessage, closing, time.Now().Add(lingerTime))
}

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metricsServer serves Prometheus and pprof, for those who run the hub: it has
// no login, and listens apart from the API.
type metricsServer struct {
	listener net.Listener
	server   *http.Server
	serving  sync.WaitGroup
}

func openMetricsServer(ctx context.Context, addr string, registry *prometheus.Registry) (*metricsServer, error) {
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("metrics address %s is taken: another program listens there; stop it or choose another with --metrics-addr", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for metrics on %s: %w", addr, err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	m := &metricsServer{listener: listener, server: &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}}
	m.serving.Go(func() {
		// It ends when the listener is closed, and then only.
		_ = m.server.Serve(listener)
	})
	return m, nil
}

// Close cuts off who is still reading: a profile may take for ever.
func (m *metricsServer) Close(context.Context) error {
	err := m.server.Close()
	m.serving.Wait()
	return err
}

package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// healthCommand asks a running hub whether it is ready: for a container's
// health check, where there is no curl.
type healthCommand struct {
	HTTPAddr string `name:"http-addr" env:"ARMORA_HTTP_ADDR" default:"127.0.0.1:8080" help:"Where the API listens."`
}

// Run implements the command.
func (c *healthCommand) Run(ctx context.Context, to console) error {
	host, port, err := net.SplitHostPort(c.HTTPAddr)
	if err != nil {
		return fmt.Errorf("--http-addr: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("the hub does not answer: %w", err)
	}
	defer response.Body.Close() //nolint:errcheck // it was only read
	answer, err := io.ReadAll(io.LimitReader(response.Body, 64<<10))
	if err != nil {
		return fmt.Errorf("the hub does not answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the hub is not ready: %s", answer)
	}
	_, err = fmt.Fprintf(to.out, "%s\n", answer)
	return err
}

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"armora/sim/load"
	"armora/sim/wire"
)

// loadTarget is where and as whom the load generator connects.
type loadTarget struct {
	Broker      string `required:"" placeholder:"host:port" help:"The broker."`
	Devices     string `type:"existingfile" help:"JSON array of {\"id\",\"secret\"}, a login for each connection; without it they are anonymous."`
	Connections int    `default:"100" help:"How many connections to open."`
}

func (t *loadTarget) target() (load.Target, error) {
	target := load.Target{Broker: t.Broker, Connections: t.Connections}
	if t.Devices == "" {
		return target, nil
	}
	text, err := os.ReadFile(t.Devices)
	if err != nil {
		return target, err
	}
	var logins []login
	if err := json.Unmarshal(text, &logins); err != nil {
		return target, fmt.Errorf("read the logins in %s: %w", t.Devices, err)
	}
	for _, l := range logins {
		target.Credentials = append(target.Credentials, load.Credential{Username: l.ID, Password: l.Secret})
	}
	return target, nil
}

// login is a device's.
type login struct {
	ID     string `json:"id"`
	Secret string `json:"secret"`
}

// loadShape is what is published, and for how long.
type loadShape struct {
	Window   int           `default:"64" help:"Messages of one connection that may be unacknowledged (QoS 1)."`
	Encoding wire.Encoding `enum:"json,protobuf" default:"json" help:"How points are written: json or protobuf."`
	Points   int64         `help:"Stop after so many points."`
	Duration time.Duration `default:"10s" help:"Stop after this long; 0 for never."`
	Rate     float64       `help:"Hold the load to so many points a second; 0 is as fast as it goes."`
}

// loadCommand is the load generator. It runs apart from what it measures.
type loadCommand struct {
	loadTarget `embed:""`
	loadShape  `embed:""`

	Topic     string `help:"Where to publish; {username} and {clientid} stand for the connection's own. Default: v1/devices/{username}/points, anonymously v1/devices/{clientid}/points."`
	QoS       byte   `name:"qos" default:"1" help:"0 or 1."`
	PerPacket int    `default:"1" help:"Points in a message."`
	Announce  bool   `hidden:"" help:"Print a line when publishing begins."`
}

// Run implements the command.
func (c *loadCommand) Run(ctx context.Context, to console) error {
	target, err := c.target()
	if err != nil {
		return err
	}
	if c.Topic == "" && c.Devices == "" {
		c.Topic = "v1/devices/{clientid}/points"
	}
	result, err := load.Run(ctx, load.Config{
		Target: target, QoS: c.QoS, PerPacket: c.PerPacket, Encoding: c.Encoding, Window: c.Window,
		Points: c.Points, Duration: c.Duration, Rate: c.Rate, Topic: c.Topic,
		Started: func() {
			if c.Announce {
				_, _ = fmt.Fprintln(to.out, "publishing")
			}
		},
	})
	if err != nil {
		return err
	}
	return printJSON(to, result)
}

func printJSON(to console, v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(to.out, "%s\n", text)
	return err
}

// idleCommand holds connections for the hub's memory to be looked at.
type idleCommand struct {
	loadTarget `embed:""`
}

// idleResult is what became of them.
type idleResult struct {
	Alive int `json:"alive"`
}

// Run implements the command.
func (c *idleCommand) Run(ctx context.Context, to console) error {
	target, err := c.target()
	if err != nil {
		return err
	}
	idle, err := load.OpenIdle(ctx, target)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(to.out, "open")
	if err == nil {
		<-ctx.Done()
	}
	return errors.Join(err, printJSON(to, idleResult{Alive: idle.Close()}))
}

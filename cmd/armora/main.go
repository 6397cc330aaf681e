// Command armora is the hub of the ARMORA security transport platform, in one
// binary: an MQTT broker for phones and trackers, the pipeline that stores their
// points and keeps the live map, and the HTTP API.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	_ "time/tzdata" // people's time zones, also where the machine has none

	"github.com/alecthomas/kong"

	"armora/fleet"
)

// cli is the command line. Every setting is a flag and an environment variable
// alike; .env.example lists the variables.
type cli struct {
	Serve    serveCommand    `cmd:"" help:"Run the hub."`
	Demo     demoCommand     `cmd:"" help:"Run the hub with a simulated city of officers."`
	Migrate  migrateCommand  `cmd:"" help:"Bring the database to this version of the hub, and stop."`
	Replay   replayCommand   `cmd:"" help:"Publish recorded tracks through real MQTT clients."`
	Admin    adminCommand    `cmd:"" help:"Make admins, at the hub's machine."`
	Health   healthCommand   `cmd:"" help:"Ask a running hub whether it is ready."`
	Simulate simulateCommand `cmd:"" help:"Compare dispatch policies on a virtual clock: a day runs in seconds."`
	Bench    benchCommand    `cmd:"" help:"Measure what the hub can do on this machine."`

	LogLevel  slog.Level `enum:"DEBUG,INFO,WARN,ERROR" default:"INFO" env:"ARMORA_LOG_LEVEL" help:"Least severe log line to write: DEBUG, INFO, WARN or ERROR."`
	LogFormat string     `enum:"text,json" default:"text" env:"ARMORA_LOG_FORMAT" help:"How log lines look: text or json."`
}

// console is where a command writes: out is its result, err its log.
type console struct {
	out io.Writer
	err io.Writer
}

// logger returns a logger with the command line's settings.
func (c *cli) logger(to io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(to, options))
	}
	return slog.New(slog.NewTextHandler(to, options))
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal kills: whoever sends it has waited long enough.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], console{out: os.Stdout, err: os.Stderr}))
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, to console) int {
	var c cli
	exited, code := false, 0
	parser, err := kong.New(&c,
		kong.Name("armora"),
		kong.Description("The ARMORA hub. `armora demo` shows it at work; `armora serve` runs it."),
		kong.Writers(to.out, to.err),
		kong.Exit(func(status int) { exited, code = true, status }),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, FlagsLast: true, WrapUpperBound: 100}),
		kong.Vars{"data_dir_default": defaultDataDir(), "webhook_path": webhookPath},
		kong.ExplicitGroups([]kong.Group{
			{Key: "listen", Title: "Listeners"}, {Key: "store", Title: "Data"}, {Key: "access", Title: "Access"}, {Key: "dispatch", Title: "Dispatch"}, {Key: "demo", Title: "The simulated city"},
			{Key: "trips", Title: "Recorded trips"}, {Key: "security", Title: "Security work"},
		}),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(&c, to))
	if err != nil {
		panic(err) // the tags of cli are wrong
	}
	command, err := parser.Parse(args)
	if exited {
		return code // --help
	}
	if err != nil {
		err = fmt.Errorf("%w (see armora --help)", err)
	} else {
		err = command.Run()
	}
	if err != nil {
		_, _ = fmt.Fprintln(to.err, "armora:", explain(err)) // nowhere else to say it
		return 1
	}
	return 0
}

// explain puts an error on one line that says what to do.
func explain(err error) string {
	text := err.Error()
	// The sentence of a fleet.Error is for people; its cause is for logs, unless
	// there is nothing else to go by.
	if e, ok := errors.AsType[*fleet.Error](err); ok && e.Err != nil {
		text = e.Message + " (" + e.Err.Error() + ")"
	}
	return strings.Join(strings.Fields(text), " ")
}

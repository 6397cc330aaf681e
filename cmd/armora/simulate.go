package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"armora/dispatch/simulate"
	"armora/dispatch/triplog"
)

// simulateCommand compares dispatch policies on a virtual clock.
type simulateCommand struct {
	Workload string `enum:"trips,security" default:"trips" help:"What is played: recorded trips on demand, or a seeded day of security work: 2 to 12 hours, most of it known ahead, some of it for teams, officers with tiers, licences and shifts, beside an upper bound with full knowledge of the day."`

	Policy []string `enum:"fifo,nearest,batch" default:"batch" help:"Who pairs: fifo takes requests in order, each with its nearest free driver; nearest pairs the two of all that are nearest first; batch solves the assignment of all, and plans security work ahead. Several, with commas, are compared."`
	Seeds  int      `default:"1" help:"How many runs, with the seeds 1 to that; 20 give intervals."`
	JSON   bool     `help:"Write one object, the means over the seeds, instead of a table."`

	Trips    string `type:"existingfile" group:"trips" help:"CSV of recorded trips to play, with the columns cab, pickup_time, pickup_lat, pickup_lon, dropoff_time, dropoff_lat and dropoff_lon; times are Unix seconds."`
	Drivers  int    `default:"300" help:"How many drivers, or officers, there are."`
	Bookings int    `default:"400" group:"security" help:"How many bookings the day has."`

	Zone   string `default:"UTC" group:"trips" help:"IANA time zone of the trips: --from and --to are its hours."`
	From   int    `default:"0" group:"trips" help:"Local hour at which the run begins."`
	To     int    `default:"24" group:"trips" help:"Local hour at which nobody asks any more."`
	Demand int    `default:"1" group:"trips" help:"How often each trip is asked for: jittered copies, within 10 min and 150 m of it."`

	Tick     time.Duration `default:"10s" group:"trips" help:"How often the policy is asked."`
	Patience time.Duration `default:"5m" group:"trips" help:"How long a request waits to be given a driver."`
	Decline  float64       `default:"0.05" group:"trips" help:"How likely a driver declines: 0 to 1."`
	Noise    float64       `default:"0.1" group:"trips" help:"How far off an estimated pick-up time is: the standard deviation of its logarithm."`
	Swaps    bool          `default:"true" negatable:"" group:"trips" help:"Let batch give a request another driver before the pick-up, by the rules of dispatch/match."`
}

// Run implements the command.
func (c *simulateCommand) Run(ctx context.Context, to console) error {
	if c.JSON && len(c.Policy) > 1 {
		return errors.New("--json writes the figures of one policy")
	}
	if c.Workload == "security" {
		watch := simulate.Watch{Bookings: c.Bookings, Officers: c.Drivers, Rules: simulate.DefaultWatchRules()}
		head := fmt.Sprintf("%d officers, %d bookings, seeds 1 to %d; %v", c.Drivers, c.Bookings, c.Seeds, watch.Rules)
		return comparePolicies(ctx, c, to.out, head, watch.Try)
	}
	ride, err := c.ride()
	if err != nil {
		return err
	}
	head := fmt.Sprintf("%d drivers, hours %d to %d, demand × %d, seeds 1 to %d; %v", c.Drivers, c.From, c.To, c.Demand, c.Seeds, ride.Rules)
	return comparePolicies(ctx, c, to.out, head, ride.Try)
}

// comparePolicies plays each policy and writes what was asked for.
func comparePolicies[F any](ctx context.Context, c *simulateCommand, w io.Writer, head string,
	try func(context.Context, string, int) (simulate.Trials[F], error)) error {
	var trials []simulate.Trials[F]
	for _, policy := range c.Policy {
		t, err := try(ctx, policy, c.Seeds)
		if err != nil {
			return err
		}
		trials = append(trials, t)
	}
	if c.JSON {
		return json.NewEncoder(w).Encode(trials[0].Mean())
	}
	if _, err := fmt.Fprint(w, head, "\n\n"); err != nil {
		return err
	}
	return simulate.Table(w, trials)
}

// ride is what the flags ask for.
func (c *simulateCommand) ride() (simulate.Ride, error) {
	rules := simulate.DefaultRules()
	rules.Tick, rules.Patience, rules.Decline, rules.Noise = c.Tick, c.Patience, c.Decline, c.Noise
	rules.Swaps = c.Swaps
	ride := simulate.Ride{Rules: rules, Drivers: c.Drivers}
	ride.Demand = simulate.Demand{From: c.From, To: c.To, Copies: c.Demand}
	if c.Trips == "" {
		return ride, errors.New("--trips names the file of trips to play")
	}
	var err error
	if ride.Demand.Zone, err = time.LoadLocation(c.Zone); err != nil {
		return ride, err
	}
	ride.Demand.Trips, err = readTrips(c.Trips)
	return ride, err
}

func readTrips(path string) ([]triplog.Trip, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	return triplog.Read(f)
}

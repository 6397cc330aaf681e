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
	Policy []string `enum:"fifo,nearest,batch" default:"batch" help:"Who pairs: fifo takes requests in order, each with its nearest free driver; nearest pairs the two of all that are nearest first; batch solves the assignment of all. Several, with commas, are compared."`
	Seeds  int      `default:"1" help:"How many runs, with the seeds 1 to that; 20 give intervals."`
	JSON   bool     `help:"Write one object, the means over the seeds, instead of a table."`

	Trips   string `type:"existingfile" required:"" help:"CSV of recorded trips to play, with the columns cab, pickup_time, pickup_lat, pickup_lon, dropoff_time, dropoff_lat and dropoff_lon; times are Unix seconds."`
	Drivers int    `default:"300" help:"How many drivers there are."`
	Zone    string `default:"UTC" help:"IANA time zone of the trips: --from and --to are its hours."`
	From    int    `default:"0" help:"Local hour at which the run begins."`
	To      int    `default:"24" help:"Local hour at which nobody asks any more."`
	Demand  int    `default:"1" help:"How often each trip is asked for: jittered copies, within 10 min and 150 m of it."`

	Tick     time.Duration `default:"10s" help:"How often the policy is asked."`
	Patience time.Duration `default:"5m" help:"How long a request waits to be given a driver."`
	Decline  float64       `default:"0.05" help:"How likely a driver declines: 0 to 1."`
	Noise    float64       `default:"0.1" help:"How far off an estimated pick-up time is: the standard deviation of its logarithm."`
	Swaps    bool          `default:"true" negatable:"" help:"Let batch give a request another driver before the pick-up, by the rules of dispatch/match."`
}

// Run implements the command.
func (c *simulateCommand) Run(ctx context.Context, to console) error {
	ride, err := c.ride()
	if err != nil {
		return err
	}
	if c.JSON && len(c.Policy) > 1 {
		return errors.New("--json writes the figures of one policy")
	}
	if !c.JSON {
		_, _ = fmt.Fprintf(to.out, "%d drivers, hours %d to %d, demand × %d, seeds 1 to %d; %v\n\n",
			c.Drivers, c.From, c.To, c.Demand, c.Seeds, ride.Rules)
	}
	var trials []simulate.Trials
	for _, policy := range c.Policy {
		t, err := ride.Try(ctx, policy, c.Seeds)
		if err != nil {
			return err
		}
		trials = append(trials, t)
	}
	return c.write(to.out, trials)
}

func (c *simulateCommand) write(w io.Writer, trials []simulate.Trials) error {
	if !c.JSON {
		return simulate.Table(w, trials)
	}
	return json.NewEncoder(w).Encode(trials[0].Mean())
}

// ride is what the flags ask for.
func (c *simulateCommand) ride() (simulate.Ride, error) {
	rules := simulate.DefaultRules()
	rules.Tick, rules.Patience, rules.Decline, rules.Noise = c.Tick, c.Patience, c.Decline, c.Noise
	rules.Swaps = c.Swaps
	ride := simulate.Ride{Rules: rules, Drivers: c.Drivers}
	ride.Demand = simulate.Demand{From: c.From, To: c.To, Copies: c.Demand}
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

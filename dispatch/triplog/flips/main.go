// Command flips makes the trips of a day out of the traces of taxis that say whether
// somebody sits in them, as those of cabspotting (CRAWDAD epfl/mobility) do:
//
//	go run ./dispatch/triplog/flips --traces cabspottingdata --day 2008-05-28 --out sf-trips-2008-05-28.csv
//
// What it writes is what package triplog reads.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"time"
	_ "time/tzdata" // the zone, also where the machine has none
)

func main() {
	traces := flag.String("traces", "", "folder with a file new_*.txt for each cab")
	day := flag.String("day", "", "local day on which the trips begin")
	zone := flag.String("zone", "America/Los_Angeles", "IANA time zone of the day")
	out := flag.String("out", "", "CSV file to write")
	flag.Parse()
	if err := run(*traces, *day, *zone, *out); err != nil {
		fmt.Fprintln(os.Stderr, "flips:", err)
		os.Exit(1)
	}
}

func run(traces, day, zone, out string) error {
	local, err := time.LoadLocation(zone)
	if err != nil {
		return err
	}
	from, err := time.ParseInLocation(time.DateOnly, day, local)
	if err != nil {
		return err
	}
	trips, err := readAll(os.DirFS(traces), from, from.AddDate(0, 0, 1))
	if err != nil {
		return err
	}
	var b bytes.Buffer
	fmt.Fprintln(&b, "cab,pickup_time,pickup_lat,pickup_lon,dropoff_time,dropoff_lat,dropoff_lon")
	for _, t := range trips {
		fmt.Fprintf(&b, "%d,%d,%.5f,%.5f,%d,%.5f,%.5f\n", t.cab, t.from.at, t.from.lat, t.from.lon, t.to.at, t.to.lat, t.to.lon)
	}
	fmt.Printf("%d trips\n", len(trips))
	return os.WriteFile(out, b.Bytes(), 0o600)
}

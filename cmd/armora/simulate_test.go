package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// recordedTrips writes a file of trips, a minute apart, around noon UTC.
func recordedTrips(t *testing.T) string {
	t.Helper()
	text := "cab,pickup_time,pickup_lat,pickup_lon,dropoff_time,dropoff_lat,dropoff_lon\n"
	for i := range 60 {
		at := 1211371200 + 60*i
		text += fmt.Sprintf("%d,%d,51.50,%.3f,%d,51.51,%.3f\n", i, at, float64(i)/1000, at+600, float64(i)/1000)
	}
	path := filepath.Join(t.TempDir(), "trips.csv")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSimulateWritesTheNamedFigures(t *testing.T) {
	t.Parallel()
	path := recordedTrips(t)
	want := []string{
		"gini", "pickup_mean_s", "served_share", "solver_p99_ms", "utilisation",
		"wait_all_mean_s", "wait_mean_s", "wait_p50_s", "wait_p95_s",
	}
	for _, policy := range []string{"fifo", "nearest", "batch"} {
		var out, log bytes.Buffer
		args := []string{"simulate", "--trips", path, "--drivers", "30", "--policy", policy, "--seeds", "2", "--demand", "2", "--json"}
		if code := run(t.Context(), args, console{&out, &log}); code != 0 {
			t.Fatalf("%s: code %d: %s", policy, code, &log)
		}
		var got map[string]float64
		if err := json.Unmarshal(out.Bytes(), &got); err != nil {
			t.Fatalf("%s wrote %s: %v", policy, &out, err)
		}
		if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, want) {
			t.Errorf("%s has the keys %v, want %v", policy, keys, want)
		}
		if got["served_share"] < 0.9 || got["wait_mean_s"] < got["pickup_mean_s"] {
			t.Errorf("%s: %v", policy, got)
		}
	}
}

func TestSimulateComparesPolicies(t *testing.T) {
	t.Parallel()
	var out, log bytes.Buffer
	args := []string{"simulate", "--trips", recordedTrips(t), "--drivers", "30", "--policy", "fifo,batch", "--seeds", "3"}
	if code := run(t.Context(), args, console{&out, &log}); code != 0 {
		t.Fatalf("code %d: %s", code, &log)
	}
	for _, part := range []string{"30 drivers, hours 0 to 24, demand × 1, seeds 1 to 3", "declines 5%, ETA noise 10%", "fifo", "batch", "±", "wait, mean, of fifo"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("the table does not say %q:\n%s", part, &out)
		}
	}
}

func TestSimulateRefuses(t *testing.T) {
	t.Parallel()
	path := recordedTrips(t)
	for problem, args := range map[string][]string{
		"one policy":   {"--policy", "fifo,batch", "--json"},
		"from 9 to 8":  {"--from", "9", "--to", "8"},
		"unknown time": {"--zone", "Mars/Olympus"},
		"0 drivers":    {"--drivers", "0"},
		"0 seeds":      {"--seeds", "0"},
		`"best"`:       {"--policy", "best"},
	} {
		var out, log bytes.Buffer
		code := run(t.Context(), append([]string{"simulate", "--trips", path}, args...), console{&out, &log})
		if code != 1 || !strings.Contains(log.String(), problem) {
			t.Errorf("%v: code %d, %q; want an error about %q", args, code, &log, problem)
		}
	}
}

func TestSimulateSecurityWork(t *testing.T) {
	t.Parallel()
	var out, log bytes.Buffer
	args := []string{"simulate", "--workload", "security", "--bookings", "40", "--drivers", "30", "--json"}
	if code := run(t.Context(), args, console{&out, &log}); code != 0 {
		t.Fatalf("code %d: %s", code, &log)
	}
	var got map[string]float64
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"served_share", "wait_all_mean_s", "officer_hours_share", "on_time_share", "empty_travel_h", "overtime_h", "bound_officer_hours"} {
		if _, ok := got[key]; !ok {
			t.Errorf("there is no %s in %s", key, &out)
		}
	}
	if got["officer_hours"] <= 0 || got["officer_hours"] > got["bound_officer_hours"] {
		t.Errorf("%v of at most %v hours", got["officer_hours"], got["bound_officer_hours"])
	}
}

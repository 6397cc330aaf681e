//go:build !race

package main

// raceEnabled says how the hub is built for the tests.
const raceEnabled = false

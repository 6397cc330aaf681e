package main

// benchCommand groups the benchmarks.
type benchCommand struct {
}

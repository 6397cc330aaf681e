//go:build !race

package live

// raceEnabled: the race detector empties sync.Pools at random.
const raceEnabled = false

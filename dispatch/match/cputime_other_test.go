//go:build !linux

package match

import "time"

// cpuTime returns how long f takes.
func cpuTime(f func()) time.Duration {
	began := time.Now()
	f()
	return time.Since(began)
}

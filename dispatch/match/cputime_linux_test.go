package match

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// cpuTime returns how much CPU time f takes. What else runs on the machine moves it
// little, as it does not count waiting for one's turn.
func cpuTime(f func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began := threadTime()
	f()
	return threadTime() - began
}

func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		panic(err)
	}
	return time.Duration(t.Nano())
}

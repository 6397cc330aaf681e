//go:build !amd64 && !arm64

package live

import "sync/atomic"

func prefetch32(*atomic.Uint32) {}
func prefetch64(*atomic.Uint64) {}
func prefetchBack(*back)        {}

//go:build amd64 || arm64

package live

import "sync/atomic"

// prefetch32, prefetch64 and prefetchBack begin to load the line of memory in which p
// is, and wait for nothing. Go has no such instruction of its own, and a load in its
// place keeps the processor from going on more than a few hundred instructions ahead.
// They read nothing, and so p may be written meanwhile.

//go:noescape
func prefetch32(p *atomic.Uint32)

//go:noescape
func prefetch64(p *atomic.Uint64)

//go:noescape
func prefetchBack(p *back)

#include "textflag.h"

// func prefetch64(p *atomic.Uint64)
TEXT ·prefetch64(SB), NOSPLIT, $0-8
	MOVQ p+0(FP), AX
	PREFETCHT0 (AX)
	RET

// func prefetch32(p *atomic.Uint32)
TEXT ·prefetch32(SB), NOSPLIT, $0-8
	MOVQ p+0(FP), AX
	PREFETCHT0 (AX)
	RET

// func prefetchBack(p *back)
TEXT ·prefetchBack(SB), NOSPLIT, $0-8
	MOVQ p+0(FP), AX
	PREFETCHT0 (AX)
	RET

#include "textflag.h"

// func prefetch32(p *atomic.Uint32)
TEXT ·prefetch32(SB), NOSPLIT, $0-8
	MOVD p+0(FP), R0
	PRFM (R0), PLDL1KEEP
	RET

// func prefetch64(p *atomic.Uint64)
TEXT ·prefetch64(SB), NOSPLIT, $0-8
	MOVD p+0(FP), R0
	PRFM (R0), PLDL1KEEP
	RET

// func prefetchBack(p *back)
TEXT ·prefetchBack(SB), NOSPLIT, $0-8
	MOVD p+0(FP), R0
	PRFM (R0), PLDL1KEEP
	RET

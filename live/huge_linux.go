package live

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// huge asks the kernel to back what p points to by pages of 2 MB, where it has some:
// of many small ones a processor does not remember where they are. Nothing but speed
// depends on it.
func huge[T any](p *T) *T {
	_ = unix.Madvise(unsafe.Slice((*byte)(unsafe.Pointer(p)), unsafe.Sizeof(*p)), unix.MADV_HUGEPAGE)
	return p
}

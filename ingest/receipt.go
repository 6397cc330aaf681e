package ingest

import (
	"sync"
	"sync/atomic"

	"armora/fleet"
)

// ErrClosed is what a message is resolved with that the pipeline could not
// commit before it was closed: it was not stored, and is to be sent again.
var ErrClosed error = &fleet.Error{
	Code:    fleet.CodeUnavailable,
	Message: "the hub is stopping and has not stored the message",
}

// receipt is a message that waits for the commits it depends on: those of the
// batches that hold its points or, of a repeat, the first copies of them.
type receipt struct {
	ack     Ack
	acked   *atomic.Uint64 // counts what is acknowledged
	waiting atomic.Int32   // batches to come, and one more while Receive hands the message out
	dropped atomic.Bool    // one of them was given up
}

// receipts are made for every message and live until its ack: worth keeping.
var receipts = sync.Pool{New: func() any { return new(receipt) }}

// newReceipt returns a receipt that the caller holds; settle lets go of it.
func newReceipt(ack Ack, acked *atomic.Uint64) *receipt {
	r := receipts.Get().(*receipt)
	r.ack, r.acked = ack, acked
	r.dropped.Store(false)
	r.waiting.Store(1)
	return r
}

// release settles what the one who made the receipt held.
func (r *receipt) release() {
	if ack := r.settle(false); ack != nil {
		ack.Flush()
	}
}

// refuse resolves a receipt that nothing else holds, of whose message nothing
// is kept.
func (r *receipt) refuse(why error) {
	ack := r.ack
	r.ack = nil
	receipts.Put(r)
	ack.Resolve(why)
	ack.Flush()
}

// drop releases a receipt whose message will not be stored.
func (r *receipt) drop() {
	r.dropped.Store(true)
	r.release()
}

// settle takes note that one of those that the receipt waits for is done. The
// last one resolves the ack and gets it back, to flush it; the receipt is then
// no longer anybody's.
func (r *receipt) settle(dropped bool) Ack {
	if dropped {
		r.dropped.Store(true)
	}
	if r.waiting.Add(-1) > 0 {
		return nil
	}
	ack := r.ack
	if r.dropped.Load() {
		ack.Resolve(ErrClosed)
	} else {
		r.acked.Add(1)
		ack.Resolve(nil)
	}
	r.ack = nil
	receipts.Put(r)
	return ack
}

package model

import (
	"sync"

	"github.com/qbranch/qbranch/infer/mapfile"
)

const (
	// readAheadPiece is how many bytes the system is asked for at once, and
	// readAheadWorkers how many ask at a time: what disks need to be fast.
	readAheadPiece   = 4 << 20
	readAheadWorkers = 4
	// readAheadQueue is how many pieces of experts wait: four gigabytes.
	readAheadQueue = 1024
)

// readAhead asks the system for bytes that will be needed soon, beside the
// computation: bytes that are waited for page by page come at a quarter of the
// disk's speed. A checkpoint asks for all its files after loading; where these are
// larger than memory, sessions ask for experts instead, as they are chosen.
type readAhead struct {
	pieces  chan []byte
	workers sync.WaitGroup
}

// newReadAhead has room for a number of pieces that wait.
func newReadAhead(queue int) *readAhead {
	r := &readAhead{pieces: make(chan []byte, queue)}
	for range readAheadWorkers {
		r.workers.Go(func() {
			for p := range r.pieces {
				mapfile.WillNeed(p)
			}
		})
	}
	return r
}

// want queues data, in the order in which it will be read. What finds no place in
// the queue is read when it is needed.
func (r *readAhead) want(data []byte) {
	for len(data) > 0 {
		n := min(len(data), readAheadPiece)
		select {
		case r.pieces <- data[:n]:
		default:
			return
		}
		data = data[n:]
	}
}

// stop forgets what is queued and waits for the workers.
func (r *readAhead) stop() {
	close(r.pieces)
	for range r.pieces { // rather than leave it to them
	}
	r.workers.Wait()
}

package fetch

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"

	"github.com/qbranch/qbranch/store"
)

const (
	diskRounds   = 3   // times a disk may change its mind
	repairBatch  = 256 // parts fetched again before looking whether that was it, at least
	repairRounds = 8   // such looks at most: each one hashes the whole content again
)

// prints tell whether a part that is fetched again is what it was before. They
// live as long as the run does; 0 stands for a part that came earlier.
type prints struct {
	seed maphash.Seed
	sums []uint64
}

func newPrints(parts int) prints { return prints{maphash.MakeSeed(), make([]uint64, parts)} }

func (p prints) take(i int, data []byte) { p.sums[i] = maphash.Bytes(p.seed, data) | 1 }

// repair is called when a complete content does not match its digest. Either
// the disk does not hold what came, which the digests taken at receipt tell, or
// what came was wrong.
func (e *engine) repair(ctx context.Context, j *job, cause error) (store.Digest, error) {
	digest, err := e.repairDisk(ctx, j, cause)
	if errors.Is(err, store.ErrMismatch) {
		digest, err = e.repairLine(ctx, j, err)
	}
	return digest, err
}

// repairDisk fetches again what the disk has changed. It returns cause, or a
// later mismatch, when the disk is not to blame.
func (e *engine) repairDisk(ctx context.Context, j *job, cause error) (store.Digest, error) {
	for range diskRounds {
		bad, err := j.in.Recheck(ctx)
		if err != nil {
			return store.Digest{}, err
		}
		if len(bad) == 0 {
			break
		}
		damage := &store.CorruptError{Digest: j.want.SHA256, Parts: bad, Size: j.file.Size}
		ranges := damage.Ranges()
		e.tell(Event{Kind: EventMismatch, Path: j.file.Path, Bytes: total(ranges), Err: damage, Ranges: ranges})
		if _, err := e.refetch(ctx, j, bad); err != nil {
			return store.Digest{}, err
		}
		digest, err := j.in.Commit(ctx)
		if !errors.Is(err, store.ErrMismatch) {
			return digest, err
		}
		cause = err
	}
	return store.Digest{}, cause
}

// repairLine fetches everything again once, a batch at a time, the parts of
// broken connections first, and tries after each batch that brought anything
// new.
func (e *engine) repairLine(ctx context.Context, j *job, cause error) (store.Digest, error) {
	whole := []store.Range{{Offset: 0, Length: j.file.Size}}
	e.tell(Event{Kind: EventMismatch, Path: j.file.Path, Bytes: j.file.Size, Err: cause, Ranges: whole})
	var bad []int
	for _, batch := range batches(e.queue.suspects(j)) {
		changed, err := e.refetch(ctx, j, batch)
		if err != nil {
			return store.Digest{}, err
		}
		if len(changed) == 0 {
			continue
		}
		bad = append(bad, changed...)
		digest, err := j.in.Commit(ctx)
		if err == nil {
			slices.Sort(bad)
			wrong := (&store.CorruptError{Parts: bad, Size: j.file.Size}).Ranges()
			e.tell(Event{Kind: EventMismatch, Path: j.file.Path, Bytes: total(wrong), Ranges: wrong})
		}
		if !errors.Is(err, store.ErrMismatch) {
			return digest, err
		}
		cause = err
	}
	return store.Digest{}, e.mismatch(j.file.Path, 2, cause)
}

// batches orders the parts of a content for fetching them again.
func batches(suspects, rest []int) [][]int {
	var out [][]int
	if len(suspects) > 0 {
		out = append(out, suspects)
	}
	size := max(repairBatch, (len(rest)+repairRounds-1)/repairRounds)
	return slices.AppendSeq(out, slices.Chunk(rest, size))
}

// refetch drops parts and waits until they are there again. It returns those
// that are not known to be what they were.
func (e *engine) refetch(ctx context.Context, j *job, parts []int) (changed []int, err error) {
	before := slices.Clone(j.prints.sums)
	for _, i := range parts {
		if err := j.in.Drop(i); err != nil {
			return nil, err
		}
		n := int64(j.in.PartLen(i))
		e.count(-n)
		e.stats.Refetched.Add(n)
	}
	e.queue.again(j, parts)
	if err := e.queue.await(ctx, j); err != nil {
		return nil, err
	}
	for _, i := range parts {
		if before[i] == 0 || before[i] != j.prints.sums[i] {
			changed = append(changed, i)
		}
	}
	return changed, nil
}

func total(ranges []store.Range) (sum int64) {
	for _, r := range ranges {
		sum += r.Length
	}
	return sum
}

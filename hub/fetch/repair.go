package fetch

import (
	"context"
	"errors"
	"slices"

	"github.com/qbranch/qbranch/store"
)

const (
	diskRounds   = 3  // times a disk may change its mind
	repairBatch  = 32 // parts fetched again before looking whether any is not what it was
	repairRounds = 16 // times the whole content is hashed again because one is not, before all were fetched
)

// repair is called when a complete content does not match its digest. Either
// the disk does not hold what came, which the digests taken at receipt tell, or
// what came was wrong.
func (e *engine) repair(ctx context.Context, j *job, cause error) (store.Digest, error) {
	e.setState(j.content, FileRepairing)
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
// broken connections first, and tries after a batch that brought anything new:
// one wrong part is found when its batch comes, half way on average.
func (e *engine) repairLine(ctx context.Context, j *job, cause error) (store.Digest, error) {
	whole := []store.Range{{Offset: 0, Length: j.file.Size}}
	e.tell(Event{Kind: EventMismatch, Path: j.file.Path, Bytes: j.file.Size, Err: cause, Ranges: whole})
	var bad []int
	rounds, unhashed := 0, false
	todo := batches(e.queue.suspects(j))
	for i, batch := range todo {
		changed, err := e.refetch(ctx, j, batch)
		if err != nil {
			return store.Digest{}, err
		}
		bad = append(bad, changed...)
		unhashed = unhashed || len(changed) > 0
		if last := i == len(todo)-1; !unhashed || rounds >= repairRounds && !last {
			continue // the same bytes have the same digest
		}
		rounds, unhashed = rounds+1, false
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
	return store.Digest{}, e.mismatch(j.file.Path, 2, e.queue.hosts(j), cause)
}

// batches orders the parts of a content for fetching them again.
func batches(suspects, rest []int) [][]int {
	var out [][]int
	if len(suspects) > 0 {
		out = append(out, suspects)
	}
	return slices.AppendSeq(out, slices.Chunk(rest, repairBatch))
}

// refetch drops parts and waits until they are there again. It returns those
// that are not what they were.
func (e *engine) refetch(ctx context.Context, j *job, parts []int) (changed []int, err error) {
	before := make([]store.Digest, len(parts))
	for k, i := range parts {
		before[k], _ = j.in.PartSum(i)
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
	for k, i := range parts {
		if sum, _ := j.in.PartSum(i); sum != before[k] {
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

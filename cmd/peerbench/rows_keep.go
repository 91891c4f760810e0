package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/zeebo/blake3"
)

// requests: how often the hub itself is asked for a branch of five files, of
// which one is large, the first time and the second.
func (b *bench) requests(ctx context.Context) ([]line, error) {
	u, err := b.upload("bench/five", 8*mebi, 4)
	if err != nil {
		return nil, err
	}
	for i, name := range []string{"generation_config.json", "tokenizer_config.json", "README.md"} {
		u.files[name] = file{Size: int64(1000 + i), Seed: uint64(i)}
	}
	if _, err := b.hub.do(command{Do: "repo", Repo: u.repo, Branch: branch, Files: u.files}); err != nil {
		return nil, err
	}
	most := 2 + len(u.files)
	cold := line{Measure: "requests to the hub for five files, cold", Target: fmt.Sprintf("≤ 2 + one per file (%d)", most)}
	warm := line{Measure: "the same branch again", Target: "≤ 1"}
	for _, t := range b.some(ours, "hf", "webui") {
		dir, err := b.newDir(b.fast, t.name)
		if err != nil {
			return nil, err
		}
		var counts [2]int
		for i := range counts {
			s, err := b.fetchInto(ctx, t, u, dir)
			if err != nil {
				return nil, err
			}
			counts[i] = s.Traffic.API
		}
		b.logf("  %-12s %d requests to the hub, then %d", t.name, counts[0], counts[1])
		if t.name == ours {
			cold.Ours, cold.Verdict = fmt.Sprint(counts[0]), judge(counts[0] <= most)
			warm.Ours, warm.Verdict = fmt.Sprint(counts[1]), judge(counts[1] <= 1)
		} else {
			cold.Peers = append(cold.Peers, value{t.name, fmt.Sprint(counts[0])})
			warm.Peers = append(warm.Peers, value{t.name, fmt.Sprint(counts[1])})
		}
		if err := os.RemoveAll(dir); err != nil {
			return nil, err
		}
	}
	return []line{cold, warm}, nil
}

// published: from the last byte sent until everything is verified, durable and
// visible, which is when the program ends.
func (b *bench) published(ctx context.Context) ([]line, error) {
	u, err := b.upload("bench/large", b.size, 1)
	if err != nil {
		return nil, err
	}
	var shares []float64
	var tails []time.Duration
	for range b.runs {
		dir, err := b.newDir(b.disk, ours)
		if err != nil {
			return nil, err
		}
		p, end, _, err := b.begin(ctx, b.tools[0], u, dir, u.size)
		if err != nil {
			return nil, err
		}
		last := time.Now()
		o := <-end
		tail := time.Since(last)
		if err = firstError(o.err, os.RemoveAll(dir)); err != nil {
			return nil, err
		}
		if o.sample.Exit != 0 {
			return nil, fmt.Errorf("qbranch ended with code %d: %s", o.sample.Exit, lastLines(p.output.String()))
		}
		tails = append(tails, tail)
		shares = append(shares, tail.Seconds()/o.sample.Wall.Seconds())
		b.logf("  %-12s %.3f s of %.2f s behind the last byte", ours, tail.Seconds(), o.sample.Wall.Seconds())
	}
	return []line{{
		Measure: "last byte sent → verified, durable and published (" + gibibytes(b.size) + ", disk)", Target: "≤ 2 % of wall",
		Ours: fmt.Sprintf("%.1f %% (%s)", 100*median(shares), seconds(median(tails))), Verdict: judge(median(shares) <= 0.02),
	}}, nil
}

// verified: qbranch verify against what the machine can read and hash.
func (b *bench) verified(ctx context.Context) ([]line, error) {
	u, err := b.upload("bench/large", b.size, 1)
	if err != nil {
		return nil, err
	}
	t := b.tools[0]
	dir, err := b.newDir(b.disk, ours)
	if err != nil {
		return nil, err
	}
	if s, err := b.fetchInto(ctx, t, u, dir); err != nil || s.Exit != 0 {
		return nil, firstError(err, fmt.Errorf("qbranch ended with code %d", s.Exit))
	}
	names, err := filesOfSize(dir, u.size)
	if err != nil || len(names) != 1 {
		return nil, firstError(err, fmt.Errorf("%d files of %d bytes in the store, want one", len(names), u.size))
	}
	in := t.fetch(t, b.jobFor(u, dir))
	in.args = []string{t.program, "verify", u.repo + ":" + branch, "--progress", "none"}
	var ours, reads, hashes []float64
	for range b.runs {
		read, err := onAllCores(names[0], u.size, func([]byte) {})
		if err != nil {
			return nil, err
		}
		hash, err := onAllCores("", u.size, func(p []byte) { blake3.Sum256(p) })
		if err != nil {
			return nil, err
		}
		s, err := b.runLogged(ctx, in)
		if err != nil {
			return nil, err
		}
		reads, hashes = append(reads, read), append(hashes, hash)
		ours = append(ours, float64(u.size)/s.Wall.Seconds())
		b.logf("  verify %.2f GB/s; reading the cached file %.2f, BLAKE3 of memory %.2f GB/s on all cores", ours[len(ours)-1]/1e9, read/1e9, hash/1e9)
	}
	bound := min(median(reads), median(hashes))
	return []line{{
		Measure: "verify offline, " + gibibytes(b.size) + " in the page cache", Target: "≥ 80 % of min(read, cores × BLAKE3)",
		Ours:    fmt.Sprintf("%.2f GB/s, %.0f %% of %.2f", median(ours)/1e9, 100*median(ours)/bound, bound/1e9),
		Verdict: judge(median(ours) >= 0.8*bound),
		Note: fmt.Sprintf("Verify: reading the cached file takes %.2f GB/s, BLAKE3 of memory %.2f GB/s, each with all cores to itself; verify needs both.",
			median(reads)/1e9, median(hashes)/1e9),
	}}, os.RemoveAll(dir)
}

// onAllCores hands size bytes to work, a MiB at a time, on all cores, and
// returns bytes per second. The bytes are those of a file; without a name they
// are zeros.
func onAllCores(name string, size int64, work func([]byte)) (float64, error) {
	var src io.ReaderAt
	if name != "" {
		f, err := os.Open(name)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		src = f
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, runtime.NumCPU())
	begin := time.Now()
	for i := range errs {
		wg.Go(func() {
			buf := make([]byte, mebi)
			for {
				off := (next.Add(1) - 1) * mebi
				if off >= size {
					return
				}
				if src != nil {
					if n, err := src.ReadAt(buf, off); err != nil && int64(n) != size-off {
						errs[i] = err
						return
					}
				}
				work(buf)
			}
		})
	}
	wg.Wait()
	return float64(size) / time.Since(begin).Seconds(), firstError(errs...)
}

// small: thousands of files of a few hundred bytes.
func (b *bench) small(ctx context.Context) ([]line, error) {
	const many = 5000
	u, err := b.upload("bench/small", 2*mebi, 5)
	if err != nil {
		return nil, err
	}
	for i := range many {
		u.files[fmt.Sprintf("data/%02d/%04d.json", i/100, i)] = file{Size: 700, Seed: uint64(i) << 32}
	}
	if _, err := b.hub.do(command{Do: "repo", Repo: u.repo, Branch: branch, Files: u.files}); err != nil {
		return nil, err
	}
	results, err := b.contest(ctx, b.some(ours, "hf", "webui"), u, trial{base: b.fast})
	if err != nil {
		return nil, err
	}
	l := against(line{Measure: fmt.Sprintf("%d small files", many), Target: "≥ 5 × hf"}, results, "hf", 0.2)
	return []line{l}, nil
}

// heldSize is the length of the file whose fetch is gone on with.
const heldSize = 40e9

// restarted: how soon the first byte moves when 40 GB are there already. The
// store is made as docs/journal-format.md says, with a file of holes, since
// nobody wants to write 40 GB for it.
func (b *bench) restarted(ctx context.Context) ([]line, error) {
	source := filepath.Join(b.disk, "held")
	u := upload{repo: "bench/held", name: "model.safetensors", size: int64(heldSize)}
	if err := writeHoles(source, u.size); err != nil {
		return nil, err
	}
	var err error
	if u.digest, err = b.prepareHeld(&u, source); err != nil {
		return nil, err
	}
	t := b.tools[0]
	dir, err := b.newDir(b.disk, ours)
	if err != nil {
		return nil, err
	}
	if err := b.fabricate(ctx, t, u, dir); err != nil {
		return nil, err
	}
	var waits []time.Duration
	for range b.runs {
		begin := time.Now()
		p, end, early, err := b.begin(ctx, t, u, dir, 1)
		if err != nil {
			return nil, err
		}
		waits = append(waits, time.Since(begin))
		p.cmd.Process.Kill() // it may have ended
		o := <-end
		if early {
			return nil, fmt.Errorf("qbranch ended with code %d: %s", o.sample.Exit, lastLines(p.output.String()))
		}
		b.logf("  %-12s first byte after %.3f s", ours, median(waits[len(waits)-1:]).Seconds())
	}
	return []line{{
		Measure: "restart to the first byte, 39 of 40 GB held", Target: "≤ 0.5 s",
		Ours: fmt.Sprintf("%.2f s", median(waits).Seconds()), Verdict: judge(median(waits) <= 500*time.Millisecond),
	}}, firstError(os.RemoveAll(dir), os.Remove(source))
}

package main

import (
	"context"
	"fmt"
	"time"
)

const mebi = 1 << 20

// everyone are the tools of the speed rows: those that can fetch one file fast.
var everyone = []string{ours, "curl", "aria2", "wget", "hf", "hf_transfer", "webui"}

// peersOf makes the peers' cells of a line.
func peersOf(results map[string][]sample, show func([]sample) string) []value {
	var out []value
	for _, name := range everyone[1:] {
		if s := results[name]; len(s) > 0 {
			out = append(out, value{name, show(s)})
		}
	}
	return out
}

func wallOf(s []sample) time.Duration {
	return medianOf(s, func(s sample) time.Duration { return s.Wall })
}
func cpuOf(s []sample) time.Duration {
	return medianOf(s, func(s sample) time.Duration { return s.CPU })
}
func rssOf(s []sample) int64 { return medianOf(s, func(s sample) int64 { return s.RSS }) }

func showWall(s []sample) string { return seconds(wallOf(s)) }

// against makes a line whose target is a multiple of a peer's wall time.
func against(l line, results map[string][]sample, peer string, most float64) line {
	l.Ours, l.Peers, l.Verdict = "failed", peersOf(results, showWall), unsettled
	mine, theirs := results[ours], results[peer]
	if len(mine) == 0 {
		l.Verdict = missed
		return l
	}
	l.Ours = showWall(mine)
	if len(theirs) > 0 {
		r := wallOf(mine).Seconds() / wallOf(theirs).Seconds()
		l.Ours += fmt.Sprintf(" (%s %s)", ratio(r), peer)
		l.Verdict = judge(r <= most)
	}
	return l
}

// loopback: the large file as fast as it goes, into memory.
func (b *bench) loopback(ctx context.Context) ([]line, error) {
	u, err := b.upload("bench/large", b.size, 1)
	if err != nil {
		return nil, err
	}
	results, err := b.contest(ctx, b.some(everyone...), u, trial{base: b.fast})
	if err != nil {
		return nil, err
	}
	what := gibibytes(b.size)
	lines := []line{against(line{Measure: what + " over loopback to tmpfs; ours verified", Target: "≤ 1.0 × curl"}, results, "curl", 1)}
	mine := results[ours]
	lines = append(lines, line{
		Measure: "CPU seconds of that", Target: "≤ 4.0 for 2 GiB", Ours: seconds(cpuOf(mine)),
		Peers:   peersOf(results, func(s []sample) string { return seconds(cpuOf(s)) }),
		Verdict: judge(len(mine) > 0 && cpuOf(mine).Seconds() <= 4*float64(b.size)/(2<<30)),
	}, line{
		Measure: "peak memory of that", Target: "≤ 64 MiB", Ours: mebibytes(rssOf(mine)),
		Peers:   peersOf(results, func(s []sample) string { return mebibytes(rssOf(s)) }),
		Verdict: judge(len(mine) > 0 && rssOf(mine) <= 64*mebi),
	})
	return lines, nil
}

// durable: the same into files that are on the disk in the end.
func (b *bench) durable(ctx context.Context) ([]line, error) {
	u, err := b.upload("bench/large", b.size, 1)
	if err != nil {
		return nil, err
	}
	results, err := b.contest(ctx, b.some(everyone...), u, trial{base: b.disk, durable: true})
	if err != nil {
		return nil, err
	}
	l := line{Measure: gibibytes(b.size) + " to disk, durable", Target: "≤ 1.05 × (curl; sync)"}
	l.Note = "To disk: the peers' time includes an fsync of what they wrote; ours syncs by itself."
	return []line{against(l, results, "curl", 1.05)}, nil
}

// throttled: lines of which each connection is slow.
func (b *bench) throttled(ctx context.Context, name string, s shape) ([]line, error) {
	u, err := b.upload("bench/medium", 256*mebi, 2)
	if err != nil {
		return nil, err
	}
	reset, err := b.shape(s)
	if err != nil {
		return nil, err
	}
	defer reset()
	results, err := b.contest(ctx, b.some(everyone...), u, trial{base: b.fast, paced: true})
	if err != nil {
		return nil, err
	}
	conns := medianOf(results[ours], func(s sample) int { return s.Traffic.Conns })
	l := against(line{Measure: "256 MiB at " + name, Target: "≤ 1.1 × aria2 -x16, ≤ 16 connections"}, results, "aria2", 1.1)
	l.Ours += fmt.Sprintf(", %d connections", conns)
	return []line{l}, nil
}

func (b *bench) throttled20(ctx context.Context) ([]line, error) {
	return b.throttled(ctx, "20 MB/s per connection", shape{ConnRate: 20e6})
}

func (b *bench) throttled5(ctx context.Context) ([]line, error) {
	return b.throttled(ctx, "5 MB/s and 40 ms per connection", shape{ConnRate: 5e6, Latency: 40 * time.Millisecond})
}

// gibibytes names a size of whole GiB or MiB.
func gibibytes(n int64) string {
	if n%(1<<30) == 0 {
		return fmt.Sprintf("%d GiB", n>>30)
	}
	return fmt.Sprintf("%d MiB", n/mebi)
}

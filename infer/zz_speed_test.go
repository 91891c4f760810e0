package infer

import (
	"context"
	"fmt"
	"os"
	"runtime/pprof"
	"slices"
	"syscall"
	"testing"
	"time"
)

func TestSpeed(t *testing.T) {
	dir := os.Getenv("MODEL")
	if dir == "" {
		t.Skip()
	}
	files, err := FilesInDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, threads := range []int{2} {
		t0 := time.Now()
		m, err := Load(context.Background(), files, LoadOptions{Threads: threads})
		if err != nil {
			t.Fatal(err)
		}
		load := time.Since(t0)
		compute := Compute(os.Getenv("COMPUTE"))
		s := m.NewSession(SessionOptions{Capacity: 2048, Compute: compute})
		ids := make([]int, 128)
		for i := range ids {
			ids[i] = 300 + 7*i
		}
		s.Forward(context.Background(), ids[:1], 1, nil)
		t0 = time.Now()
		for part := range slices.Chunk(ids, 128) {
			s.Forward(context.Background(), part, 1, nil)
		}
		pre := time.Since(t0)
		if os.Getenv("CTX") != "" {
			t0 := time.Now()
			for s.Position() < 1900 {
				s.Forward(context.Background(), ids, 0, nil)
			}
			fmt.Println("  long prefill tok/s", 1800/time.Since(t0).Seconds())
			f, _ := os.Create("/tmp/w/ctx.prof")
			pprof.StartCPUProfile(f)
			defer pprof.StopCPUProfile()
		}
		var ds []time.Duration
		var r0, r1 syscall.Rusage
		syscall.Getrusage(0, &r0)
		w0 := time.Now()
		for i := range 30 {
			t0 = time.Now()
			if _, err := s.Forward(context.Background(), []int{500 + i}, 1, nil); err != nil {
				t.Fatal(err)
			}
			ds = append(ds, time.Since(t0))
		}
		syscall.Getrusage(0, &r1)
		wall := time.Since(w0)
		fmt.Printf("  wall %v user %v sys %v vol %d invol %d minflt %d\n", wall, time.Duration(r1.Utime.Nano()-r0.Utime.Nano()), time.Duration(r1.Stime.Nano()-r0.Stime.Nano()), r1.Nvcsw-r0.Nvcsw, r1.Nivcsw-r0.Nivcsw, r1.Minflt-r0.Minflt)
		slices.Sort(ds)
		fmt.Printf("threads %d load %v prefill %.1f tok/s decode median %.1f tok/s (best %.1f)\n", threads, load, 128/pre.Seconds(), 1/ds[len(ds)/2].Seconds(), 1/ds[0].Seconds())
		s.Close()
		m.Close()
	}
}

func threadCounts() []int {
	if os.Getenv("CTX") != "" {
		return []int{2}
	}
	return []int{1, 2}
}

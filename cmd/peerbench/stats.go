package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// median is the middle of the values, the mean of the middle two when their
// number is even, and 0 for none.
func median[T time.Duration | int | int64 | float64](values []T) T {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.SortedFunc(slices.Values(values), cmp.Compare[T])
	mid := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[mid]
	}
	return sorted[mid-1] + (sorted[mid]-sorted[mid-1])/2
}

// medianOf is the median of what pick takes from each sample.
func medianOf[T time.Duration | int | int64 | float64](samples []sample, pick func(sample) T) T {
	values := make([]T, len(samples))
	for i, s := range samples {
		values[i] = pick(s)
	}
	return median(values)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }

func ratio(x float64) string { return fmt.Sprintf("%.2f ×", x) }

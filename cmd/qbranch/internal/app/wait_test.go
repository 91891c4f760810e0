package app

import (
	"context"
	"slices"
	"testing"
	"time"
)

// TestWaiting: a pause is told to whom the context names, else to the App's
// listener, and never when it is short.
func TestWaiting(t *testing.T) {
	var own, others []time.Duration
	tell := waiting(func(w Wait) { others = append(others, w.For+w.Silent) })
	ctx := Waiting(context.Background(), func(w Wait) { own = append(own, w.For+w.Silent) })
	tell(ctx, Wait{For: 41 * time.Second})
	tell(ctx, Wait{Silent: 15 * time.Second})
	tell(ctx, Wait{For: time.Second})
	tell(context.Background(), Wait{For: 7 * time.Second})
	var events int
	tell(listening(ctx, func(Event) { events++ }), Wait{For: 8 * time.Second}) // a verb tells its own
	if !slices.Equal(own, []time.Duration{41 * time.Second, 15 * time.Second}) || !slices.Equal(others, []time.Duration{7 * time.Second}) || events != 1 {
		t.Errorf("told %v, the App's listener %v, %d events", own, others, events)
	}
}

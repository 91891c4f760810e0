package app

import (
	"context"
	"time"

	"github.com/qbranch/qbranch/hub"
)

// Wait is a pause that the hub asked for, or a host that does not answer.
type Wait = hub.Wait

// tellWait is the shortest pause that a user is told of.
const tellWait = 5 * time.Second

// waitKey finds the listener of the verb that a request is part of.
type waitKey struct{}

// listening makes the pauses of ctx's requests events of a verb, instead of
// Config.OnWait's.
func listening(ctx context.Context, notify func(Event)) context.Context {
	return context.WithValue(ctx, waitKey{}, notify)
}

// Waiting makes tell hear of the pauses of ctx's requests, of 5 s and more, instead
// of Config.OnWait. Get, and what else has a Notify, tells them as its events.
func Waiting(ctx context.Context, tell func(Wait)) context.Context {
	return listening(ctx, func(e Event) {
		if e.Wait != nil {
			tell(*e.Wait)
		}
	})
}

// waiting returns what the hub's client tells its pauses to.
func waiting(otherwise func(Wait)) func(context.Context, Wait) {
	return func(ctx context.Context, w Wait) {
		notify, ok := ctx.Value(waitKey{}).(func(Event))
		switch {
		case w.For < tellWait && w.Silent < tellWait:
		case ok:
			notify(Event{Wait: &w})
		case otherwise != nil:
			otherwise(w)
		}
	}
}

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

// chatHelp is what /help says.
const chatHelp = "every line is a turn; /reset begins anew, /quit or Ctrl-D ends; Ctrl-C stops an answer"

const leaveHint = "Ctrl-C again or Ctrl-D ends the conversation"

// conversation is a gen --chat.
type conversation struct {
	*genRun
	chat     *app.Chat
	terminal bool // somebody types
	turns    int
	tokens   int // generated
	decoding time.Duration

	mu      sync.Mutex         // guards what an interrupt looks at
	stop    context.CancelFunc // ends the answer; nil between answers
	leaving bool               // the next interrupt ends the conversation
}

// interrupted deals with an interrupt: the first ends the answer, or between
// answers is a question whether somebody who types meant it; the second, with
// nothing said between, is for the whole command.
func (c *conversation) interrupted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leaving || c.stop == nil && !c.terminal {
		return false
	}
	c.leaving = true
	if c.stop != nil {
		c.stop()
		return true
	}
	fmt.Fprintf(c.Err, "\n(%s)\n> ", leaveHint)
	return true
}

// answering says how an answer is ended, nil when it has ended.
func (c *conversation) answering(stop context.CancelFunc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stop = stop
}

// said begins a turn: an interrupt is the first again.
func (c *conversation) said() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leaving = false
}

// chat answers the lines of standard input, one by one.
func (g *genRun) chat(ctx context.Context) error {
	chat, err := g.model.NewChat(g.flags.request)
	if err != nil {
		return err
	}
	defer chat.Close()
	c := &conversation{genRun: g, chat: chat, terminal: isTerminal(g.In)}
	if c.terminal && !g.json {
		info := g.model.Info()
		g.note("%s, context %d, prompt format: %s", clean(info.Architecture), info.Context, clean(strings.TrimPrefix(info.Template, "none: ")))
		g.note("%s", chatHelp)
	}
	if g.CatchInterrupt != nil {
		g.CatchInterrupt(c.interrupted)
		defer g.CatchInterrupt(nil)
	}
	err = c.loop(ctx)
	if !g.json && c.turns > 0 {
		g.note("%s; %d tokens generated at %.0f tokens/s; %d of %d positions used", plural(c.turns, "answer"),
			c.tokens, perSecond(c.tokens, c.decoding), chat.Positions(), g.model.Info().Context)
	}
	return err
}

func (c *conversation) loop(ctx context.Context) error {
	lines := c.lines(ctx)
	for {
		if c.terminal {
			fmt.Fprint(c.Err, "> ")
		}
		var in turnLine
		select {
		case in = <-lines:
		case <-ctx.Done():
			c.endLine()
			return fmt.Errorf("read the next turn: %w", ctx.Err())
		}
		switch {
		case errors.Is(in.err, io.EOF):
			c.endLine()
			return nil
		case errors.Is(in.err, bufio.ErrTooLong):
			return errLongInput()
		case in.err != nil:
			return fmt.Errorf("read the next turn: %w", in.err)
		}
		c.said()
		switch text := strings.TrimSpace(in.text); text {
		case "":
		case "/quit", "/exit":
			return nil
		case "/help":
			c.note("%s", chatHelp)
		case "/reset":
			c.chat.Reset()
			c.note("the conversation begins anew")
		default:
			if err := c.answer(ctx, text); err != nil {
				return err
			}
		}
	}
}

// endLine leaves the line that the prompt > is on.
func (c *conversation) endLine() {
	if c.terminal {
		fmt.Fprintln(c.Err)
	}
}

// answer answers one turn. An interruption ends the answer alone; where somebody
// types, so does a turn that cannot be answered.
func (c *conversation) answer(ctx context.Context, text string) error {
	turn, cancel := context.WithCancel(ctx)
	defer cancel()
	c.answering(cancel)
	defer c.answering(nil)
	w := c.newWaiting()
	w.show("reading ...")
	write := c.tokenWriter()
	res, err := c.chat.Say(turn, text, func(t app.Token) error {
		w.erase()
		return write(t)
	})
	w.erase()
	if res != nil {
		c.turns++
		c.tokens += len(res.IDs)
		c.decoding += res.Decode
		if err := c.finishAnswer(res); err != nil {
			return err
		}
	}
	switch {
	case err == nil:
	case ctx.Err() == nil && turn.Err() != nil:
		if c.terminal {
			c.note("(stopped; %s)", leaveHint)
		}
	case c.terminal && ctx.Err() == nil && res == nil:
		c.report(ctx, "", err)
	default:
		return err
	}
	return nil
}

// finishAnswer ends the text of an answer, or describes it as JSON.
func (c *conversation) finishAnswer(res *app.Generation) error {
	if c.json {
		o := c.object(res)
		o.Turn = c.turns
		return c.emit(o)
	}
	_, err := fmt.Fprintln(c.out)
	return err
}

// turnLine is a line of standard input, without its end.
type turnLine struct {
	text string
	err  error // io.EOF after the last
}

// lines reads standard input line by line. A read from a terminal cannot be ended
// from here: the goroutine is left to the end of the process, which follows.
func (c *conversation) lines(ctx context.Context) <-chan turnLine {
	out := make(chan turnLine)
	send := func(l turnLine) bool {
		select {
		case out <- l:
			return true
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		s := bufio.NewScanner(c.In)
		s.Buffer(nil, promptLimit)
		for s.Scan() {
			if !send(turnLine{text: s.Text()}) {
				return
			}
		}
		err := s.Err()
		if err == nil {
			err = io.EOF
		}
		send(turnLine{err: err})
	}()
	return out
}

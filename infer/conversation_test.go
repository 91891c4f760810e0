package infer_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/infer"
)

// What a conversation computes with what it kept is, to the bit, what the whole
// conversation computed at once gives.
func TestChatKeepsItsCache(t *testing.T) {
	m := load(t, demoFiles(t, "main"), 1)
	options := infer.Request{System: "You are a story writing assistant", MaxTokens: 24, KeepLogits: true}
	c, err := m.NewChat(options)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	vocab := m.Info().Vocab
	before := 0
	for i, text := range []string{"Write a story about llamas", "And then?", "Write a story about a duck"} {
		turn, err := c.Say(context.Background(), text, nil)
		if err != nil {
			t.Fatal(err)
		}
		fresh, err := m.Generate(context.Background(), infer.Request{TokenIDs: turn.PromptIDs, MaxTokens: 24, KeepLogits: true}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(turn.IDs, fresh.IDs) {
			t.Errorf("turn %d: got %v, want %v", i, turn.IDs, fresh.IDs)
		}
		if want := fresh.Logits[turn.Reused*vocab:]; !slices.Equal(turn.Logits, want) {
			t.Errorf("turn %d: %d logits are not the %d of a fresh run", i, len(turn.Logits), len(want))
		}
		// All that was said before is kept: the answer's own tokens, too.
		if i > 0 && turn.Reused < before {
			t.Errorf("turn %d: %d positions of %d were computed again", i, before-turn.Reused, before)
		}
		before = turn.PromptTokens
		if c.Positions() != turn.Positions {
			t.Errorf("turn %d: %d positions, want %d", i, c.Positions(), turn.Positions)
		}
	}
	c.Reset()
	again, err := c.Say(context.Background(), "Write a story about llamas", nil)
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := m.Generate(context.Background(), infer.Request{Prompt: "Write a story about llamas", System: options.System, MaxTokens: 24}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if again.Text != fresh.Text || !slices.Equal(again.PromptIDs, fresh.PromptIDs) {
		t.Errorf("after Reset: got %q, want %q", again.Text, fresh.Text)
	}
}

// A conversation goes on after an answer that was interrupted, with what came of
// it; a turn that was interrupted before its first token was not said.
func TestChatIsInterrupted(t *testing.T) {
	m := load(t, demoFiles(t, "main"), 1)
	c, err := m.NewChat(infer.Request{MaxTokens: 30})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithCancel(context.Background())
	n := 0
	half, err := c.Say(ctx, "Write a story about llamas", func(infer.Token) error {
		if n++; n == 10 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || len(half.IDs) != 10 || half.FinishReason != "cancelled" {
		t.Fatalf("got %+v, %v", half, err)
	}
	if _, err := c.Say(ctx, "lost", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
	next, err := c.Say(context.Background(), "Go on", nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := half.PromptTokens + len(half.IDs) - 1; next.Reused < want {
		t.Errorf("%d positions reused, want %d", next.Reused, want)
	}
	if shown := decode(t, m, next.PromptIDs); !strings.Contains(shown, half.Text) || !strings.Contains(shown, "Go on") || strings.Contains(shown, "lost") {
		t.Errorf("the next prompt is %q", shown)
	}
}

// decode shows token ids as text.
func decode(t *testing.T, m *infer.Model, ids []int) string {
	t.Helper()
	tok, err := infer.LoadTokenizer(demoFiles(t, "main"))
	if err != nil {
		t.Fatal(err)
	}
	return tok.Decode(ids, false)
}

// A conversation that outgrows the context says so and stays as it was.
func TestChatOutgrowsTheContext(t *testing.T) {
	m := load(t, demoFiles(t, "main"), 1)
	c, err := m.NewChat(infer.Request{MaxTokens: 4})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	first, err := c.Say(context.Background(), "Hello", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Say(context.Background(), strings.Repeat("llama ", 2000), nil); !errors.Is(err, infer.ErrContext) {
		t.Errorf("got error %v, want ErrContext", err)
	}
	second, err := c.Say(context.Background(), "Hello again", nil)
	if err != nil {
		t.Fatal(err)
	}
	if second.PromptTokens > first.PromptTokens+30 || second.Reused < first.PromptTokens {
		t.Errorf("got a prompt of %d tokens, %d reused, after one of %d", second.PromptTokens, second.Reused, first.PromptTokens)
	}
}

// Stop strings: the text ends before the first of them, also when it takes
// several tokens, and nothing of it was emitted.
func TestStopStrings(t *testing.T) {
	m := load(t, demoFiles(t, "main"), 1)
	whole, err := m.Generate(context.Background(), infer.Request{Prompt: "Write a story about llamas"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, stops := range [][]string{
		{" there lived a"},
		{whole.Text[40:47]}, // wherever tokens end
		{"not in the story", whole.Text[90:93], whole.Text[60:75]},
		{whole.Text[:1]},
		{whole.Text},
	} {
		want := len(whole.Text)
		for _, s := range stops {
			if i := strings.Index(whole.Text, s); i >= 0 {
				want = min(want, i)
			}
		}
		var streamed strings.Builder
		r, err := m.Generate(context.Background(), infer.Request{Prompt: "Write a story about llamas", Stop: stops}, func(tok infer.Token) error {
			streamed.WriteString(tok.Text)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if r.Text != whole.Text[:want] || streamed.String() != r.Text || r.FinishReason != "stop_string" {
			t.Errorf("%q: got %q (streamed %q, %s), want %q", stops, r.Text, streamed.String(), r.FinishReason, whole.Text[:want])
		}
		if !slices.Equal(r.IDs, whole.IDs[:len(r.IDs)]) {
			t.Errorf("%q: other tokens than without it", stops)
		}
	}
	// What only begins like a stop string is text, also at the end.
	end := whole.Text[len(whole.Text)-3:]
	r, err := m.Generate(context.Background(), infer.Request{Prompt: "Write a story about llamas", Stop: []string{end + "x"}}, nil)
	if err != nil || r.Text != whole.Text || r.FinishReason != "stop" {
		t.Errorf("got %q, %s, %v, want %q", r.Text, r.FinishReason, err, whole.Text)
	}
}

// What the machine has no room for is refused before it begins, with the numbers.
func TestMemory(t *testing.T) {
	m, err := infer.Load(context.Background(), demoFiles(t, "main"), infer.LoadOptions{Threads: 1, Memory: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.Generate(context.Background(), infer.Request{Prompt: "Hi", MaxTokens: 2}, nil); err != nil {
		t.Errorf("a short answer: %v", err)
	}
	_, err = m.Generate(context.Background(), infer.Request{Prompt: "Hi", MaxTokens: 100_000}, func(infer.Token) error {
		t.Error("a token came")
		return nil
	})
	hinted(t, "memory", err, infer.ErrMemory, "keys and values of 1024 positions take")
}

package infer

import (
	"context"
	"slices"
	"testing"
)

// Where rotary embeddings depend on the length of the text, a conversation that
// grows beyond the trained context computes again what it had computed for a
// shorter one, and gives what a fresh run gives.
func TestChatWithDynamicRope(t *testing.T) {
	files, err := FilesInDir("testdata/checkpoints/llama-3bit-32g-dynamic-rope")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Load(context.Background(), files, LoadOptions{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	trained := m.model.Config.Rope.Positions
	text := make([]int, trained+40)
	for i := range text {
		text[i] = (i*i + 7*i) % m.model.Config.Vocab
	}
	options := Request{MaxTokens: 6, IgnoreEOS: true, KeepLogits: true}
	c, err := m.NewChat(options)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, turn := range []struct{ length, reused int }{
		{trained - 30, 0}, {trained - 10, trained - 30}, {trained + 10, 0}, {trained + 11, 0}, {trained - 20, 0}, {trained - 19, trained - 20},
	} {
		got, err := c.generate(context.Background(), text[:turn.length], nil)
		if err != nil {
			t.Fatal(err)
		}
		if got.Reused != turn.reused {
			t.Errorf("%d tokens: %d reused, want %d", turn.length, got.Reused, turn.reused)
		}
		fresh := options
		fresh.TokenIDs = text[:turn.length]
		want, err := m.Generate(context.Background(), fresh, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.IDs, want.IDs) || !slices.Equal(got.Logits, want.Logits[got.Reused*m.model.Config.Vocab:]) {
			t.Errorf("%d tokens: not what a fresh run gives", turn.length)
		}
	}
}

package model

import (
	"context"
	"slices"
	"testing"

	"github.com/qbranch/qbranch/infer/kernel"
)

// What is asked for is exactly what the chosen experts have in the files, and
// logits do not depend on it.
func TestReadAhead(t *testing.T) {
	const name = "mixtral-4bit-64g-sharded"
	tokens := []int{5, 9, 77}
	m := loadCheckpoint(t, name)
	plain := m.NewSession(SessionOptions{Threads: 2})
	defer plain.Close()
	want, err := plain.Forward(context.Background(), tokens, 3, nil)
	if err != nil {
		t.Fatal(err)
	}

	m.ReadAhead = true
	s := m.NewSession(SessionOptions{Threads: 2})
	defer s.Close()
	got, err := s.Forward(context.Background(), tokens, 3, nil)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("got other logits with read-ahead, or error %v", err)
	}

	// One token more, with a queue that nobody works on.
	s.ahead.stop()
	s.ahead = &readAhead{pieces: make(chan []byte, 1000)}
	s.wantAhead = s.ahead.want
	before := s.Touched()
	if _, err := s.Forward(context.Background(), tokens[:1], 1, nil); err != nil {
		t.Fatal(err)
	}
	asked := make(map[*byte]int) // bytes by where they lie
	var total int64
	for len(s.ahead.pieces) > 0 {
		p := <-s.ahead.pieces
		asked[&p[0]] += len(p)
		total += int64(len(p))
	}
	tensors := 0 // asked for
	for _, layer := range m.layers.(sequential) {
		for _, e := range layer.mlp.(*mixture).experts {
			n := 0
			for _, w := range []*kernel.Matrix{e.gate, e.up, e.down} {
				w.Regions(func(data []byte) {
					if asked[&data[0]] == len(data) {
						n++
					}
				})
			}
			if n != 0 && n != 9 {
				t.Errorf("%d of the 9 tensors of an expert were asked for", n)
			}
			tensors += n
		}
	}
	// Two of four experts in two layers, three matrices of three tensors each.
	if tensors != 2*2*9 || len(asked) != tensors {
		t.Errorf("%d tensors were asked for, %d of them whole ones of experts, want %d", len(asked), tensors, 2*2*9)
	}
	if read := s.Touched().Minus(before).Matrices; total <= 0 || total >= read {
		t.Errorf("%d bytes were asked for, and %d read, of which experts are a part", total, read)
	}
}

// A queue that is full drops hints, and stopping forgets those that wait.
func TestReadAheadFull(t *testing.T) {
	r := &readAhead{pieces: make(chan []byte, 2)}
	data := make([]byte, 3*readAheadPiece+1)
	r.want(data)
	if got := len(r.pieces); got != 2 {
		t.Errorf("got %d pieces queued, want 2", got)
	}
	r.stop()
	if p, ok := <-r.pieces; ok {
		t.Errorf("got a piece of %d bytes after stop", len(p))
	}
}

// All files are asked for, once, and nothing waits for them.
func TestCheckpointReadAhead(t *testing.T) {
	_, _, files := openCheckpoint(t, "mixtral-4bit-64g-sharded")
	files.ReadAhead()
	first := files.ahead
	files.ReadAhead()
	if files.ahead != first || cap(first.pieces) < len(files.maps) {
		t.Errorf("got %d places for %d files, begun anew: %v", cap(first.pieces), len(files.maps), files.ahead != first)
	}
}

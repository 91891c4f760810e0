package model

// Touched is how many bytes of memory a session's arithmetic has read, of what
// grows with the model: buffers that stay in the processor's caches are left
// out. Each number is exact.
type Touched struct {
	Matrices  int64 // of experts only those that were chosen; the head included
	Norms     int64
	Embedding int64 // the rows of the tokens
	KV        int64 // keys and values of the positions attended to
}

// Total is the sum.
func (t Touched) Total() int64 { return t.Matrices + t.Norms + t.Embedding + t.KV }

// Minus is what came after an earlier count.
func (t Touched) Minus(earlier Touched) Touched {
	return Touched{t.Matrices - earlier.Matrices, t.Norms - earlier.Norms, t.Embedding - earlier.Embedding, t.KV - earlier.KV}
}

// Touched counts since the session began. A batch reads everything once.
func (s *Session) Touched() Touched {
	t := s.touched
	t.Matrices = s.pool.Touched()
	return t
}

// touchKV counts the keys and values that the batch attends to in one layer.
func (s *Session) touchKV(a *attention) {
	n := s.pos + s.tokens
	if a.window > 0 {
		n = min(n, a.window+s.tokens-1)
	}
	s.touched.KV += s.keys[a.layer].Bytes(n) + s.values[a.layer].Bytes(n)
}

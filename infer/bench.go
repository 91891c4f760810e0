package infer

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"time"

	"github.com/qbranch/qbranch/infer/kernel"
	"github.com/qbranch/qbranch/infer/model"
	"github.com/qbranch/qbranch/infer/sample"
)

// BenchOptions may be zero.
type BenchOptions struct {
	LoadOptions
	Prompt int                      // tokens of the prompt; 0 = 128, or what the context leaves
	Tokens int                      // tokens generated in each round; 0 = 64, or what the context leaves
	Rounds int                      // 0 = 3
	Notify func(step string, n int) // "load", then "round" with its number, from 1
	Read   int64                    // bytes of the plain read, more than any cache holds; 0 = 1 GiB
}

// Traffic is how many bytes one decode step reads.
type Traffic = model.Touched

// BenchResult is what a checkpoint does on this machine. Speeds are medians: of
// the rounds for the prompt and the plain read, of all tokens for decoding.
type BenchResult struct {
	Info    Info
	Compute Compute
	Load    time.Duration // until the first token could be computed
	Prompt  int
	Tokens  int // per round
	Rounds  int

	Prefill float64       // tokens of the prompt a second
	Decode  time.Duration // of one token: the forward pass, and choosing the likeliest
	Traffic Traffic       // bytes of the median position's decode step, or of the mean one where experts differ
	Read    float64       // bytes a second that reading memory gives on as many threads
	Memory  Memory        // of the process after the first round
}

// Rate is bytes read by decoding a second.
func (r *BenchResult) Rate() float64 { return float64(r.Traffic.Total()) / r.Decode.Seconds() }

// crowded is how many bytes of weights may need all memory there is: then the
// plain read, which takes some of it, comes at the very end.
const crowded = 8 << 30

// Bench measures a checkpoint with tokens drawn at random: a prompt, then a
// number of tokens, in rounds that alternate with a plain read of memory, so that
// what disturbs the machine for a while hits both. It needs no tokenizer.
func Bench(ctx context.Context, files Files, o BenchOptions) (*BenchResult, error) {
	b := &bench{o: o.withDefaults(), random: rand.New(rand.NewPCG(0, 0))}
	b.o.Notify("load", 0)
	start := time.Now()
	m, err := Load(ctx, files, b.o.LoadOptions)
	if err != nil {
		return nil, err
	}
	b.m, b.result.Load = m, time.Since(start)
	err = b.run(ctx)
	if err := errors.Join(err, m.Close()); err != nil {
		return nil, err
	}
	return &b.result, nil
}

func (o BenchOptions) withDefaults() BenchOptions {
	if o.Rounds <= 0 {
		o.Rounds = 3
	}
	if o.Read <= 0 {
		o.Read = 1 << 30
	}
	if o.Notify == nil {
		o.Notify = func(string, int) {}
	}
	return o
}

type bench struct {
	o       BenchOptions
	m       *Model
	random  *rand.Rand
	result  BenchResult
	prefill []float64       // tokens a second, of each round
	decode  []time.Duration // of each token
	read    []float64       // bytes a second
	traffic []Traffic       // of each token of the last round
}

func (b *bench) run(ctx context.Context) error {
	r, c := &b.result, b.m.model.Config
	if b.o.Prompt <= 0 {
		b.o.Prompt = min(128, max(1, c.Context-max(1, b.o.Tokens)))
	}
	if b.o.Tokens <= 0 {
		b.o.Tokens = min(64, max(1, c.Context-b.o.Prompt))
	}
	if b.o.Prompt+b.o.Tokens > c.Context {
		return refuse("ask for fewer tokens", "%d tokens of prompt and %d more, and the model has %d positions", b.o.Prompt, b.o.Tokens, c.Context)
	}
	if err := b.m.checkMemory(SessionOptions{Capacity: b.o.Prompt + b.o.Tokens}); err != nil {
		return err
	}
	r.Info, r.Prompt, r.Tokens, r.Rounds = b.m.Info(), b.o.Prompt, b.o.Tokens, b.o.Rounds
	if r.Compute = b.m.compute; r.Compute == "" {
		r.Compute = Int16
	}
	for i := range b.o.Rounds {
		b.o.Notify("round", i+1)
		if err := b.round(ctx); err != nil {
			return err
		}
		if i == 0 {
			r.Memory = processMemory()
		}
		if r.Info.WeightBytes > crowded && i+1 < b.o.Rounds {
			continue
		}
		if err := b.plainRead(); err != nil {
			return err
		}
		debug.FreeOSMemory() // weights in the page cache need it more
	}
	r.Prefill, r.Decode, r.Read = median(b.prefill), median(b.decode), median(b.read)
	r.Traffic = b.meanTraffic()
	return b.m.files.Changed()
}

// round is a prompt and what follows, with a session of its own.
func (b *bench) round(ctx context.Context) error {
	s := b.m.NewSession(SessionOptions{Capacity: b.o.Prompt + b.o.Tokens})
	defer s.Close()
	sampler := sample.New(sample.Options{}, b.m.model.Config.Vocab)
	start := time.Now()
	if _, err := b.forward(ctx, s, b.o.Prompt); err != nil {
		return err
	}
	b.prefill = append(b.prefill, float64(b.o.Prompt)/time.Since(start).Seconds())
	b.traffic = b.traffic[:0]
	for range b.o.Tokens {
		before, start := s.Touched(), time.Now()
		logits, err := b.forward(ctx, s, 1)
		if err != nil {
			return err
		}
		// The likeliest token is chosen, since that is part of the work; what goes on
		// is a token at random, or a mixture would see the same experts again.
		if _, err := sampler.Next(logits); err != nil {
			return damaged(s.Position(), err)
		}
		b.decode = append(b.decode, time.Since(start))
		b.traffic = append(b.traffic, s.Touched().Minus(before))
	}
	return nil
}

// forward computes n random tokens and returns the logits of the last one.
func (b *bench) forward(ctx context.Context, s *model.Session, n int) ([]float32, error) {
	ids := make([]int, n)
	for i := range ids {
		ids[i] = b.random.IntN(b.m.model.Config.Vocab)
	}
	var logits []float32
	for batch := range slices.Chunk(ids, model.MaxBatch) {
		n -= len(batch)
		want := 0
		if n == 0 {
			want = 1
		}
		var err error
		if logits, err = s.Forward(ctx, batch, want, nil); err != nil {
			return nil, err
		}
	}
	return logits, nil
}

// plainRead measures what reading memory gives.
func (b *bench) plainRead() error {
	pool := kernel.NewPool(b.m.threads, "")
	defer pool.Close()
	data := make([]byte, b.o.Read)
	for i := 0; i < len(data); i += 1 << 10 {
		data[i] = 1 // pages of its own, not the one of zeros
	}
	for range 3 {
		start := time.Now()
		if _, err := pool.Read(data); err != nil {
			return err
		}
		b.read = append(b.read, float64(len(data))/time.Since(start).Seconds())
	}
	return nil
}

// meanTraffic is the mean of the last round's tokens.
func (b *bench) meanTraffic() Traffic {
	var sum Traffic
	for _, t := range b.traffic {
		sum.Matrices += t.Matrices
		sum.Norms += t.Norms
		sum.Embedding += t.Embedding
		sum.KV += t.KV
	}
	n := int64(len(b.traffic))
	return Traffic{Matrices: sum.Matrices / n, Norms: sum.Norms / n, Embedding: sum.Embedding / n, KV: sum.KV / n}
}

// median is the middle value, the lower of two.
func median[T float64 | time.Duration](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}

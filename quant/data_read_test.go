package quant

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"testing"

	"github.com/qbranch/qbranch/quant/gptq"
	"github.com/qbranch/qbranch/quant/safetensors"
)

// The histogram counts what unpacking gives, but for the codes of 3 bits that
// cross words.
func TestHistogram(t *testing.T) {
	const k, n = 96, 64
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, bits := range []int{2, 3, 4, 8} {
		codes := make([]uint8, k*n)
		for i := range codes {
			codes[i] = uint8(rnd.IntN(1 << bits))
		}
		crosses := func(i int) bool { return bits == 3 && (i%32 == 10 || i%32 == 21) }
		var rows, cols [256]int64
		for i, c := range codes {
			if !crosses(i / n) {
				rows[c]++
			}
			if !crosses(i % n) {
				cols[c]++
			}
		}
		h := new(histogram)
		for _, size := range []int{1 << 20, 64, 8} { // in one piece, and in small ones
			raw := le(gptq.PackRows(codes, bits, k, n))
			for at := 0; at < len(raw); at += size {
				h.addRows(bits, n, int64(at), raw[at:min(at+size, len(raw))])
			}
			if got := h.codes(bits); got != rows {
				t.Errorf("%d bits, rows by %d: got %v, want %v", bits, size, got[:1<<bits], rows[:1<<bits])
			}
			raw = le(gptq.PackCols(codes, bits, k, n))
			for at := 0; at < len(raw); at += size {
				h.addCols(bits, gptq.Words(n, bits), int64(at), raw[at:min(at+size, len(raw))])
			}
			if got := h.codes(bits); got != cols {
				t.Errorf("%d bits, columns by %d: got %v, want %v", bits, size, got[:1<<bits], cols[:1<<bits])
			}
		}
	}
}

// finite agrees with looking at every value.
func TestFinite(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	for _, dtype := range []string{"F16", "BF16", "F32"} {
		unit := int(unitOf(dtype))
		for range 2000 {
			p := make([]byte, unit*(1+rnd.IntN(9)))
			for i := range p {
				p[i] = byte(rnd.Uint32() >> rnd.IntN(24))
				if rnd.IntN(3) == 0 {
					p[i] = 0x7F
				}
			}
			want := true
			for i := range len(p) / unit {
				v := float64(valueAt(dtype, p, i))
				want = want && v == v && !math.IsInf(v, 0)
			}
			if got := finite(dtype, p); got != want {
				t.Fatalf("%s %x: got %v, want %v", dtype, p, got, want)
			}
		}
	}
}

// addHalves agrees with add, value by value.
func TestAddHalves(t *testing.T) {
	var p []byte
	var want scaleStats
	for i, h := range []uint16{0x3C00, 0x0001, 0x03FF, 0x0400, 0x7BFF, 0, 0x8000, 0xBC00, 0x2000} {
		p = binary.LittleEndian.AppendUint16(p, h)
		want.add(7+int64(i), gptq.F16ToF32(h))
	}
	want.tiny = 2
	var got scaleStats
	got.addHalves(7, p)
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestFullFields(t *testing.T) {
	tests := []struct {
		word  uint32
		width int
		want  uint32
	}{
		{0x7777F777, 4, 0x00001000},
		{0xFFFF5777, 4, 0x11110000},
		{0xFF00FFFE, 8, 0x01000100},
		{0xFFFFFFFC, 2, 0x55555554},
		{0, 4, 0},
	}
	for _, tt := range tests {
		if got := fullFields(tt.word, tt.width); got != tt.want {
			t.Errorf("%08X by %d: got %08X, want %08X", tt.word, tt.width, got, tt.want)
		}
	}
	if got := spread(0x11110000, 4); got != 0xFFFF0000 {
		t.Errorf("got %08X", got)
	}
}

// What the tensors prove, of every kind of file.
func TestRecoverData(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(*fake)
		want  string
	}{
		{"symmetric, act-order", func(f *fake) {}, "4 32 true true gptq"},
		{"whatever the files say", func(f *fake) { f.both("bits", 8); f.both("sym", false); f.both("desc_act", false) }, "4 32 true true gptq"},
		{"without files", func(f *fake) { f.quant, f.config = nil, nil }, "4 32 true true gptq"},
		{"v2", func(f *fake) { f.zerosAs(8) }, "4 32 true true gptq_v2"},
		{"in order", func(f *fake) { f.sequential() }, "4 32 false true gptq"},
		{"asymmetric", func(f *fake) { f.asymmetric(0) }, "4 32 true false gptq"},
		{"asymmetric v2", func(f *fake) { f.asymmetric(1) }, "4 32 true false gptq_v2"},
		{"no g_idx", func(f *fake) { f.each(func(name string) { f.drop(name + ".g_idx") }) }, "4 32  true gptq"},
		{"8 bits, no groups", func(f *fake) {
			f.each(func(name string) {
				f.linear(name, 8, -1, len(f.tensors[name+".g_idx"].Bytes)/4, int(f.tensors[name+".scales"].Shape[1]))
			})
		}, "8 -1  true gptq"},
	}
	for _, tt := range tests {
		f := newFake("llama")
		tt.spoil(f)
		in, open := f.build(t)
		r, _, err := RecoverData(context.Background(), in, open)
		size := 0
		if r.GroupSize != nil {
			size = *r.GroupSize
		}
		if got := fmt.Sprintf("%d %d %s %s %s", r.Bits, size, boolText(r.ActOrder), boolText(r.Sym), r.Format); err != nil || got != tt.want || len(r.Evidence) < 3 {
			t.Errorf("%s: got %q, %v, want %q; %q", tt.name, got, err, tt.want, r.Evidence)
		}
	}
}

// zerosAs stores one value for every zero point.
func (f *fake) zerosAs(field int) {
	f.each(func(name string) {
		s := f.tensors[name+".scales"].Shape
		f.setZeros(name, 4, int(s[0]), int(s[1]), field)
	})
}

// pattern is a file that is not there: a header, and then the same block of
// data for each kind of tensor. It lets a checkpoint of any size be read at the
// speed of memory.
type pattern struct {
	tensors []safetensors.Tensor
	data    map[string][]byte // by name, or by kind of tensor
}

func (p *pattern) ReadAt(b []byte, off int64) (int, error) {
	i, found := slices.BinarySearchFunc(p.tensors, off, func(t safetensors.Tensor, off int64) int {
		switch {
		case off < t.Offset:
			return 1
		case off >= t.Offset+t.Size:
			return -1
		}
		return 0
	})
	if !found || off+int64(len(b)) > p.tensors[i].Offset+p.tensors[i].Size {
		return 0, io.ErrUnexpectedEOF
	}
	t := p.tensors[i]
	data, named := p.data[t.Name]
	if !named {
		data = p.data[kindOfTensor(t.Name)]
	}
	for n, at := 0, (off-t.Offset)%int64(len(data)); n < len(b); at = 0 {
		n += copy(b[n:], data[at:])
	}
	return len(b), nil
}

func kindOfTensor(name string) string { return name[bytes.LastIndexByte([]byte(name), '.'):] }

// BenchmarkCheckData reads checkpoints of some hundred megabytes with the
// matrices of a 7B model: the bytes counted are those of all tensors. Each core
// takes a tensor at a time, so that b.N per second times -cpu 1 is the speed of
// one core.
func BenchmarkCheckData(b *testing.B) {
	for _, tt := range []struct {
		name       string
		bits, size int
		sym, order bool
	}{
		{"4bit-128g", 4, 128, true, false}, {"4bit-128g-actorder", 4, 128, true, true}, {"4bit-32g-actorder", 4, 32, true, true},
		{"4bit-128g-asymmetric", 4, 128, false, false}, {"3bit-128g-actorder", 3, 128, true, true},
		{"8bit-128g-actorder", 8, 128, true, true}, {"2bit-64g-actorder", 2, 64, true, true},
	} {
		b.Run(tt.name, func(b *testing.B) {
			in, open, total := bigCheckpoint(b, tt.bits, tt.size, tt.sym, tt.order)
			b.SetBytes(total)
			b.ReportAllocs()
			for b.Loop() {
				if found, err := CheckData(context.Background(), in, open); err != nil || len(found) > 0 {
					b.Fatalf("%+v, %v", found, err)
				}
			}
		})
	}
}

// bigCheckpoint is a Llama of two layers as wide as a 7B model; order gives it
// act-order.
func bigCheckpoint(tb testing.TB, bits, size int, sym, order bool) (Input, func(string) (io.ReaderAt, error), int64) {
	tb.Helper()
	const hidden, inter, layers, vocab = 4096, 11008, 2, 4096
	p := &pattern{data: map[string][]byte{}}
	var off int64
	put := func(name, dtype string, unit int, dims ...int64) {
		n := int64(unit)
		for _, d := range dims {
			n *= d
		}
		p.tensors = append(p.tensors, safetensors.Tensor{Name: name, DType: dtype, Shape: dims, Offset: off, Size: n})
		off += n
	}
	put("lm_head.weight", "F16", 2, vocab, hidden)
	put("model.embed_tokens.weight", "F16", 2, vocab, hidden)
	put("model.norm.weight", "F16", 2, hidden)
	for l := range layers {
		at := fmt.Sprintf("model.layers.%d.", l)
		put(at+"input_layernorm.weight", "F16", 2, hidden)
		put(at+"post_attention_layernorm.weight", "F16", 2, hidden)
		for _, x := range []struct {
			name string
			k, n int
		}{{"self_attn.q_proj", hidden, hidden}, {"self_attn.k_proj", hidden, hidden}, {"self_attn.v_proj", hidden, hidden}, {"self_attn.o_proj", hidden, hidden},
			{"mlp.gate_proj", hidden, inter}, {"mlp.up_proj", hidden, inter}, {"mlp.down_proj", inter, hidden}} {
			g := int64(x.k / size)
			put(at+x.name+".qweight", "I32", 4, int64(gptq.Words(x.k, bits)), int64(x.n))
			put(at+x.name+".qzeros", "I32", 4, g, int64(gptq.Words(x.n, bits)))
			put(at+x.name+".scales", "F16", 2, g, int64(x.n))
			if order {
				put(at+x.name+".g_idx", "I32", 4, int64(x.k))
				gidx := make([]uint32, x.k)
				for i, row := range rand.New(rand.NewPCG(uint64(x.k), 7)).Perm(x.k) {
					gidx[row] = uint32(i / size)
				}
				p.data[at+x.name+".g_idx"] = le(gidx)
			}
		}
	}
	// Blocks of data: a bell of codes, scales and weights of one magnitude, and
	// zero points whose rows divide the block.
	rnd := rand.New(rand.NewPCG(5, 6))
	codes := make([]uint8, 96*hidden)
	for i := range codes {
		v := math.Round(rnd.NormFloat64()*float64(int(1)<<bits)/6) + float64(gptq.SymZero(bits))
		codes[i] = uint8(min(max(v, 0), float64(gptq.MaxCode(bits))))
	}
	p.data[".qweight"] = le(gptq.PackRows(codes, bits, 96, hidden))
	zeros := make([]uint8, 96)
	for i := range zeros {
		zeros[i] = uint8(gptq.SymZero(bits) - 1)
		if !sym {
			zeros[i] += uint8(i%3) - 1
		}
	}
	p.data[".qzeros"] = le(gptq.PackCols(zeros, bits, 1, 96))
	for i := range 4096 {
		p.data[".scales"] = binary.LittleEndian.AppendUint16(p.data[".scales"], 0x2000+uint16(i%1500))
		p.data[".weight"] = binary.LittleEndian.AppendUint16(p.data[".weight"], 0x2000+uint16(i%1500)|uint16(i%2)<<15)
	}
	config := fmt.Sprintf(`{"model_type":"llama","hidden_size":%d,"intermediate_size":%d,"num_hidden_layers":%d,"num_attention_heads":32,"vocab_size":%d,
		"quantization_config":{"quant_method":"gptq","bits":%d,"group_size":%d,"desc_act":%v,"sym":%v}}`, hidden, inter, layers, vocab, bits, size, order, sym)
	in := Input{JSON: map[string][]byte{"config.json": []byte(config)}, Files: map[string]int64{"config.json": int64(len(config)), "model.safetensors": off},
		Headers: map[string]*safetensors.Header{"model.safetensors": {Tensors: p.tensors}}}
	return in, func(string) (io.ReaderAt, error) { return p, nil }, off
}

// Memory does not grow with the checkpoint: reading 300 MB takes a few
// allocations for each worker and tensor, none of them large.
func TestCheckDataMemory(t *testing.T) {
	in, open, total := bigCheckpoint(t, 4, 128, true, true)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := CheckData(context.Background(), in, open); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := int64(after.TotalAlloc - before.TotalAlloc); got > 64<<20 || got > total/4 {
		t.Errorf("%d bytes allocated to read %d", got, total)
	}
}

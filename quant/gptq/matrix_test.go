package gptq

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/quant/safetensors"
)

// tensors reads whole files into memory, tensor by name.
func tensors(t *testing.T, files ...string) (map[string]safetensors.Data, map[string]string) {
	t.Helper()
	all := map[string]safetensors.Data{}
	var meta map[string]string
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		h, err := safetensors.Parse(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		meta = h.Metadata
		for _, d := range h.Tensors {
			raw, err := io.ReadAll(d.Section(bytes.NewReader(b)))
			if err != nil {
				t.Fatal(err)
			}
			all[d.Name] = safetensors.Data{Name: d.Name, DType: d.DType, Shape: d.Shape, Bytes: raw}
		}
	}
	return all, meta
}

// matrix assembles the Linear whose tensors begin with prefix, taking bits, K,
// N and G from the shapes.
func matrix(t *testing.T, all map[string]safetensors.Data, prefix string, groupSize int, zeros ZeroFormat) *Matrix {
	t.Helper()
	s, err := DeriveShape(all[prefix+"qweight"].Shape, all[prefix+"qzeros"].Shape, all[prefix+"scales"].Shape, all[prefix+"g_idx"].Shape)
	if err != nil {
		t.Fatal(err)
	}
	m := &Matrix{Bits: s.Bits, GroupSize: groupSize, K: s.K, N: s.N, G: s.G, Zeros: zeros}
	if m.QWeight, err = Words32(all[prefix+"qweight"].Bytes); err != nil {
		t.Fatal(err)
	}
	if m.QZeros, err = Words32(all[prefix+"qzeros"].Bytes); err != nil {
		t.Fatal(err)
	}
	if m.Scales, err = Floats(all[prefix+"scales"].DType, all[prefix+"scales"].Bytes); err != nil {
		t.Fatal(err)
	}
	gidx, err := Words32(all[prefix+"g_idx"].Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range gidx {
		m.GIdx = append(m.GIdx, int32(g))
	}
	return m
}

// compare checks W against the weight of a PyTorch Linear, (N, K), bit by bit.
func compare(t *testing.T, m *Matrix, dense safetensors.Data) {
	t.Helper()
	got, err := Dequantize(m)
	if err != nil {
		t.Fatal(err)
	}
	want, err := Floats(dense.DType, dense.Bytes)
	if err != nil || len(want) != len(got) {
		t.Fatalf("reference has %d values, want %d (%v)", len(want), len(got), err)
	}
	for k := range m.K {
		for n := range m.N {
			if g, w := got[k*m.N+n], want[n*m.K+k]; math.Float32bits(g) != math.Float32bits(w) {
				t.Fatalf("W[%d][%d] = %v, want %v", k, n, g, w)
			}
		}
	}
}

func formatOf(name, quantizer string, sym bool) ZeroFormat {
	switch {
	case name == "gptq_v2":
		return ZeroV2
	case strings.Contains(quantizer, "gptqmodel") && !sym:
		return ZeroV1Carry
	}
	return ZeroV1
}

// What AutoGPTQ and GPTQModel make of eight Linears, bit for bit.
func TestDequantize(t *testing.T) {
	files, err := filepath.Glob("testdata/dense/*.safetensors")
	if err != nil || len(files) != 8 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".safetensors"), func(t *testing.T) {
			all, meta := tensors(t, file)
			groupSize, err := strconv.Atoi(meta["group_size"])
			if err != nil {
				t.Fatal(err)
			}
			m := matrix(t, all, "", groupSize, formatOf(meta["checkpoint_format"], "", meta["sym"] == "true"))
			if want := meta["bits"]; strconv.Itoa(m.Bits) != want {
				t.Errorf("derived %d bits, want %s", m.Bits, want)
			}
			compare(t, m, all["dense"])
		})
	}
}

// The same for every reference beside the repository, where there is one.
func TestDequantizeShared(t *testing.T) {
	const shared = "../../../shared"
	if _, err := os.Stat(shared); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("no reference vectors beside the repository")
	}
	refs, err := filepath.Glob(shared + "/vectors/*/*/reference.safetensors")
	if err != nil || len(refs) == 0 {
		t.Fatalf("%d references, %v", len(refs), err)
	}
	compared := 0
	for _, ref := range refs {
		dir := filepath.Dir(ref)
		if filepath.Base(filepath.Dir(dir)) == "demo" {
			dir = filepath.Join(shared, "demo-model", filepath.Base(dir))
		}
		t.Run(filepath.Base(dir), func(t *testing.T) {
			var cfg struct {
				GroupSize int    `json:"group_size"`
				Sym       bool   `json:"sym"`
				Format    string `json:"checkpoint_format"`
				Meta      struct {
					Quantizer []string `json:"quantizer"`
				} `json:"meta"`
			}
			b, err := os.ReadFile(filepath.Join(dir, "quantize_config.json"))
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(b, &cfg); err != nil {
				t.Fatal(err)
			}
			weights, err := filepath.Glob(filepath.Join(dir, "*model*.safetensors"))
			if err != nil {
				t.Fatal(err)
			}
			all, _ := tensors(t, weights...)
			dense, _ := tensors(t, ref)
			for name, d := range dense {
				module, ok := strings.CutPrefix(name, "dense.")
				if !ok {
					continue
				}
				prefix := strings.TrimSuffix(module, "weight")
				compare(t, matrix(t, all, prefix, cfg.GroupSize, formatOf(cfg.Format, strings.Join(cfg.Meta.Quantizer, " "), cfg.Sym)), d)
				compared++
			}
		})
	}
	t.Logf("compared %d matrices", compared)
}

// small is a valid 4-bit matrix of 64×8 in two groups of 32; every code is 9,
// every zero point 8.
func small() *Matrix {
	m := &Matrix{Bits: 4, GroupSize: 32, K: 64, N: 8, G: 2,
		QWeight: make([]uint32, 64), QZeros: []uint32{0x77777777, 0x77777777}, Scales: make([]float32, 16)}
	for i := range m.QWeight {
		m.QWeight[i] = 0x99999999
	}
	for i := range m.Scales {
		m.Scales[i] = float32(i/8 + 1) // 1 in group 0, 2 in group 1
	}
	return m
}

func TestGroups(t *testing.T) {
	gidx := func(f func(row int) int32) []int32 {
		g := make([]int32, 64)
		for i := range g {
			g[i] = f(i)
		}
		return g
	}
	sequential := func(row int) float32 { return float32(row/32 + 1) }
	tests := []struct {
		name string
		gidx []int32
		want func(row int) float32
	}{
		{"absent", nil, sequential},
		{"sequential", gidx(func(row int) int32 { return int32(row / 32) }), sequential},
		{"all zero beside two groups is not act-order", gidx(func(int) int32 { return 0 }), sequential},
		{"act-order", gidx(func(row int) int32 { return int32(row % 2) }), func(row int) float32 { return float32(row%2 + 1) }},
	}
	for _, tt := range tests {
		m := small()
		m.GIdx = tt.gidx
		w, err := Dequantize(m)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		for row := range m.K {
			if got := w[row*m.N]; got != tt.want(row) {
				t.Errorf("%s: row %d is %v, want %v", tt.name, row, got, tt.want(row))
			}
		}
	}
	one := small() // one group: g_idx of zeros is what it says
	one.GroupSize, one.G, one.QZeros, one.Scales, one.GIdx = -1, 1, one.QZeros[:1], one.Scales[:8], make([]int32, 64)
	if w, err := Dequantize(one); err != nil || w[63*8] != 1 {
		t.Errorf("one group: %v, %v", w, err)
	}
}

func TestValidateRejects(t *testing.T) {
	tests := []struct {
		field  string
		change func(*Matrix)
	}{
		{"bits", func(m *Matrix) { m.Bits = 5 }},
		{"bits", func(m *Matrix) { m.Bits = 0 }},
		{"qweight", func(m *Matrix) { m.K = 0 }},
		{"qweight", func(m *Matrix) { m.N = -8 }},
		{"qweight", func(m *Matrix) { m.K, m.GroupSize, m.G = 1<<40, -1, 1 }}, // would overflow later
		{"qweight", func(m *Matrix) { m.QWeight = m.QWeight[1:] }},
		{"qzeros", func(m *Matrix) { m.QZeros = m.QZeros[1:] }},
		{"scales", func(m *Matrix) { m.Scales = m.Scales[1:] }},
		{"group_size", func(m *Matrix) { m.GroupSize = 0 }},
		{"group_size", func(m *Matrix) { m.GroupSize = -2 }},
		{"group_size", func(m *Matrix) { m.GroupSize = -1 }}, // two groups are not one
		{"group_size", func(m *Matrix) { m.GroupSize = 16 }},
		{"group_size", func(m *Matrix) { m.G = 3 }},
		{"g_idx", func(m *Matrix) { m.GIdx = make([]int32, 63) }},
		{"g_idx", func(m *Matrix) { m.GIdx = make([]int32, 64); m.GIdx[7] = 2 }},  // past the last group
		{"g_idx", func(m *Matrix) { m.GIdx = make([]int32, 64); m.GIdx[7] = -1 }}, // some kernels wrap, and read elsewhere
	}
	for i, tt := range tests {
		m := small()
		tt.change(m)
		_, err := Dequantize(m)
		var e *Error
		if !errors.As(err, &e) || e.Field != tt.field || e.Hint() == "" {
			t.Errorf("row %d: got %v, want an error about %s", i, err, tt.field)
		}
	}
}

func TestDeriveShape(t *testing.T) {
	tests := []struct {
		name                    string
		qweight, qzeros, scales []int64
		gidx                    []int64
		want                    Shape
		groupSize               int
	}{
		{"4 bit 128g", []int64{512, 14336}, []int64{32, 1792}, []int64{32, 14336}, []int64{4096}, Shape{4, 4096, 14336, 32}, 128},
		{"3 bit, no g_idx", []int64{1344, 4096}, []int64{448, 384}, []int64{448, 4096}, nil, Shape{3, 14336, 4096, 448}, 32},
		{"8 bit, one group", []int64{1024, 4096}, []int64{1, 1024}, []int64{1, 4096}, []int64{4096}, Shape{8, 4096, 4096, 1}, -1},
		{"2 bit", []int64{8, 352}, []int64{4, 22}, []int64{4, 352}, []int64{128}, Shape{2, 128, 352, 4}, 32},
		// 352 rows in groups of 128: the last group is short.
		{"short last group", []int64{44, 128}, []int64{3, 16}, []int64{3, 128}, []int64{352}, Shape{4, 352, 128, 3}, 128},
		{"5 bit is derived, then judged", []int64{20, 32}, []int64{1, 5}, []int64{1, 32}, []int64{128}, Shape{5, 128, 32, 1}, -1},
		// 8 columns fill no word: one word could be 1 to 4 bits, g_idx decides.
		{"router", []int64{16, 8}, []int64{1, 1}, []int64{1, 8}, []int64{128}, Shape{4, 128, 8, 1}, -1},
		{"7 groups of 352 rows", []int64{44, 128}, []int64{7, 16}, []int64{7, 128}, []int64{352}, Shape{4, 352, 128, 7}, 51},
		{"no size gives 100 groups of 352 rows", []int64{44, 128}, []int64{100, 16}, []int64{100, 128}, []int64{352}, Shape{4, 352, 128, 100}, 0},
	}
	for _, tt := range tests {
		got, err := DeriveShape(tt.qweight, tt.qzeros, tt.scales, tt.gidx)
		if err != nil || got != tt.want {
			t.Errorf("%s: got %+v, %v, want %+v", tt.name, got, err, tt.want)
			continue
		}
		if size := got.GroupSize(); size != tt.groupSize || size != 0 && !got.Fits(size) {
			t.Errorf("%s: group size %d, want %d", tt.name, size, tt.groupSize)
		}
	}
	bad := []struct {
		field                         string
		qweight, qzeros, scales, gidx []int64
	}{
		{"qweight", []int64{512}, []int64{1, 4}, []int64{1, 32}, nil},
		{"qweight", nil, []int64{1, 4}, []int64{1, 32}, nil},
		{"scales", []int64{16, 32}, []int64{1, 4}, []int64{0, 32}, nil},
		{"qzeros", []int64{16, 32}, []int64{1, 1 << 62}, []int64{1, 32}, nil},
		{"qzeros", []int64{16, 32}, []int64{2, 4}, []int64{1, 32}, nil},
		{"qzeros", []int64{16, 32}, []int64{1, 9}, []int64{1, 32}, nil},           // 9 bits
		{"qweight", []int64{4096, 512}, []int64{32, 512}, []int64{32, 4096}, nil}, // AWQ packs columns
		{"g_idx", []int64{16, 32}, []int64{1, 4}, []int64{1, 32}, []int64{64}},
		{"g_idx", []int64{16, 32}, []int64{1, 4}, []int64{1, 32}, []int64{128, 1}},
	}
	for i, tt := range bad {
		got, err := DeriveShape(tt.qweight, tt.qzeros, tt.scales, tt.gidx)
		var e *Error
		if !errors.As(err, &e) || e.Field != tt.field {
			t.Errorf("bad row %d: got %+v, %v, want an error about %s", i, got, err, tt.field)
		}
	}
}

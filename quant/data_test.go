package quant

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/quant/safetensors"
)

// Without headers CheckData reads them itself, and the file's length with them.
func TestCheckDataReadsHeaders(t *testing.T) {
	f := newFake("llama")
	f.half(qProj+".scales", 70, 0x7e00)
	in, open := f.build(t)
	in.Headers, in.Files = nil, map[string]int64{"model.safetensors": in.Files["model.safetensors"]}
	got, err := CheckData(context.Background(), in, open)
	if err != nil || len(got) != 1 || got[0].Code != "D6" || got[0].Where != qProj+".scales" || !strings.HasPrefix(got[0].Message, "[1][6] is NaN") {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestCheckDataBrokenHeader(t *testing.T) {
	in := Input{Files: map[string]int64{"model.safetensors": 40}}
	got, err := CheckData(context.Background(), in, func(string) (io.ReaderAt, error) {
		return strings.NewReader("version https://git-lfs.github.com/spec/v1"), nil
	})
	if err != nil || len(got) != 1 || got[0].Code != "H1" || got[0].Severity != Fatal || !strings.Contains(got[0].Message, "git-lfs pointer") || got[0].Hint == "" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// closing counts what is opened and closed, and may fail to read.
type closing struct {
	io.ReaderAt
	open *int
	from int64 // reads from here on fail
}

func (c closing) ReadAt(p []byte, off int64) (int, error) {
	if c.from > 0 && off >= c.from {
		return 0, io.ErrClosedPipe
	}
	return c.ReaderAt.ReadAt(p, off)
}

func (c closing) Close() error { *c.open--; return nil }

func TestCheckDataErrors(t *testing.T) {
	in, open := newFake("llama").build(t)
	n := 0
	counting := func(from int64) func(string) (io.ReaderAt, error) {
		return func(path string) (io.ReaderAt, error) {
			r, err := open(path)
			n++
			return closing{r, &n, from}, err
		}
	}
	off := in.Headers["model.safetensors"].DataOff
	if _, err := CheckData(context.Background(), in, counting(0)); err != nil || n != 0 {
		t.Errorf("whole: %v, %d left open", err, n)
	}
	if _, err := CheckData(context.Background(), in, counting(off)); !errors.Is(err, io.ErrClosedPipe) || !strings.Contains(err.Error(), "reading tensor") || n != 0 {
		t.Errorf("read error: %v, %d left open", err, n)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := CheckData(ctx, in, counting(0)); !errors.Is(err, context.Canceled) || n != 0 {
		t.Errorf("cancelled: %v, %d left open", err, n)
	}
	// A file that has shrunk since its header was read.
	short := func(string) (io.ReaderAt, error) { return bytes.NewReader(make([]byte, off+10)), nil }
	if _, err := CheckData(context.Background(), in, short); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("short file: %v", err)
	}
	missing := func(string) (io.ReaderAt, error) { return nil, io.ErrNoProgress }
	if _, err := CheckData(context.Background(), in, missing); !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("cannot open: %v", err)
	}
}

// A tensor longer than the buffer is read in pieces; the odd value lies in the
// last of them.
func TestStreamInPieces(t *testing.T) {
	f := newFake("llama")
	f.config["vocab_size"] = 20_000
	f.plain("model.embed_tokens.weight", 20_000, fakeHidden) // 2.4 MiB
	f.plain("lm_head.weight", 20_000, fakeHidden)
	f.half("model.embed_tokens.weight", 20_000*fakeHidden-1, 0x7c00)
	in, open := f.build(t)
	got, err := CheckData(context.Background(), in, open)
	if err != nil || len(got) != 1 || got[0].Code != "D11" || !strings.HasPrefix(got[0].Message, "value 1279999 of [20000 64] is +Inf") {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Equal faults are counted, findings are ordered, remote text is made printable.
func TestList(t *testing.T) {
	var l list
	l.count("a", Finding{Code: "H3", Severity: Fatal, Where: "x", Message: "m"})
	l.count("a", Finding{Code: "H3", Severity: Fatal, Where: "y", Message: "m"})
	l.add(Finding{Code: "H12", Severity: Info, Where: "b"})
	l.add(Finding{Code: "H2", Severity: Info, Where: "b"})
	l.add(Finding{Code: "D2", Severity: Warn, Where: "c"})
	l.add(Finding{Code: "J9", Severity: Warn, Where: "c\x1b[2J\u202e" + strings.Repeat("é", 1000)})
	var got []string
	all := l.sorted()
	for _, f := range all {
		got = append(got, f.Code)
	}
	if want := []string{"H3", "J9", "D2", "H2", "H12"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if all[0].Where != "x" || all[0].Message != "m (and 1 more)" {
		t.Errorf("got %+v", all[0])
	}
	if w := all[1].Where; !strings.HasPrefix(w, "c\ufffd[2J\ufffdé") || len([]rune(w)) != 401 {
		t.Errorf("got %q", w)
	}
}

func TestHeaderFinding(t *testing.T) {
	_, err := safetensors.Parse(strings.NewReader("<html>.........."), 16)
	f := HeaderFinding("model.safetensors", err)
	if f.Code != "H1" || f.Severity != Fatal || f.Where != "model.safetensors" || f.Message == "" || f.Hint == "" {
		t.Errorf("got %+v", f)
	}
}

// FuzzCheckData: whatever a file that parses holds, no panic and no error, since
// every byte the header promises is there.
func FuzzCheckData(f *testing.F) {
	config := []byte(`{"model_type":"llama","hidden_size":32,"intermediate_size":32,"num_hidden_layers":1,"num_attention_heads":1,"vocab_size":4}`)
	tiny := &fake{tensors: map[string]*safetensors.Data{}}
	for _, bits := range []int{2, 3, 4, 8} {
		tiny.linear(qProj, bits, 16, 32, 32)
		tiny.plain(qProj+".bias", 32)
		tiny.plain("model.norm.weight", 32)
		var list []safetensors.Data
		for _, name := range sortedKeys(tiny.tensors) {
			list = append(list, *tiny.tensors[name])
		}
		var b bytes.Buffer
		if err := safetensors.Write(&b, nil, list); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes(), []byte(`{"bits":4,"group_size":16,"sym":true,"desc_act":false}`))
	}
	f.Fuzz(func(t *testing.T, file, quantize []byte) {
		h, err := safetensors.Parse(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			return
		}
		in := Input{Files: map[string]int64{"model.safetensors": int64(len(file))}, Headers: map[string]*safetensors.Header{"model.safetensors": h},
			JSON: map[string][]byte{"config.json": config, "quantize_config.json": quantize}}
		Check(in)
		if _, err := CheckData(context.Background(), in, func(string) (io.ReaderAt, error) { return bytes.NewReader(file), nil }); err != nil {
			t.Error(err)
		}
	})
}

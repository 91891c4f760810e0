package safetensors

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"
)

// file builds a file around a header written out by hand.
func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	b = append(b, header...)
	return append(b, make([]byte, data)...)
}

func parse(b []byte) (*Header, error) { return Parse(bytes.NewReader(b), int64(len(b))) }

func TestParse(t *testing.T) {
	// b stands before a in the file: Tensors are in file order. The trailing
	// spaces are the reference writer's padding.
	b := file(`{"__metadata__":{"format":"pt"},`+
		`"a":{"dtype":"I32","shape":[2,2],"data_offsets":[6,22]},`+
		`"b":{"dtype":"F16","shape":[3],"data_offsets":[0,6]},`+
		`"empty":{"dtype":"F32","shape":[0,4],"data_offsets":[6,6]},`+
		`"scalar":{"dtype":"BF16","shape":[],"data_offsets":[22,24]}}   `, 24)
	h, err := parse(b)
	if err != nil {
		t.Fatal(err)
	}
	off := h.DataOff
	want := []Tensor{
		{"b", "F16", []int64{3}, off, 6},
		{"empty", "F32", []int64{0, 4}, off + 6, 0},
		{"a", "I32", []int64{2, 2}, off + 6, 16},
		{"scalar", "BF16", []int64{}, off + 22, 2},
	}
	if !reflect.DeepEqual(h.Tensors, want) {
		t.Errorf("tensors\n got %v\nwant %v", h.Tensors, want)
	}
	if h.Metadata["format"] != "pt" || off != int64(len(b))-24 {
		t.Errorf("got metadata %v, data at %d", h.Metadata, off)
	}
	if got, ok := h.Lookup("a"); !ok || got.Offset != off+6 || got.Elements() != 4 {
		t.Errorf("Lookup(a) = %v, %v", got, ok)
	}
	if _, ok := h.Lookup("c"); ok {
		t.Error("Lookup(c) found something")
	}
	byHand := &Header{Tensors: want}
	if got, ok := byHand.Lookup("scalar"); !ok || got.Size != 2 {
		t.Errorf("Lookup in a header built by hand = %v, %v", got, ok)
	}
}

func TestParseRejects(t *testing.T) {
	one := func(info string) []byte { return file(`{"x":`+info+`}`, 16) }
	huge := binary.LittleEndian.AppendUint64(nil, 1<<60)
	tests := []struct {
		name   string
		file   []byte
		reason string // a part of the error
		tensor string
	}{
		{"empty file", nil, "has 0 bytes", ""},
		{"seven bytes", []byte("1234567"), "has 7 bytes", ""},
		// The header length of 2^60 must not be allocated.
		{"length 2^60", append(huge, "{}"...), "header length 1152921504606846976 is more than the format's limit", ""},
		{"length beyond the file", file(`{}`, 0)[:9], "does not fit a file of 9 bytes", ""},
		{"length 0", make([]byte, 64), "cannot hold a JSON object", ""},
		{"git-lfs pointer", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"), "git-lfs pointer, not the weights", ""},
		{"html", file("<!doctype html>", 0), "begins with '<'", ""},
		{"array", file("[]", 0), "begins with '['", ""},
		{"not json", file(`{"x":}`, 0), "not valid JSON", ""},
		{"json cut", file(`{"x":{"dtype":`, 0), "JSON ends too early", ""},
		{"trailing comma", file(`{"x":{"dtype":"I32","shape":[4],"data_offsets":[0,16]},}`, 16), "not valid JSON", ""},
		{"second value", file(`{} {}`, 0), "follows the JSON object", ""},
		{"invalid utf-8", file("{\"\xff\":1}", 0), "UTF-8", ""},
		{"nested too deep", one(`{"a":[[[[[1]]]]]}`), "nests deeper", ""},
		{"name twice", file(`{"x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"x":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2), "stands twice", "x"},
		{"field twice", one(`{"dtype":"I32","dtype":"F32","shape":[4],"data_offsets":[0,16]}`), "stands twice", "dtype"},
		{"metadata twice", file(`{"__metadata__":{},"__metadata__":{}}`, 0), "stands twice", "__metadata__"},
		{"metadata not strings", file(`{"__metadata__":{"a":1}}`, 0), "not a string", "__metadata__"},
		{"not an object", one(`7`), "where { must stand", ""},
		{"no dtype", one(`{"shape":[4],"data_offsets":[0,16]}`), `"dtype" is missing`, "x"},
		{"no shape", one(`{"dtype":"I32","data_offsets":[0,16]}`), `"shape" is missing`, "x"},
		{"no offsets", one(`{"dtype":"I32","shape":[4]}`), `"data_offsets" is missing`, "x"},
		{"unknown dtype", one(`{"dtype":"Q4","shape":[4],"data_offsets":[0,16]}`), `dtype "Q4" is not known`, "x"},
		{"dtype a number", one(`{"dtype":4,"shape":[4],"data_offsets":[0,16]}`), "not a string", "x"},
		{"three offsets", one(`{"dtype":"I32","shape":[4],"data_offsets":[0,8,16]}`), "pair of rising numbers", "x"},
		{"falling offsets", one(`{"dtype":"I32","shape":[4],"data_offsets":[16,0]}`), "pair of rising numbers", "x"},
		{"negative dimension", one(`{"dtype":"I32","shape":[-4],"data_offsets":[0,16]}`), "whole number", "x"},
		{"fraction", one(`{"dtype":"I32","shape":[4.5],"data_offsets":[0,16]}`), "whole number", "x"},
		{"dimension a string", one(`{"dtype":"I32","shape":["4"],"data_offsets":[0,16]}`), "not a number", "x"},
		{"dimension 2^64", one(`{"dtype":"I32","shape":[18446744073709551616],"data_offsets":[0,16]}`), "below 2^63", "x"},
		// 2^31 · 2^31 · 4 bytes wraps to 0 in 64 bits.
		{"shape overflows", one(`{"dtype":"I32","shape":[2147483648,2147483648,4],"data_offsets":[0,16]}`), "fits a file", "x"},
		{"half a byte", one(`{"dtype":"F4","shape":[3],"data_offsets":[0,16]}`), "whole number of bytes", "x"},
		{"size is not the shape's", one(`{"dtype":"I32","shape":[3],"data_offsets":[0,16]}`), "takes 12 bytes, data_offsets give it 16", "x"},
		{"overlap", file(`{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[8],"data_offsets":[7,15]}}`, 15), "the two overlap", "b"},
		{"hole", file(`{"a":{"dtype":"U8","shape":[8],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[8],"data_offsets":[9,17]}}`, 17), "a hole of 1 bytes", "b"},
		{"hole at the start", one(`{"dtype":"U8","shape":[8],"data_offsets":[8,16]}`), "a hole of 8 bytes", "x"},
		{"leaves the file", one(`{"dtype":"U8","shape":[17],"data_offsets":[0,17]}`), "which has only 16 bytes", "x"},
		{"truncated", one(`{"dtype":"U8","shape":[16],"data_offsets":[0,16]}`)[:70], "has only 7 bytes", "x"},
		{"bytes after the last", one(`{"dtype":"U8","shape":[15],"data_offsets":[0,15]}`), "1 bytes follow", ""},
		{"no tensors but data", file(`{}`, 5), "5 bytes follow", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h, err := parse(tt.file)
			var fe *FormatError
			if !errors.As(err, &fe) {
				t.Fatalf("got %v, %v, want a FormatError", h, err)
			}
			if !strings.Contains(fe.Reason, tt.reason) || fe.Tensor != tt.tensor {
				t.Errorf("got tensor %q: %s\nwant tensor %q: %s", fe.Tensor, fe.Reason, tt.tensor, tt.reason)
			}
			if fe.Hint() == "" {
				t.Error("no hint")
			}
		})
	}
}

func TestLimits(t *testing.T) {
	b := file(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}`, 2)
	if _, err := (Limits{Tensors: 1}).Parse(bytes.NewReader(b), int64(len(b))); err == nil || !strings.Contains(err.Error(), "more than 1 tensors") {
		t.Errorf("one tensor allowed: %v", err)
	}
	if _, err := (Limits{HeaderBytes: 50}).Parse(bytes.NewReader(b), int64(len(b))); err == nil || !strings.Contains(err.Error(), "limit of 50 bytes") {
		t.Errorf("50 bytes allowed: %v", err)
	}
	// 20 MB is within the format's limit but beyond the default.
	first8 := binary.LittleEndian.AppendUint64(nil, 20_000_000)
	if _, err := HeaderLen(first8, 1<<40); err == nil {
		t.Error("the default limit let 20 MB through")
	}
	if n, err := (Limits{HeaderBytes: 1 << 40}).HeaderLen(first8, 1<<40); err != nil || n != 20_000_008 {
		t.Errorf("got %d, %v", n, err)
	}
}

// failing is an io.ReaderAt that cannot read.
type failing struct{}

func (failing) ReadAt([]byte, int64) (int, error) { return 0, io.ErrClosedPipe }

// A read that fails is not a damaged file.
func TestParseReadError(t *testing.T) {
	_, err := Parse(failing{}, 100)
	var fe *FormatError
	if !errors.Is(err, io.ErrClosedPipe) || errors.As(err, &fe) {
		t.Errorf("got %v", err)
	}
}

// A listing may promise more bytes than the file has.
func TestParseFileShorterThanSaid(t *testing.T) {
	b := file(`{"x":{"dtype":"U8","shape":[16],"data_offsets":[0,16]}}`, 16)
	if _, err := Parse(bytes.NewReader(b[:20]), int64(len(b))); err == nil || !strings.Contains(err.Error(), "ends after 12") {
		t.Errorf("got %v", err)
	}
}

func TestWriteRoundTrip(t *testing.T) {
	var b bytes.Buffer
	in := []Data{
		{"logits", "F32", []int64{1, 2}, []byte{0, 0, 128, 63, 0, 0, 0, 64}},
		{"a \"quoted\" <name>", "U8", nil, []byte{7}},
	}
	meta := map[string]string{"made_by": "qbranch", "format": "pt"}
	if err := Write(&b, meta, in); err != nil {
		t.Fatal(err)
	}
	h, err := parse(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if h.DataOff%8 != 0 || !reflect.DeepEqual(h.Metadata, meta) || len(h.Tensors) != 2 {
		t.Fatalf("got data at %d, metadata %v, %d tensors", h.DataOff, h.Metadata, len(h.Tensors))
	}
	for i, d := range in {
		got := h.Tensors[i]
		raw, err := io.ReadAll(got.Section(bytes.NewReader(b.Bytes())))
		if err != nil || got.Name != d.Name || !bytes.Equal(raw, d.Bytes) {
			t.Errorf("tensor %d: got %q %v %v, want %q %v", i, got.Name, raw, err, d.Name, d.Bytes)
		}
	}
}

func TestWriteRejects(t *testing.T) {
	for _, in := range [][]Data{
		{{"x", "F32", []int64{2}, make([]byte, 4)}},                                 // too few bytes
		{{"x", "Q4", []int64{2}, make([]byte, 4)}},                                  // unknown dtype
		{{"__metadata__", "U8", []int64{1}, make([]byte, 1)}},                       // reserved
		{{"x", "U8", []int64{0}, nil}, {"x", "U8", []int64{0}, nil}},                // twice
		{{"x", "U8", []int64{-1}, nil}},                                             // negative
		{{"x", "F64", []int64{1 << 62, 1 << 62}, nil}},                              // overflow
		{{"ok", "U8", []int64{1}, []byte{1}}, {"x", "U8", []int64{1}, []byte(nil)}}, // second one wrong
	} {
		var b bytes.Buffer
		if err := Write(&b, nil, in); err == nil || b.Len() > 0 {
			t.Errorf("Write(%v) = %v and wrote %d bytes", in, err, b.Len())
		}
	}
}

// FuzzParse: whatever the bytes, no panic; what parses survives being written
// again with the same tensors and contents.
func FuzzParse(f *testing.F) {
	f.Add(file(`{"__metadata__":{"format":"pt"},"a":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]}}  `, 16))
	f.Add(file(`{"b":{"dtype":"F4","shape":[2,0],"data_offsets":[0,0],"more":[{"x":null}]}}`, 0))
	f.Add([]byte("version https://git-lfs.github.com/spec/v1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := parse(b)
		if err != nil {
			return
		}
		var in []Data
		for _, tt := range h.Tensors {
			in = append(in, Data{tt.Name, tt.DType, tt.Shape, b[tt.Offset : tt.Offset+tt.Size]})
		}
		var out bytes.Buffer
		if err := Write(&out, h.Metadata, in); err != nil {
			t.Fatalf("writing what was parsed: %v", err)
		}
		again, err := parse(out.Bytes())
		if err != nil {
			t.Fatalf("parsing what was written: %v", err)
		}
		if len(again.Tensors) != len(h.Tensors) || !bytes.Equal(out.Bytes()[again.DataOff:], b[h.DataOff:]) {
			t.Fatalf("got %v, want %v", again.Tensors, h.Tensors)
		}
		for _, want := range h.Tensors {
			got, ok := again.Lookup(want.Name)
			if !ok || got.DType != want.DType || fmt.Sprint(got.Shape) != fmt.Sprint(want.Shape) || got.Size != want.Size {
				t.Fatalf("%q: got %v, want %v", want.Name, got, want)
			}
		}
	})
}

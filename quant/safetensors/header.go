package safetensors

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/bits"
	"slices"
)

// MaxHeader is the longest header the format allows, in bytes
// (MAX_HEADER_SIZE in safetensors/src/tensor.rs).
const MaxHeader = 100_000_000

// Tensor describes one tensor: where its bytes lie in the file and their shape.
type Tensor struct {
	Name   string
	DType  string  // "F16", "I32", …
	Shape  []int64 // row-major
	Offset int64   // absolute, from the start of the file
	Size   int64   // bytes
}

// Section reads the tensor's bytes out of r, the whole file.
func (t Tensor) Section(r io.ReaderAt) *io.SectionReader {
	return io.NewSectionReader(r, t.Offset, t.Size)
}

// Elements is the product of the shape. Tensors of a parsed [Header] cannot
// overflow it.
func (t Tensor) Elements() int64 {
	n := int64(1)
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// Header is a parsed header.
type Header struct {
	Tensors  []Tensor          // by Offset
	Metadata map[string]string // __metadata__
	DataOff  int64             // where tensor data starts: 8 + header length

	byName map[string]int // index into Tensors; nil in a Header built by hand
}

// Lookup finds a tensor by name.
func (h *Header) Lookup(name string) (Tensor, bool) {
	if h.byName == nil {
		i := slices.IndexFunc(h.Tensors, func(t Tensor) bool { return t.Name == name })
		if i < 0 {
			return Tensor{}, false
		}
		return h.Tensors[i], true
	}
	i, ok := h.byName[name]
	if !ok {
		return Tensor{}, false
	}
	return h.Tensors[i], true
}

// Limits bound what a header may cost. The zero value allows 16 MiB and
// 200,000 tensors: the header of the largest published mixture-of-experts
// shards is below 2 MiB, while a hostile one of 100 MB keeps a machine busy for
// seconds.
type Limits struct {
	HeaderBytes int64 // 0 = 16 MiB; never more than MaxHeader
	Tensors     int   // 0 = 200,000
}

func (l Limits) headerBytes() int64 {
	if l.HeaderBytes <= 0 {
		return 16 << 20
	}
	return min(l.HeaderBytes, MaxHeader)
}

func (l Limits) tensors() int {
	if l.Tensors <= 0 {
		return 200_000
	}
	return l.Tensors
}

// HeaderLen returns 8 + the header length announced by the first 8 bytes, so
// that a ranged read can ask for exactly that much. fileSize bounds it.
func HeaderLen(first8 []byte, fileSize int64) (int64, error) {
	return Limits{}.HeaderLen(first8, fileSize)
}

// Parse reads the header of a file of fileSize bytes. A file that is not
// safetensors gives a [*FormatError]; an error of r is wrapped as it is.
func Parse(r io.ReaderAt, fileSize int64) (*Header, error) {
	return Limits{}.Parse(r, fileSize)
}

// HeaderLen is [HeaderLen] with other limits.
func (l Limits) HeaderLen(first8 []byte, fileSize int64) (int64, error) {
	if len(first8) < 8 || fileSize < 8 {
		return 0, truncated("the file has %d bytes, a header needs at least 10", min(fileSize, int64(len(first8))))
	}
	if isPointer(first8) {
		return 0, &FormatError{Reason: "this is a git-lfs pointer, not the weights",
			hint: "fetch the file itself: the pointer names it by its SHA-256"}
	}
	if format := otherFormat(first8); format != "" {
		return 0, &FormatError{Reason: "this is " + format + ", not safetensors, whatever its name says",
			hint: "choose a branch with safetensors files"}
	}
	n := binary.LittleEndian.Uint64(first8)
	switch {
	case n > MaxHeader:
		return 0, malformed("header length %d is more than the format's limit of %d bytes", n, MaxHeader)
	case int64(n) > fileSize-8:
		return 0, truncated("header length %d does not fit a file of %d bytes", n, fileSize)
	case int64(n) > l.headerBytes():
		return 0, malformed("header length %d is more than the limit of %d bytes", n, l.headerBytes())
	case n < 2:
		return 0, malformed("header length %d cannot hold a JSON object", n)
	}
	return 8 + int64(n), nil
}

// Parse is [Parse] with other limits.
func (l Limits) Parse(r io.ReaderAt, fileSize int64) (*Header, error) {
	var first8 [8]byte
	if n, err := r.ReadAt(first8[:], 0); n < len(first8) {
		if err == io.EOF {
			return nil, truncated("the file has %d bytes, a header needs at least 10", n)
		}
		return nil, fmt.Errorf("reading safetensors header length: %w", err)
	}
	dataOff, err := l.HeaderLen(first8[:], fileSize)
	if err != nil {
		return nil, err
	}
	buf := make([]byte, dataOff-8)
	if n, err := r.ReadAt(buf, 8); n < len(buf) {
		if err == io.EOF {
			return nil, truncated("the header of %d bytes ends after %d", len(buf), n)
		}
		return nil, fmt.Errorf("reading safetensors header: %w", err)
	}
	h, err := decodeHeader(buf, l.tensors())
	if err != nil {
		return nil, err
	}
	h.DataOff = dataOff
	if err := h.place(fileSize); err != nil {
		return nil, err
	}
	return h, nil
}

// place turns the offsets within the data into offsets within the file and
// checks that the tensors tile it: the next begins where the last one ended,
// and the last one ends with the file.
func (h *Header) place(fileSize int64) error {
	slices.SortFunc(h.Tensors, func(a, b Tensor) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Size, b.Size), cmp.Compare(a.Name, b.Name))
	})
	h.byName = make(map[string]int, len(h.Tensors))
	room := fileSize - h.DataOff
	next, last := int64(0), ""
	for i := range h.Tensors {
		t := &h.Tensors[i]
		switch {
		case t.Offset < next:
			return tensorErr(t.Name, "its data begins at %d, before %q ends at %d: the two overlap", t.Offset, last, next)
		case t.Offset > next:
			return tensorErr(t.Name, "its data begins at %d, but the data before it ends at %d: a hole of %d bytes", t.Offset, next, t.Offset-next)
		case t.Size > room-t.Offset:
			e := truncated("its data ends at byte %d of the data, which has only %d bytes", t.Offset+t.Size, room)
			e.Tensor = t.Name
			return e
		}
		next, last = t.Offset+t.Size, t.Name
		t.Offset += h.DataOff
		h.byName[t.Name] = i
	}
	if next != room {
		return malformed("%d bytes follow the last tensor", room-next)
	}
	return nil
}

// ByteSize is the number of bytes a tensor of this dtype and shape takes; ok is
// false when the dtype is unknown, the product overflows, or a sub-byte dtype
// does not fill whole bytes.
func ByteSize(dtype string, shape []int64) (n int64, ok bool) {
	width := dtypeBits(dtype)
	if width == 0 {
		return 0, false
	}
	total := uint64(width)
	for _, d := range shape {
		if d < 0 {
			return 0, false
		}
		hi, lo := bits.Mul64(total, uint64(d))
		if hi != 0 {
			return 0, false
		}
		total = lo
	}
	if total%8 != 0 || total/8 > math.MaxInt64 {
		return 0, false
	}
	return int64(total / 8), true
}

// dtypeBits is the width of one element; 0 when the dtype is unknown.
// Source: enum Dtype of safetensors/src/tensor.rs.
func dtypeBits(dtype string) int {
	switch dtype {
	case "F4":
		return 4
	case "F6_E2M3", "F6_E3M2":
		return 6
	case "BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ":
		return 8
	case "U16", "I16", "F16", "BF16":
		return 16
	case "U32", "I32", "F32":
		return 32
	case "U64", "I64", "F64", "C64":
		return 64
	}
	return 0
}

// isPointer recognises the first line of a git-lfs pointer file,
// "version https://git-lfs.github.com/spec/v1". Eight bytes are enough: read as
// a length they would be beyond every limit.
func isPointer(first []byte) bool { return bytes.HasPrefix(first, []byte("version ")) }

// otherFormat recognises files that were given the wrong name, by their first
// eight bytes. Read as a length, each would be beyond every limit.
func otherFormat(first []byte) string {
	if binary.LittleEndian.Uint32(first[4:]) == 0 {
		return "" // a length after all
	}
	switch {
	case bytes.HasPrefix(first, []byte("GGUF")), bytes.HasPrefix(first, []byte("tjgg")), bytes.HasPrefix(first, []byte("lmgg")):
		return "a GGUF or GGML file"
	case bytes.HasPrefix(first, []byte("PK\x03\x04")):
		return "a zip archive, as PyTorch saves pickles in"
	case first[0] == 0x80 && first[1] >= 2 && first[1] <= 5:
		return "a pickle"
	case bytes.HasPrefix(first, []byte("\x89HDF")):
		return "an HDF5 file"
	case first[0] == '<':
		return "a web page or XML"
	case first[0] == '{':
		return "JSON text"
	}
	return ""
}

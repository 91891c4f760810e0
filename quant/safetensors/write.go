package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// Data is a tensor to be written: its bytes are little-endian and row-major.
type Data struct {
	Name  string
	DType string
	Shape []int64
	Bytes []byte
}

// Write writes a safetensors file. The layout is a function of the arguments
// alone: __metadata__ first if there is any, its keys sorted; then the tensors
// in the order given, in the header and in the data; the header padded with
// spaces so that the data begins at a multiple of 8. A tensor whose bytes do
// not match its dtype and shape, or a name that stands twice, is an error and
// nothing is written.
func Write(w io.Writer, metadata map[string]string, tensors []Data) error {
	header, err := encodeHeader(metadata, tensors)
	if err != nil {
		return err
	}
	var first8 [8]byte
	binary.LittleEndian.PutUint64(first8[:], uint64(len(header)))
	if _, err := w.Write(first8[:]); err != nil {
		return fmt.Errorf("writing safetensors header: %w", err)
	}
	if _, err := w.Write(header); err != nil {
		return fmt.Errorf("writing safetensors header: %w", err)
	}
	for _, t := range tensors {
		if _, err := w.Write(t.Bytes); err != nil {
			return fmt.Errorf("writing tensor %q: %w", t.Name, err)
		}
	}
	return nil
}

func encodeHeader(metadata map[string]string, tensors []Data) ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	member := func(name string, value any) error {
		if b.Len() > 1 {
			b.WriteByte(',')
		}
		enc, err := json.Marshal(name)
		if err != nil {
			return fmt.Errorf("encoding name %q: %w", name, err)
		}
		b.Write(enc)
		b.WriteByte(':')
		if enc, err = json.Marshal(value); err != nil {
			return fmt.Errorf("encoding %q: %w", name, err)
		}
		b.Write(enc)
		return nil
	}
	if len(metadata) > 0 {
		if err := member("__metadata__", metadata); err != nil {
			return nil, err
		}
	}
	seen := map[string]bool{"__metadata__": true}
	off := int64(0)
	for _, t := range tensors {
		if seen[t.Name] || !utf8.ValidString(t.Name) {
			return nil, tensorErr(t.Name, "the name is reserved, given twice or not UTF-8")
		}
		seen[t.Name] = true
		size, ok := ByteSize(t.DType, t.Shape)
		if !ok || size != int64(len(t.Bytes)) {
			return nil, tensorErr(t.Name, "%d bytes are not a %s of shape %v", len(t.Bytes), t.DType, t.Shape)
		}
		info := struct {
			DType   string   `json:"dtype"`
			Shape   []int64  `json:"shape"`
			Offsets [2]int64 `json:"data_offsets"`
		}{t.DType, append([]int64{}, t.Shape...), [2]int64{off, off + size}} // a scalar's shape is [], not null
		if err := member(t.Name, info); err != nil {
			return nil, err
		}
		off += size
	}
	b.WriteByte('}')
	for b.Len()%8 != 0 {
		b.WriteByte(' ')
	}
	if b.Len() > MaxHeader {
		return nil, malformed("the header would have %d bytes, more than the format's limit of %d", b.Len(), MaxHeader)
	}
	return b.Bytes(), nil
}

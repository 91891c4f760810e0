package safetensors

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"strconv"
	"unicode/utf8"
)

// maxDepth is how deep the JSON of a header may nest. The format needs three
// levels: the object, a tensor's object, its shape.
const maxDepth = 4

// decodeHeader reads the JSON token by token, so that a hostile header costs
// what its bytes cost and no more. Offsets of the result are within the data.
func decodeHeader(buf []byte, maxTensors int) (*Header, error) {
	if buf[0] != '{' {
		return nil, malformed("the header begins with %q, not with a JSON object", buf[0])
	}
	if !utf8.Valid(buf) {
		return nil, malformed("the header is not valid UTF-8")
	}
	d := newDecoder(buf)
	h := &Header{}
	err := d.object(func(name string) error {
		if name == "__metadata__" {
			var err error
			h.Metadata, err = d.stringMap("__metadata__")
			return err
		}
		if len(h.Tensors) == maxTensors {
			return malformed("the header lists more than %d tensors", maxTensors)
		}
		t, err := d.tensor(name)
		h.Tensors = append(h.Tensors, t)
		return err
	})
	if err == nil {
		err = d.end()
	}
	if err != nil {
		return nil, jsonErr("header", err)
	}
	return h, nil
}

// decoder walks JSON with the guarantees encoding/json does not give: no name
// twice in one object, bounded nesting.
type decoder struct {
	*json.Decoder
	depth int
}

func newDecoder(buf []byte) *decoder {
	d := &decoder{Decoder: json.NewDecoder(bytes.NewReader(buf))}
	d.UseNumber()
	return d
}

// jsonErr keeps a *FormatError and turns anything else into one.
func jsonErr(what string, err error) error {
	var fe *FormatError
	if errors.As(err, &fe) {
		return fe
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return malformed("the %s's JSON ends too early", what)
	}
	return malformed("the %s is not valid JSON: %v", what, err)
}

func (d *decoder) open(want json.Delim) error {
	tok, err := d.Token()
	if err != nil {
		return err
	}
	if tok != want {
		return malformed("found %v where %v must stand", tok, want)
	}
	if d.depth++; d.depth > maxDepth {
		return malformed("the JSON nests deeper than %d levels", maxDepth)
	}
	return nil
}

func (d *decoder) close() error {
	_, err := d.Token()
	d.depth--
	return err
}

// object calls member for every name; member consumes the value.
func (d *decoder) object(member func(name string) error) error {
	if err := d.open('{'); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return err
		}
		name, ok := tok.(string)
		if !ok {
			return malformed("found %v where a name must stand", tok)
		}
		if seen[name] {
			return tensorErr(name, "the name stands twice in one object")
		}
		seen[name] = true
		if err := member(name); err != nil {
			return err
		}
	}
	return d.close()
}

func (d *decoder) tensor(name string) (Tensor, error) {
	t := Tensor{Name: name}
	var offsets []int64
	missing := map[string]bool{"dtype": true, "shape": true, "data_offsets": true}
	err := d.object(func(key string) error {
		var err error
		delete(missing, key)
		switch key {
		case "dtype":
			t.DType, err = d.str(name, key)
		case "shape":
			t.Shape, err = d.ints(name, key)
		case "data_offsets":
			offsets, err = d.ints(name, key)
		default: // the reference reader ignores what it does not know
			err = d.skip()
		}
		return err
	})
	if err != nil {
		return t, err
	}
	for _, key := range []string{"dtype", "shape", "data_offsets"} {
		if missing[key] {
			return t, tensorErr(name, "%q is missing", key)
		}
	}
	if len(offsets) != 2 || offsets[0] > offsets[1] {
		return t, tensorErr(name, "data_offsets %v is not a pair of rising numbers", offsets)
	}
	if dtypeBits(t.DType) == 0 {
		return t, tensorErr(name, "dtype %q is not known", t.DType)
	}
	size, ok := ByteSize(t.DType, t.Shape)
	if !ok {
		return t, tensorErr(name, "%s %v is not a whole number of bytes that fits a file", t.DType, t.Shape)
	}
	t.Offset, t.Size = offsets[0], offsets[1]-offsets[0]
	if t.Size != size {
		return t, tensorErr(name, "%s %v takes %d bytes, data_offsets give it %d", t.DType, t.Shape, size, t.Size)
	}
	return t, nil
}

func (d *decoder) str(name, key string) (string, error) {
	tok, err := d.Token()
	if err != nil {
		return "", err
	}
	s, ok := tok.(string)
	if !ok {
		return "", tensorErr(name, "%q is %v, not a string", key, tok)
	}
	return s, nil
}

// ints reads an array of whole numbers from 0 to 2^63-1.
func (d *decoder) ints(name, key string) ([]int64, error) {
	if err := d.open('['); err != nil {
		return nil, err
	}
	list := []int64{}
	for d.More() {
		tok, err := d.Token()
		if err != nil {
			return nil, err
		}
		num, ok := tok.(json.Number)
		if !ok {
			return nil, tensorErr(name, "%q holds %v, not a number", key, tok)
		}
		v, err := strconv.ParseUint(num.String(), 10, 64)
		if err != nil || v > math.MaxInt64 {
			return nil, tensorErr(name, "%q holds %s, not a whole number below 2^63", key, num)
		}
		list = append(list, int64(v))
	}
	return list, d.close()
}

func (d *decoder) stringMap(what string) (map[string]string, error) {
	m := make(map[string]string)
	err := d.object(func(key string) error {
		s, err := d.str(what, key)
		m[key] = s
		return err
	})
	return m, err
}

// skip consumes one value of any kind, within the nesting limit.
func (d *decoder) skip() error {
	inner := 0
	for {
		tok, err := d.Token()
		if err != nil {
			return err
		}
		switch tok {
		case json.Delim('{'), json.Delim('['):
			if inner++; d.depth+inner > maxDepth {
				return malformed("the JSON nests deeper than %d levels", maxDepth)
			}
		case json.Delim('}'), json.Delim(']'):
			inner--
		}
		if inner == 0 {
			return nil
		}
	}
}

// end checks that only white space follows.
func (d *decoder) end() error {
	tok, err := d.Token()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	return malformed("%v follows the JSON object", tok)
}

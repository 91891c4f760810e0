package safetensors

import (
	"errors"
	"io"
	"math"
	"strconv"
	"unicode/utf8"
)

// decodeHeader reads the JSON in one pass, so that a hostile header costs what
// its bytes cost and no more. Offsets of the result are within the data.
func decodeHeader(buf []byte, maxTensors int) (*Header, error) {
	if buf[0] != '{' {
		return nil, malformed("the header begins with %q, not with a JSON object", buf[0])
	}
	if !utf8.Valid(buf) {
		return nil, malformed("the header is not valid UTF-8")
	}
	d := &decoder{scanner: scanner{buf: buf}}
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

// decoder reads what stands in headers and indexes.
type decoder struct{ scanner }

// jsonErr keeps a *FormatError and turns anything else into one.
func jsonErr(what string, err error) error {
	var fe *FormatError
	if errors.As(err, &fe) {
		return fe
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return malformed("the %s's JSON ends too early", what)
	}
	return malformed("the %s is not valid JSON: %v", what, err)
}

func (d *decoder) tensor(name string) (Tensor, error) {
	t := Tensor{Name: name}
	var offsets []int64
	var dtype, shape, data bool
	err := d.object(func(key string) error {
		var err error
		switch key {
		case "dtype":
			dtype = true
			t.DType, err = d.str(name, key)
		case "shape":
			shape = true
			t.Shape, err = d.ints(name, key)
		case "data_offsets":
			data = true
			offsets, err = d.ints(name, key)
		default: // the reference reader ignores what it does not know
			err = d.skip()
		}
		return err
	})
	switch {
	case err != nil:
		return t, err
	case !dtype:
		return t, tensorErr(name, `"dtype" is missing`)
	case !shape:
		return t, tensorErr(name, `"shape" is missing`)
	case !data:
		return t, tensorErr(name, `"data_offsets" is missing`)
	}
	return t, t.measure(offsets)
}

// measure compares the offsets with the shape.
func (t *Tensor) measure(offsets []int64) error {
	if len(offsets) != 2 || offsets[0] > offsets[1] {
		return tensorErr(t.Name, "data_offsets %v is not a pair of rising numbers", offsets)
	}
	if dtypeBits(t.DType) == 0 {
		return tensorErr(t.Name, "dtype %q is not known", t.DType)
	}
	size, ok := ByteSize(t.DType, t.Shape)
	if !ok {
		return tensorErr(t.Name, "%s %v is not a whole number of bytes that fits a file", t.DType, t.Shape)
	}
	t.Offset, t.Size = offsets[0], offsets[1]-offsets[0]
	if t.Size != size {
		return tensorErr(t.Name, "%s %v takes %d bytes, data_offsets give it %d", t.DType, t.Shape, size, t.Size)
	}
	return nil
}

func (d *decoder) str(name, key string) (string, error) {
	if d.peek() == '"' {
		return d.text()
	}
	found, err := d.token()
	if err != nil {
		return "", err
	}
	return "", tensorErr(name, "%q is %s, not a string", key, found)
}

// ints reads an array of whole numbers from 0 to 2^63-1.
func (d *decoder) ints(name, key string) ([]int64, error) {
	list := make([]int64, 0, 2)
	err := d.each('[', ']', func(int) error {
		c := d.peek()
		if n, ok := d.whole(); ok {
			list = append(list, n)
			return nil
		}
		found, err := d.token()
		if err != nil {
			return err
		}
		if c != '-' && (c < '0' || c > '9') {
			return tensorErr(name, "%q holds %s, not a number", key, found)
		}
		v, err := strconv.ParseUint(found, 10, 64)
		if err != nil || v > math.MaxInt64 {
			return tensorErr(name, "%q holds %s, not a whole number below 2^63", key, found)
		}
		list = append(list, int64(v))
		return nil
	})
	return list, err
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

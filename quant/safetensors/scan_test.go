package safetensors

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"math"
	"reflect"
	"strconv"
	"testing"
	"unicode/utf8"
)

// slowDecodeHeader is decodeHeader over the tokens of encoding/json.
func slowDecodeHeader(buf []byte, maxTensors int) (*Header, error) {
	if buf[0] != '{' {
		return nil, malformed("the header begins with %q, not with a JSON object", buf[0])
	}
	if !utf8.Valid(buf) {
		return nil, malformed("the header is not valid UTF-8")
	}
	d := newSlowDecoder(buf)
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

// slowDecoder walks JSON with the guarantees encoding/json does not give: no name
// twice in one object, bounded nesting.
type slowDecoder struct {
	*json.Decoder
	depth int
}

func newSlowDecoder(buf []byte) *slowDecoder {
	d := &slowDecoder{Decoder: json.NewDecoder(bytes.NewReader(buf))}
	d.UseNumber()
	return d
}

func (d *slowDecoder) open(want json.Delim) error {
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

func (d *slowDecoder) close() error {
	_, err := d.Token()
	d.depth--
	return err
}

// object calls member for every name; member consumes the value.
func (d *slowDecoder) object(member func(name string) error) error {
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

func (d *slowDecoder) tensor(name string) (Tensor, error) {
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

func (d *slowDecoder) str(name, key string) (string, error) {
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
func (d *slowDecoder) ints(name, key string) ([]int64, error) {
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

func (d *slowDecoder) stringMap(what string) (map[string]string, error) {
	m := make(map[string]string)
	err := d.object(func(key string) error {
		s, err := d.str(what, key)
		m[key] = s
		return err
	})
	return m, err
}

// skip consumes one value of any kind, within the nesting limit.
func (d *slowDecoder) skip() error {
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
func (d *slowDecoder) end() error {
	tok, err := d.Token()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	return malformed("%v follows the JSON object", tok)
}

// FuzzDecode: the header is read as encoding/json reads it.
func FuzzDecode(f *testing.F) {
	for _, header := range []string{
		`{"__metadata__":{"format":"pt"},"a":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]}}  `,
		`{"b":{"dtype":"F4","shape":[2,0],"data_offsets":[0,0],"more":[{"x":null,"x":[true,false,-1.5e+7]}]}}`,
		`{"\u00e9\ud83d\ude00\n":{"shape":[9223372036854775807,0],"data_offsets":[00,0],"dtype":"U8"}}`,
		`{"x":{"dtype":"U8","dtype":"U8"}}`, `{"a":1,"b":2,"c":3,"d":4,"e":5,"a":6}`, `{"__metadata__":{"a":"1","b":"2","c":"3","d":"4","e":"5","e":"6"}}`,
		`{} x`, `{"a":[[[[[1]]]]]}`, `{"a":{"data_offsets":[9223372036854775808,1e3,-0,"4"]}}`, "{\"a\x01\":tru}", `{,}`, `{"a" 1}`, `{"a":{"shape":[1,]}}`,
	} {
		f.Add([]byte(header))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return // Parse wants two bytes
		}
		got, err := decodeHeader(b, 100)
		want, slowErr := slowDecodeHeader(b, 100)
		if (err == nil) != (slowErr == nil) || !reflect.DeepEqual(got, want) {
			t.Errorf("%q\n got %+v, %v\nwant %+v, %v", b, got, err, want, slowErr)
		}
		var fe *FormatError
		if err != nil && !errors.As(err, &fe) {
			t.Errorf("%v is no FormatError", err)
		}
	})
}

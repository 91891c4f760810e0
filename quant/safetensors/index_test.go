package safetensors

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseIndex(t *testing.T) {
	x, err := ParseIndex([]byte(`{"metadata":{"total_parameters":7,"total_size":26066534400.0,"nested":{"a":[1]}},
		"weight_map":{"b":"model-00002-of-00002.safetensors","a":"model-00001-of-00002.safetensors","c":"model-00001-of-00002.safetensors"}}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"}
	if !slices.Equal(x.Shards, want) || x.TotalSize != 26066534400 || x.WeightMap["c"] != want[0] {
		t.Errorf("got %+v", x)
	}
	if x, err = ParseIndex([]byte(`{"weight_map":{"a":"m.safetensors"}}`)); err != nil || x.TotalSize != -1 {
		t.Errorf("without metadata: %+v, %v", x, err)
	}
}

func TestParseIndexRejects(t *testing.T) {
	shard := func(name string) string { return `{"weight_map":{"a":"` + name + `"}}` }
	tests := []struct{ in, reason string }{
		{``, "ends too early"},
		{`{"weight_map":{"a":"m.safetensors"}`, "ends too early"},
		{`{"metadata":{}}`, "no weight_map"},
		{`{"weight_map":{}}`, "no weight_map"},
		{`{"weight_map":{"a":1}}`, "not a string"},
		{`{"weight_map":{"a":"m.safetensors","a":"n.safetensors"}}`, "stands twice"},
		{`{"metadata":{"total_size":"5"},"weight_map":{"a":"m.safetensors"}}`, "total_size is 5, not a number"},
		{`{"metadata":{"total_size":-5},"weight_map":{"a":"m.safetensors"}}`, "total_size is -5"},
		{shard("../m.safetensors"), "not the name of a safetensors file"},
		{shard("sub/m.safetensors"), "not the name of a safetensors file"},
		{shard(`..\\m.safetensors`), "not the name of a safetensors file"},
		{shard("C:m.safetensors"), "not the name of a safetensors file"},
		{shard("/m.safetensors"), "not the name of a safetensors file"},
		{shard(`m\u0000.safetensors`), "not the name of a safetensors file"},
		{shard("pytorch_model.bin"), "not the name of a safetensors file"}, // a pickle
		{shard(""), "not the name of a safetensors file"},
		{shard("m.safetensors") + "x", "not valid JSON"},
		{"\xff", "UTF-8"},
	}
	for _, tt := range tests {
		x, err := ParseIndex([]byte(tt.in))
		var fe *FormatError
		if !errors.As(err, &fe) || !strings.Contains(fe.Reason, tt.reason) {
			t.Errorf("ParseIndex(%q) = %v, %v, want %q", tt.in, x, err, tt.reason)
		}
	}
}

func FuzzParseIndex(f *testing.F) {
	f.Add([]byte(`{"metadata":{"total_size":5},"weight_map":{"a":"m.safetensors"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := ParseIndex(b)
		if err != nil {
			return
		}
		for name, shard := range x.WeightMap {
			if !slices.Contains(x.Shards, shard) || strings.ContainsAny(shard, `/\`) {
				t.Fatalf("%q is in %q, shards %v", name, shard, x.Shards)
			}
		}
	})
}

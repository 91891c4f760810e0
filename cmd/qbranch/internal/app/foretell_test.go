package app

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/qbranch/qbranch/hub"
)

const seedConfig = `{
  "bits": 4,
  "group_size": 128,
  "damp_percent": 0.1,
  "desc_act": true,
  "sym": true,
  "true_sequential": true,
  "model_name_or_path": null,
  "model_file_base_name": "gptq_model-4bit-128g"
}`

// listed is the file that a tree lists for a content.
func listed(data string) hub.File {
	return hub.File{Path: "quantize_config.json", Size: int64(len(data)), OID: hub.GitBlobOID([]byte(data))}
}

func TestForetell(t *testing.T) {
	t.Parallel()
	change := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(seedConfig) }
	for _, test := range []struct {
		name, seed, want string
		found            bool
	}{
		{"itself", seedConfig, seedConfig, true},
		{"other parameters", seedConfig, change(": 4", ": 3", ": 128", ": -1", "4bit-128g", "3bit--1g", `act": true`, `act": false`), true},
		{"other damp", seedConfig, change("0.1", "0.005"), true},
		{"an unusual value of the seed's own", change(": 128", ": 48", "128g", "48g"), change(": 128", ": 48", "128g", "48g", ": 4,", ": 8,", "4bit", "8bit"), true},
		{"an unusual value", seedConfig, change(": 128", ": 48", "128g", "48g"), false},
		{"another key", seedConfig, change("null", `"x"`), false},
		{"a name that does not follow", seedConfig, change(`bits": 4`, `bits": 3`), false},
		{"no configuration", "hello", "hellp", false},
		{"one that contradicts itself", change("4bit", "3bit"), change("4bit", "3bit"), false},
	} {
		left := int64(maxTries)
		got, ok := foretell([]byte(test.seed), listed(test.want), &left)
		if ok != test.found || ok && string(got) != test.want {
			t.Errorf("%s: got %q, %v; want found %v", test.name, got, ok, test.found)
		}
	}
	left := int64(len(seedConfig)) - 1
	if _, ok := foretell([]byte(seedConfig), listed(seedConfig), &left); ok {
		t.Error("found with less work than one try takes")
	}
	lfs := listed(seedConfig)
	lfs.LFS = true
	left = maxTries
	if _, ok := foretell([]byte(seedConfig), lfs, &left); ok {
		t.Error("found an LFS file, whose git id is that of its pointer")
	}
}

// FuzzForetell: whatever the texts, what is foretold has the listed id, and no more
// is hashed than is allowed.
func FuzzForetell(f *testing.F) {
	f.Add([]byte(seedConfig), 3, 32, true)
	f.Add([]byte(`{"quantization_config":{"bits":4,"group_size":-1}}`), 8, -1, false)
	f.Add(bytes.Repeat([]byte(`"bits":4,`), 100), 2, 64, true)
	f.Fuzz(func(t *testing.T, seed []byte, bits, group int, act bool) {
		want := declaration.ReplaceAllFunc(seed, func(m []byte) []byte {
			switch {
			case bytes.HasPrefix(m, []byte(`"bits"`)):
				return fmt.Appendf(nil, `"bits": %d`, bits)
			case bytes.HasPrefix(m, []byte(`"group_size"`)):
				return fmt.Appendf(nil, `"group_size": %d`, group)
			case bytes.HasPrefix(m, []byte(`"desc_act"`)):
				return fmt.Appendf(nil, `"desc_act": %v`, act)
			}
			return m
		})
		const most = 1 << 20
		left := int64(most)
		data, ok := foretell(seed, listed(string(want)), &left)
		if ok && !bytes.Equal(data, want) {
			t.Fatalf("foretold %q, listed is %q", data, want)
		}
		if left < 0 || left > most {
			t.Fatalf("%d bytes of work are left of %d", left, most)
		}
	})
}

func BenchmarkForetell(b *testing.B) {
	want := strings.NewReplacer(": 4", ": 8", ": 128", ": 32", "4bit-128g", "8bit-32g").Replace(seedConfig)
	file := listed(want)
	b.ReportAllocs()
	for b.Loop() {
		left := int64(maxTries)
		if _, ok := foretell([]byte(seedConfig), file, &left); !ok {
			b.Fatal("not found")
		}
	}
}

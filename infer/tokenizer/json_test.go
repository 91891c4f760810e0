package tokenizer

import (
	"encoding/json"
	"fmt"
	"testing"
)

// What encoding/json reads as a vocabulary, the scanner reads the same, and it
// reads nothing that encoding/json does not take for JSON.
func FuzzVocab(f *testing.F) {
	for _, s := range []string{`{"a": 0, "b" :1}`, `{"\u00e9\ud83e\udd99\n": 2}`, `{}`, ` { "a" : 1 , "a" : 2 } `, `{"a":0,}`, `{"a":01}`, `{"a":-1}`, `{"a":+1}`, "{\"\xff\": 0}", `{"":3}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := parseVocab(data)
		var want map[string]int64
		wantErr := json.Unmarshal(data, &want)
		if err != nil {
			return // stricter: ids have a bound, and one name
		}
		if wantErr != nil {
			t.Fatalf("%q: read as %v, but %v", data, got.ids, wantErr)
		}
		if len(got.ids) != len(want) {
			t.Fatalf("%q: got %v, want %v", data, got.ids, want)
		}
		for name, id := range want {
			if n, ok := got.lookup(name); !ok || int64(n) != id {
				t.Errorf("%q: token %q: got %d, %v, want %d", data, name, n, ok, id)
			}
			if back, ok := got.name(int(id)); !ok || back != name {
				t.Errorf("%q: id %d: got %q, %v, want %q", data, id, back, ok, name)
			}
		}
	})
}

// A file that was cut and filled up with zeros is not said to end where it goes on.
func TestZeroByte(t *testing.T) {
	s := &scanner{data: []byte("{} \x00")}
	err := s.object(func([]byte) error { return nil })
	if err == nil {
		err = s.end()
	}
	if got, want := fmt.Sprint(err), "a zero byte where the end should be, at byte 3"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

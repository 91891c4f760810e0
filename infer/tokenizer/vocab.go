package tokenizer

import (
	"fmt"
	"strings"
)

// vocabulary is the tokens of a model by name and by id.
type vocabulary struct {
	ids     map[string]int32
	names   []string // by id; "" for ids that are not the model's
	empty   int32    // the id of the token without a name, -1 for none
	longest int      // bytes of the longest name
}

// lookup returns the id of a name.
func (v *vocabulary) lookup(name string) (int32, bool) {
	id, ok := v.ids[name]
	return id, ok
}

// name returns the name of an id.
func (v *vocabulary) name(id int) (string, bool) {
	if id < 0 || id >= len(v.names) || v.names[id] == "" && id != int(v.empty) {
		return "", false
	}
	return v.names[id], true
}

// byteTokens looks up the tokens <0x00> … <0xFF>; -1 where one is missing.
func (v *vocabulary) byteTokens() (ids [256]int32) {
	for i := range ids {
		ids[i] = -1
		if id, ok := v.ids[fmt.Sprintf("<0x%02X>", i)]; ok {
			ids[i] = id
		}
	}
	return ids
}

// entry is a token as a file lists it: names lie behind one another in one text,
// so that a vocabulary is one piece of memory and not a quarter of a million.
type entry struct {
	end int
	id  int32
}

// newVocabulary builds a vocabulary from entries whose names lie in arena. Of a
// name that is listed twice the last id counts; two names with one id are
// refused, since the text of that id would be a guess.
func newVocabulary(arena string, entries []entry) (*vocabulary, error) {
	v := &vocabulary{ids: make(map[string]int32, len(entries)), empty: -1}
	top, start := int32(-1), 0
	for _, e := range entries {
		name := arena[start:e.end]
		start = e.end
		v.ids[name] = e.id
		v.longest = max(v.longest, len(name))
		top = max(top, e.id)
	}
	v.names = make([]string, top+1)
	start = 0
	for _, e := range entries {
		name := arena[start:e.end]
		start = e.end
		if v.ids[name] != e.id {
			continue // listed again later
		}
		if other, ok := v.name(int(e.id)); ok && other != name {
			return nil, formatError("tokens %q and %q have the same id %d", other, name, e.id)
		}
		if name == "" {
			v.empty = e.id
		}
		v.names[e.id] = name
	}
	return v, nil
}

// parseVocab reads an object of names and ids.
func parseVocab(data []byte) (*vocabulary, error) {
	var arena strings.Builder
	var entries []entry
	s := &scanner{data: data}
	err := s.object(func(name []byte) error {
		id, err := s.id()
		if err != nil {
			return fmt.Errorf("token %q: %w", name, err)
		}
		arena.Write(name)
		entries = append(entries, entry{arena.Len(), id})
		return nil
	})
	if err == nil {
		err = s.end()
	}
	if err != nil {
		return nil, formatError("model.vocab: %v", err)
	}
	return newVocabulary(arena.String(), entries)
}

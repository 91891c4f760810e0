package app

import (
	"regexp"
	"slices"

	"github.com/qbranch/qbranch/hub"
)

// maxSeeds is how many configurations others are derived from.
const maxSeeds = 4

// maxForetold is the longest configuration that is derived, in bytes.
const maxForetold = 16 << 10

// maxDeclared bounds the places where a configuration states a parameter.
const maxDeclared = 64

// A branch's configuration mostly is its neighbour's with other parameters. This
// is where they stand: as a key, and in model_file_base_name.
var declaration = regexp.MustCompile(`"(bits|group_size|desc_act|sym|damp_percent)"\s*:\s*(-?[0-9.]+|true|false)|([0-9])bit-(-?[0-9]+)g`)

// usualValues are those that published branches have.
func usualValues(key string) []string {
	switch key {
	case "bits":
		return []string{"2", "3", "4", "8"}
	case "group_size":
		return []string{"-1", "16", "32", "64", "128", "256", "512", "1024"}
	case "damp_percent":
		return []string{"0.1", "0.01", "0.005"}
	}
	return []string{"true", "false"}
}

// maxTries is how many bytes a listing hashes to find configurations: then they
// are asked for.
const maxTries = 64 << 20

// foretell returns the content of a listed configuration without asking for it, if
// it is another one's text with other parameters. There is no guess in that: the
// text is tried with all usual values, and only the one whose git id is the listed
// one is it. What it hashes comes out of left, bytes.
func foretell(seed []byte, file hub.File, left *int64) ([]byte, bool) {
	if file.LFS || file.Size > maxForetold || len(seed) > maxForetold {
		return nil, false
	}
	parts, keys := dissect(seed)
	if len(keys) == 0 {
		return nil, false
	}
	choice := make(map[string]string)
	var try func(keys []variable) ([]byte, bool)
	try = func(keys []variable) ([]byte, bool) {
		if len(keys) > 0 {
			for _, v := range keys[0].values {
				choice[keys[0].key] = v
				if data, ok := try(keys[1:]); ok {
					return data, true
				}
			}
			return nil, false
		}
		length := 0
		for _, p := range parts {
			length += len(p.text) + len(choice[p.key])
		}
		if int64(length) != file.Size || *left < file.Size {
			return nil, false
		}
		*left -= file.Size
		data := make([]byte, 0, length)
		for _, p := range parts {
			data = append(append(data, p.text...), choice[p.key]...)
		}
		return data, hub.GitBlobOID(data) == file.OID
	}
	return try(keys)
}

// textPart is text as it stands, and the parameter that follows it, "" at the end.
type textPart struct {
	text []byte
	key  string
}

// variable is a parameter and what it may be: the usual values, and its own.
type variable struct {
	key    string
	values []string
}

// dissect cuts a configuration at its parameters. One that states a parameter
// twice, with different values, is no text that others follow from.
func dissect(seed []byte) (parts []textPart, keys []variable) {
	at, plain, stated := 0, true, make(map[string]string)
	cut := func(from, to int, key string) {
		parts = append(parts, textPart{seed[at:from], key})
		at = to
		own := string(seed[from:to])
		if stated[key] == "" {
			stated[key] = own
			values := usualValues(key)
			if !slices.Contains(values, own) {
				values = append(values, own)
			}
			keys = append(keys, variable{key, values})
		}
		plain = plain && stated[key] == own
	}
	for _, m := range declaration.FindAllSubmatchIndex(seed, maxDeclared+1) {
		if m[2] >= 0 { // "bits": 4
			cut(m[4], m[5], string(seed[m[2]:m[3]]))
		} else { // gptq_model-4bit-128g
			cut(m[6], m[7], "bits")
			cut(m[8], m[9], "group_size")
		}
	}
	if len(parts) > maxDeclared || !plain {
		return nil, nil
	}
	return append(parts, textPart{seed[at:], ""}), keys
}

package tokenizer

import (
	"encoding/base64"
	"encoding/binary"
	"strings"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// precompiled is the normalizer that SentencePiece compiles into a table: a double
// array that finds sequences of bytes, and the texts they become.
type precompiled struct {
	units []uint32
	texts string // each ends with a zero byte
}

// parsePrecompiled reads the table: the size of the double array in bytes, that
// array in little-endian words, then the texts.
func parsePrecompiled(encoded string, g *growth) (*precompiled, error) {
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, formatError("normalizer Precompiled: %v", err)
	}
	if len(data) < 4 {
		return nil, formatError("normalizer Precompiled: %d bytes of table", len(data))
	}
	size := binary.LittleEndian.Uint32(data)
	data = data[4:]
	if size%4 != 0 || size == 0 || uint64(size) > uint64(len(data)) {
		return nil, formatError("normalizer Precompiled: an array of %d bytes in a table of %d", size, len(data))
	}
	p := &precompiled{units: make([]uint32, size/4), texts: string(data[size:])}
	for i := range p.units {
		p.units[i] = binary.LittleEndian.Uint32(data[4*i:])
	}
	if !utf8.ValidString(p.texts) {
		return nil, formatError("normalizer Precompiled: its texts are not UTF-8")
	}
	longest := 0
	for text := range strings.SplitSeq(p.texts, "\x00") {
		longest = max(longest, len(text))
	}
	return p, g.add(float64(longest) / 3) // a real one makes 33 bytes of one letter of three
}

// first returns the text for the shortest sequence in the table that s begins with.
func (p *precompiled) first(s string) (string, bool) {
	at := p.offset(0)
	for i := 0; i < len(s) && s[i] != 0; i++ {
		at ^= uint32(s[i])
		if at >= uint32(len(p.units)) {
			return "", false
		}
		unit := p.units[at]
		if unit&(1<<31|0xFF) != uint32(s[i]) {
			return "", false
		}
		at ^= p.offset(at)
		if unit>>8&1 == 0 {
			continue
		}
		if at >= uint32(len(p.units)) {
			return "", false
		}
		start := p.units[at] & (1<<31 - 1)
		if start > uint32(len(p.texts)) {
			return "", false
		}
		text, _, _ := strings.Cut(p.texts[start:], "\x00")
		return text, true
	}
	return "", false
}

// offset is the distance from a unit to its successors, as the array packs it.
func (p *precompiled) offset(at uint32) uint32 {
	unit := p.units[at]
	return unit >> 10 << (unit & (1 << 9) >> 6)
}

// maxCluster is up to how many bytes a cluster is looked up as a whole.
const maxCluster = 5

// normalize looks up grapheme clusters, as far as they are short, else characters.
func (p *precompiled) normalize(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for state := -1; s != ""; {
		var cluster string
		if len(s) > 1 && ' ' <= s[0] && s[0] < 0x7F && ' ' <= s[1] && s[1] < 0x7F {
			cluster, s, state = s[:1], s[1:], -1
		} else {
			cluster, s, _, state = uniseg.FirstGraphemeClusterInString(s, state)
		}
		if len(cluster) <= maxCluster {
			if text, ok := p.first(cluster); ok {
				b.WriteString(text)
				continue
			}
		}
		for _, r := range cluster {
			if text, ok := p.first(string(r)); ok {
				b.WriteString(text)
			} else {
				b.WriteRune(r)
			}
		}
	}
	return b.String()
}

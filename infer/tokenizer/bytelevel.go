package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// byteLetter is the alphabet in which byte-level models write bytes, so that a
// vocabulary is made of printable letters: printable bytes stand for themselves,
// the others for the letters from U+0100 on, in order.
func byteLetter(b byte) rune {
	switch {
	case '!' <= b && b <= '~', 0xA1 <= b && b <= 0xAC, b >= 0xAE:
		return rune(b)
	case b <= ' ':
		return 0x100 + rune(b)
	case b <= 0xA0: // 7F … A0
		return 0x100 + 33 + rune(b) - 0x7F
	}
	return 0x100 + 67 // AD
}

// letterByte is the inverse.
func letterByte(r rune) (byte, bool) {
	switch {
	case '!' <= r && r <= '~', 0xA1 <= r && r <= 0xAC, 0xAE <= r && r <= 0xFF:
		return byte(r), true
	case 0x100 <= r && r <= 0x120:
		return byte(r - 0x100), true
	case 0x121 <= r && r <= 0x142:
		return byte(r - 0x121 + 0x7F), true
	case r == 0x143:
		return 0xAD, true
	}
	return 0, false
}

func toByteLetters(s string) string {
	var b strings.Builder
	b.Grow(len(s) + len(s)/2)
	for i := 0; i < len(s); i++ {
		b.WriteRune(byteLetter(s[i]))
	}
	return b.String()
}

// fromByteLetters maps a token's letters back to bytes. A token with a letter
// outside the alphabet stands for its own text.
func fromByteLetters(s string) []byte {
	out := make([]byte, 0, len(s))
	for _, r := range s {
		b, ok := letterByte(r)
		if !ok {
			return []byte(s)
		}
		out = append(out, b)
	}
	return out
}

// appendValid moves the decided part of pending to text as UTF-8: each maximal
// bad prefix becomes one U+FFFD. Bytes that may still become a character stay,
// unless the text ends here.
func appendValid(text *strings.Builder, pending []byte, end bool) []byte {
	for len(pending) > 0 {
		r, n := utf8.DecodeRune(pending)
		if r != utf8.RuneError || n > 1 {
			text.Write(pending[:n])
			pending = pending[n:]
			continue
		}
		n, open := badPrefix(pending)
		if open && !end {
			return pending
		}
		text.WriteRune(utf8.RuneError)
		pending = pending[n:]
	}
	return pending
}

// badPrefix returns the length of the longest prefix that begins a character
// (at least 1) of bytes that do not begin with a whole one, and whether the bytes
// end before the character was spoilt.
func badPrefix(p []byte) (n int, open bool) {
	want, low, high := 0, byte(0x80), byte(0xBF)
	switch c := p[0]; {
	case 0xC2 <= c && c <= 0xDF:
		want = 2
	case c == 0xE0:
		want, low = 3, 0xA0
	case c == 0xED:
		want, high = 3, 0x9F
	case 0xE1 <= c && c <= 0xEF:
		want = 3
	case c == 0xF0:
		want, low = 4, 0x90
	case c == 0xF4:
		want, high = 4, 0x8F
	case 0xF1 <= c && c <= 0xF3:
		want = 4
	default:
		return 1, false
	}
	for n = 1; n < want && n < len(p); n++ {
		if p[n] < low || p[n] > high {
			return n, false
		}
		low, high = 0x80, 0xBF
	}
	return n, true
}

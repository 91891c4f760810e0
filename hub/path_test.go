package hub

import (
	"path"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestValidPath(t *testing.T) {
	good := []string{
		"config.json", ".gitattributes", "a/b/c", "model-00001-of-00002.safetensors", "ünïcode/日本", "a b", "-x", "~", "$HOME", "..x", "x..y",
		"console.txt", "com.txt", "COM10", "auxiliary", "lpt", "a/.hidden", strings.Repeat("x", 255), strings.Repeat("a/", 31) + "a",
	}
	for _, p := range good {
		if err := ValidPath(p); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
	bad := []string{
		"", "/", "/etc/passwd", "../x", "a/../b", "a/..", "..", ".", "./a", "a//b", "a/", // out of the folder, or twice the same
		`a\b`, `..\x`, `\\host\share`, "C:/x", "C:x", "a:stream", // Windows
		"nul", "NUL.txt", "a/con", "Aux.tar.gz", "com1", "LPT9.x", "COM¹", "con .txt", "CONIN$",
		"a.", "a ", "a./b", "a\x00b", "a\nb", "a\x1b[2J", "a\x7f", "a\u0085b", "\xff", "a\u202eb", "a\u2028b",
		strings.Repeat("x", 256), strings.Repeat("ä", 128), strings.Repeat("a/", 32) + "a",
	}
	for _, p := range bad {
		err := ValidPath(p)
		if err == nil {
			t.Errorf("%q was taken", p)
			continue
		}
		if s := err.Error(); strings.IndexFunc(s, unicode.IsControl) >= 0 {
			t.Errorf("%q: the error has control characters", p)
		}
	}
}

func FuzzValidPath(f *testing.F) {
	for _, s := range []string{"a/b.c", "../x", `a\b`, "nul", "a/./b", "x\x00", "é/e\u0301"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if ValidPath(p) != nil {
			return
		}
		// What a valid path must be, said in other words.
		local := filepath.FromSlash(p)
		if !utf8.ValidString(p) || path.Clean(p) != p || path.IsAbs(p) || !filepath.IsLocal(local) || filepath.ToSlash(local) != p {
			t.Errorf("%q was taken", p)
		}
		if a, b, found := collision([]string{p, p}); !found || a != p || b != p {
			t.Errorf("%q does not collide with itself", p)
		}
	})
}

func TestCollision(t *testing.T) {
	tests := []struct {
		name  string
		paths []string
		want  bool
	}{
		{"none", []string{"a", "b/a", "b/c"}, false},
		{"twice", []string{"a", "a"}, true},
		{"case", []string{"README.md", "readme.md"}, true},
		{"case beyond ASCII", []string{"ÄPFEL", "äpfel"}, true},
		{"Kelvin sign", []string{"K", "\u212a"}, true},
		{"NFC and NFD", []string{"caf\u00e9", "cafe\u0301"}, true},
		{"NFD in another case", []string{"CAF\u00c9", "cafe\u0301"}, true},
		{"file and folder", []string{"a", "a/b"}, true},
		{"folder and file", []string{"a/b", "a"}, true},
		{"folders by case", []string{"A/x", "a/y"}, true},
		{"same folder", []string{"a/x", "a/y", "a/b/x"}, false},
		{"prefix only", []string{"a", "ab/c"}, false},
	}
	for _, tt := range tests {
		if _, _, got := collision(tt.paths); got != tt.want {
			t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

package main

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestConvert(t *testing.T) {
	for _, tc := range []struct {
		name, in string
		want     []string
	}{
		{"plain", "ab <c>", []string{`x="12.0" y="26" textLength="50.4"`, `>ab &lt;c&gt;</text>`}},
		{"colour ends", "\x1b[32mok\x1b[0m no", []string{`fill="#98c379">ok</text>`, `x="28.8"`, `fill="#d5d9e0"> no</text>`}},
		{"an empty SGR is a reset", "\x1b[1mA\x1b[mB", []string{`font-weight="bold">A</text>`, `fill="#d5d9e0">B</text>`}},
		{"goes on in the next row", "\x1b[31ma\nb", []string{`y="44" textLength="8.4" lengthAdjust="spacingAndGlyphs" fill="#e06c75">b</text>`}},
		{"bright and 256 colours", "\x1b[91ma\x1b[38;5;2mb", []string{`fill="#ff7b86">a`, `fill="#98c379">b`}},
		{"faint", "\x1b[2ma\x1b[22mb", []string{`opacity="0.6">a</text>`, `fill="#d5d9e0">b</text>`}},
		{"inverse", "\x1b[7mx\x1b[27m", []string{`<rect x="12.0" y="12" width="8.4" height="18" fill="#d5d9e0"/>`, `fill="#1d2026">x</text>`}},
		{"wide characters", "漢a", []string{`textLength="25.2"`}},
		{"other sequences are nothing", "\x1b[2Ja\x1b]0;b\x07", []string{`>a</text>`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out strings.Builder
			if err := convert(strings.NewReader(tc.in), &out); err != nil {
				t.Fatal(err)
			}
			for _, want := range tc.want {
				if !strings.Contains(out.String(), want) {
					t.Errorf("got\n%s\nwithout %s", out.String(), want)
				}
			}
			wellFormed(t, out.String())
		})
	}
}

func wellFormed(t *testing.T, text string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		if _, err := d.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("no XML: %v\n%s", err, text)
		}
	}
}

func FuzzConvert(f *testing.F) {
	f.Add("\x1b[38;5;1mx\x1b[")
	f.Add("\x1b")
	f.Fuzz(func(t *testing.T, in string) {
		var out strings.Builder
		if err := convert(strings.NewReader(strings.ToValidUTF8(in, "?")), &out); err != nil {
			t.Fatal(err)
		}
	})
}

package kernel

import "testing"

func TestInstructions(t *testing.T) {
	have := []*instructions{{name: "go"}, {name: "avx2"}}
	for asked, want := range map[string]string{
		"": "", "go": "", "avx2": "",
		"avx512": "QBRANCH_CPU=avx512 is ignored: there is go, avx2 here",
		"AVX2":   "QBRANCH_CPU=AVX2 is ignored: there is go, avx2 here",
	} {
		if got := warnOf(asked, have); got != want {
			t.Errorf("QBRANCH_CPU=%q: got %q, want %q", asked, got, want)
		}
	}
	name, _ := Instructions()
	if name != fastest.name || name == "" {
		t.Errorf("got the instructions %q, want %q", name, fastest.name)
	}
}

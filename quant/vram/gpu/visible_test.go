package gpu

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// environment is a System of which only the variables are asked.
type environment map[string]string

func (e environment) LookupEnv(name string) (string, bool) { v, ok := e[name]; return v, ok }

// cards is a report with these cards: "nvidia:0 NAME", "nvidia:0:1 NAME",
// "amd:0 NAME"; their UUIDs are GPU- or MIG- and their place, eight times.
func cards(t *testing.T, names ...string) *Report {
	t.Helper()
	r := &Report{}
	for i, name := range names {
		id, name, _ := strings.Cut(name, " ")
		g := GPU{ID: id, Name: name}
		parts := strings.Split(id, ":")
		g.Vendor = Vendor(parts[0])
		fmt.Sscan(parts[1], &g.Index)
		kind := "GPU-"
		if len(parts) == 3 {
			g.Instance, kind = new(int), "MIG-"
			fmt.Sscan(parts[2], g.Instance)
		}
		if name == "split" {
			g.Hidden = "split into instances (MIG)"
		}
		g.UUID = kind + strings.Repeat(string("0123456789abcdef"[i]), 8)
		r.GPUs = append(r.GPUs, g)
	}
	return r
}

func ids(gpus []GPU) string {
	var list []string
	for _, g := range gpus {
		list = append(list, g.ID)
	}
	return strings.Join(list, " ")
}

func TestVariables(t *testing.T) {
	two := []string{"nvidia:0 a", "nvidia:1 a"}
	mixed := []string{"nvidia:0 a", "nvidia:1 b"}
	split := []string{"nvidia:0 split", "nvidia:0:0 x", "nvidia:0:1 x", "nvidia:1 a"}
	amd := []string{"amd:0 a", "amd:1 a", "amd:2 a"}
	both := []string{"nvidia:0 a", "amd:0 a", "amd:1 a"}
	const cuda, hip, rocr = "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"
	for _, tc := range []struct {
		cards []string
		env   environment
		want  string
		note  string // part of the one note; "" = none
	}{
		{two, nil, "nvidia:0 nvidia:1", ""},
		// What CUDA made of these with driver 580 on a machine with two cards.
		{two, environment{cuda: "0"}, "nvidia:0", ""},
		{two, environment{cuda: "1,0"}, "nvidia:1 nvidia:0", ""},
		{two, environment{cuda: " 0 , 1 "}, "nvidia:0 nvidia:1", ""},
		{two, environment{cuda: "\t1\t,0"}, "nvidia:1 nvidia:0", ""},
		{two, environment{cuda: ""}, "", ""},
		{two, environment{cuda: " "}, "", ""},
		{two, environment{cuda: "-1"}, "", ""},
		{two, environment{cuda: "-2,0"}, "", ""},
		{two, environment{cuda: "1,-1,0"}, "nvidia:1", ""},
		{two, environment{cuda: "1,7,0"}, "nvidia:1", "no card 7"},
		{two, environment{cuda: "0,7,7"}, "nvidia:0", "no card 7"},
		{two, environment{cuda: "0,0"}, "", "refuses"},
		{two, environment{cuda: "0,1,0"}, "", "refuses"},
		{two, environment{cuda: "0,0,7"}, "", "refuses"},
		{two, environment{cuda: "0,-1,0"}, "nvidia:0", ""},
		{two, environment{cuda: "0,"}, "nvidia:0", "one of numbers or of UUIDs"},
		{two, environment{cuda: ",0"}, "", "is no card"},
		{two, environment{cuda: "0,,1"}, "nvidia:0", "one of numbers or of UUIDs"},
		{two, environment{cuda: "NoDevFiles"}, "", "is no card"},
		{two, environment{cuda: "all"}, "", "is no card"},
		{two, environment{cuda: "x0"}, "", "is no card"},
		{two, environment{cuda: "0x1,1"}, "nvidia:0 nvidia:1", ""},
		{two, environment{cuda: "1x,0"}, "nvidia:1 nvidia:0", ""},
		{two, environment{cuda: "0 1,1"}, "nvidia:0 nvidia:1", ""},
		{two, environment{cuda: "1.5"}, "nvidia:1", ""},
		{two, environment{cuda: "+1"}, "nvidia:1", ""},
		{two, environment{cuda: "00000001"}, "nvidia:1", ""},
		{two, environment{cuda: "2147483648,0"}, "", "no card 2147483648"},
		{two, environment{cuda: "GPU-11111111"}, "nvidia:1", ""},
		{two, environment{cuda: "GPU-1"}, "nvidia:1", ""},
		{two, environment{cuda: "GPU-1-1-11"}, "nvidia:1", ""}, // hyphens do not count
		{two, environment{cuda: "GPU-AAAA"}, "", "is no card"},
		{two, environment{cuda: "GPU-1111zz"}, "", "is no card"},
		{two, environment{cuda: "GPU-111111110"}, "nvidia:1", ""}, // what follows a whole one does not count
		{two, environment{cuda: "GPU-1 ,GPU-0 extra"}, "nvidia:1 nvidia:0", ""},
		{two, environment{cuda: "gpu-1111"}, "", "is no card"},
		{two, environment{cuda: "11111111"}, "", "no card 11111111"},
		{two, environment{cuda: "GPU-"}, "", "is no card"},
		{two, environment{cuda: "G"}, "", "is no card"},
		{two, environment{cuda: "MIG-GPU-1111"}, "", "is no card"},
		{two, environment{cuda: "GPU-1,0"}, "nvidia:1", "one of numbers or of UUIDs"},
		{two, environment{cuda: "0,GPU-1"}, "nvidia:0", "one of numbers or of UUIDs"},
		{two, environment{cuda: "GPU-1,GPU-0,GPU-1"}, "", "refuses"},
		{two, environment{cuda: "GPU-1,GPU-zz,GPU-1"}, "nvidia:1", "is no card"},
		{two, environment{cuda: "GPU-1,-1,GPU-0"}, "nvidia:1", ""},
		{two, environment{cuda: "99999999999999999999"}, "", "no card 9999"},
		// The rest is as documented.
		{two, environment{cuda: strings.Repeat("1,", 100000) + "1"}, "", "refuses"},
		{two, environment{"NVIDIA_VISIBLE_DEVICES": "none"}, "nvidia:0 nvidia:1", ""}, // speaks to a container's maker only
		{mixed, nil, "nvidia:0 nvidia:1", "the cards differ"},
		{mixed, environment{"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, "nvidia:0 nvidia:1", ""},
		{mixed, environment{cuda: "0"}, "nvidia:0", "the cards differ"},
		{mixed, environment{cuda: "7"}, "", "no card 7"}, // nothing is left to be mistaken
		{mixed, environment{cuda: "0", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, "nvidia:0", ""},
		{mixed, environment{cuda: "GPU-1"}, "nvidia:1", ""}, // a UUID is not doubtful
		{split, nil, "nvidia:0:0", ""},                      // one instance, and nothing beside it
		{split, environment{cuda: "MIG-22222222"}, "nvidia:0:1", ""},
		{split, environment{cuda: "0"}, "nvidia:0:0", "the cards differ"}, // a number stands for the first instance
		{split, environment{cuda: "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, "nvidia:1", ""},
		{split, environment{cuda: "GPU-33333333"}, "nvidia:1", ""},
		{split, environment{cuda: "MIG-22222222,MIG-11111111"}, "nvidia:0:1", ""},
		{amd, environment{rocr: "2,0"}, "amd:2 amd:0", ""},
		{amd, environment{rocr: "GPU-11111111,2"}, "amd:1 amd:2", ""},
		{amd, environment{rocr: "2,0", hip: "1"}, "amd:0", ""},
		{amd, environment{hip: "1"}, "amd:1", ""},
		{amd, environment{hip: "GPU-11111111"}, "", "is no card"}, // HIP knows numbers only
		{amd, environment{cuda: "1"}, "amd:1", ""},
		{amd, environment{hip: "0", cuda: "1"}, "amd:0", ""},
		{both, environment{cuda: "0"}, "nvidia:0 amd:0 amd:1", ""}, // each vendor's own
		{both, environment{cuda: "", hip: "1"}, "amd:1", ""},
	} {
		r := cards(t, tc.cards...)
		r.selectCUDA(tc.env)
		r.selectROCm(tc.env)
		var notes []string
		for _, s := range r.Selections {
			notes = append(notes, s.Notes...)
			if len(s.Value) > 400 {
				t.Errorf("%d bytes of a value are shown", len(s.Value))
			}
		}
		if got := ids(r.Visible()); got != tc.want {
			t.Errorf("%q with %.60q: got %q, want %q", tc.cards, fmt.Sprint(tc.env), got, tc.want)
		}
		if ok := len(notes) == 0; ok != (tc.note == "") || !ok && (len(notes) > 1 || !strings.Contains(notes[0], tc.note)) {
			t.Errorf("%q with %.60q: notes %q, want %q", tc.cards, fmt.Sprint(tc.env), notes, tc.note)
		}
	}
}

func TestSelect(t *testing.T) {
	machine := []string{"nvidia:0 split", "nvidia:0:0 x", "nvidia:0:1 x", "nvidia:1 a", "amd:0 a", "amd:1 a"}
	for _, tc := range []struct {
		names []string
		want  string // "" = an error
		why   string
	}{
		{[]string{"nvidia:1"}, "nvidia:1", ""},
		{[]string{"amd:1", "amd:0"}, "amd:1 amd:0", ""},
		{[]string{" 0:1 "}, "nvidia:0:1", ""}, // one card has it
		{[]string{"amd:1", "amd:1"}, "amd:1", ""},
		{[]string{"GPU-33333333"}, "nvidia:1", ""},
		{[]string{"1"}, "", "write the vendor as well"},
		{[]string{"nvidia:0"}, "", "split into instances"},
		{[]string{"nvidia:7"}, "", "no such card"},
		{[]string{""}, "", "no such card"},
		{[]string{"amd:0", "\x1b[2J"}, "", "no such card"},
	} {
		r := cards(t, machine...)
		before := ids(r.Visible())
		err := r.Select(tc.names)
		if got := ids(r.Visible()); err == nil && got != tc.want {
			t.Errorf("%q: got %q, want %q", tc.names, got, tc.want)
		} else if err != nil && got != before {
			t.Errorf("%q: an error, and %q became %q", tc.names, before, got)
		}
		var refused *SelectError
		if (tc.want == "") != errors.As(err, &refused) || refused != nil && (!strings.Contains(err.Error(), tc.why) || strings.Contains(err.Error(), "\x1b")) {
			t.Errorf("%q: got error %v, want %q", tc.names, err, tc.why)
		}
		if refused != nil && !strings.Contains(refused.Hint(), "amd:0, amd:1") {
			t.Errorf("%q: hint %q", tc.names, refused.Hint())
		}
	}
	if err := cards(t).Select([]string{"0"}); err == nil || !strings.Contains(err.(*SelectError).Hint(), "qbranch gpu") {
		t.Errorf("without a card: %v", err)
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{
		"NVIDIA  H100\n":              "NVIDIA H100",
		"a\x00b\u202ec\u200bd\u00a0e": "abcd e",
		"\xff\xfe":                    "",
		strings.Repeat("é", 100):      strings.Repeat("é", 58) + "…",
	} {
		if got := plain(in); got != want {
			t.Errorf("plain(%q): got %q, want %q", in, got, want)
		}
	}
	if got := plain(strings.Repeat("x", 1<<20)); len(got) > 120 {
		t.Errorf("%d bytes are left", len(got))
	}
}

func TestCard(t *testing.T) {
	g := GPU{Name: "x", Total: ptr[int64](143771 << 20), Free: ptr[int64](143156 << 20), Reserved: ptr[int64](616 << 20)}
	if c := g.Card(); c.Total != 143155<<20 || c.Free != 143156<<20 || c.Name != "x" {
		t.Errorf("got %+v", c)
	}
	if c := (GPU{}).Card(); c.Total != 0 || c.Free >= 0 {
		t.Errorf("what is not known became %+v", c)
	}
}

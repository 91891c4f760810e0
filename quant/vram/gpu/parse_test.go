package gpu

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// What rocm-smi of several years answers for the same two cards.
func TestROCmCards(t *testing.T) {
	const total, used = int64(17163091968), int64(1048576)
	for name, text := range map[string]string{
		"3.x": `{"card0": {"GPU memory use (%)": "0", "vram Total Memory (B)": "17163091968", "vram Total Used Memory (B)": "1048576", "Card series": "Vega 20"}}`,
		"5.x": `{"card0": {"VRAM Total Memory (B)": "17163091968", "VRAM Total Used Memory (B)": "1048576", "Card series": "Vega 20", "Card model": "0x0834"}}`,
		"6.x": `{"card0": {"Device Name": "Vega 20", "VRAM Total Memory (B)": "17163091968", "VRAM Total Used Memory (B)": "1048576", "GFX Version": "gfx906"}}`,
		"with a warning": "WARNING: AMD GPU device(s) is/are in a low-power state.\n\n" +
			`{"card0": {"Card Series": "Vega 20", "VRAM Total Memory (B)": "17163091968", "VRAM Total Used Memory (B)": "1048576"}}` + "\n",
		"with the system": `{"card0": {"Card Series": "Vega 20", "VRAM Total Memory (B)": 17163091968, "VRAM Total Used Memory (B)": 1048576}, "system": {"Driver version": "6.3"}}`,
	} {
		got, err := rocmCards([]byte(text))
		want := []GPU{{Vendor: AMD, Name: "Vega 20", Total: ptr(total), Free: ptr(total - used)}}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	got, err := rocmCards([]byte(`{"card1": {"VRAM Total Memory (B)": "-1"}, "card0": {"VRAM Total Memory (B)": "lots"}}`))
	if err != nil || len(got) != 2 || got[0].Index != 0 || got[0].Total != nil || got[1].Total != nil {
		t.Errorf("sizes that are none: got %+v, %v", got, err)
	}
	for _, text := range []string{"", "no cards", "{", `{"card0": 1}`, "[]"} {
		if got, err := rocmCards([]byte(text)); err == nil {
			t.Errorf("%q: got %+v", text, got)
		}
	}
}

func TestAMDSMICards(t *testing.T) {
	const card = `{"gpu": 0, "mem_usage": {"total_vram": {"value": 24560, "unit": "MB"}, "used_vram": {"value": 560, "unit": "MB"}, "free_vram": {"value": 24000, "unit": "MB"}}}`
	for name, text := range map[string]string{
		"list":    "[" + card + "]",
		"wrapped": `{"gpu_data": [` + card + `]}`,
		"warned":  "a warning\n[" + card + "]\n",
		"no free": strings.Replace("["+card+"]", `{"value": 24000, "unit": "MB"}`, `"N/A"`, 1),
	} {
		got, err := amdSMICards([]byte(text))
		if name == "no free" { // of another kind: the whole answer is not what it was
			if err == nil {
				t.Errorf("%s: got %+v", name, got)
			}
			continue
		}
		if err != nil || len(got) != 1 || *got[0].Total != 24560<<20 || *got[0].Free != 24000<<20 {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
	}
	for _, text := range []string{"", "nothing", `[{"gpu": 3}]`, `{"gpu_data": 3}`} {
		if got, err := amdSMICards([]byte(text)); err == nil && len(got) > 0 {
			t.Errorf("%q: got %+v", text, got)
		}
	}
}

// What is written as nvidia-smi writes it is read back.
func FuzzSMIRows(f *testing.F) {
	f.Add([]byte("0, GPU-d01abca6, NVIDIA H100 80GB HBM3, 81559, 81079, 480\n1, GPU-1, Orin (nvgpu), [N/A], [N/A], [Not Supported]\n"))
	f.Add([]byte("Field \"bogus\" is not a valid field to query.\n\n"))
	f.Add([]byte("0, a, b, 99999999999999999999, -1, 1 MiB\r\n0, a, b, 1, 1, 1\n,,,,,\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		cards, bad := smiRows(b, smiFields)
		if lines := bytes.Count(b, []byte("\n")) + 1; len(cards)+bad > lines || len(cards) > mostCards {
			t.Fatalf("%d cards and %d bad lines of %d", len(cards), bad, lines)
		}
		var again strings.Builder
		number := func(n *int64) string {
			if n == nil {
				return "[N/A]"
			}
			return strconv.FormatInt(*n>>20, 10)
		}
		text := func(s string) string {
			if s == "" {
				return "[N/A]"
			}
			return s
		}
		for _, c := range cards {
			fmt.Fprintf(&again, "%d, %s, %s, %s, %s, %s\n", c.index, text(c.uuid), text(c.name), number(c.total), number(c.free), number(c.reserved))
		}
		read, bad := smiRows([]byte(again.String()), smiFields)
		if bad != 0 || !reflect.DeepEqual(read, cards) {
			t.Errorf("%q was read as %+v, and that as %+v", b, cards, read)
		}
		addDetails(cards, b, smiDetails)
		d := &detection{}
		for _, c := range cards {
			g := d.nvidiaGPU(c)
			if g.Total != nil && (*g.Total <= 0 || *g.Total > most) || g.Free != nil && *g.Free < 0 {
				t.Errorf("%+v became %+v", c, g)
			}
		}
	})
}

func FuzzListInstances(f *testing.F) {
	f.Add([]byte("GPU 0: NVIDIA A100 (UUID: GPU-5d)\n  MIG 3g.20gb     Device  0: (UUID: MIG-c6)\n  MIG 1c.2g.10gb Device 1: (UUID: MIG-GPU-5d/1/0)\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		listed := listInstances(b)
		var again strings.Builder
		for _, in := range listed {
			fmt.Fprintf(&again, "GPU %d: x (UUID: y)\n  MIG %s     Device  %d: (UUID: %s)\n", in.card, in.profile, in.device, in.uuid)
			if g := migGPU(GPU{}, in, migMemory{}); g.Total != nil && *g.Total < 0 {
				t.Errorf("%+v has %d bytes", in, *g.Total)
			}
		}
		for _, in := range listed {
			if in.profile == "" || strings.ContainsAny(in.profile, " …") {
				return // cleaning left what no profile is
			}
		}
		if read := listInstances([]byte(again.String())); !reflect.DeepEqual(read, listed) {
			t.Errorf("%q was read as %+v, and that as %+v", b, listed, read)
		}
	})
}

func FuzzMIGSizes(f *testing.F) {
	f.Add([]byte(`<nvidia_smi_log><gpu><uuid>GPU-a</uuid><mig_devices><mig_device><index>1</index><fb_memory_usage><total>20096 MiB</total><free>1 MiB</free></fb_memory_usage></mig_device></mig_devices></gpu></nvidia_smi_log>`))
	f.Add([]byte(`<?xml version="1.0" ?><!DOCTYPE nvidia_smi_log SYSTEM "x.dtd"><nvidia_smi_log>&a;`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for at, m := range migSizes(b, []GPU{{UUID: "GPU-a", Index: 3}}) {
			if at[0] != 3 || m.total == nil || *m.total <= 0 || *m.total > most || m.free != nil && (*m.free < 0 || *m.free > *m.total) {
				t.Errorf("%q: %v has %+v", b, at, m)
			}
		}
	})
}

func FuzzAMDTools(f *testing.F) {
	f.Add([]byte(`{"card0": {"VRAM Total Memory (B)": "17163091968", "VRAM Total Used Memory (B)": "1048576", "Unique ID": "0x93", "Card series": "x"}, "system": {}}`))
	f.Add([]byte(`[{"gpu": 0, "mem_usage": {"total_vram": {"value": 1e300, "unit": "MB"}}}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, read := range map[string]func([]byte) ([]GPU, error){"rocm-smi": rocmCards, "amd-smi": amdSMICards} {
			gpus, err := read(b)
			if err == nil && !json.Valid(bytes.TrimSpace(from(b, "[{"))) && !json.Valid(bytes.TrimSpace(from(b, "{"))) {
				t.Errorf("%s: %q is no JSON and was read", name, b)
			}
			for _, g := range gpus {
				if g.Total != nil && (*g.Total < 0 || *g.Total > most) || g.Free != nil && (*g.Free < 0 || *g.Free > *g.Total) {
					t.Errorf("%s: %q: %+v", name, b, g)
				}
			}
		}
	})
}

func FuzzMemory(f *testing.F) {
	f.Add([]byte("MemTotal:       32768000 kB\nMemAvailable:   1 kB\n"))
	f.Add([]byte("Mach Virtual Memory Statistics: (page size of 16384 bytes)\nPages free: 1.\nPages inactive: 2.\nPages speculative: 3.\n"))
	f.Add([]byte("anon 5\ninactive_file 12345\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, n := range []*int64{meminfo(b, "MemTotal"), vmStat(b), ptr(reclaimable(b))} {
			if n != nil && (*n < 0 || *n > most) {
				t.Errorf("%q: %d bytes", b, *n)
			}
		}
	})
}

func FuzzChoose(f *testing.F) {
	for _, list := range []string{"", "0,1", "GPU-1,GPU-0", "MIG-22", "1x, 0", "-1", "0,,1", "GPU-,\x00", "+2,2"} {
		f.Add(list, true, true)
		f.Add(list, true, false)
		f.Add(list, false, false)
	}
	f.Fuzz(func(t *testing.T, list string, uuids, strict bool) {
		r := cards(t, "nvidia:0 a", "nvidia:1 b", "nvidia:1:0 c", "nvidia:2 d")
		c := newChooser("X", list)
		c.choose(r.GPUs, []int{0, 1, 3}, listRules{uuids, strict})
		seen := map[int]bool{}
		for _, i := range c.chosen {
			if seen[i] || i < 0 || i >= len(r.GPUs) || !uuids && i == 2 {
				t.Errorf("%q: chose %v", list, c.chosen)
			}
			seen[i] = true
		}
		if len(c.chosen) > strings.Count(list, ",")+1 || len(c.Value) > 400 {
			t.Errorf("%q: chose %v of %q", list, c.chosen, c.Value)
		}
		for _, n := range c.Notes {
			if n != plainLong(n) {
				t.Errorf("%q: note %q", list, n)
			}
		}
	})
}

// The beginning of a UUID is one, however it is written; nothing else is.
func FuzzBeginsUUID(f *testing.F) {
	f.Add("GPU-d01abca6-2831", "GPU-d01a")
	f.Add("GPU-", "GPU-0")
	f.Add("-", "-0")
	f.Fuzz(func(t *testing.T, uuid, entry string) {
		if got := beginsUUID(uuid, entry); got && (len(entry) < 2 || len(uuid) < 2 || entry[0] != uuid[0]) {
			t.Errorf("%q begins %q", entry, uuid)
		}
		digits := strings.Trim(strings.ToLower(uuid), " -")
		if !strings.ContainsAny(digits, " -") && digits != "" && digits == strings.ToLower(strings.ToUpper(digits)) {
			if !beginsUUID("GPU-"+digits, "GPU-"+digits) || !beginsUUID("GPU-"+digits, "GPU-"+digits+"xyz") || beginsUUID("GPU-"+digits, "MIG-"+digits) {
				t.Errorf("GPU-%s is not itself", digits)
			}
		}
	})
}

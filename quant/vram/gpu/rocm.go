package gpu

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// amdTool asks one of AMD's tools.
func (d *detection) amdTool(ctx context.Context, name string, programs, args []string, read func([]byte) ([]GPU, error)) Probe {
	p := Probe{Name: name, State: None, Detail: "there is no " + name}
	c, out, err := d.runFirst(ctx, programs, args...)
	if absent(err) {
		return p
	}
	p.Command = c.words()
	p.State, p.Advice = Failed, "run '"+name+"': it may say what is wrong; --vram or QBRANCH_VRAM states the memory"
	switch {
	case errors.Is(err, errSlow):
		p.Detail = "no answer within " + Patience.String()
		return p
	case err != nil:
		p.Detail = err.Error()
		return p
	}
	gpus, err := read(out.Stdout)
	switch {
	case err != nil && out.Code != 0:
		p.Detail = "it ended with code " + strconv.Itoa(out.Code) + ": " + spoken(out)
	case err != nil:
		p.Detail = "its answer cannot be read: " + err.Error()
	case len(gpus) == 0:
		p.State, p.Detail, p.Advice = None, "it names no card", ""
	default:
		p.State, p.Detail, p.Advice, p.gpus = Found, counted(len(gpus), "card"), "", gpus
	}
	return p
}

var rocmCard = regexp.MustCompile(`^card(\d{1,4})$`)

// rocmCards reads rocm-smi --json: an object for each card. The names of its
// fields have changed in case and wording; lines may stand before it.
func rocmCards(b []byte) ([]GPU, error) {
	var cards map[string]map[string]any
	if err := json.Unmarshal(from(b, "{"), &cards); err != nil {
		return nil, err
	}
	var gpus []GPU
	for key, fields := range cards {
		m := rocmCard.FindStringSubmatch(key)
		if m == nil {
			continue // "system"
		}
		index, _ := strconv.Atoi(m[1]) // at most four digits
		g := GPU{Vendor: AMD, Index: index}
		var used *int64
		for name, value := range fields {
			text := strings.TrimSpace(toText(value))
			switch name = strings.ToLower(name); {
			case !strings.Contains(name, "vram"):
				g.describe(name, text)
			case strings.Contains(name, "used") && strings.Contains(name, "(b)"):
				used = scaled(text, 1)
			case strings.Contains(name, "total") && strings.Contains(name, "(b)"):
				g.Total = scaled(text, 1)
			}
		}
		if g.Total == nil {
			g.Notes = append(g.Notes, "rocm-smi does not say how much memory it has")
		} else if used != nil {
			g.Free = size(*g.Total - *used)
		}
		gpus = append(gpus, g)
	}
	slices.SortFunc(gpus, func(a, b GPU) int { return cmp.Compare(a.Index, b.Index) })
	return gpus, nil
}

// describe takes what rocm-smi says of a card beside its memory. The series is
// the better name: the model is a number in some versions.
func (g *GPU) describe(name, text string) {
	switch name {
	case "card series":
		g.Name = text
	case "device name", "card model":
		if g.Name == "" && !strings.HasPrefix(text, "0x") {
			g.Name = text
		}
	case "unique id":
		if id, ok := strings.CutPrefix(text, "0x"); ok {
			g.UUID = "GPU-" + id
		}
	}
}

// amount is a size in amd-smi's JSON, whose MB are MiB.
type amount struct {
	Value any    `json:"value"`
	Unit  string `json:"unit"`
}

func (a amount) bytes() *int64 {
	units := map[string]int64{"B": 1, "KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30}
	unit, ok := units[strings.ToUpper(a.Unit)]
	if !ok {
		return nil
	}
	return scaled(toText(a.Value), unit)
}

// amdSMICard is a card in amd-smi metric --mem-usage --json.
type amdSMICard struct {
	GPU    int `json:"gpu"`
	Memory struct {
		Total amount `json:"total_vram"`
		Free  amount `json:"free_vram"`
		Used  amount `json:"used_vram"`
	} `json:"mem_usage"`
}

// amdSMICards reads amd-smi's list of cards, which new versions wrap. Lines may
// stand before it.
func amdSMICards(b []byte) ([]GPU, error) {
	var wrapped struct {
		Cards []amdSMICard `json:"gpu_data"`
	}
	var err error
	if b = from(b, "[{"); b[0] == '[' {
		err = json.Unmarshal(b, &wrapped.Cards)
	} else {
		err = json.Unmarshal(b, &wrapped)
	}
	if err != nil {
		return nil, err
	}
	var gpus []GPU
	for i, c := range wrapped.Cards {
		if c.GPU != i || i == 1<<10 {
			return nil, errors.New("its cards are not counted from 0")
		}
		g := GPU{Vendor: AMD, Index: i, Name: "AMD GPU " + strconv.Itoa(i), Total: c.Memory.Total.bytes(), Free: c.Memory.Free.bytes()}
		if used := c.Memory.Used.bytes(); g.Free == nil && g.Total != nil && used != nil {
			g.Free = size(*g.Total - *used)
		}
		gpus = append(gpus, g)
	}
	return gpus, nil
}

// from is b from the first of some characters on, and a space when it has none:
// no JSON.
func from(b []byte, first string) []byte {
	if i := bytes.IndexAny(b, first); i >= 0 {
		return b[i:]
	}
	return []byte(" ")
}

// toText is a JSON string or whole number as text, "" for anything else.
func toText(v any) string {
	switch v := v.(type) {
	case string:
		return plain(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}

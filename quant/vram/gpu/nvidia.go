package gpu

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
)

const (
	probeNvidiaSMI = "nvidia-smi"
	probeTegra     = "nvidia-tegra"
)

// What nvidia-smi is asked. The first list is of fields that are needed or old;
// the second may be missing without loss.
var (
	smiFields  = []string{"index", "uuid", "name", "memory.total", "memory.free", "memory.reserved"}
	smiDetails = []string{"compute_cap", "mig.mode.current", "addressing_mode", "driver_version", "memory.used", "pci.bus_id"}
	smiMinimum = []string{"index", "name", "memory.total"}
)

// smiPrograms are where nvidia-smi may be: in PATH, else where drivers put it.
func (d *detection) smiPrograms() []string {
	programs := []string{"nvidia-smi"}
	switch d.sys.OS() {
	case "linux":
		return append(programs, "/usr/lib/wsl/lib/nvidia-smi", "/usr/local/nvidia/bin/nvidia-smi", "/usr/bin/nvidia-smi")
	case "windows":
		for _, place := range [...]struct{ variable, rest string }{{"SystemRoot", `\System32`}, {"ProgramFiles", `\NVIDIA Corporation\NVSMI`}} {
			if dir, _ := d.sys.LookupEnv(place.variable); dir != "" {
				programs = append(programs, dir+place.rest+`\nvidia-smi.exe`)
			}
		}
	}
	return programs
}

// smiLibraries are where containers put the library that nvidia-smi needs, when
// the loader does not know.
const smiLibraries = "/usr/local/nvidia/lib64:/usr/local/nvidia/lib:/usr/lib/wsl/lib"

// unknownField is how nvidia-smi refuses a field that it does not know. It says
// so on standard output and ends with code 2.
const unknownField = "is not a valid field to query"

// nvidia asks nvidia-smi, and where there is none the kernel of a Jetson.
func (d *detection) nvidia(ctx context.Context) []Probe {
	if d.sys.OS() == "darwin" {
		return []Probe{{Name: probeNvidiaSMI, State: Skipped, Detail: "macOS has no NVIDIA driver"}}
	}
	smi := d.nvidiaSMI(ctx)
	tegra := Probe{Name: probeTegra, State: Skipped, Detail: "nvidia-smi answered"}
	if d.sys.OS() != "linux" {
		return []Probe{smi}
	}
	if smi.State != Found {
		tegra = d.tegra()
	}
	if tegra.State == Found && smi.State == Failed {
		smi.State, smi.Advice = None, "" // a Jetson need not have one
	}
	return []Probe{smi, tegra}
}

// smiQuery is a nvidia-smi that was found, and how to run it.
type smiQuery struct {
	d       *detection
	program string
	env     []string
	last    Command
}

func (q *smiQuery) run(ctx context.Context, args ...string) (Output, error) {
	q.last = Command{Name: q.program, Args: args, Env: q.env}
	return q.d.run(ctx, q.last)
}

// query asks for fields; those that this version does not know are left out,
// three of them, before it comes down to the minimum. It returns the fields that
// were answered, and the answer.
func (q *smiQuery) query(ctx context.Context, fields, minimum []string) ([]string, Output, error) {
	for left := 3; ; left-- {
		out, err := q.run(ctx, "--query-gpu="+strings.Join(fields, ","), "--format=csv,noheader,nounits")
		if err != nil || out.Code == 0 || !strings.Contains(string(out.Stdout), unknownField) {
			return fields, out, err
		}
		fewer := slices.DeleteFunc(slices.Clone(fields), func(f string) bool {
			return strings.Contains(string(out.Stdout), `"`+f+`"`)
		})
		if left <= 0 || len(fewer) == len(fields) || len(fewer) == 0 {
			if slices.Equal(fields, minimum) || len(minimum) == 0 {
				return fields, out, err
			}
			fewer = minimum
		}
		fields = fewer
	}
}

// locate finds nvidia-smi and asks it the first question.
func (q *smiQuery) locate(ctx context.Context) (fields []string, out Output, err error) {
	for _, program := range q.d.smiPrograms() {
		q.program = program
		if fields, out, err = q.query(ctx, smiFields, smiMinimum); !absent(err) {
			break
		}
	}
	if err == nil && out.Code != 0 && q.d.sys.OS() == "linux" && strings.Contains(spoken(out), "couldn't find libNVIDIA-ml.so") {
		libraries := smiLibraries
		if set, _ := q.d.sys.LookupEnv("LD_LIBRARY_PATH"); set != "" {
			libraries = set + ":" + libraries
		}
		q.env = []string{"LD_LIBRARY_PATH=" + libraries}
		if f, o, e := q.query(ctx, smiFields, smiMinimum); e == nil && o.Code == 0 {
			return f, o, nil
		}
	}
	return fields, out, err
}

// nvidiaSMI asks nvidia-smi.
func (d *detection) nvidiaSMI(ctx context.Context) Probe {
	p := Probe{Name: probeNvidiaSMI}
	q := &smiQuery{d: d}
	fields, out, err := q.locate(ctx)
	if absent(err) {
		return d.withoutSMI(p)
	}
	p.Command = q.last.words()
	if err != nil {
		return d.smiUnanswered(p, err)
	}
	cards, bad := smiRows(out.Stdout, fields)
	if len(cards) == 0 {
		return d.smiFailure(p, out)
	}
	p.State, p.Detail = Found, counted(len(cards), "card")
	if details, out, err := q.query(ctx, smiDetails, nil); err != nil || out.Code != 0 || !addDetails(cards, out.Stdout, details) {
		p.Detail += "; whether one is split (MIG) could not be asked"
	}
	if cards[0].driver != "" {
		p.Detail += ", driver " + cards[0].driver
	}
	if bad > 0 {
		p.Detail += fmt.Sprintf("; %s that cannot be read", counted(bad, "line"))
		p.Advice = "run nvidia-smi: it may say what is wrong with a card"
	}
	if out.Code != 0 {
		p.Detail += "; it also said: " + spoken(out)
	}
	for _, c := range cards {
		p.gpus = append(p.gpus, d.nvidiaGPU(c))
	}
	if slices.ContainsFunc(cards, func(c smiCard) bool { return c.mig }) {
		p.gpus = q.instances(ctx, p.gpus, cards)
	}
	return p
}

// mostCards is more than a machine has.
const mostCards = 256

// smiCard is a line of nvidia-smi's answer, sizes in bytes.
type smiCard struct {
	index                       int
	uuid, name, pci             string
	total, free, reserved, used *int64
	compute, addressing, driver string
	mig                         bool
}

// smiRows reads the answer to the first question: fields with commas between,
// which nvidia-smi never quotes. bad counts the lines that are no card.
func smiRows(stdout []byte, fields []string) (cards []smiCard, bad int) {
	seen := map[int]bool{}
	for line := range strings.Lines(string(stdout)) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		values := split(line, fields)
		index, err := strconv.Atoi(values["index"])
		if err != nil || index < 0 || seen[index] || len(cards) == mostCards {
			bad++
			continue
		}
		seen[index] = true
		cards = append(cards, smiCard{
			index: index, uuid: stated(values["uuid"]), name: stated(values["name"]),
			total: mib(values["memory.total"]), free: mib(values["memory.free"]), reserved: mib(values["memory.reserved"]),
		})
	}
	return cards, bad
}

// addDetails reads the answer to the second question, which names no cards: the
// lines are those of the first, or it is not believed.
func addDetails(cards []smiCard, stdout []byte, fields []string) bool {
	var rows []map[string]string
	for line := range strings.Lines(string(stdout)) {
		if line = strings.TrimSpace(line); line != "" {
			rows = append(rows, split(line, fields))
		}
	}
	if len(rows) != len(cards) {
		return false
	}
	for i, values := range rows {
		c := &cards[i]
		c.compute, c.addressing, c.driver = stated(values["compute_cap"]), stated(values["addressing_mode"]), stated(values["driver_version"])
		c.used, c.pci, c.mig = mib(values["memory.used"]), stated(values["pci.bus_id"]), values["mig.mode.current"] == "Enabled"
	}
	return true
}

// split gives each value of a line its field. A line with another number of
// values gives none: which is which would be a guess.
func split(line string, fields []string) map[string]string {
	values := strings.Split(line, ",")
	if len(values) != len(fields) {
		return nil
	}
	named := make(map[string]string, len(fields))
	for i, f := range fields {
		named[f] = strings.TrimSpace(values[i])
	}
	return named
}

// stated is what nvidia-smi says, "" when it says that it does not know:
// [N/A], [Not Supported], [Unknown Error], [Insufficient Permissions], ERR!
func stated(value string) string {
	value = plain(value)
	switch {
	case strings.HasPrefix(value, "[") && strings.HasSuffix(value, "]"), value == "N/A", value == "None", value == "Not Supported", value == "Unknown Error", value == "ERR!":
		return ""
	}
	return value
}

// mib reads a number of MiB, nil when it is none: what nvidia-smi does not
// know is not zero.
func mib(value string) *int64 { return scaled(strings.TrimSuffix(value, " MiB"), 1<<20) }

// unifiedNames are chips whose GPU has no memory of its own.
var unifiedNames = []string{"GB10", "Orin", "Thor", "Xavier", "Grace", "Tegra", "nvgpu"}

// nvidiaGPU is the card that a line of nvidia-smi describes.
func (d *detection) nvidiaGPU(c smiCard) GPU {
	g := GPU{Vendor: NVIDIA, Index: c.index, Name: c.name, UUID: c.uuid, PCI: c.pci, Total: c.total, Free: c.free,
		Reserved: c.reserved, ComputeCap: c.compute, Driver: c.driver}
	if g.Total != nil && *g.Total == 0 {
		g.Total = nil
	}
	if g.Free == nil && g.Total != nil && c.used != nil {
		free := *g.Total - *c.used
		if g.Reserved != nil {
			free -= *g.Reserved
		}
		g.Free = size(free)
	}
	if g.Total != nil && g.Free != nil && *g.Free > *g.Total {
		g.Free = nil
		g.Notes = append(g.Notes, "more is free than there is, says nvidia-smi: not believed")
	}
	unified := c.addressing == "ATS" || slices.ContainsFunc(unifiedNames, func(n string) bool { return strings.Contains(c.name, n) })
	switch {
	case g.Total == nil && unified:
		d.unify(&g)
	case g.Total == nil:
		g.Notes = append(g.Notes, "how much memory it has is not known: --vram can say")
	case c.addressing == "ATS":
		g.Notes = append(g.Notes, "can reach main memory as well, which is not counted")
	}
	return g
}

// unify gives a GPU that has no memory of its own that of the machine.
func (d *detection) unify(g *GPU) {
	g.Total, g.Free, g.Reserved, g.Shared = d.ram.Total, d.ram.Available, nil, true
	g.Notes = append(g.Notes, "its memory is main memory")
}

// tegra looks for a Jetson, whose driver may come without nvidia-smi.
func (d *detection) tegra() Probe {
	p := Probe{Name: probeTegra, State: None, Detail: "not a Jetson"}
	compatible, err := d.sys.ReadFile("/proc/device-tree/compatible")
	switch {
	case errors.Is(err, fs.ErrPermission):
		p.State, p.Detail = Failed, err.Error()
	case err == nil && strings.Contains(string(compatible), "nvidia,tegra"):
		g := GPU{Vendor: NVIDIA, Name: d.text("/proc/device-tree/model")}
		d.unify(&g)
		p.State, p.Detail, p.gpus = Found, "a Jetson", []GPU{g}
	}
	return p
}

// counted is "1 card", "2 cards".
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

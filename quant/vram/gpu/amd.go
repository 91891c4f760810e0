package gpu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/qbranch/qbranch/quant/vram"
)

const (
	probeAMD     = "amd-sysfs"
	probeROCmSMI = "rocm-smi"
	probeAMDSMI  = "amd-smi"
)

// drmCard is a card of /sys/class/drm; its outputs are card0-DP-1 and so on.
var drmCard = regexp.MustCompile(`^/sys/class/drm/card(\d{1,4})/device/vendor$`)

// drmDevice is a card that Linux knows.
type drmDevice struct {
	number int
	card   string // /sys/class/drm/card0
	dir    string // /sys/class/drm/card0/device
	pci    string // 0000:03:00.0
	driver string
}

// drmDevices are the cards of a vendor by their place on the bus, which is the
// order in which the vendors' tools count.
func (d *detection) drmDevices(vendor string) []drmDevice {
	var devices []drmDevice
	for _, name := range d.sys.Glob("/sys/class/drm/card*/device/vendor") {
		m := drmCard.FindStringSubmatch(name)
		if m == nil || d.text(name) != vendor || len(devices) == 64 {
			continue
		}
		number, _ := strconv.Atoi(m[1]) // at most four digits
		dev := drmDevice{number: number, card: "/sys/class/drm/card" + m[1]}
		dev.dir = dev.card + "/device"
		uevent := d.lines(dev.dir + "/uevent")
		dev.pci, dev.driver = uevent["PCI_SLOT_NAME"], uevent["DRIVER"]
		devices = append(devices, dev)
	}
	slices.SortFunc(devices, func(a, b drmDevice) int {
		return cmp.Or(strings.Compare(a.pci, b.pci), cmp.Compare(a.number, b.number))
	})
	return devices
}

// lines reads a file of lines KEY=VALUE.
func (d *detection) lines(name string) map[string]string {
	values := map[string]string{}
	b, err := d.sys.ReadFile(name)
	if err != nil {
		return values
	}
	for l := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(strings.TrimSpace(l), "="); ok {
			values[key] = plain(value)
		}
	}
	return values
}

// amd reads what the kernel says, else asks AMD's tools.
func (d *detection) amd(ctx context.Context) []Probe {
	if d.sys.OS() != "linux" {
		return []Probe{{Name: probeAMD, State: Skipped, Detail: "cards of AMD are found on Linux only: --vram states their memory"}}
	}
	kernel := d.amdSysfs()
	if kernel.State == Found {
		return []Probe{kernel}
	}
	rocm := d.amdTool(ctx, probeROCmSMI, []string{"rocm-smi", "/opt/rocm/bin/rocm-smi"},
		[]string{"--showmeminfo", "vram", "--showproductname", "--showuniqueid", "--json"}, rocmCards)
	if rocm.State == Found {
		kernel.gpus = nil
		return []Probe{kernel, rocm}
	}
	amd := d.amdTool(ctx, probeAMDSMI, []string{"amd-smi", "/opt/rocm/bin/amd-smi"},
		[]string{"metric", "--mem-usage", "--json"}, amdSMICards)
	if amd.State == Found {
		kernel.gpus = nil
	}
	return []Probe{kernel, rocm, amd}
}

// amdSysfs reads the files of the amdgpu driver.
func (d *detection) amdSysfs() Probe {
	p := Probe{Name: probeAMD, State: None, Detail: "no card of AMD in /sys/class/drm"}
	devices := d.drmDevices("0x1002")
	if len(devices) == 0 {
		if d.exists("/sys/module/amdgpu/version") || d.exists("/sys/module/amdgpu/initstate") {
			p.Detail += ", though the driver amdgpu is loaded"
		}
		return p
	}
	silent, why := 0, error(nil)
	for i, dev := range devices {
		g, err := d.amdGPU(i, dev)
		if err != nil {
			silent, why = silent+1, err
			g.Notes = append(g.Notes, "how much memory it has is not known: --vram can say")
		}
		p.gpus = append(p.gpus, g)
	}
	p.State, p.Detail = Found, counted(len(devices), "card")
	if silent == len(devices) {
		p.State = Failed
	}
	if silent > 0 {
		p.Detail += fmt.Sprintf("; the memory of %d is not known: %v", silent, why)
		p.Advice = "the driver amdgpu states it (mem_info_vram_total); radeon does not. --vram states it otherwise"
	}
	return p
}

// amdGPU is a card as the driver amdgpu describes it.
func (d *detection) amdGPU(index int, dev drmDevice) (GPU, error) {
	g := GPU{Vendor: AMD, Index: index, PCI: dev.pci, Driver: dev.driver, Name: d.amdName(dev)}
	if id := d.text(dev.dir + "/unique_id"); id != "" {
		g.UUID = "GPU-" + id
	}
	b, err := d.sys.ReadFile(dev.dir + "/mem_info_vram_total")
	if err != nil {
		return g, unreadable(err)
	}
	g.Total = scaled(strings.TrimSpace(string(b)), 1)
	if g.Total == nil {
		return g, errors.New("mem_info_vram_total of " + dev.card + " is no number")
	}
	if used := d.number(dev.dir + "/mem_info_vram_used"); used != nil {
		g.Free = size(*g.Total - *used)
	}
	if g.integrated = d.amdIntegrated(dev, *g.Total); g.integrated {
		d.shareMain(&g, dev)
	}
	return g, nil
}

// unreadable says in words why a file of the driver could not be read.
func unreadable(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("the driver does not state it")
	}
	return err
}

// amdName is the card's name as the card says it, else as libdrm's table has it,
// else its number.
func (d *detection) amdName(dev drmDevice) string {
	if name := d.text(dev.dir + "/product_name"); name != "" {
		return name
	}
	device := strings.ToUpper(strings.TrimPrefix(d.text(dev.dir+"/device"), "0x"))
	revision := strings.ToUpper(strings.TrimPrefix(d.text(dev.dir+"/revision"), "0x"))
	table, err := d.sys.ReadFile("/usr/share/libdrm/amdgpu.ids")
	if err != nil || device == "" {
		return strings.TrimSpace("AMD GPU " + device)
	}
	for l := range strings.Lines(string(table)) {
		fields := strings.SplitN(strings.TrimSpace(l), ",", 3)
		if len(fields) == 3 && strings.TrimSpace(fields[0]) == device && strings.TrimSpace(fields[1]) == revision {
			return strings.TrimSpace(fields[2])
		}
	}
	return "AMD GPU " + device
}

// amdIntegrated reports whether a GPU is part of a processor. The driver's table
// of measurements has another format for those: 2 or 3 in its third byte.
// Without the table only a size that no card has tells.
func (d *detection) amdIntegrated(dev drmDevice, total int64) bool {
	if b, err := d.sys.ReadFile(dev.dir + "/gpu_metrics"); err == nil && len(b) >= 4 {
		return b[2] == 2 || b[2] == 3
	}
	return total < littleMemory
}

// shareMain adds to what the firmware has set aside for the GPU of a processor
// what the driver lets it have of main memory (GTT).
func (d *detection) shareMain(g *GPU, dev drmDevice) {
	g.Shared, g.carveOut = true, *g.Total
	gtt, used := d.number(dev.dir+"/mem_info_gtt_total"), d.number(dev.dir+"/mem_info_gtt_used")
	if gtt == nil {
		g.Notes = append(g.Notes, "part of the processor; how much of main memory it may have is not known")
		return
	}
	g.Notes = append(g.Notes, "part of the processor: "+vram.GiBText(g.carveOut)+" of its own and "+vram.GiBText(*gtt)+
		" of main memory, which not every engine can use")
	g.Total = size(*g.Total + *gtt)
	if g.Free == nil || used == nil {
		g.Free = nil
		return
	}
	left := *gtt - *used
	if d.ram.Available != nil {
		left = min(left, *d.ram.Available)
	}
	g.Free = size(*g.Free + max(0, left))
}

// driverOf is the driver that a uevent file names.
func driverOf(uevent string) string {
	for _, field := range strings.Fields(uevent) {
		if name, ok := strings.CutPrefix(field, "DRIVER="); ok {
			return name
		}
	}
	return ""
}

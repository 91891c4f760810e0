package gpu

import (
	"errors"
	"io/fs"
	"strconv"
	"strings"
)

// smiTrouble is what nvidia-smi says when something is wrong, and what to do.
// The first that fits counts. Texts are those of the tool, in lower case.
var smiTrouble = []struct {
	says   string
	state  State
	detail string
	advice string
}{
	{"no devices were found", None, "the driver finds no card", "a card that is there and not found has no power, has failed (dmesg), or is not given to this container or machine"},
	{"driver/library version mismatch", Failed, "the driver that is loaded and its libraries are of different versions",
		"restart the machine, or unload and load the nvidia modules: the driver was updated while it was loaded"},
	{"couldn't communicate with the nvidia driver", Failed, "the driver is not loaded",
		"load it (modprobe nvidia), or install the one for this kernel; on a new kernel its modules may have to be built again"},
	{"couldn't find libnvidia-ml.so", Failed, "nvidia-smi does not find the driver's library",
		"set LD_LIBRARY_PATH to where libnvidia-ml.so.1 lies, or install the driver's libraries"},
	{"nvidia-ml.so", Failed, "nvidia-smi does not find the driver's library",
		"set LD_LIBRARY_PATH to where libnvidia-ml.so.1 lies, or install the driver's libraries"},
	{"blocked by the operating system", Failed, "Windows does not let WSL have the card", "update the driver on Windows, then run 'wsl --update' and 'wsl --shutdown' there"},
	{"insufficient permission", Failed, "not permitted", "/dev/nvidia* must be readable and writable: join the group that owns them, or start the container with the GPU"},
	{"gpu is lost", Failed, "a card has fallen off the bus", "restart the machine; if it happens again, look at power and temperature (dmesg says Xid)"},
	{"unable to determine the device handle", Failed, "a card does not answer", "restart the machine; dmesg says what happened to it (Xid)"},
	{"failed to initialize nvml: unknown error", Failed, "the driver refuses to be asked",
		"in a container that was given the GPU this is often a lost permission: start the container again"},
	{"failed to initialize nvml", Failed, "the driver cannot be asked", "run nvidia-smi, and restart the machine if it says the same"},
}

// spoken is what a program said, standard output first.
func spoken(out Output) string {
	return plainLong(strings.TrimSpace(string(out.Stdout)) + " " + strings.TrimSpace(string(out.Stderr)))
}

// smiFailure explains an answer without a card.
func (d *detection) smiFailure(p Probe, out Output) Probe {
	said := spoken(out)
	for _, t := range smiTrouble {
		if strings.Contains(strings.ToLower(said), t.says) {
			p.State, p.Detail, p.Advice = t.state, t.detail+": "+said, t.advice
			return p
		}
	}
	p.State, p.Advice = Failed, "run nvidia-smi and see; --vram or QBRANCH_VRAM states the memory meanwhile"
	switch {
	case said == "" && out.Code == 0:
		p.Detail = "it answered nothing"
	case said == "":
		p.Detail = "it ended with code " + strconv.Itoa(out.Code) + " and said nothing"
	default:
		p.Detail = "it ended with code " + strconv.Itoa(out.Code) + ": " + said
	}
	return p
}

// smiUnanswered explains a nvidia-smi that did not run, or not to its end.
func (d *detection) smiUnanswered(p Probe, err error) Probe {
	p.State = Failed
	switch {
	case errors.Is(err, errSlow):
		p.Detail = "no answer within " + Patience.String()
		p.Advice = "run 'nvidia-smi': if it hangs, restart the machine; if it is only slow, 'nvidia-smi -pm 1' keeps the driver awake"
	case errors.Is(err, fs.ErrPermission):
		p.Detail, p.Advice = err.Error(), "it may not be run: check who may"
	default:
		p.Detail, p.Advice = err.Error(), "--vram or QBRANCH_VRAM states the memory"
	}
	return p
}

// withoutSMI says what the kernel knows when there is no nvidia-smi.
func (d *detection) withoutSMI(p Probe) Probe {
	p.State, p.Detail = None, "there is no nvidia-smi, and no NVIDIA card was seen otherwise"
	if d.sys.OS() != "linux" {
		p.Detail = "there is no nvidia-smi: no NVIDIA driver is installed"
		return p
	}
	if strings.Contains(strings.ToLower(d.text("/proc/version")), "microsoft") {
		p.Advice = "in WSL the driver is that of Windows: install or update it there, then 'wsl --shutdown'"
	}
	const install = "install the package with nvidia-smi (nvidia-utils), or state the memory with --vram or QBRANCH_VRAM"
	if version := d.text("/proc/driver/nvidia/version"); version != "" {
		p.State, p.Detail, p.Advice = Failed, "there is no nvidia-smi, but a driver is loaded: "+version, install
		return p
	}
	for _, name := range d.sys.Glob("/sys/bus/pci/devices/*/vendor") {
		dir := strings.TrimSuffix(name, "vendor")
		if d.text(name) != "0x10de" || !strings.HasPrefix(d.text(dir+"class"), "0x03") {
			continue
		}
		p.State, p.Detail = Failed, "there is no nvidia-smi, but an NVIDIA card"
		if driver := driverOf(d.text(dir + "uevent")); driver != "" {
			p.Detail += ", which the driver " + driver + " has"
		}
		p.Advice = "install NVIDIA's driver, or state the memory with --vram or QBRANCH_VRAM"
		break
	}
	return p
}

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
)

// machine says what was measured where.
type machine struct {
	Command string
	Date    string
	CPU     string
	Cores   int
	System  string
	Fast    string // where "tmpfs" was; "" = nowhere
	Disk    string
	Load    string   // before the first row
	Tools   []string // name: version
	Absent  []string
}

// look fills in what the machine says of itself.
func (m *machine) look() {
	m.CPU, m.Cores = processor(), runtime.NumCPU()
	m.System = runtime.GOOS + "/" + runtime.GOARCH
	if release, err := os.ReadFile("/proc/sys/kernel/osrelease"); err == nil {
		m.System += " " + strings.TrimSpace(string(release))
	}
	m.Load = load()
}

// processor is the CPU's name as Linux has it.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if key, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

// load is the load average, "unknown" where nobody says.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	one, _, _ := strings.Cut(string(text), " ")
	return one
}

// fileSystem is the kind of file system that dir is on: of the mount points
// that are its parents, the longest.
func fileSystem(dir string) string {
	text, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "unknown"
	}
	return kindOf(string(text), dir)
}

func kindOf(mounts, dir string) string {
	best, kind := "", "unknown"
	for l := range strings.Lines(mounts) {
		f := strings.Fields(l)
		if len(f) < 3 {
			continue
		}
		root := strings.TrimSuffix(f[1], "/") + "/"
		if strings.HasPrefix(dir+"/", root) && len(root) >= len(best) {
			best, kind = root, f[2]
		}
	}
	return kind
}

func (m machine) print(w io.Writer) error {
	disks := ""
	if m.Fast != "" {
		disks = fmt.Sprintf(" tmpfs rows on %s, disk rows on %s;", m.Fast, m.Disk)
	}
	_, err := fmt.Fprintf(w, "`%s`, %s: %s, %d cores, %s;%s load %s before.\n\n%s.",
		strings.TrimSpace(m.Command), m.Date, m.CPU, m.Cores, m.System, disks, m.Load, strings.Join(m.Tools, "; "))
	if err == nil && len(m.Absent) > 0 {
		_, err = fmt.Fprintf(w, " Not here, so left out: %s.", strings.Join(m.Absent, ", "))
	}
	if err == nil {
		_, err = fmt.Fprint(w, "\n\n")
	}
	return err
}

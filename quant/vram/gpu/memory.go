package gpu

import (
	"bufio"
	"bytes"
	"context"
	"strconv"
	"strings"
)

// most is more memory than any machine has: 2⁵⁶ bytes.
const most = 1 << 56

// MainMemory finds out about main memory alone. What cannot be found out is nil.
func MainMemory(ctx context.Context, sys System) Memory {
	d := &detection{sys: sys}
	return d.memory(ctx)
}

// memory finds out about main memory.
func (d *detection) memory(ctx context.Context) Memory {
	switch d.sys.OS() {
	case "linux":
		return d.linuxMemory()
	case "darwin":
		return d.darwinMemory(ctx)
	}
	total, available, err := d.sys.Memory()
	if err != nil {
		return Memory{}
	}
	return Memory{Total: size(total), Available: size(available)}
}

// linuxMemory is what /proc/meminfo says, and less in a container that is
// allowed less.
func (d *detection) linuxMemory() Memory {
	b, err := d.sys.ReadFile("/proc/meminfo")
	if err != nil {
		return Memory{}
	}
	m := Memory{Total: meminfo(b, "MemTotal"), Available: meminfo(b, "MemAvailable")}
	for _, group := range [...]struct{ limit, used, stat string }{
		{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.stat"},
		{"/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes", "/sys/fs/cgroup/memory/memory.stat"},
	} {
		limit := d.number(group.limit)
		if limit == nil || m.Total == nil || *limit >= *m.Total {
			continue
		}
		m.Total, m.Limit = limit, "the control group"
		if used := d.number(group.used); used != nil {
			left := *limit - *used
			if stat, err := d.sys.ReadFile(group.stat); err == nil {
				left += reclaimable(stat)
			}
			if left = max(0, min(left, *limit)); m.Available == nil || left < *m.Available {
				m.Available = &left
			}
		}
	}
	return m
}

// meminfo finds a line of /proc/meminfo: "MemTotal:       32768 kB".
func meminfo(b []byte, name string) *int64 {
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		key, value, _ := strings.Cut(s.Text(), ":")
		if key != name {
			continue
		}
		fields := strings.Fields(value)
		if len(fields) != 2 || fields[1] != "kB" {
			return nil
		}
		return scaled(fields[0], 1<<10)
	}
	return nil
}

// reclaimable is the cache of files that a control group would give back.
func reclaimable(stat []byte) int64 {
	for line := range strings.Lines(string(stat)) {
		if value, ok := strings.CutPrefix(strings.TrimSpace(line), "inactive_file "); ok {
			if n := scaled(value, 1); n != nil {
				return *n
			}
		}
	}
	return 0
}

// sysctl is where macOS has it.
var sysctl = []string{"sysctl", "/usr/sbin/sysctl"}

// darwinMemory is hw.memsize, and of vm_stat's pages those that nobody needs.
func (d *detection) darwinMemory(ctx context.Context) Memory {
	var m Memory
	if _, out, err := d.runFirst(ctx, sysctl, "hw.memsize"); err == nil {
		m.Total = scaled(keyed(out.Stdout)["hw.memsize"], 1)
	}
	if _, out, err := d.runFirst(ctx, []string{"vm_stat", "/usr/bin/vm_stat"}); err == nil {
		m.Available = vmStat(out.Stdout)
	}
	if m.Total != nil && m.Available != nil && *m.Available > *m.Total {
		m.Available = nil
	}
	return m
}

// vmStat adds up what vm_stat calls free, speculative and inactive.
func vmStat(b []byte) *int64 {
	text := string(b)
	_, rest, ok := strings.Cut(text, "page size of ")
	if !ok {
		return nil
	}
	number, _, _ := strings.Cut(rest, " ")
	page := scaled(number, 1)
	if page == nil || *page < 1 || *page > 1<<30 {
		return nil
	}
	pages, found := int64(0), 0
	for key, value := range keyed(b) {
		switch key {
		case "Pages free", "Pages inactive", "Pages speculative":
			n := scaled(strings.TrimSuffix(value, "."), 1)
			if n == nil || *n > most / *page {
				return nil
			}
			pages += *n
			found++
		}
	}
	if found != 3 {
		return nil
	}
	return size(pages * *page)
}

// keyed reads lines "key: value".
func keyed(b []byte) map[string]string {
	values := map[string]string{}
	for line := range strings.Lines(string(b)) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			values[strings.TrimSpace(key)] = strings.TrimSpace(value)
		}
	}
	return values
}

// number reads a file that holds a number of bytes, nil when it does not.
func (d *detection) number(name string) *int64 {
	b, err := d.sys.ReadFile(name)
	if err != nil {
		return nil
	}
	return scaled(strings.TrimSpace(string(b)), 1)
}

// scaled is a decimal number times unit, nil when the text is none, or more than
// any machine has.
func scaled(text string, unit int64) *int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 0 || n > most/unit {
		return nil
	}
	return size(n * unit)
}

// size is n, nil when it cannot be a size.
func size(n int64) *int64 {
	if n < 0 || n > most {
		return nil
	}
	return &n
}

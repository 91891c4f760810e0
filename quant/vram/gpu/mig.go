package gpu

import (
	"bytes"
	"context"
	"encoding/xml"
	"regexp"
	"strconv"
	"strings"
)

// Lines of nvidia-smi -L:
//
//	GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5b…)
//	  MIG 3g.20gb     Device  0: (UUID: MIG-c6d4…)
//
// Old drivers name instances MIG-GPU-5d5b…/1/0.
var (
	listedCard     = regexp.MustCompile(`^GPU (\d{1,4}): (.*) \(UUID: ([^)]*)\)`)
	listedInstance = regexp.MustCompile(`^\s+MIG (\S+)\s+Device\s+(\d{1,4}): \(UUID: ([^)]*)\)`)
	profileSize    = regexp.MustCompile(`\.(\d{1,4})gb`)
)

// instance is a MIG device as nvidia-smi -L lists it.
type instance struct {
	card, device  int
	profile, uuid string
}

// instances puts the instances of split cards after them. A split card itself
// runs nothing, so it is hidden.
func (q *smiQuery) instances(ctx context.Context, gpus []GPU, cards []smiCard) []GPU {
	var listed []instance
	if out, err := q.run(ctx, "-L"); err == nil && out.Code == 0 {
		listed = listInstances(out.Stdout)
	}
	sizes := map[[2]int]migMemory{}
	if out, err := q.run(ctx, "-q", "-x"); err == nil && out.Code == 0 {
		sizes = migSizes(out.Stdout, gpus)
	}
	var all []GPU
	for i, g := range gpus {
		if !cards[i].mig {
			all = append(all, g)
			continue
		}
		g.Hidden = "split into instances (MIG)"
		at := len(all)
		all = append(all, g)
		for _, in := range listed {
			if in.card == g.Index {
				all = append(all, migGPU(g, in, sizes[[2]int{in.card, in.device}]))
			}
		}
		if len(all) == at+1 {
			all[at].Hidden = "in MIG mode, without an instance to run on: 'nvidia-smi mig -cgi … -C' makes one"
		}
	}
	return all
}

// migGPU is an instance of a card.
func migGPU(card GPU, in instance, m migMemory) GPU {
	g := GPU{Vendor: NVIDIA, Index: card.Index, Instance: ptr(in.device), Name: card.Name + " MIG " + in.profile, UUID: in.uuid, PCI: card.PCI,
		MIG: in.profile, ComputeCap: card.ComputeCap, Driver: card.Driver, Total: m.total, Free: m.free, Reserved: m.reserved}
	if g.Total != nil {
		return g
	}
	g.Free, g.Reserved, g.Approximate = nil, nil, true
	if found := profileSize.FindStringSubmatch(in.profile); found != nil {
		g.Total = scaled(found[1], 1e9)
		g.Notes = append(g.Notes, "its size is that of the profile's name, which is rounded")
	}
	return g
}

// listInstances reads nvidia-smi -L.
func listInstances(stdout []byte) []instance {
	var listed []instance
	card := -1
	for line := range strings.Lines(string(stdout)) {
		if m := listedCard.FindStringSubmatch(line); m != nil {
			card, _ = strconv.Atoi(m[1]) // at most four digits
		} else if m := listedInstance.FindStringSubmatch(line); m != nil && card >= 0 && len(listed) < 1<<10 {
			device, _ := strconv.Atoi(m[2])
			listed = append(listed, instance{card: card, device: device, profile: plain(m[1]), uuid: plain(m[3])})
		}
	}
	return listed
}

// migMemory is what an instance has.
type migMemory struct{ total, free, reserved *int64 }

// smiLog is the part of nvidia-smi -q -x that is read.
type smiLog struct {
	GPUs []struct {
		UUID string `xml:"uuid"`
		MIG  []struct {
			Index  string `xml:"index"`
			Memory struct {
				Total    string `xml:"total"`
				Free     string `xml:"free"`
				Reserved string `xml:"reserved"`
			} `xml:"fb_memory_usage"`
		} `xml:"mig_devices>mig_device"`
	} `xml:"gpu"`
}

// migSizes reads the sizes of instances by card and device out of
// nvidia-smi -q -x; what cannot be read is left out.
func migSizes(stdout []byte, cards []GPU) map[[2]int]migMemory {
	sizes := map[[2]int]migMemory{}
	var log smiLog
	if err := xml.NewDecoder(bytes.NewReader(stdout)).Decode(&log); err != nil {
		return sizes
	}
	index := map[string]int{}
	for _, c := range cards {
		if c.UUID != "" {
			index[c.UUID] = c.Index
		}
	}
	for _, g := range log.GPUs {
		card, ok := index[stated(strings.TrimSpace(g.UUID))]
		if !ok {
			continue
		}
		for _, m := range g.MIG {
			device, err := strconv.Atoi(strings.TrimSpace(m.Index))
			if err != nil {
				continue
			}
			total, free := mib(strings.TrimSpace(m.Memory.Total)), mib(strings.TrimSpace(m.Memory.Free))
			if total == nil || *total == 0 || free != nil && *free > *total {
				continue
			}
			sizes[[2]int{card, device}] = migMemory{total, free, mib(strings.TrimSpace(m.Memory.Reserved))}
		}
	}
	return sizes
}

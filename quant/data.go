package quant

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/qbranch/qbranch/quant/gptq"
	"github.com/qbranch/qbranch/quant/safetensors"
)

// CheckData judges the tensors themselves: codes, scales, zero points, order of
// rows, biases, and what stays in floating point. See [RecoverData].
func CheckData(ctx context.Context, in Input, open func(path string) (io.ReaderAt, error)) ([]Finding, error) {
	_, findings, err := RecoverData(ctx, in, open)
	return findings, err
}

// RecoverData reads every tensor once, on all cores: it tells what the tensors
// prove of the parameters, and judges them as [CheckData] does.
//
// open gives a reader over a whole safetensors file, from which several
// goroutines read at a time; a reader that is also an io.Closer is closed.
// Headers that in does not have are read first; in.Files, or a Size method of
// the reader, gives the length of their files. The error is of open, of a
// reader, or of ctx; what is wrong with the data is a finding.
func RecoverData(ctx context.Context, in Input, open func(path string) (io.ReaderAt, error)) (DataRecovered, []Finding, error) {
	d := &dataChecker{readers: map[string]io.ReaderAt{}}
	defer d.closeAll()
	in, broken, err := d.openAll(ctx, in, open)
	if err != nil {
		return DataRecovered{}, nil, err
	}
	d.checker = newChecker(in)
	d.findings = broken // what Check finds is not repeated here
	d.counts, d.order = nil, nil
	if len(d.readModel()) > 0 {
		d.model = nil // J13's
	}
	d.expectedBias()
	d.plan()
	if err := d.run(ctx); err != nil {
		return DataRecovered{}, nil, err
	}
	if err := d.readScalars(); err != nil {
		return DataRecovered{}, nil, err
	}
	for i := range d.facts {
		for _, f := range d.facts[i].found {
			d.count(f.kind, f.Finding)
		}
	}
	d.compareSiblings()
	d.judgeLikeness()
	if OtherMethod(d.cfg) == "" { // else J2's: what GPTQ's keys mean is not asked of it
		d.judgeActOrder()
		d.judgeZeros()
	}
	return d.recovered(), d.sorted(), nil
}

// chunk is how much of a tensor a worker holds at a time: small enough to be
// looked at while it is still in the core's cache.
const chunk = 256 << 10

// maxWorkers bounds the memory: each worker has a chunk, a table of 128 KiB and
// what one g_idx needs.
const maxWorkers = 32

// dataChecker reads every tensor once. What a worker finds out stays in its
// facts until all are done, so that findings come in the order of the tensors
// whatever the number of workers.
type dataChecker struct {
	*checker
	readers map[string]io.ReaderAt
	noBias  map[string]bool // modules whose architecture has no bias
	facts   []facts         // one for each module, then one for each other tensor
}

// facts is what was found out about a module, or about one other tensor.
type facts struct {
	m     *module
	shape gptq.Shape
	plain *placed // instead of a module

	says declared // what the configuration says of the module

	found []kinded
	rows  rowOrder
	gidx  [32]byte // SHA-256 of g_idx, when rows says that there is a sound one
	codes codeStats
	zeros zeroStats

	likeness float64 // of the scales of one output; 0 where it cannot be told
}

// kinded is a finding and its kind, as [list.count] wants it.
type kinded struct {
	kind string
	Finding
}

func (f *facts) count(kind string, finding Finding) { f.found = append(f.found, kinded{kind, finding}) }

// openAll opens the weight files and completes the headers.
func (d *dataChecker) openAll(ctx context.Context, in Input, open func(string) (io.ReaderAt, error)) (Input, []Finding, error) {
	headers := make(map[string]*safetensors.Header, len(in.Headers))
	for name, h := range in.Headers {
		headers[name] = h
	}
	var broken []Finding
	for _, file := range in.WeightFiles() {
		if err := ctx.Err(); err != nil {
			return in, nil, err
		}
		if _, listed := in.Files[file]; in.Files != nil && !listed {
			continue // H2's
		}
		r, err := open(file)
		if err != nil {
			return in, nil, fmt.Errorf("opening %s: %w", file, err)
		}
		d.readers[file] = r
		if headers[file] != nil {
			continue
		}
		size, ok := in.Files[file]
		if sized, has := r.(interface{ Size() int64 }); !ok && has {
			size = sized.Size()
		}
		h, err := safetensors.Parse(r, size)
		var fe *safetensors.FormatError
		switch {
		case errors.As(err, &fe):
			broken = append(broken, HeaderFinding(file, err))
		case err != nil:
			return in, nil, fmt.Errorf("reading %s: %w", file, err)
		default:
			headers[file] = h
		}
	}
	in.Headers, in.inv = headers, nil
	return in, broken, nil
}

func (d *dataChecker) closeAll() {
	for _, r := range d.readers {
		if c, ok := r.(io.Closer); ok {
			c.Close() // nothing was written: a failure to close loses nothing
		}
	}
}

func (d *dataChecker) expectedBias() {
	d.noBias = map[string]bool{}
	if d.model == nil || !d.model.Known() {
		return
	}
	d.model.each(d.newNaming, func(x linear) { d.noBias[x.name] = !x.bias }, func(plain) {})
}

// plan lists what is to be read.
func (d *dataChecker) plan() {
	part := map[*placed]bool{}
	for _, m := range d.inv.modules {
		for _, t := range []*placed{m.qweight, m.qzeros, m.scales, m.gidx, m.bias} {
			part[t] = true
		}
		if !m.whole() {
			continue // H3's
		}
		s, err := m.shape()
		if err == nil && !m.isAWQ() && gptq.Supported(s.Bits) { // else H4's, H7's, J3's
			d.facts = append(d.facts, facts{m: m, shape: s, says: d.rules.forModule(m.name)})
		}
	}
	for _, file := range d.inv.files {
		h := d.in.Headers[file]
		if h == nil {
			continue
		}
		for _, t := range h.Tensors {
			if p := d.inv.tensors[t.Name]; p.file == file && isFloat(t.DType) && !part[p] {
				d.facts = append(d.facts, facts{plain: p})
			}
		}
	}
}

// run reads everything, on all cores. The error is of the first tensor that
// failed.
func (d *dataChecker) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var (
		next atomic.Int64
		wg   sync.WaitGroup
		mu   sync.Mutex
		at   = len(d.facts) // the tensor that first failed
		fail error
	)
	if err := ctx.Err(); err != nil {
		return err
	}
	for range min(runtime.GOMAXPROCS(0), maxWorkers, len(d.facts)) {
		wg.Go(func() {
			w := newWorker(ctx, d)
			for {
				i := int(next.Add(1) - 1)
				if i >= len(d.facts) {
					return
				}
				if err := w.read(&d.facts[i]); err != nil {
					mu.Lock()
					// What fails because another has failed is not the reason.
					if fail == nil || i < at && !errors.Is(err, context.Canceled) {
						at, fail = i, err
					}
					mu.Unlock()
					cancel()
					return
				}
			}
		})
	}
	wg.Wait()
	return fail
}

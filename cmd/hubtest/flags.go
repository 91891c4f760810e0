package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/qbranch/qbranch/hub/hubtest"
)

// options is what the flags of serve say.
type options struct {
	dir      string
	branches bool // the sub-folders of dir are branches
	repo     string
	branch   string
	files    []named // synthetic ones
	small    int     // so many small files …
	smallLen int64   // … of so many bytes
	seed     uint64

	hub       hubtest.Options
	connRate  int64
	totalRate int64
	latency   time.Duration
	faults    []hubtest.Fault
	log       string
}

// named is a synthetic file.
type named struct {
	path string
	size int64
}

const serveHelp = `usage: hubtest serve [DIR] [flags]

Serves the files of DIR as a branch of a repository, and synthetic files with
--synthetic and --small-files, until Ctrl-C. Prints the HF_ENDPOINT for clients
(hf, qbranch, curl, aria2c …) on stdout.

  hubtest serve ./model
  hubtest serve --synthetic model.safetensors=2GiB --rate-per-conn 20MB --latency 40ms
  hubtest serve ./model --fault reset-every=32MiB --fault 'flip-at=1000001,times=1'

flags:
`

const faultHelp = `
A fault is KEY or KEY=VALUE, separated by commas. Those in the first lines say
which requests it acts on, the others what happens. Repeat --fault for more.

`

// parse reads the flags and DIR, in any order. For --help it prints the help
// and returns flag.ErrHelp.
func parse(args []string, help io.Writer) (*options, error) {
	o := new(options)
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	o.define(fs)
	var words []string
	for {
		switch err := fs.Parse(args); {
		case errors.Is(err, flag.ErrHelp):
			fmt.Fprint(help, serveHelp)
			fs.SetOutput(help)
			fs.PrintDefaults()
			fmt.Fprint(help, faultHelp+indent(hubtest.FaultKeys()))
			return nil, err
		case err != nil:
			return nil, &usageError{err}
		}
		if fs.NArg() == 0 {
			break
		}
		words, args = append(words, fs.Arg(0)), fs.Args()[1:]
	}
	switch {
	case len(words) > 1:
		return nil, &usageError{fmt.Errorf("one folder at a time, got %q", words)}
	case len(words) == 1:
		o.dir = words[0]
	case len(o.files) == 0 && o.small == 0:
		return nil, &usageError{errors.New("nothing to serve: name a folder, or use --synthetic NAME=SIZE")}
	}
	if o.branches && (o.dir == "" || len(o.files) > 0 || o.small > 0) {
		return nil, &usageError{errors.New("--branches takes everything from a folder: name one, without --synthetic and --small-files")}
	}
	return o, nil
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n  ") + "\n"
}

func (o *options) define(fs *flag.FlagSet) {
	fs.StringVar(&o.repo, "repo", "local/model", "`owner/name` of the repository")
	fs.StringVar(&o.branch, "branch", "main", "`name` of the branch")
	fs.BoolVar(&o.branches, "branches", false, "each sub-folder of DIR is a branch")
	fs.Func("synthetic", "a file made from the seed: `NAME=SIZE`; may be repeated", o.synthetic)
	fs.Func("small-files", "many small files: `N=SIZE`, like 5000=2kB", o.smallFiles)
	fs.Uint64Var(&o.seed, "seed", 1, "of synthetic files: another `number` gives other bytes")

	fs.StringVar(&o.hub.Addr, "listen", "", "`address` of the hub (default 127.0.0.1 and any port)")
	fs.StringVar(&o.hub.CDNAddr, "listen-storage", "", "`address` of the storage that LFS files are redirected to (likewise)")
	fs.StringVar(&o.hub.Token, "token", "", "make the repository private: this `token` opens it")
	fs.DurationVar(&o.hub.URLLife, "expire-after", 0, "a link to storage is good for this `time` (default 1h)")
	fs.IntVar(&o.hub.URLUses, "link-uses", 0, "… and for so many requests (default any `number`)")
	fs.BoolVar(&o.hub.RangeBound, "range-bound", false, "a link is good only for the range with which it was asked for")
	fs.IntVar(&o.hub.PageSize, "page-size", 0, "`entries` on a page of a listing (default 1000)")

	fs.Func("rate-per-conn", "bytes per second of each connection to storage: `SIZE`", sizeFlag(&o.connRate))
	fs.Func("rate-total", "bytes per second of all of them: `SIZE`", sizeFlag(&o.totalRate))
	fs.DurationVar(&o.latency, "latency", 0, "a round trip takes this `time`: one a request, two on a new connection")
	fs.Func("fault", "what goes wrong, see below: `KEY=VALUE,…`; may be repeated", func(s string) error {
		f, err := hubtest.ParseFault(s)
		o.faults = append(o.faults, f)
		return err
	})
	fs.StringVar(&o.log, "log", "", "write each request as a line of JSON to this `file`; - is stderr")
}

func sizeFlag(p *int64) func(string) error {
	return func(s string) (err error) {
		*p, err = hubtest.ParseSize(s)
		return err
	}
}

func (o *options) synthetic(s string) error {
	name, size, ok := strings.Cut(s, "=")
	n, err := hubtest.ParseSize(size)
	if !ok || name == "" || err != nil {
		return errors.New("want NAME=SIZE, like model.safetensors=2GiB")
	}
	o.files = append(o.files, named{name, n})
	return nil
}

// mostSmall keeps a slip of the finger from eating the memory.
const mostSmall = 1_000_000

func (o *options) smallFiles(s string) error {
	count, size, ok := strings.Cut(s, "=")
	n, err1 := hubtest.ParseSize(count)
	each, err2 := hubtest.ParseSize(size)
	if !ok || err1 != nil || err2 != nil || n > mostSmall {
		return fmt.Errorf("want N=SIZE, like 5000=2kB, at most %d", mostSmall)
	}
	o.small, o.smallLen = int(n), each
	return nil
}

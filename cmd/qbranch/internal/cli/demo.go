package cli

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
	"github.com/qbranch/qbranch/cmd/qbranch/internal/demo"
)

func (r *run) demoCommand() *cobra.Command {
	var serve, browse bool
	var addr string
	cmd := &cobra.Command{
		Use:     "demo",
		GroupID: groupTry,
		Short:   "Watch the whole job on a small repository inside the binary",
		Long: `Play the whole job on a small real repository that travels inside the binary: list, pick,
fetch, be cut off, resume, verify, find and repair a flipped bit, generate. Nothing leaves
this machine. The store is a temporary one, unless --store names one to keep.`,
		Example: `  qbranch demo
  qbranch demo --tui            do it yourself, in the browser; a line says what to try next
  qbranch demo --serve          keep its hub running for hf, curl or another qbranch`,
		Args: args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			o := demo.Options{CLI: r.nested, Store: r.storeDir, JSON: r.json, Out: r.out, Err: r.Err}
			if r.json {
				o.Err = io.Discard // each command's errors are in its JSON
			}
			switch {
			case !browse && (r.mouse || r.theme != ""):
				return &usageError{msg: "demo: --mouse and --theme need --tui"}
			case serve && browse:
				return &usageError{msg: "demo: --serve and --tui do not go together"}
			case addr != "" && !serve:
				return &usageError{msg: "demo: --addr needs --serve"}
			case addr != "" && !isAddress(addr):
				return &usageError{msg: fmt.Sprintf("demo: --addr %q: want HOST:PORT", clean(addr)), hint: "for example: --addr 127.0.0.1:8080"}
			case serve:
				return demo.Serve(ctx, o, addr)
			case browse:
				return r.browseDemo(ctx)
			}
			sum, err := demo.Play(ctx, o)
			if r.json && sum.Type != "" {
				if e := r.emit(sum); err == nil {
					err = e
				}
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVar(&serve, "serve", false, "only run the hub, until Ctrl-C")
	f.StringVar(&addr, "addr", "", "with --serve: listen on `HOST:PORT` (default any free port)")
	f.BoolVar(&browse, "tui", false, "open the browser on its repository, with a tour")
	r.screenFlags(cmd)
	r.jsonFlag(cmd)
	return cmd
}

// isAddress reports whether s is a host, which may be empty, and a port.
func isAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	if err != nil {
		return false
	}
	_, err = strconv.ParseUint(port, 10, 16)
	return err == nil
}

// nested runs a command line of the demo in this process. It sees the demo's
// hub and store, and no token; how it talks is as the demo was told to.
func (r *run) nested(ctx context.Context, env demo.Env, stdout, stderr io.Writer, args ...string) int {
	instead := map[string]string{"HF_ENDPOINT": env.Endpoint, "QBRANCH_STORE": env.Store,
		"HF_TOKEN": "", "HUGGING_FACE_HUB_TOKEN": "", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1", "HF_HUB_OFFLINE": ""}
	args = append(slices.Clone(args), "--color="+r.color, "--progress="+r.progress, "--quiet="+strconv.FormatBool(r.quiet))
	return Main(ctx, Program{Args: args, In: strings.NewReader(""), Out: stdout, Err: stderr, Version: r.Version,
		Getenv: func(name string) string {
			if v, ok := instead[name]; ok {
				return v
			}
			return r.Getenv(name)
		}})
}

// browseDemo opens the browser on the demo's hub.
func (r *run) browseDemo(ctx context.Context) (err error) {
	server, err := demo.StartHub("")
	if err != nil {
		return err
	}
	defer server.Close()
	dir := r.storeDir
	if dir == "" {
		if dir, err = os.MkdirTemp("", "qbranch-demo-"); err != nil {
			return fmt.Errorf("make a temporary store: %w", err)
		}
		defer os.RemoveAll(dir)
	}
	a, err := app.New(app.Config{Hub: app.HubOptions{Endpoint: server.URL(), UserAgent: r.userAgent()}, StoreDir: dir})
	if err != nil {
		return err
	}
	return r.browseWith(ctx, a, demo.RepoID, true, r.storeDir == "")
}

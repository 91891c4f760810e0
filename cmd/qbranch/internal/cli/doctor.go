package cli

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (r *run) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "doctor [REF]",
		GroupID: groupTry,
		Short:   "Say what keeps fetching from working, and what to do",
		Long: `Look at everything that fetching needs: the hub and the hosts that keep its weights, step
by step (proxy, name, connection, encryption, answer), clock, certificates, token, store,
disk and GPU. With a REF, go the whole way to the first byte of its weights. It takes a few
seconds at most and changes nothing. The exit code is 5 when a host is the trouble, 1 when
something else that is needed does not work; warnings are no failure.`,
		Example: "  qbranch doctor\n  qbranch doctor TheBloke/Llama-2-13B-chat-GPTQ",
		Args:    args(0, 1, ""),

		ValidArgsFunction: r.completeRefs,
		RunE: func(cmd *cobra.Command, args []string) error {
			var ref *app.Ref
			if len(args) > 0 {
				parsed, err := app.ParseRef(args[0])
				if err != nil {
					return badArgument(err)
				}
				ref = &parsed
			}
			a, err := r.open(0)
			if err != nil {
				return err
			}
			d, err := a.Doctor(cmd.Context(), ref)
			if cmd.Context().Err() != nil {
				return cmd.Context().Err()
			}
			if r.json {
				if e := r.emit(doctorObject{"qbranch/doctor/v1", r.build().Version, runtime.GOOS, runtime.GOARCH, d}); e != nil {
					return e
				}
				return err
			}
			fmt.Fprintf(r.out, "qbranch %s on %s/%s, hub %s\n", r.build().Version, runtime.GOOS, runtime.GOARCH, clean(d.Endpoint))
			fmt.Fprint(r.out, r.outColor.doctorText(d))
			return err
		},
	}
	r.jsonFlag(cmd)
	return cmd
}

// doctorObject is the JSON of doctor.
type doctorObject struct {
	Schema  string `json:"schema"`
	Version string `json:"version"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	*app.Diagnosis
}

// doctorText is a line for each check, and one for what to do about it.
func (p paint) doctorText(d *app.Diagnosis) string {
	var b strings.Builder
	for _, c := range d.Checks {
		state := fmt.Sprintf("%-7s", c.State)
		switch c.State {
		case app.CheckOK:
			state = p.green(state)
		case app.CheckWarn:
			state = p.yellow(state)
		case app.CheckFail:
			state = p.red(state)
		}
		fmt.Fprintf(&b, "  %s  %-12s  %s\n", state, clean(c.Name), clean(c.Detail))
		if c.Advice != "" && c.State != app.CheckOK {
			fmt.Fprintf(&b, "%25s%s\n", "", clean(c.Advice))
		}
	}
	return b.String()
}

package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/qbranch/qbranch/cmd/qbranch/internal/app"
)

func (r *run) authCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "auth",
		GroupID: groupTry,
		Short:   "See which access token is used",
		Example: "  qbranch auth status",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return &usageError{msg: "auth: name what to do", hint: "'qbranch auth status' says which token is used and what it may do"}
		},
	}
	cmd.AddCommand(r.authStatusCommand())
	return cmd
}

func (r *run) authStatusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say where the token comes from, and what it may do",
		Long: `Say where the access token comes from, whose it is, and what it may do; never the token
itself. The first of these counts: --token-file, HF_TOKEN, HUGGING_FACE_HUB_TOKEN, the
file HF_TOKEN_PATH, the file token in HF_HOME, ~/.cache/huggingface/token. The hub is asked
once in an hour at most. The exit code is 4 when it rejects the token.`,
		Example: "  qbranch auth status\n  qbranch auth status --json | jq -r .state",
		Args:    args(0, 0, ""),
		RunE: func(cmd *cobra.Command, _ []string) error {
			a, err := r.open(0)
			if err != nil {
				return err
			}
			s, err := a.AuthStatus(cmd.Context())
			if r.json {
				if e := r.emit(authObject{"qbranch/auth-status/v1", s}); e != nil {
					return e
				}
				return err
			}
			fmt.Fprint(r.out, authText(s, isTrue(r.Getenv("HF_HUB_DISABLE_IMPLICIT_TOKEN"))))
			return err
		},
	}
	r.jsonFlag(cmd)
	return cmd
}

// authObject is the JSON of auth status.
type authObject struct {
	Schema string `json:"schema"`
	*app.AuthStatus
}

// authText says what is known of the token.
func authText(s *app.AuthStatus, disabled bool) string {
	endpoint := clean(s.Endpoint)
	if s.State == app.AuthAnonymous {
		if disabled {
			return "no token is used, because HF_HUB_DISABLE_IMPLICIT_TOKEN is set: public repositories only\n"
		}
		return "no token: public repositories of " + endpoint + " only; set HF_TOKEN, or log in with another tool\n"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "token from %s", clean(s.Source))
	if s.Mode != "" {
		fmt.Fprintf(&b, ", mode %s", s.Mode)
	}
	fmt.Fprintf(&b, ": %s at %s\n", s.State, endpoint)
	if s.State != app.AuthAccepted {
		return b.String()
	}
	fmt.Fprintf(&b, "  %s %s", clean(s.Type), clean(s.Name))
	if len(s.Orgs) > 0 {
		fmt.Fprintf(&b, ", in %s", clean(strings.Join(s.Orgs, ", ")))
	}
	fmt.Fprintf(&b, "\n  may %s\n", roleText(s))
	if s.TokenName != "" {
		fmt.Fprintf(&b, "  called %q\n", clean(s.TokenName))
	}
	if s.Expires != nil {
		fmt.Fprintf(&b, "  ends at %s\n", s.Expires.Local().Format("2006-01-02 15:04"))
	}
	fmt.Fprintf(&b, "  as the hub said at %s\n", s.AsOf.Local().Format("2006-01-02 15:04"))
	return b.String()
}

// roleText is what a token may do.
func roleText(s *app.AuthStatus) string {
	switch {
	case s.Role == "read":
		return "read what the account may read"
	case s.Role == "write":
		return "read and write what the account may; reading is all that qbranch does"
	case s.Role == "fineGrained" && s.Gated != nil && !*s.Gated:
		return "read only what its owner has listed, and no gated repositories"
	case s.Role == "fineGrained":
		return "read what its owner has listed"
	case s.Role == "":
		return "do what the hub does not tell"
	}
	return "do what the hub calls " + clean(s.Role)
}

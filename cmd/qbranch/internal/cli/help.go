package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// usage prints the part of a help page below its description: how to call it,
// examples, commands by group, flags. The global flags have the first page to
// themselves.
func usage(cmd *cobra.Command) error {
	var b strings.Builder
	section := func(title, body string) {
		if body = strings.TrimRight(body, " \n"); body != "" {
			fmt.Fprintf(&b, "\n%s\n%s\n", title, body)
		}
	}
	line := "  " + cmd.UseLine()
	switch {
	case !cmd.HasParent():
		line = "  qbranch COMMAND ...\n  qbranch [REPO]"
	case cmd.HasAvailableSubCommands():
		line = "  " + cmd.CommandPath() + " COMMAND ..."
	}
	b.WriteString("Usage:\n" + line + "\n")
	section("Examples:", cmd.Example)
	for _, g := range cmd.Groups() {
		section(g.Title, commandList(cmd, g.ID))
	}
	section("Commands:", commandList(cmd, ""))
	if cmd.HasParent() {
		section("Flags:", cmd.LocalFlags().FlagUsages())
		b.WriteString("\n'qbranch --help' lists the flags that every command has.\n")
	} else {
		section("Flags of every command:", cmd.LocalFlags().FlagUsages())
		b.WriteString("\n'qbranch COMMAND --help' says more. Exit codes and JSON: docs/output.md.\n")
	}
	_, err := fmt.Fprint(cmd.OutOrStderr(), b.String())
	return err
}

// helpCommand is cobra's own, with an error for a command that is not there.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		GroupID: groupTry,
		Short:   "Show the help of a command",
		Example: "  qbranch help get",
		RunE: func(cmd *cobra.Command, args []string) error {
			of, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(cmd.Root(), strings.Join(args, " "))
			}
			of.InitDefaultHelpFlag()
			return of.Help()
		},
	}
}

// flagErrorText says what a flag wants in place of what a parser made of it.
func flagErrorText(err error) string {
	text, parser, ok := strings.Cut(err.Error(), ": strconv.Parse")
	if !ok {
		if text, _, ok = strings.Cut(text, ": strconv.Atoi"); ok {
			text += ": want a whole number"
		}
		return text
	}
	switch {
	case strings.HasPrefix(parser, "Float"):
		return text + ": want a number"
	case strings.HasPrefix(parser, "Int"):
		return text + ": want a whole number"
	case strings.HasPrefix(parser, "Uint"):
		return text + ": want a whole number, 0 or more"
	}
	return text
}

func commandList(cmd *cobra.Command, group string) string {
	var b strings.Builder
	for _, c := range cmd.Commands() {
		if c.GroupID == group && c.IsAvailableCommand() {
			fmt.Fprintf(&b, "  %-*s  %s\n", c.NamePadding(), c.Name(), c.Short)
		}
	}
	return b.String()
}

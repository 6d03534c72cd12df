package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"keywheel/engine"
	"keywheel/engine/client"
)

func envCommand(f *flags) *cobra.Command {
	var asJSON, docker bool
	var only string
	c := &cobra.Command{
		Use:   "env SERVICE",
		Short: "What to set in a service's client: its base URL, and where its token comes from",
		Long: `Prints what a client of the service has to be set to. With --docker it prints
all that has to fit together for a client in a container: what keywheel.toml
needs to say, the client's variables, docker-compose.yml and librechat.yaml.
A token is shown as where it is read from, never as itself.`,
		Example: `  eval "$(keywheel env gpt-4o)"
  keywheel env librechat-ui --docker
  keywheel env librechat-ui --docker --only variables > librechat.env`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			s, from, err := f.look(c.Context())
			if err != nil {
				return err
			}
			sv := serviceOf(s, args[0])
			if sv == nil {
				return unknownService(s, args[0], from)
			}
			e := client.Of(s, *sv, docker)
			e.From = from
			if asJSON {
				return printJSON(e)
			}
			tellFrom(from)
			for _, note := range e.Notes {
				fmt.Fprintln(os.Stderr, "note:", note)
			}
			if docker {
				return printParts(e, only)
			}
			for _, v := range e.Variables {
				fmt.Println(v.Line(false))
			}
			return nil
		},
	}
	c.Flags().BoolVar(&docker, "docker", false, "for a client in a container, through "+client.DockerHost)
	c.Flags().StringVar(&only, "only", "", "with --docker, one of the texts alone: toml, variables, compose, librechat")
	jsonFlag(c, &asJSON)
	return c
}

// printParts prints the texts for a client in a container, or one of them bare.
func printParts(e client.Settings, only string) error {
	var names []string
	for _, p := range e.Parts() {
		names = append(names, p.Name)
		switch only {
		case p.Name:
			fmt.Print(p.Text)
			return nil
		case "":
			fmt.Printf("# %s\n%s\n", p.Where, p.Text)
		}
	}
	if only != "" {
		return usageError{fmt.Errorf("there is no text %q, want one of %s", only, strings.Join(names, ", "))}
	}
	return nil
}

func unknownService(s engine.Snapshot, name, from string) error {
	var names []string
	for _, sv := range s.Services {
		names = append(names, sv.Name)
	}
	return fmt.Errorf("%s has no service %q; there are: %s", from, name, strings.Join(names, ", "))
}

// Keywheel holds API keys for many services, chooses for every request which
// key serves it, and shows it live.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"keywheel/engine/config"
	"keywheel/engine/control"
	"keywheel/engine/secret"
)

// The exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
	exitPerson = 3 // something needs a person
)

// exit is an error that has been told already and only sets the exit code.
type exit int

func (e exit) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// usageError is a wrong use of the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func main() {
	noCores()
	log.SetOutput(io.Discard) // net/http writes there what an upstream said out of turn
	leaveRoom()
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	root := rootCommand()
	root.SetArgs(args)
	return tell(root.ExecuteContext(context.Background()))
}

// tell prints an error and gives its exit code.
func tell(err error) int {
	var code exit
	var wrong config.Errors
	var usage usageError
	var several *control.SeveralError
	var none *config.NotFoundError
	var file *config.FileError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &wrong):
		fmt.Fprintln(os.Stderr, secret.Hide(err.Error()))
		return exitUsage
	case errors.As(err, &usage), errors.As(err, &several), errors.As(err, &none), errors.As(err, &file):
		fmt.Fprintln(os.Stderr, "keywheel:", secret.Hide(err.Error()))
		return exitUsage
	default:
		fmt.Fprintln(os.Stderr, "keywheel:", secret.Hide(err.Error()))
		return exitFailed
	}
}

// flags are those that every verb has.
type flags struct {
	config, listen, socket string
	noJournal              bool
	// again reads the configuration that load has read once more; nil before.
	again func(commands bool) (*config.Config, error)
}

// journaled gives a verb that runs keywheel its flag.
func (f *flags) journaled(c *cobra.Command) *cobra.Command {
	c.Flags().BoolVar(&f.noJournal, "no-journal", false, "keep nothing on disk: what operators do and what is learned is forgotten at the end")
	return c
}

func rootCommand() *cobra.Command {
	f := &flags{}
	root := &cobra.Command{
		Use:   "keywheel",
		Short: "Hold API keys, choose one for every request, and show it live",
		Long: `Keywheel holds your API keys for many services behind a local proxy, chooses
for every request which key serves it, learns from every answer what is true of
the key, and shows it live in this terminal. Without a verb it runs proxy and
monitor on your config.`,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(c *cobra.Command, _ []string) error { return runMonitor(c.Context(), f) },
	}
	f.journaled(root)
	p := root.PersistentFlags()
	p.StringVar(&f.config, "config", "", "the config file (default: $KEYWHEEL_CONFIG, ./keywheel.toml, ~/.config/keywheel/keywheel.toml)")
	p.StringVar(&f.listen, "listen", "", "where clients come in, host:port (default 127.0.0.1:5399)")
	p.StringVar(&f.socket, "socket", "", "the control socket (default: $KEYWHEEL_SOCKET, else found)")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(demoCommand(f), f.journaled(serveCommand(f)), statusCommand(f), eventsCommand(f), usageCommand(f), checkCommand(f), initCommand(f), importCommand(), attachCommand(f), explainCommand(), testCommand(f), whichCommand(f), replaceCommand(f), migrateCommand(f), whyCommand(f), envCommand(f), mapCommand(f))
	root.AddCommand(actionCommands(f)...)
	for _, c := range root.Commands() {
		completeNames(f, c)
		if args := c.Args; args != nil {
			c.Args = func(c *cobra.Command, a []string) error {
				if err := args(c, a); err != nil {
					return usageError{fmt.Errorf("%w\nUsage: %s", err, c.UseLine())}
				}
				return nil
			}
		}
	}
	root.Args = func(c *cobra.Command, a []string) error {
		if len(a) > 0 {
			return usageError{fmt.Errorf("there is no verb %q: `keywheel --help` lists them", a[0])}
		}
		return nil
	}
	return root
}

// load reads the configuration and tells what was odd in it.
func (f *flags) load() (*config.Config, error) {
	f.again = config.Loader(config.Options{Path: f.config, Listen: f.listen})
	return f.again(true)
}

// client finds the running instance: behind the socket that is named, else the
// one on the config that is named, else the only one.
func (f *flags) client() (*control.Client, error) {
	path := f.socket
	if path == "" {
		var err error
		path, err = control.Find(os.LookupEnv)
		if f.config != "" {
			path, err = f.onConfig(path, err)
		}
		if err != nil {
			return nil, err
		}
	}
	return control.NewClient(path), nil
}

// onConfig is, of what [control.Find] has found, the one that runs on the config
// that is named: what is meant for it must not reach another.
func (f *flags) onConfig(found string, err error) (string, error) {
	sockets := []string{found}
	var several *control.SeveralError
	if errors.As(err, &several) {
		sockets = several.Sockets
	} else if err != nil {
		return "", err
	}
	file, err := filepath.Abs(f.config)
	if err != nil {
		return "", err
	}
	var on []string
	for _, socket := range sockets {
		s, err := control.NewClient(socket).Snapshot(context.Background())
		if err == nil && s.Config != nil && slices.Contains(s.Config.Files, file) {
			on = append(on, socket)
		}
	}
	switch len(on) {
	case 0:
		return "", &control.NoInstanceError{Looked: sockets, Of: " on " + f.config}
	case 1:
		return on[0], nil
	default:
		return "", &control.SeveralError{Sockets: on}
	}
}

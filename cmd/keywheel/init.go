package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"keywheel/engine"
	"keywheel/engine/client"
	"keywheel/engine/config"
	"keywheel/engine/node"
	"keywheel/engine/provider"
	"keywheel/engine/proxy"
	"keywheel/engine/secret"
)

func initCommand(f *flags) *cobra.Command {
	o := initOptions{in: os.Stdin, out: os.Stdout}
	c := &cobra.Command{
		Use:   "init",
		Short: "First run: paste a key, test it, get a config",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return initialize(c.Context(), f, o) },
	}
	c.Flags().StringVar(&o.provider, "provider", "", "whose key it is: "+strings.Join(provider.Names(), ", "))
	c.Flags().StringVar(&o.baseURL, "base-url", "", "where it lives, if not where the provider usually does")
	c.Flags().BoolVar(&o.untested, "no-test", false, "do not call the provider")
	return c
}

type initOptions struct {
	provider, baseURL string
	untested          bool
	in                *os.File
	out               io.Writer
}

// initialize asks for one key and writes a config for it. The key itself goes
// into a file of its own that only its owner can read.
func initialize(ctx context.Context, f *flags, o initOptions) error {
	path := f.config
	if path == "" {
		path = newFile
	}
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s is there already: init writes only a new one (or say --config)", path)
	}
	lines := bufio.NewReader(o.in)
	asks := o.provider == ""
	if asks {
		fmt.Fprintf(o.out, "Whose key is it? %s\nprovider [openai]: ", strings.Join(provider.Names(), " "))
		line, err := lines.ReadString('\n')
		if err != nil && line == "" {
			return errors.New("nothing was said: try --provider, and the key on stdin")
		}
		o.provider = cmp.Or(strings.TrimSpace(line), "openai")
	}
	p, ok := provider.Lookup(o.provider)
	if !ok && secret.LooksSecret(o.provider) {
		return usageError{errors.New("what stands there looks like the key itself: first whose it is, the key comes after")}
	}
	if !ok {
		return usageError{fmt.Errorf("there is no provider %q: %s", o.provider, strings.Join(provider.Names(), ", "))}
	}
	if asks && o.baseURL == "" && p.BaseURL == "" {
		fmt.Fprint(o.out, "where it lives, base URL: ")
		line, _ := lines.ReadString('\n')
		o.baseURL = strings.TrimSpace(line)
	}
	base := cmp.Or(strings.TrimSuffix(o.baseURL, "/"), p.BaseURL)
	if base == "" {
		return usageError{fmt.Errorf("%s has no usual place: say --base-url", p.Name)}
	}
	if page := provider.KeyPage(p.Name); page != "" {
		fmt.Fprintf(o.out, "keys are made at %s\n", page)
	}
	text, err := readHidden(o, lines)
	if err != nil {
		return err
	}
	if why := secret.Unfit(text); why != "" {
		return fmt.Errorf("this cannot be a key: it %s", why)
	}
	key := engine.Key{Name: p.Name, Provider: p.Name, Kind: p.Name, BaseURL: base, Secret: secret.New(text)}
	if !o.untested {
		if err := testKey(ctx, key, o.out); err != nil {
			return err
		}
	}
	return writeConfig(path, key, base != p.BaseURL, o.out)
}

// readHidden reads the key without showing it.
func readHidden(o initOptions, lines *bufio.Reader) (string, error) {
	if term.IsTerminal(o.in.Fd()) {
		return typed(o.in, o.out, "paste the key (it is not shown): ")
	}
	line, err := lines.ReadString('\n')
	if err != nil && line == "" {
		return "", errors.New("no key came on stdin")
	}
	return strings.TrimSpace(line), nil
}

// testKey makes the provider's free test call.
func testKey(ctx context.Context, key engine.Key, out io.Writer) error {
	services := []engine.Service{{Name: key.Name, Keys: []string{key.Name}}}
	e, err := engine.New(engine.Config{Keys: []engine.Key{key}, Services: services})
	if err != nil {
		return err
	}
	px, err := proxy.New(e, proxy.Options{Keys: []engine.Key{key}, Services: services})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	v, ok := px.Probe(ctx, key.Name)
	what := v.Evidence.Message
	if v.Evidence.Status != 0 {
		what = fmt.Sprintf("%d %s", v.Evidence.Status, what)
	}
	switch {
	case !ok:
		fmt.Fprintf(out, "%s has no free test call: the key is not tested\n", key.Provider)
	case v.Kind == engine.OK:
		fmt.Fprintln(out, "the key works")
	case v.Kind == engine.InvalidKey:
		return fmt.Errorf("%s rejects the key: %s. Nothing was written", key.Provider, what)
	default:
		fmt.Fprintf(out, "the test call did not settle it (%s: %s): the key is written untested\n", v.Kind.Words(), what)
	}
	return nil
}

// writeConfig writes the key's file and the config, and says what to do next.
func writeConfig(path string, key engine.Key, based bool, out io.Writer) error {
	dir := filepath.Join(filepath.Dir(path), "keys")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	file := key.Name
	err := writeNew(filepath.Join(dir, file), key.Secret.Reveal()+"\n")
	for n := 2; errors.Is(err, fs.ErrExist); n++ {
		file = fmt.Sprintf("%s-%d", key.Name, n)
		err = writeNew(filepath.Join(dir, file), key.Secret.Reveal()+"\n")
	}
	if err != nil {
		return err
	}
	keyFile := filepath.Join(dir, file)
	text := fmt.Sprintf("# Every other setting: config.example.toml\n\n[keys.%s]\nprovider = %q\nsecret   = %q\n", key.Name, key.Provider, "file:keys/"+file)
	if based {
		text += fmt.Sprintf("base_url = %q\n", key.BaseURL)
	}
	text += fmt.Sprintf("\n[services.%s]\nkeys = [%q]\n", key.Name, key.Name)
	if err := writeNew(path, text); err != nil {
		return err
	}
	fmt.Fprintf(out, "wrote %s, and the key into %s\n\nStart it:\n  keywheel --config %s\n\nSet in the client:\n", path, keyFile, path)
	return tellClient(path, key.Name, out)
}

// tellClient says what to set in the client of a service.
func tellClient(path, service string, out io.Writer) error {
	cfg, err := config.Load(config.Options{Path: path})
	if err != nil {
		return err
	}
	s, err := node.Look(cfg)
	if err != nil {
		return err
	}
	if sv := serviceOf(s, service); sv != nil {
		for _, v := range client.Of(s, *sv, false).Variables {
			fmt.Fprintln(out, "  "+v.Line(false))
		}
	}
	fmt.Fprintf(out, "\nIn a container: `keywheel env %s --docker`. Another key for another service: `keywheel migrate --help`.\n", service)
	return nil
}

// writeNew writes a file that only its owner can read and that was not there.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.WriteString(f, text); err != nil {
		_ = f.Close()
		return err
	}
	return f.Close()
}

func importCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "import [FILE...]",
		Short: "Turn .env files into a config on stdout; secrets stay where they are",
		RunE: func(_ *cobra.Command, files []string) error {
			if len(files) == 0 {
				files = []string{".env"}
			}
			text, err := config.Import(files, isReadAnyway)
			if err == nil {
				fmt.Print(text)
			}
			return err
		},
	}
}

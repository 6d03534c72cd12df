package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"keywheel/engine/config"
	"keywheel/engine/control"
	"keywheel/engine/journal"
	"keywheel/engine/node"
)

// past is a journal that is read: the running keywheel's, or one that nobody
// writes now.
type past struct {
	*journal.Reader
	path    string
	running bool
}

// past opens the journal of the running keywheel; where none runs, that of the
// configuration.
func (f *flags) past(ctx context.Context) (*past, error) {
	path, running := "", false
	var none error // why nothing runs
	client, err := f.client()
	if err == nil {
		s, snapErr := client.Snapshot(ctx)
		if err = snapErr; err == nil && s.Journal == nil {
			return nil, fmt.Errorf("the running keywheel on %s keeps no journal", client.Socket())
		} else if err == nil {
			path, running = s.Journal.Path, true
		}
	}
	if none = err; err != nil && !f.nothingRuns(err) {
		return nil, err
	}
	if path == "" {
		var err error
		path, err = f.journalPath()
		var noConfig *config.NotFoundError
		if none != nil && errors.As(err, &noConfig) {
			return nil, fmt.Errorf("%w; and there is no journal to read", none)
		}
		if err != nil {
			return nil, err
		}
	}
	r, err := journal.OpenReadOnly(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && none != nil:
		return nil, fmt.Errorf("%w; and there is no journal %s to read", none, path)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("there is no journal %s: nothing has been kept yet", path)
	case err != nil:
		return nil, err
	}
	return &past{r, path, running}, nil
}

// nothingRuns reports whether an error says that no keywheel runs where none
// was named.
func (f *flags) nothingRuns(err error) bool {
	var none *control.NoInstanceError
	var gone *control.UnreachableError
	return f.socket == "" && (errors.As(err, &none) || errors.As(err, &gone))
}

// journalPath is where the configuration's journal is. If it has none yet, or
// the configuration cannot be read, the only one that there is.
func (f *flags) journalPath() (string, error) {
	var path string
	// What is wrong with a configuration, a secret that is not set here for
	// one, does not matter to the past.
	cfg, err := config.Load(config.Options{Path: f.config, Listen: f.listen})
	if cfg != nil {
		_, port, _ := net.SplitHostPort(cfg.Listen)
		if path, err = node.JournalPath(cfg, os.LookupEnv, port); err == nil {
			if _, statErr := os.Stat(path); statErr == nil || f.config != "" || cfg.Journal != "" {
				return path, nil
			}
		}
	}
	found, _ := filepath.Glob(filepath.Join(control.StateDir(os.LookupEnv), "*.db"))
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return "", usageError{fmt.Errorf("there are several journals, say whose with --config or --listen:\n  %s", strings.Join(found, "\n  "))}
	default:
		return path, err
	}
}

// tell says on stderr what is read.
func (p *past) tell(at time.Time) {
	switch {
	case p.running:
		fmt.Fprintln(os.Stderr, "keywheel: from the journal", p.path)
	case at.IsZero():
		fmt.Fprintln(os.Stderr, "keywheel: nothing is running; from the journal", p.path)
	default:
		fmt.Fprintf(os.Stderr, "keywheel: nothing is running; this is what the journal %s tells, last written %s ago\n", p.path, age(time.Since(at)))
	}
}

// age is a length of time for people.
func age(d time.Duration) string {
	switch {
	case d < time.Minute:
		return d.Round(time.Second).String()
	case d < 48*time.Hour:
		return strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
}

// ago is a flag that takes a length of time, also in days: 90s, 24h, 7d. 0 is
// one that was not given.
type ago time.Duration

func (a *ago) String() string {
	if *a == 0 {
		return "" // the help shows no default then
	}
	return age(time.Duration(*a))
}

// Type is what the help calls it.
func (a *ago) Type() string { return "duration" }

func (a *ago) Set(text string) error {
	number, inDays := strings.CutSuffix(text, "d")
	days, err := strconv.Atoi(number)
	if inDays && err == nil && days > 0 && days <= 36500 {
		*a = ago(time.Duration(days) * 24 * time.Hour)
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return errors.New("want a duration such as 90s, 2h, 24h or 7d")
	}
	*a = ago(d)
	return nil
}

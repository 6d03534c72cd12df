package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/charmbracelet/x/term"
	"github.com/spf13/cobra"

	"keywheel/engine"
	"keywheel/engine/secret"
)

func whichCommand(f *flags) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "which",
		Short: "Which key a secret is: it is read from stdin, and goes nowhere; exit code 1 if it is none of yours",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			text, err := readSecret(os.Stdin, "keywheel which")
			if err != nil {
				return err
			}
			s, from, err := f.look(c.Context())
			if err != nil {
				return err
			}
			keys := matching(s, secret.New(text))
			if len(keys) == 0 {
				return fmt.Errorf("this is none of the %d keys of %s", len(s.Keys), from)
			}
			if asJSON {
				return printJSON(whichAnswer{1, from, keys})
			}
			t := columns(os.Stdout)
			for _, k := range keys {
				fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", named(k.Name, k.Fingerprint), k.State, k.Provider, orDash(strings.Join(k.Services, ", ")), k.Reason)
			}
			return t.Flush()
		},
	}
	jsonFlag(c, &asJSON)
	return c
}

// whichAnswer is the JSON form.
type whichAnswer struct {
	Version int         `json:"version"`
	From    string      `json:"from"`
	Keys    []whichName `json:"keys"`
}

// whichName is one of the names of the secret.
type whichName struct {
	Name        string       `json:"name"`
	Provider    string       `json:"provider"`
	Account     string       `json:"account"`
	Fingerprint string       `json:"fingerprint"`
	State       engine.State `json:"state"`
	Reason      string       `json:"reason"`
	Services    []string     `json:"services"`
}

// matching are the keys whose secret it is. Only fingerprints are compared, and
// they are made here.
func matching(s engine.Snapshot, sec secret.Secret) (list []whichName) {
	for _, k := range s.Keys {
		if k.Fingerprint != "" && k.Fingerprint == sec.Fingerprint(k.Provider, k.Host) {
			list = append(list, whichName{k.Name, k.Provider, k.Account, k.Fingerprint, k.State, k.Reason, k.Services})
		}
	}
	return list
}

// readSecret reads a secret from the first line of a stream, without showing it
// where a person types it. usage is the verb that wants it.
func readSecret(in *os.File, usage string) (string, error) {
	var text string
	if term.IsTerminal(in.Fd()) {
		var err error
		if text, err = typed(in, os.Stderr, "paste the secret (it is not shown): "); err != nil {
			return "", err
		}
	} else {
		lines := bufio.NewScanner(in)
		lines.Scan()
		if lines.Err() != nil {
			return "", errors.New("the secret on stdin could not be read")
		}
		text = lines.Text()
	}
	if text = strings.TrimSpace(text); text == "" {
		return "", usageError{fmt.Errorf("no secret came on stdin: `%s < FILE`", usage)}
	}
	return text, nil
}

// named is a key's name with the mark of its secret.
func named(name, fingerprint string) string {
	if len(fingerprint) < 4 {
		return name
	}
	return name + " ·" + fingerprint[:4]
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

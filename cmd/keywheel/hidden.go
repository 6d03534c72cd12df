package main

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"github.com/charmbracelet/x/term"
)

// typed reads a line that a person types, without showing it. ctrl+c leaves the
// terminal as it was.
func typed(in *os.File, out io.Writer, prompt string) (string, error) {
	was, err := term.GetState(in.Fd())
	if err != nil {
		return "", err
	}
	cut := make(chan os.Signal, 1)
	signal.Notify(cut, os.Interrupt)
	read := make(chan struct{})
	defer close(read)
	defer signal.Stop(cut)
	go func() {
		select {
		case <-cut:
			_ = term.Restore(in.Fd(), was)
			fmt.Fprintln(out)
			os.Exit(exitFailed)
		case <-read:
		}
	}()
	fmt.Fprint(out, prompt)
	b, err := term.ReadPassword(in.Fd())
	fmt.Fprintln(out)
	return strings.TrimSpace(string(b)), err
}

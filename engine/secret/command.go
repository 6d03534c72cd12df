package secret

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"time"

	"keywheel/engine/child"
)

const commandTimeout = 10 * time.Second

// readCommand runs a program without a shell and takes what it prints. What it
// says on stderr is not repeated: it could hold the secret.
func readCommand(arg string, o ReadOptions) (string, *Error) {
	argv, err := words(arg)
	if err != nil {
		return "", why(err, "close the quote", "cannot be run")
	}
	program := argv[0]
	if strings.ContainsAny(program, `/\`) {
		program = resolve(program, o)
	}
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = commandTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd, err := child.Place{Dir: o.Dir, LookupEnv: o.LookupEnv}.Command(ctx, program, argv[1:]...)
	if err != nil {
		return "", why(err, "install it, or write its whole path", "cannot be run: there is no such program")
	}
	var out bounded
	cmd.Stdout = &out
	err = cmd.Run()
	switch exit := (*exec.ExitError)(nil); {
	case ctx.Err() != nil:
		return "", why(ctx.Err(), "run it by hand: does it wait for a person?", "did not end within %v", timeout)
	case errors.As(err, &exit):
		return "", why(err, "run it by hand to see why", "failed (%v)", exit.ProcessState)
	case err != nil:
		return "", why(err, "run it by hand to see why", "failed")
	}
	return out.String(), nil
}

// bounded keeps what is written, up to maxText.
type bounded struct{ strings.Builder }

func (b *bounded) Write(p []byte) (int, error) {
	if b.Len()+len(p) > maxText {
		return 0, fmt.Errorf("more than %d bytes", maxText)
	}
	return b.Builder.Write(p)
}

// words splits a command at blanks. 'single' and "double" quotes keep blanks
// in; there are no other signs with a meaning.
func words(text string) ([]string, error) {
	var list []string
	var word strings.Builder
	var quote rune
	open := false // a word has begun, though it may be empty yet
	for _, r := range text {
		switch {
		case quote != 0 && r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			quote, open = r, true
		case quote == 0 && (r == ' ' || r == '\t' || r == '\n'):
			if open {
				list = append(list, word.String())
				word.Reset()
				open = false
			}
		default:
			word.WriteRune(r)
			open = true
		}
	}
	if quote != 0 {
		return nil, errors.New("a quote is not closed")
	}
	if open {
		list = append(list, word.String())
	}
	return list, nil
}

package secret

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// passed are the variables a command gets: what password managers need to find
// their home, their agent and their bus, and nothing that could be a key.
var passed = []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TMPDIR",
	"XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "DBUS_SESSION_BUS_ADDRESS",
	"GNUPGHOME", "PASSWORD_STORE_DIR", "SSH_AUTH_SOCK", "SYSTEMROOT", "USERPROFILE", "APPDATA", "LOCALAPPDATA"}

const commandTimeout = 10 * time.Second

// readCommand runs a program without a shell and takes what it prints. What it
// says on stderr is not repeated: it could hold the secret.
func readCommand(arg string, o ReadOptions) (string, *Error) {
	argv, err := words(arg)
	if err != nil {
		return "", why(err, "close the quote", "cannot be run")
	}
	path, err := find(argv[0], o)
	if err != nil {
		return "", why(err, "install it, or write its whole path", "cannot be run: there is no such program")
	}
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = commandTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, argv[1:]...)
	cmd.Dir = o.Dir
	cmd.Env = []string{}
	for _, name := range passed {
		if value, ok := o.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	var out bounded
	cmd.Stdout = &out
	cmd.WaitDelay = time.Second
	alone(cmd)
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

// find is where a program is. A bare name is looked for in the PATH the command
// would get, never in the current directory.
func find(program string, o ReadOptions) (string, error) {
	if strings.ContainsAny(program, `/\`) {
		return exec.LookPath(resolve(program, o))
	}
	path, _ := o.LookupEnv("PATH")
	for _, dir := range filepath.SplitList(path) {
		if !filepath.IsAbs(dir) {
			continue
		}
		if found, err := exec.LookPath(filepath.Join(dir, program)); err == nil {
			return found, nil
		}
	}
	return "", exec.ErrNotFound
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

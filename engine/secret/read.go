package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/zalando/go-keyring"
)

// ReadOptions say where references are looked up.
type ReadOptions struct {
	// Dir is what relative paths start from, and where commands run.
	Dir string
	// LookupEnv is the environment; nil is that of the process.
	LookupEnv func(name string) (string, bool)
	// Fallback is asked for what an env: reference does not find there; nil has
	// nothing. Commands get nothing of it.
	Fallback func(name string) (string, bool)
	// Keyring looks into the keyring; nil is the system's.
	Keyring func(service, user string) (string, error)
	// Timeout ends a command that does not; 0 is 10 s.
	Timeout time.Duration
	// Warn is told what is readable and still not as it should be, in words
	// that hold no secret; nil hears nothing.
	Warn func(text string)
}

// Error says why a reference gave no secret, and what to do. It holds nothing
// of the secret.
type Error struct {
	// Ref is the reference as [Show] gives it.
	Ref string
	// Why goes on after it: "is not set".
	Why string
	// Do is what to do about it; "" is nothing special.
	Do string
	// Err is what the system said; nil if it said nothing.
	Err error
}

// Brief says what is wrong and not what to do: "env:FOO is not set".
func (e *Error) Brief() string { return e.Ref + " " + e.Why }

// Error says all of it in one line.
func (e *Error) Error() string {
	if e.Do == "" {
		return e.Brief()
	}
	return e.Brief() + ": " + e.Do
}

// Unwrap gives what the system said.
func (e *Error) Unwrap() error { return e.Err }

// why makes an Error whose Ref is filled in by whoever knows it.
func why(err error, do, format string, args ...any) *Error {
	return &Error{Why: fmt.Sprintf(format, args...), Do: do, Err: err}
}

// Item is one of many secrets that one reference gives.
type Item struct {
	Secret Secret
	// Err says why this one cannot be used; the others can.
	Err error
}

// Read returns the one secret that ref names: the first line that is not
// blank, without the blanks around it.
func Read(ref string, o ReadOptions) (Secret, error) {
	text, err := fetch(ref, o)
	if err != nil {
		return Secret{}, err
	}
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return use(ref, line)
}

// ReadAll returns the secrets that ref names, one a line or with commas between
// them. Blank lines, and what follows a #, do not count. A placeholder keeps
// its place among the others, so that they keep theirs when it is filled in.
func ReadAll(ref string, o ReadOptions) ([]Item, error) {
	text, err := fetch(ref, o)
	if err != nil {
		return nil, err
	}
	var items []Item
	for line := range strings.Lines(text) {
		for one := range strings.SplitSeq(unquoted(line), ",") {
			if one = strings.TrimSpace(one); one == "" {
				continue
			}
			s, err := use(ref, one)
			items = append(items, Item{s, err})
		}
	}
	if len(items) == 0 {
		return nil, &Error{Ref: Show(ref), Why: "holds no keys", Do: "write one key a line into it"}
	}
	return items, nil
}

// fetch reads the text that ref names.
func fetch(ref string, o ReadOptions) (string, error) {
	if err := Check(ref); err != nil {
		return "", err
	}
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	if o.Keyring == nil {
		o.Keyring = keyring.Get
	}
	if o.Warn == nil {
		o.Warn = func(string) {}
	}
	s, arg := split(ref)
	text, err := s.read(arg, o)
	if err != nil {
		err.Ref = Show(ref)
		return "", err
	}
	return strings.TrimPrefix(text, "\ufeff"), nil
}

// use makes a Secret of text that can be one.
func use(ref, text string) (Secret, error) {
	text = strings.TrimSpace(text)
	if wrong := Unfit(text); wrong != "" {
		return Secret{}, &Error{Ref: Show(ref), Why: wrong, Do: "put the real one there"}
	}
	return New(text), nil
}

// Unfit says why text cannot be a secret ("holds a placeholder, not a key");
// "" is that it can.
func Unfit(text string) string {
	switch {
	case text == "":
		return "is empty"
	case Placeholder(text):
		return "holds a placeholder, not a key"
	case len(text) > 7 && strings.EqualFold(text[:7], "bearer "):
		return "begins with the word Bearer, which is no part of the key"
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return "holds a blank or another character that no key has"
	case len(text) > 1 && (text[0] == '"' || text[0] == '\'') && text[len(text)-1] == text[0]:
		return "holds quotes around the key"
	default:
		return ""
	}
}

func readEnv(name string, o ReadOptions) (string, *Error) {
	value, ok := o.LookupEnv(name)
	if value == "" && o.Fallback != nil {
		if v, found := o.Fallback(name); found {
			value, ok = v, true
		}
	}
	if !ok {
		return "", why(nil, "export it, or write it into the .env beside the config", "is not set")
	}
	return value, nil
}

func readFile(path string, o ReadOptions) (string, *Error) {
	whole := resolve(path, o)
	text, err := ReadText(whole, o.Warn)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", why(err, "write the key into "+whole, "does not exist")
	case errors.Is(err, fs.ErrPermission):
		return "", why(err, "give this user the right to read "+whole, "may not be read")
	case err != nil:
		return "", why(err, "name a file that holds the key", "cannot be read (%s)", bare(err))
	}
	return text, nil
}

func readDotenv(arg string, o ReadOptions) (string, *Error) {
	path, name := splitDotenv(arg)
	text, wrong := readFile(path, o)
	if wrong != nil {
		return "", wrong
	}
	vars := ParseDotenv(text)
	v, ok := vars.Lookup(name)
	if variable, model, inside := strings.Cut(name, "/"); !ok && inside {
		models, there := vars.Lookup(variable)
		if !there {
			return "", why(nil, "write "+variable+"=... into that file", "is not set there")
		}
		keys, found := modelKeys(models.Value, model)
		if !found {
			return "", why(nil, "name a model of "+variable, "is not there")
		}
		return keys, nil
	}
	if !ok {
		return "", why(nil, "write "+name+"=... into that file", "is not set there")
	}
	return v.Value, nil
}

func readKeyring(arg string, o ReadOptions) (string, *Error) {
	i := strings.LastIndexByte(arg, '/')
	value, err := o.Keyring(arg[:i], arg[i+1:])
	switch {
	case errors.Is(err, keyring.ErrNotFound):
		return "", why(err, fmt.Sprintf("store it there, service %q and user %q", arg[:i], arg[i+1:]), "is not in the keyring")
	case err != nil:
		return "", why(err, "where there is no keyring, use file: or env:", "cannot be read, the keyring does not answer")
	}
	return value, nil
}

// resolve makes a path of the config one of this machine.
func resolve(path string, o ReadOptions) string {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		if home, _ := o.LookupEnv("HOME"); home != "" {
			return filepath.Join(home, rest)
		}
	}
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(o.Dir, path)
}

// bare takes the path off a system's error: who reads it knows the path.
func bare(err error) error {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

package secret

import (
	"regexp"
	"slices"
	"strings"
)

// A scheme is one kind of place that secrets are read from.
type scheme struct {
	name string
	// form is what a reference of it looks like, for messages.
	form string
	// wrong says what is the matter with an argument; "" is nothing.
	wrong func(arg string) string
	read  func(arg string, o ReadOptions) (string, *Error)
}

// schemes is filled by init: reading a command's reference asks for the table.
var schemes []scheme

func init() {
	schemes = []scheme{
		{"env", "env:NAME", wrongEnv, readEnv},
		{"file", "file:PATH", wrongPath, readFile},
		{"dotenv", "dotenv:PATH#NAME", wrongDotenv, readDotenv},
		{"cmd", "cmd:PROGRAM ARGUMENTS", wrongCommand, readCommand},
		{"keyring", "keyring:SERVICE/USER", wrongKeyring, readKeyring},
	}
}

// forms lists what references look like.
func forms() string {
	list := make([]string, len(schemes))
	for i, s := range schemes {
		list[i] = s.form
	}
	return strings.Join(list, ", ")
}

// split finds the scheme of a reference; nil if it has none.
func split(ref string) (s *scheme, arg string) {
	name, arg, _ := strings.Cut(ref, ":")
	for i := range schemes {
		if schemes[i].name == name {
			return &schemes[i], strings.TrimSpace(arg)
		}
	}
	return nil, ""
}

// Check reports whether ref is a well-formed reference, without reading it.
// Text that is none is taken for a secret and not repeated in the error.
func Check(ref string) error {
	s, arg := split(ref)
	if s == nil {
		return &Error{Ref: "a secret", Why: "must not stand in the file itself",
			Do: "write a reference to where it is: " + forms()}
	}
	if arg == "" {
		return &Error{Ref: s.name + ":", Why: "names nothing", Do: "write " + s.form}
	}
	if wrong := s.wrong(arg); wrong != "" {
		return &Error{Ref: s.name + ":", Why: wrong, Do: "write " + s.form}
	}
	return nil
}

// Show gives a reference in a form that may be seen: of a command only its
// program, of what is no reference nothing.
func Show(ref string) string {
	s, arg := split(ref)
	switch {
	case s == nil:
		return hidden
	case s.name == "cmd":
		words, err := words(arg)
		if err != nil || len(words) == 0 {
			return "cmd:" + hidden
		}
		if len(words) == 1 {
			return "cmd:" + words[0]
		}
		return "cmd:" + words[0] + " ..."
	default:
		return s.name + ":" + arg
	}
}

func wrongEnv(name string) string {
	if LooksSecret(name) {
		return "is followed by what looks like the key itself"
	}
	if strings.IndexFunc(name, notInName) >= 0 || strings.ContainsAny(name, "-.") {
		return "is not followed by the name of a variable"
	}
	return ""
}

// prefixes begin the keys of the providers that have one.
var prefixes = []string{"sk-", "ghp_", "gho_", "github_pat_", "AIza", "gsk_", "xai-", "hf_"}

var prefixed = regexp.MustCompile(`(^|[^A-Za-z0-9])(` + strings.Join(prefixes, "|") + `)[A-Za-z0-9_-]{16,}`)

// Hide takes out of a text what begins and goes on as a key does: a person may
// have put one where a name belongs, and a message would repeat it.
func Hide(text string) string {
	if !slices.ContainsFunc(prefixes, func(p string) bool { return strings.Contains(text, p) }) {
		return text
	}
	return prefixed.ReplaceAllString(text, "${1}"+hidden)
}

// LooksSecret tells a key that was put where a name belongs: of a variable, of a
// key. It is for messages, which then do not repeat it.
func LooksSecret(name string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return len(name) >= 24 && !strings.Contains(name, "_") && strings.ContainsAny(name, "0123456789")
}

func wrongPath(path string) string {
	if LooksSecret(path) && !strings.ContainsAny(path, `/\.`) {
		return "is followed by what looks like the key itself"
	}
	return ""
}

func wrongDotenv(arg string) string {
	path, name := splitDotenv(arg)
	if path == "" || name == "" {
		return "names no file or no variable"
	}
	return ""
}

func splitDotenv(arg string) (path, name string) {
	i := strings.LastIndexByte(arg, '#')
	if i < 0 {
		return arg, ""
	}
	return arg[:i], arg[i+1:]
}

func wrongCommand(arg string) string {
	words, err := words(arg)
	if err != nil || len(words) == 0 || words[0] == "" {
		return "is not followed by a command, or a quote is not closed"
	}
	return ""
}

func wrongKeyring(arg string) string {
	if i := strings.LastIndexByte(arg, '/'); i <= 0 || i == len(arg)-1 {
		return "names no service or no user"
	}
	return ""
}

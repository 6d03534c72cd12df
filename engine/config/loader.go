package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"

	"keywheel/engine"
	"keywheel/engine/secret"
)

// loader is one run of Load.
type loader struct {
	Options
	report
	config *Config
	// dir is what relative paths of the config start from.
	dir    string
	dotenv dotenv
	// anyVariable is set when the environment has any variable of ours.
	anyVariable bool
	// broken is set when the file could not be understood as TOML.
	broken bool
	// missing are the problems of keys whose secrets cannot be read, by key.
	missing map[string]Problem
	// keyAt and serviceAt are where things are declared, by name.
	keyAt     map[string]declared
	serviceAt map[string]declared
	// doc is the config file; nil is none.
	doc *document
	// lost are the sources whose service of a name is not used, by the name.
	lost map[string][]string
}

// declared is where a key or a service stands, to report problems of it.
type declared struct {
	file  string
	label string
	line  func(setting string) int
	// fromTOML tells a declaration of the file from one of the environment.
	fromTOML bool
	// doc and path are where it stands in the file; origins are where each of
	// its settings is from, where it is of the environment.
	doc     *document
	path    path
	origins map[string]taken
}

// problem says something of the thing, on the line of one of its settings.
func (d declared) problem(setting, format string, args ...any) Problem {
	text := fmt.Sprintf(format, args...)
	if d.label != "" {
		text = d.label + ": " + text
	}
	return Problem{File: d.file, Line: d.line(setting), Text: text}
}

// inTOML is a declaration at p.
func (d *document) inTOML(p path) declared {
	return declared{file: d.file, label: p.String(), line: func(setting string) int { return d.lines.line(p.join(setting)) }, fromTOML: true, doc: d, path: p}
}

func (l *loader) addKey(k engine.Key, at declared) {
	l.config.Engine.Keys = append(l.config.Engine.Keys, k)
	l.keyAt[k.Name] = at
}

func (l *loader) addService(s engine.Service, at declared) {
	l.config.Engine.Services = append(l.config.Engine.Services, s)
	l.serviceAt[s.Name] = at
}

// dotenv is the .env beside the config, or in the working directory.
type dotenv struct {
	file string
	path string
	text string
	secret.Dotenv
	// used is set when anything is taken from it. Its neighbours' variables are
	// none of our business.
	used *atomic.Bool
}

// newDotenv is a .env file that is read already.
func newDotenv(file string, vars secret.Dotenv) dotenv {
	return dotenv{file: file, path: file, Dotenv: vars, used: new(atomic.Bool)}
}

func (l *loader) readDotenv() {
	path := filepath.Join(l.dir, ".env")
	l.dotenv = dotenv{file: shown(path, l.Dir), path: path, used: new(atomic.Bool)}
	l.reads(path)
	text, err := secret.ReadText(path, nil)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			l.warn(Problem{File: l.dotenv.file, Text: "cannot be read"})
		}
		return
	}
	l.dotenv.text, l.dotenv.Dotenv = text, secret.ParseDotenv(text)
}

// inDotenv finds a variable for an env: reference that the environment lacks.
func (l *loader) inDotenv(name string) (string, bool) {
	v, found := l.dotenv.Lookup(name)
	if found {
		l.dotenv.used.Store(true)
	}
	return v.Value, found
}

// checkDotenv looks at the .env file if anything came from it.
func (l *loader) checkDotenv() {
	if !l.dotenv.used.Load() {
		return
	}
	for _, line := range l.dotenv.Bad {
		l.warn(Problem{File: l.dotenv.file, Line: line, Text: "is not NAME=value, or a quote is not closed"})
	}
	if info, err := os.Stat(l.dotenv.path); err == nil {
		if readable, writable := secret.Exposed(info); readable || writable {
			l.warn(Problem{File: l.dotenv.file, Text: "others on this machine may read it: chmod 600 " + l.dotenv.file})
		}
	}
}

// checkMode refuses a config that others may change: it says where keys go.
func (l *loader) checkMode(file string) {
	info, err := os.Stat(l.config.Path)
	if err != nil || runtime.GOOS == "windows" {
		return
	}
	readable, writable := secret.Exposed(info)
	_, named := l.LookupEnv("KEYWHEEL_CONFIG")
	st, known := info.Sys().(*syscall.Stat_t)
	switch {
	case known && st.Uid != 0 && int(st.Uid) != os.Geteuid() && l.Path == "" && !named:
		l.error(Problem{File: file, Text: "it is another user's, who says in it where your keys go: name it with --config if that is as it should be"})
	case writable:
		l.error(Problem{File: file, Text: "others on this machine may change it, and with it where your keys go: chmod 600 " + file})
	case info.Mode()&0o020 != 0:
		l.warn(Problem{File: file, Text: "everyone in its group may change it, and with it where your keys go: chmod 600 " + file})
	case readable:
		l.warn(Problem{File: file, Text: "others on this machine may read it: chmod 600 " + file})
	}
}

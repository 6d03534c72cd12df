// Package child starts other programs safely: without a shell, in a process
// group of their own, with an environment that holds nothing that could be a
// key.
package child

import (
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// passed are the variables a program gets: what it needs to find its home, its
// agent, its bus and its screen.
var passed = []string{"PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TMPDIR",
	"XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY",
	"GNUPGHOME", "PASSWORD_STORE_DIR", "SSH_AUTH_SOCK", "SYSTEMROOT", "USERPROFILE", "APPDATA", "LOCALAPPDATA"}

// Place is where a program is looked for and run.
type Place struct {
	// Dir is where it runs, and where the path of a program starts that is
	// relative.
	Dir string
	// LookupEnv is the environment that it gets a part of.
	LookupEnv func(name string) (string, bool)
}

// Command is a program with its arguments, ready to run. When ctx ends it is
// killed, and what it started with it. The error is that there is no such
// program.
func (p Place) Command(ctx context.Context, program string, arguments ...string) (*exec.Cmd, error) {
	path, err := p.Find(program)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, arguments...)
	cmd.Dir = p.Dir
	cmd.Env = []string{}
	for _, name := range passed {
		if value, ok := p.LookupEnv(name); ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.WaitDelay = time.Second
	alone(cmd)
	return cmd, nil
}

// Find is where a program is. A bare name is looked for in the PATH the program
// would get, never in the current directory.
func (p Place) Find(program string) (string, error) {
	if strings.ContainsAny(program, `/\`) {
		if filepath.IsAbs(program) {
			return exec.LookPath(program)
		}
		whole, err := filepath.Abs(filepath.Join(p.Dir, program))
		if err != nil {
			return "", err
		}
		return exec.LookPath(whole)
	}
	path, _ := p.LookupEnv("PATH")
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

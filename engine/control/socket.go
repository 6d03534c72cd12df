// Package control is how another process sees and steers a running keywheel:
// HTTP and JSON over a unix socket that only its owner may use. [Server] is
// the running side, [Client] its twin of the engine.
package control

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// LookupEnv reads the environment.
type LookupEnv func(string) (string, bool)

// demoPrefix begins the name of a demo's socket, so that a demo is not taken
// for the real thing.
const demoPrefix = "demo-"

// dirs are where sockets live: the runtime directory, else the state directory.
func dirs(env LookupEnv) []string {
	var list []string
	if d, ok := env("XDG_RUNTIME_DIR"); ok && d != "" {
		list = append(list, filepath.Join(d, "keywheel"))
	}
	if d := StateDir(env); d != "" {
		list = append(list, d)
	}
	return list
}

// StateDir is where keywheel keeps what outlives it; "" if there is no place.
func StateDir(env LookupEnv) string {
	if d, ok := env("XDG_STATE_HOME"); ok && d != "" {
		return filepath.Join(d, "keywheel")
	}
	if home, ok := env("HOME"); ok && home != "" {
		return filepath.Join(home, ".local", "state", "keywheel")
	}
	return ""
}

// Path is where the socket of an instance that listens on port belongs. A
// directory of ours is made, and closed to others if it is not. A demo always
// has its own.
func Path(env LookupEnv, port string, demo bool) (string, error) {
	if p, ok := env("KEYWHEEL_SOCKET"); ok && p != "" && !demo {
		return p, nil
	}
	list := dirs(env)
	if len(list) == 0 {
		return "", errors.New("there is no place for the control socket: set XDG_RUNTIME_DIR or HOME, or say --socket")
	}
	name := port + ".sock"
	if demo {
		name = demoPrefix + name
	}
	if err := ours(list[0]); err != nil {
		return "", fmt.Errorf("control socket: %w", err)
	}
	return filepath.Join(list[0], name), nil
}

// ours makes dir ours alone.
func ours(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// In a shared directory a stranger may have made it before us.
	for _, stat := range []func(string) (os.FileInfo, error){os.Lstat, os.Stat} {
		info, err := stat(dir)
		if err != nil {
			return err
		}
		if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
			return fmt.Errorf("%s is another user's: remove it, or name another place with --socket or KEYWHEEL_SOCKET", dir)
		}
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return err
	}
	return os.Chmod(dir, 0o700)
}

// NoInstanceError says that no running keywheel was found.
type NoInstanceError struct {
	Looked []string
	// Of is what it should run on: " on FILE", "" is anything.
	Of string
}

func (err *NoInstanceError) Error() string {
	return fmt.Sprintf("no keywheel is running%s (looked in %s): start `keywheel` or `keywheel serve`, or say --socket", err.Of, strings.Join(err.Looked, ", "))
}

// SeveralError says that more than one is running.
type SeveralError struct{ Sockets []string }

func (err *SeveralError) Error() string {
	return "several keywheels are running; say which with --socket:\n  " + strings.Join(err.Sockets, "\n  ")
}

// Find finds the socket of the one running instance: the one named by
// $KEYWHEEL_SOCKET, else the only one that answers. A demo is found when
// nothing else runs. The error is a [*NoInstanceError] or a [*SeveralError].
func Find(env LookupEnv) (string, error) {
	if p, ok := env("KEYWHEEL_SOCKET"); ok && p != "" {
		return p, nil
	}
	var real, demos []string
	for _, dir := range dirs(env) {
		found, _ := filepath.Glob(filepath.Join(dir, "*.sock"))
		for _, f := range found {
			switch {
			case !answers(f):
			case strings.HasPrefix(filepath.Base(f), demoPrefix):
				demos = append(demos, f)
			default:
				real = append(real, f)
			}
		}
	}
	if len(real) == 0 {
		real = demos
	}
	slices.Sort(real)
	switch len(real) {
	case 0:
		return "", &NoInstanceError{Looked: dirs(env)}
	case 1:
		return real[0], nil
	default:
		return "", &SeveralError{real}
	}
}

func answers(path string) bool {
	c, err := net.DialTimeout("unix", path, time.Second)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// maxPath is the longest path of a socket that every system takes.
const maxPath = 100

// Listen makes the socket, 0600 in a 0700 directory, in place of a stale one.
// That another instance is alive on it is an error.
func Listen(path string) (net.Listener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("control socket: %s is %d bytes long, and the path of a socket may have %d: name a shorter one with --socket, or with KEYWHEEL_SOCKET", path, len(path), maxPath)
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	// What is not sticky there anybody may replace.
	if info, err := os.Stat(dir); err == nil && info.Mode()&0o002 != 0 && info.Mode()&os.ModeSticky == 0 {
		return nil, fmt.Errorf("control socket: others on this machine may write %s, and put theirs in its place: chmod o-w %s, or name another place with --socket", dir, dir)
	}
	// Two that start at once must not take each other's socket for stale.
	lock, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if info, err := os.Lstat(path); err == nil {
		switch {
		case info.Mode()&os.ModeSocket == 0:
			return nil, fmt.Errorf("control socket: %s is there and is not a socket", path)
		case answers(path):
			return nil, fmt.Errorf("control socket: another keywheel is alive on %s", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("control socket: %w", err)
		}
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	return l, nil
}

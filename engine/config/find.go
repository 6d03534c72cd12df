package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// fileName is the name of a config file where it is not told.
const fileName = "keywheel.toml"

// find is where the config file is, "" if there is none, and the places that
// were looked at. A file that was asked for by name has to be there.
func find(o Options) (file string, looked []string, err error) {
	asked, by := o.Path, "--config"
	if asked == "" {
		asked, _ = o.LookupEnv("KEYWHEEL_CONFIG")
		by = "KEYWHEEL_CONFIG"
	}
	if asked != "" {
		file = absolute(asked, o.Dir)
		if _, err := os.Stat(file); err != nil {
			reason := "it cannot be read"
			if errors.Is(err, fs.ErrNotExist) {
				reason = "there is no such file"
			}
			return "", nil, &FileError{by, file, reason}
		}
		return file, nil, nil
	}
	looked = []string{filepath.Join(o.Dir, fileName)}
	if home := configHome(o); home != "" {
		looked = append(looked, filepath.Join(home, "keywheel", fileName))
	}
	for _, file := range looked {
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			return file, looked, nil
		}
	}
	return "", looked, nil
}

// FileError says that the config file asked for cannot be read.
type FileError struct {
	// By is the flag or variable that names it.
	By, File, Why string
}

func (err *FileError) Error() string {
	return fmt.Sprintf("%s names %s: %s", err.By, err.File, err.Why)
}

func configHome(o Options) string {
	if home, _ := o.LookupEnv("XDG_CONFIG_HOME"); filepath.IsAbs(home) {
		return home
	}
	if home, _ := o.LookupEnv("HOME"); home != "" {
		return filepath.Join(home, ".config")
	}
	return ""
}

func absolute(path, dir string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// shown is a file's name as the person at dir knows it.
func shown(file, dir string) string {
	if rel, err := filepath.Rel(dir, file); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return file
}

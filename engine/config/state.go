package config

import (
	"crypto/sha256"
	"fmt"
	"path/filepath"
)

// stateDir is where what is learned and done while running on a configuration
// is kept; "" where the environment names no place. Each config file has its
// own, named after the directory that it is in; without a file it is the working
// directory that counts.
func stateDir(o Options, file string) string {
	home, _ := o.LookupEnv("XDG_STATE_HOME")
	if !filepath.IsAbs(home) {
		if home, _ = o.LookupEnv("HOME"); home == "" {
			return ""
		}
		home = filepath.Join(home, ".local", "state")
	}
	of := file
	if of == "" {
		of = filepath.Join(o.Dir, "environment")
	}
	sum := sha256.Sum256([]byte(of))
	name := slug(filepath.Base(filepath.Dir(of)))
	return filepath.Join(home, "keywheel", fmt.Sprintf("%s-%x", name, sum[:4]))
}

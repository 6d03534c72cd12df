package config

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"keywheel/engine"
	"keywheel/engine/secret"
)

// A key that is added at run time stands in [keysDir] like a replaced secret,
// and says which key of the configuration it is like.

// added is a key made like another: it goes to the same place for the same
// purposes, and nothing is known of its account and its limits.
func added(name string, like *engine.Key, s secret.Secret) engine.Key {
	where := filepath.Join(keysDir, name)
	k := *like
	k.Name, k.Secret, k.Missing, k.Ref, k.Override, k.Source = name, s, "", where, where, where
	k.Account, k.Plan, k.Limits, k.Weight = "", "", nil, 0
	return k
}

// wasAdded reports whether a key was added at run time.
func wasAdded(k engine.Key) bool { return k.Override != "" && k.Ref == k.Override }

// readAdded adds the keys that were added at run time. One that the
// configuration has by now is the configuration's.
func (l *loader) readAdded() {
	files, _ := os.ReadDir(filepath.Join(l.config.StateDir, keysDir))
	for _, f := range files {
		name := f.Name()
		file := l.config.overrideFile(name)
		if _, there := l.keyAt[name]; there || file == "" || l.config.StateDir == "" {
			continue
		}
		s, o, err := readOverride(file)
		i := slices.IndexFunc(l.config.Engine.Keys, func(k engine.Key) bool { return k.Name == o.Like })
		as := taken{from: "as key " + o.Like}
		switch {
		case err != nil || o.Like == "":
			// It replaced a secret of a key that is gone, or is none of ours.
		case i < 0:
			l.note(Problem{File: file, Text: fmt.Sprintf("is not used: the key %s that it is like is gone. Delete it if it is no longer needed", printable(o.Like))})
		case o.Provider != l.config.Engine.Keys[i].Provider || o.Host != strings.ToLower(hostOf(l.config.Engine.Keys[i].BaseURL)):
			l.warn(Problem{File: file, Text: fmt.Sprintf("is not used: its secret was given for %s at %s. Delete it if it is no longer needed", printable(o.Provider), printable(o.Host))})
		default:
			l.addKey(added(name, &l.config.Engine.Keys[i], s), declared{file: file, line: func(string) int { return 0 },
				origins: map[string]taken{"secret": {from: file}, "provider": as, "kind": as, "base_url": as, "scopes": as}})
			l.note(Problem{File: file, Text: fmt.Sprintf("is key %s, added at run time like %s", name, o.Like)})
		}
	}
}

// Add is the configuration with a key more, made like one that it has. It is
// kept as with [Config.Replace].
func (c *Config) Add(name, like string, s secret.Secret) (next *Config, where string, err error) {
	i := slices.IndexFunc(c.Engine.Keys, func(k engine.Key) bool { return k.Name == like })
	switch {
	case i < 0:
		return nil, "", fmt.Errorf("there is no key %q", like)
	case wasAdded(c.Engine.Keys[i]):
		return nil, "", fmt.Errorf("%s was added at run time itself: write it into the config first", like)
	case !keyName.MatchString(name):
		return nil, "", fmt.Errorf("the name of a key must be of letters, digits, . _ - and begin with a letter or digit")
	case slices.ContainsFunc(c.Engine.Keys, func(k engine.Key) bool { return k.Name == name }):
		return nil, "", fmt.Errorf("there is a key %s already", name)
	}
	copied := *c
	next = &copied
	k := added(name, &c.Engine.Keys[i], s)
	next.Engine.Keys = append(slices.Clone(c.Engine.Keys), k)
	about := overrideOf(&k, "")
	about.Like = like
	text, err := json.Marshal(about)
	if err != nil {
		return nil, "", err
	}
	if where = c.overrideFile(name); where == "" {
		return next, "", nil
	}
	if err := writeSecret(where, s.Reveal()+"\n# "+string(text)+"\n"); err != nil {
		return nil, "", fmt.Errorf("the new secret cannot be kept in %s: %w", where, err)
	}
	return next, where, nil
}

// Remove is the configuration without a key that [Config.Add] has added, and
// its file is gone.
func (c *Config) Remove(name string) (next *Config, err error) {
	copied := *c
	next = &copied
	next.Engine.Keys = slices.DeleteFunc(slices.Clone(c.Engine.Keys), func(k engine.Key) bool { return k.Name == name && wasAdded(k) })
	if len(next.Engine.Keys) == len(c.Engine.Keys) {
		return nil, fmt.Errorf("%s was not added at run time", name)
	}
	if file := c.overrideFile(name); file != "" {
		if err := os.Remove(file); err != nil && !os.IsNotExist(err) {
			return nil, err
		}
	}
	return next, nil
}

package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"keywheel/engine"
	"keywheel/engine/secret"
)

// keysDir is the directory, in the state directory, of the secrets that a person
// has replaced at run time, one a file named by its key. The configuration is
// never rewritten.
const keysDir = "keys.d"

// override is the second line of such a file, behind "# ": what the secret was
// given for. It takes the place of that alone: of the same provider's, and of the
// secret that the key's reference gave then. Once the reference gives another,
// that is newer.
type override struct {
	Provider string `json:"provider"`
	Host     string `json:"host"`
	Replaces string `json:"replaces"`
	// Like is set where it replaces nothing and is a key of its own, one that was
	// made at run time like another.
	Like string `json:"like,omitempty"`
}

func overrideOf(k *engine.Key, replaces string) override {
	return override{Provider: k.Provider, Host: strings.ToLower(hostOf(k.BaseURL)), Replaces: replaces}
}

func fingerprint(k *engine.Key) string { return k.Secret.Fingerprint(k.Provider, hostOf(k.BaseURL)) }

// readOverrides puts replaced secrets in the place of those that the
// configuration refers to.
func (l *loader) readOverrides() {
	l.config.StateDir = stateDir(l.Options, l.config.Path)
	l.config.own = map[string]string{}
	keys := l.config.Engine.Keys
	for i := range keys {
		k := &keys[i]
		l.config.own[k.Name] = fingerprint(k)
		file := l.config.overrideFile(k.Name)
		if file == "" {
			continue
		}
		l.about(Subject{Key: k.Name}, func() { l.useOverride(k, file) })
	}
	l.readAdded()
}

// useOverride puts a replaced secret in the place of one key's, if it is for it.
func (l *loader) useOverride(k *engine.Key, file string) {
	s, o, err := readOverride(file)
	at := l.keyAt[k.Name]
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		l.warn(at.problem("secret", "%s is not used: %v", file, err))
	case o.Like != "":
		l.note(at.problem("secret", "%s is not used any more: the config has key %s now. Delete it", file, k.Name))
	case o != overrideOf(k, o.Replaces):
		l.warn(at.problem("secret", "%s is not used: its secret was given for %s at %s. Delete it if it is no longer needed", file, printable(o.Provider), printable(o.Host)))
	case o.Replaces != l.config.own[k.Name] && k.Missing == "":
		l.note(at.problem("secret", "%s is not used any more: %s gives a newer secret. Delete it", file, k.Ref))
	default:
		k.Secret, k.Missing, k.Override = s, "", filepath.Join(keysDir, k.Name)
		delete(l.missing, k.Name)
		l.note(at.problem("secret", "overridden by %s: the secret of %s was replaced", file, k.Ref))
	}
}

// readOverride reads one file of [keysDir].
func readOverride(file string) (s secret.Secret, o override, err error) {
	info, err := os.Stat(file)
	if err != nil {
		return s, o, err
	}
	if readable, writable := secret.Exposed(info); readable || writable {
		return s, o, errors.New("others on this machine may read or change it: chmod 600 it")
	}
	text, err := secret.ReadText(file, nil)
	if err != nil {
		return s, o, errors.New("it cannot be read")
	}
	first, rest, _ := strings.Cut(text, "\n")
	about, told := strings.CutPrefix(strings.TrimSpace(rest), "# ")
	if !told || json.Unmarshal([]byte(about), &o) != nil {
		return s, o, errors.New("it does not say what it replaces; `keywheel replace` writes such files")
	}
	if wrong := secret.Unfit(first); wrong != "" {
		return s, o, errors.New("it " + wrong)
	}
	return secret.New(first), o, nil
}

// overrideFile is where the replaced secret of a key is kept; "" is nowhere.
func (c *Config) overrideFile(key string) string {
	if c.StateDir == "" || !keyName.MatchString(key) {
		return ""
	}
	return filepath.Join(c.StateDir, keysDir, key)
}

// Replace is the configuration with another secret for a key. It is kept in a
// file that only its owner can read, and found there by the next Load. where
// names that file; it is "" where there is no place for one, and the secret is
// gone with the process.
func (c *Config) Replace(key string, s secret.Secret) (next *Config, where string, err error) {
	copied := *c
	next = &copied
	next.Engine.Keys = slices.Clone(c.Engine.Keys)
	i := slices.IndexFunc(next.Engine.Keys, func(k engine.Key) bool { return k.Name == key })
	if i < 0 {
		return nil, "", fmt.Errorf("there is no key %q", key)
	}
	k := &next.Engine.Keys[i]
	of := overrideOf(k, c.own[key])
	if wasAdded(*k) {
		if _, was, err := readOverride(c.overrideFile(key)); err == nil {
			of = was
		}
	}
	about, err := json.Marshal(of)
	if err != nil {
		return nil, "", err
	}
	k.Secret, k.Missing, k.Override = s, "", "memory"
	if where = c.overrideFile(key); where == "" {
		return next, "", nil
	}
	k.Override = filepath.Join(keysDir, key)
	if err := writeSecret(where, s.Reveal()+"\n# "+string(about)+"\n"); err != nil {
		return nil, "", fmt.Errorf("the new secret cannot be kept in %s: %w", where, err)
	}
	return next, where, nil
}

// writeSecret puts a file in place whole or not at all; only its owner can read
// it.
func writeSecret(file, text string) error {
	dir := filepath.Dir(file)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, ".new-*") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone if all went well
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), file)
	}
	return err
}

package config

import (
	"slices"
	"sync"

	"keywheel/engine/secret"
)

// Commands remembers what cmd: references gave: a password manager may ask a
// person each time.
type Commands struct {
	mu      sync.Mutex
	answers map[string]answer
}

// read gives what was remembered of a command, else what it says now.
func (c *Commands) read(sort, ref string, read func() answer) answer {
	if c == nil || !secret.Runs(ref) {
		return read()
	}
	c.mu.Lock()
	a, known := c.answers[sort+ref]
	c.mu.Unlock()
	if known {
		return a
	}
	if a = read(); a.err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.answers == nil {
			c.answers = map[string]answer{}
		}
		c.answers[sort+ref] = a
	}
	return a
}

// Loader loads one configuration again and again. The programs of cmd:
// references are run with the first load, and then where fresh asks for it or a
// reference is new. One load at a time.
func Loader(o Options) func(fresh bool) (*Config, error) {
	return func(fresh bool) (*Config, error) {
		if fresh || o.Commands == nil {
			o.Commands = &Commands{}
		}
		return Load(o)
	}
}

// reads notes the files that the configuration is read from.
func (l *loader) reads(files ...string) {
	for _, f := range files {
		if f != "" && !slices.Contains(l.config.Files, f) {
			l.config.Files = append(l.config.Files, f)
		}
	}
}

// readsRefs notes the files that references are read from.
func (l *loader) readsRefs(refs []string) {
	o := l.readOptions(&answer{})
	for _, ref := range refs {
		l.reads(secret.Path(ref, o))
	}
}

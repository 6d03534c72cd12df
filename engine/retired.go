package engine

import (
	"fmt"
	"slices"
	"time"
)

// maxRetired is how many secrets without a key are remembered, so that one that
// comes back is known again: a revoked one is revoked still.
const maxRetired = 100

// retired are secrets that no key has any more, the oldest first. What is in
// flight on them finishes.
type retired []*credential

func (r retired) byID() map[string]*credential {
	m := map[string]*credential{}
	for _, c := range r {
		m[c.id] = c
	}
	return m
}

// add retires a secret. When there are too many the oldest on which nothing is
// in flight is forgotten.
func (r *retired) add(c *credential) {
	c.retired = true
	if c.fingerprint == "" {
		return // there was none
	}
	*r = append(*r, c)
	if len(*r) > maxRetired {
		if i := slices.IndexFunc(*r, func(c *credential) bool { return c.inFlight == 0 }); i >= 0 {
			*r = slices.Delete(*r, i, i+1)
		}
	}
}

// back takes a secret that a key has again.
func (r *retired) back(c *credential) {
	c.retired = false
	*r = slices.DeleteFunc(*r, func(o *credential) bool { return o == c })
}

// released tells when the last request on a retired secret is over.
func (retired) released(e *Engine, c *credential, now time.Time) {
	if c.retired && c.inFlight == 0 && c.fingerprint != "" {
		e.emit(Event{At: now, Kind: EventReload, Key: c.label, State: e.stateOf(c.label, now),
			Text: fmt.Sprintf("secret %s of %s is retired: nothing is in flight on it", mark(c.fingerprint), c.label)})
	}
}

// inFlight are the retired secrets that a key had last and on which requests run.
func (r retired) inFlight(name string) (list []Retiring) {
	for _, c := range r {
		if c.label == name && c.inFlight > 0 {
			list = append(list, Retiring{c.fingerprint, c.inFlight})
		}
	}
	return list
}

// mark shows a fingerprint as people see it: ·9f2a.
func mark(fingerprint string) string { return "·" + fingerprint[:min(4, len(fingerprint))] }

// stateOf is the state of the key of a name, Disabled if there is none.
func (e *Engine) stateOf(name string, now time.Time) State {
	k := e.keyBy[name]
	if k == nil {
		return Disabled
	}
	st, _ := k.state(now)
	return st
}

// Holds says of a secret, by its fingerprint, how many requests are in flight on
// it, and which keys have it: none of a retired one.
func (e *Engine) Holds(fingerprint string) (inFlight int, keys []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range slices.Concat(e.creds, e.retired) {
		if c.fingerprint != fingerprint {
			continue
		}
		for _, k := range c.names {
			keys = append(keys, k.Name)
		}
		inFlight += c.inFlight
	}
	return inFlight, keys
}

package engine

import (
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Reload goes over to another config without dropping a request. Requests under
// way finish on the key that they have, those in line go on waiting, unless
// their service is gone. What is known of a secret follows it by its
// fingerprint, under whatever name; what operators did stays with the names. An
// error says what is wrong with the config; nothing has changed then.
func (e *Engine) Reload(cfg Config, options ...Option) error {
	if err := cfg.check(); err != nil {
		return err
	}
	fingerprints := cfg.fingerprints()
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sweep(now)
	for _, o := range options {
		o(e)
	}
	was := e.inventory()
	e.build(&cfg, fingerprints, now)
	e.bindings.unknown = nil // a key that is new may know them
	e.emit(Event{At: now, Kind: EventReload, State: Active, Text: "reloaded: " + was.changes(e.inventory())})
	e.tellSecrets(was, now)
	e.endPins(now)
	e.markAll()
	e.forgetUndo()
	e.expectEnd(now)
	e.checkHealth(now)
	e.dispatch(now)
	return nil
}

// removed ends a request whose service is gone.
func (e *Engine) removed(r *Request, now time.Time) error {
	e.end(r, now, ClientError, "its service was removed from the config")
	return &UnknownServiceError{r.svc.Name}
}

// inventory is what a config made, to be compared with what another makes.
type inventory struct {
	keys     []kept
	services []kept
	creds    map[string]*credential // by the key's name
}

// kept is one key or service: its name and all that the config says of it.
type kept struct {
	name string
	says any
}

func (e *Engine) inventory() *inventory {
	inv := &inventory{creds: map[string]*credential{}}
	for _, k := range e.keys {
		says := *k.Key
		says.Source = "" // a line more or less is no change
		inv.keys = append(inv.keys, kept{k.Name, says})
		inv.creds[k.Name] = k.cred
	}
	for _, s := range e.services {
		says := s.Service
		says.Source = ""
		inv.services = append(inv.services, kept{s.Name, says})
	}
	return inv
}

// changes says in a line what is different now.
func (was *inventory) changes(now *inventory) string {
	var parts, changed []string
	for _, sort := range []struct {
		word     string
		was, now []kept
	}{{"key", was.keys, now.keys}, {"service", was.services, now.services}} {
		added, removed, differ := compare(sort.was, sort.now)
		parts = appendCount(parts, "+", added, sort.word)
		parts = appendCount(parts, "-", removed, sort.word)
		for _, name := range differ {
			switch c := now.creds[name]; {
			case sort.word != "key" || was.creds[name] == c:
			case c.fingerprint == "":
				name += ": no secret"
			default:
				name += ": new secret"
			}
			changed = append(changed, name)
		}
	}
	if len(changed) > 0 {
		parts = append(parts, fmt.Sprintf("%d changed (%s)", len(changed), few(changed)))
	}
	if len(parts) == 0 {
		return "no key and no service changed"
	}
	return strings.Join(parts, ", ")
}

func compare(was, now []kept) (added, removed, differ []string) {
	old := map[string]any{}
	for _, k := range was {
		old[k.name] = k.says
	}
	for _, k := range now {
		says, there := old[k.name]
		switch delete(old, k.name); {
		case !there:
			added = append(added, k.name)
		case !reflect.DeepEqual(says, k.says):
			differ = append(differ, k.name)
		}
	}
	for _, k := range was {
		if _, gone := old[k.name]; gone {
			removed = append(removed, k.name)
		}
	}
	return added, removed, differ
}

func appendCount(parts []string, sign string, names []string, word string) []string {
	if len(names) == 0 {
		return parts
	}
	return append(parts, fmt.Sprintf("%s%d %s (%s)", sign, len(names), plural(len(names), word), few(names)))
}

// few lists names, not all of many.
func few(names []string) string {
	const most = 8
	if more := len(names) - most; more > 0 {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", more)
	}
	return strings.Join(names, ", ")
}

// tellSecrets tells of secrets that were retired with requests in flight, and of
// keys that a new one has made usable.
func (e *Engine) tellSecrets(was *inventory, now time.Time) {
	told := map[*credential]bool{}
	for _, had := range was.keys {
		c, k := was.creds[had.name], e.keyBy[had.name]
		if c.retired && c.inFlight > 0 && !told[c] {
			told[c] = true
			e.emit(Event{At: now, Kind: EventReload, Key: had.name, State: e.stateOf(had.name, now),
				Text: fmt.Sprintf("secret %s of %s takes no new requests; %d in flight finish on it", mark(c.fingerprint), had.name, c.inFlight)})
		}
		if k == nil || k.cred == c || c.all.hold == nil || c.all.hold.state > Exhausted {
			continue
		}
		if k.cred.all.hold == nil {
			e.emit(Event{At: now, Kind: EventRecovered, Key: k.Name, State: e.stateOf(k.Name, now),
				Text: fmt.Sprintf("no longer %s: it has a new secret (%s)", c.all.hold.state, mark(k.cred.fingerprint))})
		}
	}
}

// markAll makes the memory tell of everything anew: much of it may have changed.
func (e *Engine) markAll() {
	for _, c := range e.creds {
		c.mark()
	}
	for _, k := range e.keys {
		k.changed = true
	}
	for _, s := range e.services {
		s.changed = true
	}
}

// endPins ends the pins to keys that no longer serve their service.
func (e *Engine) endPins(now time.Time) {
	for _, s := range e.services {
		if s.pin != nil && !s.serves(s.pin.key) {
			e.emit(Event{At: now, Kind: EventOperator, Service: s.Name, Key: s.pin.key.Name, State: e.stateOf(s.pin.key.Name, now), By: "engine",
				Text: fmt.Sprintf("pin of %s is over: %s is no longer one of its keys", s.Name, s.pin.key.Name)})
			s.pin, s.changed = nil, true
		}
	}
}

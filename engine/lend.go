package engine

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// lend is a key that serves a service beside its own for a time.
type lend struct {
	key   *key
	until time.Time
	by    string
}

// lent lists the service's lends.
func (s *service) lent() []Lent {
	list := make([]Lent, 0, len(s.lends))
	for _, l := range s.lends {
		list = append(list, Lent{l.key.Name, s.Name, l.until, l.by})
	}
	return list
}

func (e *Engine) opLend(a Action, k *key, s *service, now time.Time) (string, error) {
	if k == nil || s == nil {
		return "", errors.New("lend needs a key and a service")
	}
	at := s.lendOf(k)
	switch {
	case a.ForS <= 0:
		return "", fmt.Errorf("lend needs an end: say for how long %s may serve %s", k.Name, s.Name)
	case s.Planned || len(s.tiers) == 0:
		return "", fmt.Errorf("%s is planned and not served yet", s.Name)
	case at < 0 && s.serves(k):
		return "", fmt.Errorf("%s is one of the keys of %s already", k.Name, s.Name)
	}
	if own := s.tiers[0].members[0].key; own.dialect() != k.dialect() {
		return "", fmt.Errorf("%s is of %s and %s has keys of %s, which do not speak one language", k.Name, k.Provider, s.Name, own.Provider)
	}
	if at >= 0 {
		s.lends = slices.Delete(s.lends, at, at+1)
	}
	s.lends = append(s.lends, lend{k, a.until(now), a.By})
	e.rearrange(s, now)
	return fmt.Sprintf("lent %s to %s%s", k.Name, s.Name, forWords(a)), nil
}

func (e *Engine) opUnlend(_ Action, k *key, s *service, now time.Time) (string, error) {
	if k == nil || s == nil {
		return "", errors.New("unlend needs a key and a service")
	}
	at := s.lendOf(k)
	if at < 0 {
		return "", fmt.Errorf("%s is not lent to %s", k.Name, s.Name)
	}
	s.lends = slices.Delete(s.lends, at, at+1)
	e.rearrange(s, now)
	return fmt.Sprintf("%s is no longer lent to %s", k.Name, s.Name), nil
}

// dialect is the API that the key speaks.
func (k *key) dialect() string { return firstOf(k.Dialect, k.Kind) }

// lendOf is which of the lends it is, -1 if the key is not lent there.
func (s *service) lendOf(k *key) int {
	return slices.IndexFunc(s.lends, func(l lend) bool { return l.key == k })
}

// restoreLend makes the lend of one key what it was, as far as it is not over;
// "" is all keys.
func (s *service) restoreLend(keys map[string]*key, name string, were []Lent, now time.Time) {
	s.lends = slices.DeleteFunc(s.lends, func(l lend) bool { return name == "" || l.key.Name == name })
	for _, l := range were {
		if k := keys[l.Key]; k != nil && (name == "" || l.Key == name) && now.Before(l.Until) && !slices.Contains(s.Keys, l.Key) && !slices.Contains(s.Fallback, l.Key) {
			s.lends = append(s.lends, lend{k, anchored(l.Until, now), l.By})
		}
	}
}

// rearrange brings a service up to date after its lends have changed.
func (e *Engine) rearrange(s *service, now time.Time) {
	e.arrange(s)
	for _, k := range s.keys() {
		e.ready(k, now)
	}
	e.endPins(now)
	e.checkHealth(now)
}

// endLends ends those whose time is over, and reports whether there were any.
func (e *Engine) endLends(now time.Time) (any bool) {
	for _, s := range e.services {
		over := e.dropLends(s, now, func(l lend) string {
			if now.Before(l.until) {
				return ""
			}
			return "its time is over"
		})
		if over {
			e.rearrange(s, now)
			any = true
		}
	}
	return any
}

// keepLends ends the lends of a service that a reload has left without object.
func (e *Engine) keepLends(s *service, now time.Time) {
	e.dropLends(s, now, func(l lend) string {
		switch {
		case e.keyBy[l.key.Name] != l.key:
			return "the key was removed"
		case s.Planned:
			return "the service is planned only"
		case slices.Contains(s.Keys, l.key.Name) || slices.Contains(s.Fallback, l.key.Name):
			return "it is one of its own keys now"
		default:
			return ""
		}
	})
}

// dropLends ends the lends of which over gives a reason, and tells so.
func (e *Engine) dropLends(s *service, now time.Time, over func(lend) string) bool {
	n := len(s.lends)
	s.lends = slices.DeleteFunc(s.lends, func(l lend) bool {
		why := over(l)
		if why != "" {
			e.emit(Event{At: now, Kind: EventOperator, Service: s.Name, Key: l.key.Name, State: e.stateOf(l.key.Name, now), By: "engine",
				Text: fmt.Sprintf("%s is no longer lent to %s: %s", l.key.Name, s.Name, why)})
		}
		return why != ""
	})
	s.changed = s.changed || len(s.lends) < n
	return len(s.lends) < n
}

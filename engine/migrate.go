package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Migration is a service's move to another key, with a look at how that key
// serves before it is final.
type Migration struct {
	Service string `json:"service"`
	// Key is the name of the new key. One that the config does not have is made,
	// like the key that the service has now.
	Key string `json:"key"`
	// For is how long real requests are waited for, Requests how many the new
	// key must have served.
	For      time.Duration `json:"for_ns"`
	Requests int           `json:"requests"`
}

// Moved says that an operator has moved a service to another key than the config
// gives it.
type Moved struct {
	Key string `json:"key"`
	// From are the keys of the config that it stands for. When the config gives
	// the service others, that is newer, and the move is over.
	From []string  `json:"from"`
	At   time.Time `json:"at"`
	By   string    `json:"by"`
}

// own are the names of the keys that a service uses first.
func (s *service) own() []string {
	if s.moved != nil {
		return []string{s.moved.Key}
	}
	return s.Keys
}

// mayMove says what keeps a service from being moved to a key.
func (e *Engine) mayMove(s *service, k *key, now time.Time) error {
	if s.Planned || len(s.tiers) == 0 {
		return fmt.Errorf("%s is planned and not served yet", s.Name)
	}
	if own := s.own(); len(own) == 1 && own[0] == k.Name {
		return fmt.Errorf("%s is on %s already", s.Name, k.Name)
	}
	if is := s.tiers[0].members[0].key; is.dialect() != k.dialect() {
		return fmt.Errorf("%s is of %s and %s has keys of %s, which do not speak one language", k.Name, k.Provider, s.Name, is.Provider)
	}
	for _, need := range s.Needs {
		if len(k.Scopes) > 0 && !slices.Contains(k.Scopes, need) {
			return fmt.Errorf("%s may not be used for %s, which %s needs: its scopes are %s", k.Name, need, s.Name, strings.Join(k.Scopes, ", "))
		}
	}
	if st, h := k.state(now); st < Cooling {
		return fmt.Errorf("%s is %s (%s)", k.Name, st, h.why)
	}
	if k.draining {
		return fmt.Errorf("%s is draining", k.Name)
	}
	return nil
}

// opMigrate moves a service to one key, in the place of those that the config
// gives it, or back to those. Its fallback stays.
func (e *Engine) opMigrate(a Action, k *key, s *service, now time.Time) (string, error) {
	if s == nil {
		return "", errors.New("migrate needs a service")
	}
	from := strings.Join(s.own(), ", ")
	if k == nil {
		if s.moved == nil {
			return "", fmt.Errorf("%s has the keys that the config gives it", s.Name)
		}
		s.moved = nil
		e.rearrange(s, now)
		return fmt.Sprintf("moved %s back from %s to %s", s.Name, from, strings.Join(s.own(), ", ")), nil
	}
	if err := e.mayMove(s, k, now); err != nil {
		return "", err
	}
	s.trial, s.moved = nil, &Moved{k.Name, slices.Clone(s.Keys), now, a.By}
	e.rearrange(s, now)
	return fmt.Sprintf("migrated %s from %s to %s", s.Name, from, k.Name), nil
}

// Try lets a key serve a service before all of its own, which stand by behind it
// and take what it cannot serve. It lasts until end is called, or the service is
// moved, and is not remembered: after a restart all is as before.
func (e *Engine) Try(service, name string) (end func(), err error) {
	now := time.Now()
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sweep(now)
	s, k := e.svcBy[service], e.keyBy[name]
	switch {
	case s == nil:
		return nil, &NotFoundError{"service", service, nearest(service, e.svcBy)}
	case k == nil:
		return nil, &NotFoundError{"key", name, nearest(name, e.keyBy)}
	case s.pin != nil:
		return nil, fmt.Errorf("%s is pinned to %s: unpin it first", s.Name, s.pin.key.Name)
	case s.trial != nil:
		return nil, fmt.Errorf("%s is being moved to %s already", s.Name, s.trial.Name)
	}
	if err := e.mayMove(s, k, now); err != nil {
		return nil, err
	}
	e.setTrial(s, k, now)
	return func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if s.trial == k && e.svcBy[s.Name] == s {
			e.setTrial(s, nil, time.Now())
		}
	}, nil
}

func (e *Engine) setTrial(s *service, k *key, now time.Time) {
	s.trial, s.changed = k, true
	e.rearrange(s, now)
	e.dispatch(now)
}

// keepMove ends what a reload has left without object.
func (e *Engine) keepMove(s *service, now time.Time) {
	if s.trial != nil && e.keyBy[s.trial.Name] != s.trial {
		s.trial = nil
	}
	if s.moved == nil {
		return
	}
	why := ""
	switch {
	case e.keyBy[s.moved.Key] == nil:
		why = "the key was removed"
	case !slices.Equal(s.Keys, s.moved.From):
		why = "the config gives it other keys now"
	default:
		return
	}
	e.emit(Event{At: now, Kind: EventOperator, Service: s.Name, State: Active, By: "engine",
		Text: fmt.Sprintf("the move of %s to %s is over: %s", s.Name, s.moved.Key, why)})
	s.moved, s.changed = nil, true
}

// restoreMove makes the move what it was, if it still is of the config's keys.
func (s *service) restoreMove(keys map[string]*key, m *Moved) {
	s.moved = nil
	if m != nil && keys[m.Key] != nil && !s.Planned && slices.Equal(s.Keys, m.From) {
		moved := *m
		s.moved = &moved
	}
}

// Package checkup looks at a configuration, and at what is known of its keys,
// as one does who asks at night why a client gets a 401: each key answers the
// same questions, each service too, and what a person should do is said beside.
// It holds names and references, never a secret.
package checkup

import (
	"fmt"
	"time"

	"keywheel/engine"
	"keywheel/engine/config"
)

// Mark says how much something matters.
type Mark uint8

// The marks, the mildest first.
const (
	// OK is as it should be, or not known to be otherwise.
	OK Mark = iota
	// Note is good to know; it mends itself, or can wait.
	Note
	// Act needs a person.
	Act
)

var markNames = [...]string{"ok", "note", "act"}

func (m Mark) String() string { return markNames[m] }

// MarshalText gives the word.
func (m Mark) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText takes the word back.
func (m *Mark) UnmarshalText(text []byte) error {
	for i, name := range markNames {
		if name == string(text) {
			*m = Mark(i)
			return nil
		}
	}
	return fmt.Errorf("there is no mark %q", text)
}

// Finding is the answer to one question about a key or a service.
type Finding struct {
	// About is what was asked: of a key "secret", "shape", "state", "test",
	// "scopes", "quota", "account", "expiry", of a service "health", "needs",
	// "isolation", of both "config".
	About string `json:"about"`
	Mark  Mark   `json:"mark"`
	// Text answers it; "" where there is nothing to say.
	Text string `json:"text"`
	// Do is what a person can do about it; "" is nothing, or Text says it.
	Do string `json:"do"`
	// At is where the config says it: "keywheel.toml:12"; "" is nowhere.
	At string `json:"at"`
}

// Key is what was found of one key.
type Key struct {
	Name        string       `json:"name"`
	Provider    string       `json:"provider"`
	Account     string       `json:"account"`
	Fingerprint string       `json:"fingerprint"`
	State       engine.State `json:"state"`
	Services    []string     `json:"services"`
	// Mark is the worst of the findings.
	Mark     Mark      `json:"mark"`
	Findings []Finding `json:"findings"`
}

// Service is what was found of one service.
type Service struct {
	Name     string    `json:"name"`
	Provider string    `json:"provider"`
	Health   string    `json:"health"`
	Required bool      `json:"required"`
	Planned  bool      `json:"planned"`
	Usable   int       `json:"usable"`
	Keys     []string  `json:"keys"`
	Fallback []string  `json:"fallback"`
	Mark     Mark      `json:"mark"`
	Findings []Finding `json:"findings"`
}

// Report is all of it. Its JSON is stable: fields are only ever added.
type Report struct {
	Version int       `json:"version"`
	At      time.Time `json:"at"`
	// From tells where the states are from.
	From   string `json:"from"`
	Listen string `json:"listen"`
	// Sources tell what was taken from where.
	Sources []string `json:"sources"`
	// Values are all settings in force, and which source won each.
	Values []config.Value `json:"values"`
	// Mark is the worst of everything; advice does not count.
	Mark     Mark      `json:"mark"`
	Keys     []Key     `json:"keys"`
	Services []Service `json:"services"`
	// Findings are of no key and no service.
	Findings []Finding `json:"findings"`
	// Strategies say of each provider how its services share its keys.
	Strategies []Strategy `json:"strategies"`
	Advice     []Advice   `json:"advice"`

	ascii, untried bool
}

// Seen is what is known of the keys beside their configuration.
type Seen struct {
	// From says in words where it is from.
	From string
	engine.Snapshot
	// Running is true of a running keywheel; Untried where the config is all
	// there is: then no key has been used.
	Running, Untried bool
	// Told is what providers said of keys just now, by key; nil if nobody asked.
	Told map[string]Told
}

// Of looks at everything there is.
func Of(cfg *config.Config, seen Seen) Report {
	l := newLook(cfg, seen)
	r := Report{Version: 1, At: l.now, From: seen.From, Listen: cfg.Listen, Sources: append([]string{}, cfg.Sources...), Values: append([]config.Value{}, cfg.Values...),
		Keys: []Key{}, Services: []Service{}, Findings: []Finding{}, ascii: cfg.ASCII, untried: seen.Untried && seen.Told == nil}
	for i := range cfg.Engine.Keys {
		r.Keys = append(r.Keys, l.key(&cfg.Engine.Keys[i]))
	}
	for i := range cfg.Engine.Services {
		r.Services = append(r.Services, l.service(&cfg.Engine.Services[i]))
	}
	r.Findings = append(r.Findings, l.remarks(config.Subject{})...)
	r.Strategies, r.Advice = l.strategies(), l.advice()
	for _, k := range r.Keys {
		r.Mark = max(r.Mark, k.Mark)
	}
	for _, s := range r.Services {
		r.Mark = max(r.Mark, s.Mark)
	}
	r.Mark = max(r.Mark, worst(r.Findings))
	return r
}

func worst(list []Finding) (m Mark) {
	for _, f := range list {
		m = max(m, f.Mark)
	}
	return m
}

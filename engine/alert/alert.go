// Package alert tells people outside of what needs them: [Watch] decides from
// snapshots what is to be said and when, [Sender] brings it to a command and to
// a webhook.
package alert

import (
	"time"
)

// Kind is what an alert is about.
type Kind string

// The kinds of alerts.
const (
	// NoUsableKey: no key of a service can serve.
	NoUsableKey Kind = "no_usable_key"
	// OneKeyLeft: of a service's several keys one can serve.
	OneKeyLeft Kind = "one_key_left"
	// RunsOut: a limit will be used up before it resets.
	RunsOut Kind = "runs_out"
	// Revoked: a key's provider rejects it.
	Revoked Kind = "revoked"
	// Incident: many keys of a provider fail in one way.
	Incident Kind = "incident"
)

// Kinds lists all kinds, the worst first.
var Kinds = []Kind{NoUsableKey, OneKeyLeft, RunsOut, Revoked, Incident}

// Alert is one message: that something needs a person, or that it is over. Its
// JSON is what commands and webhooks get; fields are only ever added. Nothing in
// it is of a secret.
type Alert struct {
	// Version is 1.
	Version int `json:"version"`
	// ID is the same for an alert and its end, and when it is sent once more.
	ID   string    `json:"id"`
	Kind Kind      `json:"alert"`
	At   time.Time `json:"at"`
	// Resolved is true when it is over.
	Resolved bool `json:"resolved"`
	// Since is when it began.
	Since time.Time `json:"since"`
	// Subject is what it is about, in words: "service gpt-4o".
	Subject string `json:"subject"`
	// Service, Key, Account and Provider name it, as far as they apply.
	Service  string `json:"service,omitempty"`
	Key      string `json:"key,omitempty"`
	Account  string `json:"account,omitempty"`
	Provider string `json:"provider,omitempty"`
	// Text says all of it in one line for people.
	Text string `json:"text"`
	// Keys are those that it is about, each with its state and why.
	Keys []KeyState `json:"keys,omitempty"`
}

// KeyState is one key in an alert.
type KeyState struct {
	Name   string     `json:"name"`
	State  string     `json:"state"`
	Reason string     `json:"reason,omitempty"`
	Until  *time.Time `json:"until,omitempty"`
}

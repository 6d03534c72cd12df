// Package keymap is the key mapping table: which service uses which key, what
// for, and how the key is. It holds names, never secrets.
package keymap

import (
	"slices"
	"strings"
	"time"

	"keywheel/engine"
)

// Row is one service's use of one key.
type Row struct {
	Service string `json:"service"`
	Project string `json:"project"`
	// Key is "" where a service has none yet.
	Key     string `json:"key"`
	Purpose string `json:"purpose"`
	// Status is the key's state; "" without a key. Planned is true of a service
	// that is not served yet.
	Status  string `json:"status"`
	Planned bool   `json:"planned"`
	// Required is true of a service that has to be served, Unserved of one that has
	// to be and has no key that can.
	Required bool `json:"required"`
	Unserved bool `json:"unserved"`
	// Date is since when the status is known to be so: YYYY-MM-DD.
	Date string `json:"date"`
	// Tier is "keys" or "fallback".
	Tier        string   `json:"tier"`
	Provider    string   `json:"provider"`
	Host        string   `json:"host"`
	Account     string   `json:"account"`
	Fingerprint string   `json:"fingerprint"`
	Scopes      []string `json:"scopes"`
	// Ref is where the secret is read from.
	Ref string `json:"ref"`
}

// Table is the whole of it, at one moment.
type Table struct {
	Version int `json:"version"`
	// From tells what it was read from.
	From string `json:"from"`
	// Updated is the day that it speaks of: YYYY-MM-DD.
	Updated string `json:"updated"`
	Rows    []Row  `json:"rows"`
}

// Of makes the table of a snapshot: a row for each key of each service, in the
// order of the config.
func Of(s engine.Snapshot, from string) Table {
	t := Table{Version: 1, From: from, Updated: s.At.Local().Format(time.DateOnly), Rows: []Row{}}
	keys := map[string]*engine.KeyStatus{}
	for i := range s.Keys {
		keys[s.Keys[i].Name] = &s.Keys[i]
	}
	for i := range s.Services {
		sv := &s.Services[i]
		for j, name := range slices.Concat(sv.Keys, sv.Fallback) {
			r := t.row(sv)
			r.Key, r.Tier = name, "keys"
			if j >= len(sv.Keys) {
				r.Tier = "fallback"
			}
			if k := keys[name]; k != nil {
				r.Status = title(k.State.String())
				r.Provider, r.Host, r.Account, r.Fingerprint, r.Scopes, r.Ref = k.Provider, k.Host, k.Account, k.Fingerprint, k.Scopes, k.Ref
				if k.Since != nil {
					r.Date = k.Since.Local().Format(time.DateOnly)
				}
			}
			t.Rows = append(t.Rows, r)
		}
		if len(sv.Keys)+len(sv.Fallback) == 0 {
			t.Rows = append(t.Rows, t.row(sv))
		}
	}
	return t
}

func (t *Table) row(s *engine.ServiceStatus) Row {
	return Row{Service: s.Name, Project: s.Project, Purpose: s.Purpose, Planned: s.Planned,
		Required: s.Required, Unserved: s.Required && !s.Planned && s.Usable == 0, Provider: s.Provider, Date: t.Updated, Scopes: []string{}}
}

func title(word string) string { return strings.ToUpper(word[:1]) + word[1:] }

package control

import (
	"fmt"
	"slices"
	"time"

	"keywheel/engine"
)

// Why is what there is to say when a person asks why: of a key, of a service,
// or of a request. It is the JSON of `keywheel why`; fields are only ever added.
type Why struct {
	Version int    `json:"version"`
	Name    string `json:"name"`
	// Key and Service are those of that name; nil where there is none.
	Key     *engine.KeyStatus     `json:"key"`
	Service *engine.ServiceStatus `json:"service"`
	// Ends says of each of the key's holds, in their order, what ends it.
	Ends []string `json:"ends"`
	// Events are the newest that concern them, the oldest first; of a request,
	// those that bear its id.
	Events []engine.Event `json:"events"`
}

// whyEvents is how many events a Why holds.
const whyEvents = 10

// FindWhy finds what there is to say of a name. It reports false when nothing
// is called so and no event that is remembered bears it as a request's id.
func FindWhy(name string, s engine.Snapshot, events []engine.Event) (w Why, found bool) {
	w = Why{Version: 1, Name: name, Ends: []string{}, Events: []engine.Event{}}
	if i := slices.IndexFunc(s.Keys, func(k engine.KeyStatus) bool { return k.Name == name }); i >= 0 {
		w.Key = &s.Keys[i]
		for _, h := range w.Key.Holds {
			w.Ends = append(w.Ends, ends(h, name, s.At))
		}
	}
	if i := slices.IndexFunc(s.Services, func(sv engine.ServiceStatus) bool { return sv.Name == name }); i >= 0 {
		w.Service = &s.Services[i]
	}
	known := w.Key != nil || w.Service != nil
	for _, ev := range events {
		if known && concerns(ev, name) || !known && bears(ev, name) {
			w.Events = append(w.Events, ev)
		}
	}
	w.Events = w.Events[max(0, len(w.Events)-whyEvents):]
	return w, known || len(w.Events) > 0
}

// concerns reports whether an event is about a key or a service.
func concerns(ev engine.Event, name string) bool {
	return ev.Key == name || ev.Service == name || ev.Rotation != nil && ev.Rotation.To == name
}

// bears reports whether an event came of a request.
func bears(ev engine.Event, id string) bool {
	return ev.Rotation != nil && ev.Rotation.Evidence.Request == id || ev.Hold != nil && ev.Hold.Evidence.Request == id
}

// ends says what ends a hold of a key.
func ends(h engine.HoldStatus, key string, now time.Time) string {
	const far = 24 * time.Hour
	at := func(t time.Time) string {
		layout := time.TimeOnly
		if t.Sub(now) > far {
			layout = time.DateTime
		}
		return fmt.Sprintf("at %s, in %s", t.Local().Format(layout), max(t.Sub(now), 0).Round(time.Second))
	}
	switch {
	case h.TrialAt != nil && h.Until != nil:
		return fmt.Sprintf("by itself %s; or when a trial succeeds, the next %s", at(*h.Until), at(*h.TrialAt))
	case h.TrialAt != nil:
		return fmt.Sprintf("when a trial succeeds, the next %s; `keywheel lift %s` ends it now", at(*h.TrialAt), key)
	case h.Until != nil:
		return "by itself " + at(*h.Until)
	}
	switch h.State {
	case engine.Disabled:
		return fmt.Sprintf("when a person says `keywheel enable %s`", key)
	case engine.Missing:
		return "when its secret can be read: `keywheel check` tells where it is looked for"
	case engine.Expired:
		return "when the key is replaced by one that is valid"
	default:
		return fmt.Sprintf("when the key is replaced, or a person says `keywheel reset %s`", key)
	}
}

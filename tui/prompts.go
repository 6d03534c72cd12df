package tui

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"keywheel/engine"
)

// forHow long something lasts, as an operator picks it.
func durations(ask func(m *Model, d time.Duration) tea.Cmd, custom func(m *Model) tea.Cmd, endless string) []option {
	of := func(d time.Duration) func(m *Model) tea.Cmd {
		return func(m *Model) tea.Cmd { return ask(m, d) }
	}
	return []option{
		{"1", "for 1 hour", of(time.Hour)},
		{"8", "for 8 hours", of(8 * time.Hour)},
		{"u", endless, of(0)},
		{"c", "for …", custom},
	}
}

// askDuration asks for a time of the person's own.
func askDuration(m *Model, title string, body func(*state) []para, then func(m *Model, d time.Duration) tea.Cmd) tea.Cmd {
	m.open(&dialog{title: title, note: "90m, 8h, 2d", body: body, ask: "for", input: &input{},
		submit: func(m *Model, text string) (tea.Cmd, error) {
			d, err := parseFor(text)
			if err != nil {
				return nil, err
			}
			return then(m, d), nil
		}})
	return nil
}

// keyNames are the names of keys.
func keyNames(keys []*engine.KeyStatus) []string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = k.Name
	}
	return names
}

// these says what an action is on: a name, or how many.
func these(names []string) string {
	if len(names) == 1 {
		return names[0]
	}
	return grouped(len(names)) + " keys"
}

// askDisable asks how long keys are to be disabled, and says what is left
// without them.
func askDisable(m *Model) tea.Cmd {
	pickDisable(m, keyNames(m.targetKeys()), "")
	return nil
}

// pickDisable is the picker; choosing to give a reason comes back to it.
func pickDisable(m *Model, names []string, reason string) {
	title := "Disable " + these(names)
	body := func(st *state) []para {
		paras := st.loss(names)
		if reason != "" {
			paras = append(paras, line(), line(say(grey, "  because "), say(plain, reason)))
		}
		return paras
	}
	then := func(m *Model, d time.Duration) tea.Cmd {
		return m.confirmLoss(names, engine.Action{Verb: engine.VerbDisable, ForS: d.Seconds(), Reason: reason}, true)
	}
	options := durations(then, func(m *Model) tea.Cmd { return askDuration(m, title, body, then) }, "until enabled")
	// What stands until a person ends it comes first: it is what d is mostly for.
	options[0], options[1], options[2] = options[2], options[0], options[1]
	options = append(options, option{"r", pick(reason == "", "say why first", "say why differently"), func(m *Model) tea.Cmd {
		in := &input{}
		in.insert([]rune(reason))
		m.open(&dialog{title: title, note: "esc: without a reason", ask: "because", input: in, body: body, submit: func(m *Model, text string) (tea.Cmd, error) {
			pickDisable(m, names, text)
			return nil, nil
		}})
		return nil
	}}, option{"n", "cancel", nil})
	m.open(&dialog{title: title, note: "u undoes it", body: body, options: options, picked: 0})
}

// askDrain drains keys, after a question where that may hurt.
func askDrain(m *Model) tea.Cmd {
	return m.confirmLoss(keyNames(m.targetKeys()), engine.Action{Verb: engine.VerbDrain}, false)
}

// manyMarked is from how many keys on a person types what is meant.
const manyMarked = 10

// confirmLoss runs an action that takes keys away. It asks first where that
// leaves a service with one key or none, or where it is on several and nobody
// has been asked; where it is on many, or brings a service down, the answer has
// to be typed.
func (m *Model) confirmLoss(names []string, a engine.Action, asked bool) tea.Cmd {
	gone := make(map[string]bool, len(names))
	list := make([]engine.Action, len(names))
	for i, n := range names {
		gone[n] = true
		list[i] = a
		list[i].Key = n
	}
	worst := gravest(m.scene.without(gone, m.now))
	if !worst.dangerous() && len(names) <= manyMarked && (asked || len(names) == 1) {
		return m.do(list...)
	}
	body := func(st *state) []para { return st.loss(names) }
	verb := string(a.Verb)
	title := strings.ToUpper(verb[:1]) + verb[1:] + " " + these(names) + "?"
	if worst.last() || len(names) > manyMarked {
		// The name of the service that suffers most; without one, how many.
		word, note := strconv.Itoa(len(names)), plural(len(names), "key")
		if worst.dangerous() {
			word = worst.service
		}
		if worst.last() {
			note = "the last usable key" + pick(len(names) > 1, "s", "")
		}
		m.open(&dialog{title: title, note: note, danger: true, input: &input{},
			body: body, ask: "type " + word + ":",
			submit: func(m *Model, text string) (tea.Cmd, error) {
				if text != word {
					return nil, fmt.Errorf("that is not %q: nothing was done", word)
				}
				return m.do(list...), nil
			}})
		return nil
	}
	m.open(&dialog{title: title, note: "u undoes it", danger: true, body: body, picked: 1,
		options: []option{{"y", verb, func(m *Model) tea.Cmd { return m.do(list...) }}, {"n", "cancel", nil}}})
	return nil
}

// toEnable are the keys that e would bring back: the targets, or from the list
// of services all that are out of the selected one.
func (st *state) toEnable() (names []string) {
	out := func(keys []*engine.KeyStatus) {
		for _, k := range keys {
			if k.State == engine.Disabled || k.Draining {
				names = append(names, k.Name)
			}
		}
	}
	out(st.targetKeys())
	if s := st.selected(); len(names) == 0 && st.screen == screenServices && st.focus != paneKeys && s != nil {
		out(s.keys)
	}
	return names
}

// enable enables the keys in question, or asks which where several are out.
func enable(m *Model) tea.Cmd {
	names := m.toEnable()
	of := func(names ...string) tea.Cmd {
		var list []engine.Action
		for _, n := range names {
			list = append(list, engine.Action{Verb: engine.VerbEnable, Key: n})
		}
		return m.do(list...)
	}
	if len(names) == 1 || len(m.marks.keys) > 0 && m.focus != paneServices {
		return of(names...)
	}
	var options []option
	for i, n := range names[:min(len(names), 9)] {
		options = append(options, option{string(rune('1' + i)), n, func(*Model) tea.Cmd { return of(n) }})
	}
	m.open(&dialog{title: "Enable which key of " + m.service() + "?", body: func(st *state) []para {
		if len(names) > len(options) {
			return []para{line(say(grey, fmt.Sprintf("%d keys are disabled; the first %d. Select others in the list of keys.", len(names), len(options))))}
		}
		return []para{line(say(grey, plural(len(names), "key")+" of it are disabled or draining."))}
	}, options: append(options, option{"n", "cancel", nil})})
	return nil
}

// pinnable are the services that could be pinned to a key from here.
func (st *state) pinnable(k *engine.KeyStatus) (names []string) {
	if s := st.subjectService(); s != nil {
		if slices.Contains(s.keys, k) && !s.Planned {
			return []string{s.Name}
		}
		return nil
	}
	for _, n := range k.Services {
		if s := st.scene.byName[n]; s != nil && !s.Planned {
			names = append(names, n)
		}
	}
	return names
}

// askPin pins the service in question to the key, or ends the pin there is.
// Where the key serves several, it asks which.
func askPin(m *Model) tea.Cmd {
	keys := m.targetKeys()
	if s := m.subjectService(); s != nil && s.Pinned != "" && (m.focus == paneServices || len(keys) == 0 || keys[0].Name == s.Pinned) {
		return m.do(engine.Action{Verb: engine.VerbUnpin, Service: s.Name})
	}
	key := keys[0].Name
	names := m.pinnable(keys[0])
	if len(names) == 1 {
		return pinTo(m, names[0], key)
	}
	var options []option
	for i, n := range names[:min(len(names), 9)] {
		options = append(options, option{string(rune('1' + i)), n, func(m *Model) tea.Cmd { return pinTo(m, n, key) }})
	}
	m.open(&dialog{title: "Pin which service to " + key + "?", body: func(*state) []para {
		return []para{line(say(grey, "It serves "+plural(len(names), "service")+"."))}
	}, options: append(options, option{"n", "cancel", nil})})
	return nil
}

// pinTo asks for how long.
func pinTo(m *Model, name, key string) tea.Cmd {
	body := func(st *state) []para {
		k := st.scene.keys[key]
		fingerprint := ""
		if k != nil {
			fingerprint = k.Fingerprint
		}
		paras := []para{
			line(say(bold, name), say(plain, " will use "), say(bold, key+" "), say(grey, mark(fingerprint)), say(plain, " and no other key.")),
			line(say(grey, "Its limits and holds still count: when it cannot serve, requests are refused.")),
		}
		for _, h := range heldParts(k) {
			until := ""
			if h.Until != nil {
				until = " until " + st.at(*h.Until)
			}
			paras = append(paras, line(), line(say(red|bold, "✗ Not for "+h.Model+until+": those requests will be refused."), say(grey, "  "+h.Why)))
		}
		if k == nil || !k.Usable() {
			paras = append(paras, line(), line(say(red|bold, "✗ It cannot serve now: "+name+" will be down until it can.")))
		} else if q := ofKey(k, st.now); q != nil && q.known && q.remaining > 0 {
			paras = append(paras, line(), line(say(plain, "  It has "+percent(q.fraction())+" left "), say(grey, ofLimit(q.amount, q.unit, q.per, q.source))))
		}
		return paras
	}
	then := func(m *Model, d time.Duration) tea.Cmd {
		a := engine.Action{Verb: engine.VerbPin, Service: name, Key: key, ForS: d.Seconds()}
		if m.scene.usableKey(key) {
			return m.do(a)
		}
		m.open(&dialog{title: "Pin " + name + " to " + key + "?", note: "u undoes it", danger: true, body: body, picked: 1,
			options: []option{{"y", "pin", func(m *Model) tea.Cmd { return m.do(a) }}, {"n", "cancel", nil}}})
		return nil
	}
	options := durations(then, func(m *Model) tea.Cmd { return askDuration(m, "Pin "+name+" to "+key, body, then) }, "until unpinned")
	m.open(&dialog{title: "Pin " + name + " to " + key, note: "u undoes it", body: body, options: append(options, option{"n", "cancel", nil})})
	return nil
}

// heldParts are the holds that keep a key from one model or scope only.
func heldParts(k *engine.KeyStatus) (list []engine.HoldStatus) {
	if k != nil {
		for _, h := range k.Holds {
			if h.Model != "" {
				list = append(list, h)
			}
		}
	}
	return list
}

// askReset asks what is to be reset: holds only, or the counters too.
func askReset(m *Model) tea.Cmd {
	var lift, zero []engine.Action
	var names []string
	byKey := m.focus != paneServices && len(m.targetKeys()) > 0
	if byKey {
		names = keyNames(m.targetKeys())
	} else {
		for _, s := range m.targetServices() {
			names = append(names, s.Name)
		}
	}
	for _, n := range names {
		a := engine.Action{Verb: engine.VerbLift, Service: n}
		if byKey {
			a = engine.Action{Verb: engine.VerbLift, Key: n}
		}
		if len(names) == 1 || m.holdsOf(n, byKey) > 0 { // of many, those that are held
			lift = append(lift, a)
		}
		a.Verb = engine.VerbReset
		zero = append(zero, a)
	}
	what := names[0]
	if len(names) > 1 {
		what = plural(len(names), pick(byKey, "key", "service"))
	}
	run := func(list []engine.Action) func(m *Model) tea.Cmd {
		return func(m *Model) tea.Cmd {
			if len(list) <= manyMarked {
				return m.do(list...)
			}
			word := strconv.Itoa(len(list))
			m.open(&dialog{title: "Reset " + what + "?", danger: true, input: &input{}, body: func(st *state) []para { return st.resetBody(what, names, byKey) },
				ask: "type " + word + ":", submit: func(m *Model, text string) (tea.Cmd, error) {
					if text != word {
						return nil, fmt.Errorf("that is not %q: nothing was done", word)
					}
					return m.do(list...), nil
				}})
			return nil
		}
	}
	options := []option{{"1", "lift holds", run(lift)}, {"2", "lift holds and zero the counters", run(zero)}, {"n", "cancel", nil}}
	m.open(&dialog{title: "Reset " + what, note: "u undoes it", body: func(st *state) []para { return st.resetBody(what, names, byKey) }, options: options})
	return nil
}

// keysBehind are the keys that a reset of a key or a service is on.
func (st *state) keysBehind(name string, byKey bool) []*engine.KeyStatus {
	if k := st.scene.keys[name]; byKey && k != nil {
		return []*engine.KeyStatus{k}
	}
	if s := st.scene.byName[name]; !byKey && s != nil {
		return s.keys
	}
	return nil
}

// holdsOf counts what a reset would lift.
func (st *state) holdsOf(name string, byKey bool) (n int) {
	for _, k := range st.keysBehind(name, byKey) {
		for i := range k.Holds {
			if k.Holds[i].State != engine.Disabled {
				n++
			}
		}
	}
	return n
}

// resetBody says what a reset would lift.
func (st *state) resetBody(what string, names []string, byKey bool) []para {
	holds, disabled, keys := 0, 0, 0
	for _, n := range names {
		holds += st.holdsOf(n, byKey)
		for _, k := range st.keysBehind(n, byKey) {
			keys++
			if k.State == engine.Disabled {
				disabled++
			}
		}
	}
	paras := []para{line(say(plain, plural(holds, "hold")+" on "+plural(keys, "key")+" of "), say(bold, what),
		say(grey, ". Lifted keys serve at once; what is really wrong with them comes back."))}
	if disabled > 0 {
		paras = append(paras, line(say(grey, plural(disabled, "key")+" stay disabled: e enables.")))
	}
	return paras
}

// undoAsk is after how long undo asks first.
const undoAsk = 10 * time.Minute

// askUndo takes the last action back. It asks where that might surprise: the
// action is another's, or old, or undoing it enables a key.
func askUndo(m *Model) tea.Cmd {
	if why := m.scene.snap.UndoRefused; why != "" {
		m.toast = toastFor(m.now, "", false, errors.New("nothing undone: "+why))
		return nil
	}
	what := m.scene.snap.Undo
	undo := []engine.Action{{Verb: engine.VerbUndo}}
	if n := len(m.last.actions); n > 1 && m.last.text == what {
		// It was one of several done at once: all of them go back.
		undo = slices.Repeat(undo, n)
		what += fmt.Sprintf(" and %d more done with it", n-1)
	}
	if m.toast.undo && m.toast.shown(m.now) {
		return m.do(undo...)
	}
	reason := ""
	for i := len(m.events) - 1; i >= 0; i-- {
		ev := &m.events[i]
		if ev.Kind != engine.EventOperator || !strings.HasPrefix(ev.Text, m.scene.snap.Undo) {
			continue
		}
		switch {
		case ev.By != "you":
			reason = "It was done by " + ev.By + ", not by you."
		case m.now.Sub(ev.At) > undoAsk:
			reason = "It was done " + m.ago(ev.At) + "."
		}
		break
	}
	if reason == "" && strings.HasPrefix(what, "disabled") {
		reason = "A key that was disabled will serve again."
	}
	if reason == "" {
		return m.do(undo...)
	}
	m.open(&dialog{title: "Undo?", danger: true, picked: 1, body: func(*state) []para {
		return []para{line(say(plain, "Take back: "), say(bold, what)), line(say(amber, reason))}
	}, options: []option{{"y", "undo", func(m *Model) tea.Cmd { return m.do(undo...) }}, {"n", "cancel", nil}}})
	return nil
}

// redo does again what was just taken back, with the same questions as before.
func redo(m *Model) tea.Cmd {
	list := m.undone
	m.undone = nil
	var names []string
	for _, a := range list {
		if a.Verb == engine.VerbDisable || a.Verb == engine.VerbDrain {
			names = append(names, a.Key)
		}
	}
	if len(names) == len(list) {
		return m.confirmLoss(names, list[0], false)
	}
	return m.do(list...)
}

// askQuit quits, or asks first while requests run through this process.
func askQuit(m *Model) tea.Cmd {
	if !m.own || m.scene == nil || m.scene.snap.Proxy.InFlight == 0 {
		return tea.Quit
	}
	m.open(&dialog{title: "Quit keywheel?", danger: true, quitting: true, picked: 1, body: func(st *state) []para {
		n := st.scene.snap.Proxy.InFlight
		return []para{
			line(say(plain, plural(n, "request")+pick(n == 1, " is", " are")+" in flight. Quitting stops the proxy: new requests are refused at once, these are given a moment to end.")),
			line(say(grey, "keywheel serve runs it without a screen; keywheel attach watches it.")),
		}
	}, options: []option{{"y", "quit", func(*Model) tea.Cmd { return tea.Quit }}, {"n", "stay", nil}}})
	return nil
}

package tui

import (
	"fmt"
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

// askDisable asks how long a key is to be disabled, and says what is left
// without it.
func askDisable(m *Model) tea.Cmd {
	k := m.subjectKey()
	key := k.Name
	body := func(st *state) []para { return st.loss(key) }
	then := func(m *Model, d time.Duration) tea.Cmd {
		return m.confirmLoss(key, engine.Action{Verb: engine.VerbDisable, Key: key, ForS: d.Seconds()})
	}
	options := durations(then, func(m *Model) tea.Cmd { return askDuration(m, "Disable "+key, body, then) }, "until enabled")
	// What stands until a person ends it comes first: it is what d is mostly for.
	options[0], options[1], options[2] = options[2], options[0], options[1]
	m.open(&dialog{title: "Disable " + key, note: "u undoes it", body: body, options: append(options, option{"n", "cancel", nil}), picked: 0})
	return nil
}

// confirmLoss runs an action that takes a key away, and asks first where that
// leaves a service with one key or none.
func (m *Model) confirmLoss(key string, a engine.Action) tea.Cmd {
	worst := gravest(m.scene.without(key, m.now))
	if !worst.dangerous() {
		return m.do(a)
	}
	body := func(st *state) []para { return st.loss(key) }
	title := strings.ToUpper(string(a.Verb[:1])) + string(a.Verb[1:]) + " " + key + "?"
	if worst.last() {
		m.open(&dialog{title: title, note: "the last usable key", danger: true, input: &input{},
			body: body, ask: "type " + worst.service + ":",
			submit: func(m *Model, text string) (tea.Cmd, error) {
				if text != worst.service {
					return nil, fmt.Errorf("that is not %q: nothing was done", worst.service)
				}
				return m.do(a), nil
			}})
		return nil
	}
	m.open(&dialog{title: title, note: "u undoes it", danger: true, body: body, picked: 1,
		options: []option{{"y", string(a.Verb), func(m *Model) tea.Cmd { return m.do(a) }}, {"n", "cancel", nil}}})
	return nil
}

// enable enables the key in question, or asks which where several are disabled.
func enable(m *Model) tea.Cmd {
	if k := m.subjectKey(); k != nil && k.State == engine.Disabled || k != nil && k.Draining {
		return m.do(engine.Action{Verb: engine.VerbEnable, Key: k.Name})
	}
	names := disabledKeys(&m.state)
	if len(names) == 1 {
		return m.do(engine.Action{Verb: engine.VerbEnable, Key: names[0]})
	}
	var options []option
	for i, n := range names[:min(len(names), 9)] {
		options = append(options, option{string(rune('1' + i)), n, func(m *Model) tea.Cmd {
			return m.do(engine.Action{Verb: engine.VerbEnable, Key: n})
		}})
	}
	m.open(&dialog{title: "Enable which key of " + m.service + "?", body: func(st *state) []para {
		if len(names) > len(options) {
			return []para{line(say(grey, fmt.Sprintf("%d keys are disabled; the first %d. Select others in the list of keys.", len(names), len(options))))}
		}
		return []para{line(say(grey, plural(len(names), "key")+" of it are disabled or draining."))}
	}, options: append(options, option{"n", "cancel", nil})})
	return nil
}

// disabledKeys are the keys of the selected service that e would bring back.
func disabledKeys(st *state) (names []string) {
	if s := st.selected(); s != nil {
		for _, k := range s.keys {
			if k.State == engine.Disabled || k.Draining {
				names = append(names, k.Name)
			}
		}
	}
	return names
}

// askPin pins the key in question for a time, or ends the pin there is.
func askPin(m *Model) tea.Cmd {
	s := m.selected()
	k := m.subjectKey()
	if s.Pinned != "" && (m.focus != paneKeys || k == nil || k.Name == s.Pinned) {
		return m.do(engine.Action{Verb: engine.VerbUnpin, Service: s.Name})
	}
	name, key := s.Name, k.Name
	body := func(st *state) []para {
		paras := []para{
			line(say(bold, name), say(plain, " will use "), say(bold, key+" "), say(grey, mark(k.Fingerprint)), say(plain, " and no other key.")),
			line(say(grey, "Its limits and holds still count: when it cannot serve, requests are refused.")),
		}
		for _, h := range heldParts(st.scene.keys[key]) {
			until := ""
			if h.Until != nil {
				until = " until " + st.at(*h.Until)
			}
			paras = append(paras, line(), line(say(red|bold, "✗ Not for "+h.Model+until+": those requests will be refused."), say(grey, "  "+h.Why)))
		}
		if now := st.scene.keys[key]; now == nil || !now.Usable() {
			paras = append(paras, line(), line(say(red|bold, "✗ It cannot serve now: "+name+" will be down until it can.")))
		} else if q := ofKey(now, st.now); q != nil && q.known && q.remaining > 0 {
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
	lift, zero := engine.Action{Verb: engine.VerbLift}, engine.Action{Verb: engine.VerbReset}
	what := m.service
	if k := m.selectedKey(); m.focus == paneKeys && k != nil {
		what = k.Name
		lift.Key, zero.Key = what, what
	} else {
		lift.Service, zero.Service = what, what
	}
	byKey := lift.Key != ""
	m.open(&dialog{title: "Reset " + what, note: "u undoes it", body: func(st *state) []para { return st.resetBody(what, byKey) },
		options: []option{
			{"1", "lift holds", func(m *Model) tea.Cmd { return m.do(lift) }},
			{"2", "lift holds and zero the counters", func(m *Model) tea.Cmd { return m.do(zero) }},
			{"n", "cancel", nil},
		}})
	return nil
}

// resetBody says what a reset would lift.
func (st *state) resetBody(what string, byKey bool) []para {
	var keys []*engine.KeyStatus
	if byKey {
		if k := st.scene.keys[what]; k != nil {
			keys = []*engine.KeyStatus{k}
		}
	} else if s := st.scene.byName[what]; s != nil {
		keys = s.keys
	}
	holds, disabled := 0, 0
	for _, k := range keys {
		for i := range k.Holds {
			if k.Holds[i].State == engine.Disabled {
				disabled++
			} else {
				holds++
			}
		}
	}
	paras := []para{line(say(plain, plural(holds, "hold")+" on "+plural(len(keys), "key")+" of "), say(bold, what),
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
	what := m.scene.snap.Undo
	undo := engine.Action{Verb: engine.VerbUndo}
	if m.toast.undo && m.toast.shown(m.now) {
		return m.do(undo)
	}
	reason := ""
	for i := len(m.events) - 1; i >= 0; i-- {
		ev := &m.events[i]
		if ev.Kind != engine.EventOperator || !strings.HasPrefix(ev.Text, what) {
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
		return m.do(undo)
	}
	m.open(&dialog{title: "Undo?", danger: true, picked: 1, body: func(*state) []para {
		return []para{line(say(plain, "Take back: "), say(bold, what)), line(say(amber, reason))}
	}, options: []option{{"y", "undo", func(m *Model) tea.Cmd { return m.do(undo) }}, {"n", "cancel", nil}}})
	return nil
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

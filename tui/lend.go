package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"keywheel/engine"
)

// retiring says which former secrets of a key still have requests.
func retiring(k *engine.KeyStatus) (spans []span) {
	for i, r := range k.Retiring {
		spans = append(spans, say(plain, pick(i > 0, ", ", "")+mark(r.Fingerprint)+" "), say(bold, strconv.Itoa(r.InFlight)+" in flight"))
	}
	return append(spans, say(grey, " on the old secret, no new ones"))
}

// lentTo finds the lend of a key to a service, nil if there is none, or no
// service.
func (s *service) lentTo(key string) *engine.Lent {
	if s == nil {
		return nil
	}
	for i := range s.Lent {
		if s.Lent[i].Key == key {
			return &s.Lent[i]
		}
	}
	return nil
}

// lendEnd says when a lend ends, and who it is by.
func (st *state) lendEnd(l *engine.Lent) []span {
	by := ""
	if l.By != "" {
		by = ", by " + l.By
	}
	return []span{say(plain, " until "+st.at(l.Until)), say(grey, ", in "+countdown(st.until(l.Until))+by)}
}

// lendable are the services that the keys in question could be lent to: those
// that speak the keys' API, and of them those of the same provider first.
func (st *state) lendable() (names []string) {
	keys := st.targetKeys()
	if len(keys) == 0 {
		return nil
	}
	kinds := map[string]string{}
	for i := range st.scene.services {
		kinds[st.scene.services[i].Provider] = st.scene.services[i].Kind
	}
	far := map[string]int{}
	for _, name := range st.byNeed {
		s := st.scene.byName[name]
		if s == nil || s.Planned || len(s.keys) == 0 || slices.ContainsFunc(keys, func(k *engine.KeyStatus) bool {
			return slices.Contains(k.Services, name) && s.lentTo(k.Name) == nil || k.Dialect != s.Dialect
		}) {
			continue
		}
		switch {
		case s.Provider == keys[0].Provider:
		case s.Kind == kinds[keys[0].Provider]:
			far[name] = 1
		default:
			far[name] = 2
		}
		names = append(names, name)
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(far[a], far[b]) })
	return names
}

func canLend(st *state) bool {
	return len(st.marks.of(paneServices)) == 0 && len(st.lendable()) > 0
}

// askLend asks which service the keys are to be lent to. Where there are more
// than keys to press, the name can be typed.
func askLend(m *Model) tea.Cmd {
	keys, names := keyNames(m.targetKeys()), m.lendable()
	title := "Lend " + these(keys) + " to"
	label := func(n string) string {
		s := m.scene.byName[n]
		text := fmt.Sprintf("%s  %d of %d usable", n, s.Usable, len(s.keys))
		return text + pick(s.Provider == n, "", ", "+s.Provider)
	}
	var options []option
	for i, n := range names[:min(len(names), 9)] {
		options = append(options, option{strconv.Itoa(i + 1), label(n), func(m *Model) tea.Cmd { return lendTo(m, keys, n) }})
	}
	body := func(*state) []para {
		return []para{line(say(grey, "It serves there beside the service's own keys until a time, and ends by itself."))}
	}
	if len(names) > len(options) {
		options = append(options, option{"o", fmt.Sprintf("one of %d others, by its name", len(names)-len(options)), func(m *Model) tea.Cmd { return typeService(m, title, keys, names) }})
	}
	m.open(&dialog{title: title + " which service?", note: "u undoes it", body: body, options: append(options, option{"n", "cancel", nil})})
	return nil
}

// typeService asks for a service by name; the beginning of it will do where
// only one begins so.
func typeService(m *Model, title string, keys, names []string) tea.Cmd {
	in := &input{}
	fits := func() (list []string) {
		for _, n := range names {
			if strings.HasPrefix(strings.ToLower(n), strings.ToLower(strings.TrimSpace(in.String()))) {
				list = append(list, n)
			}
		}
		return list
	}
	m.open(&dialog{title: title, note: "u undoes it", ask: "service", input: in, body: func(*state) []para {
		list := fits()
		text := strings.Join(list[:min(len(list), 12)], "  ")
		if n := len(list) - 12; n > 0 {
			text += fmt.Sprintf("  and %d more", n)
		}
		return []para{line(say(plain, pick(text == "", "none is called that", text)))}
	}, submit: func(m *Model, text string) (tea.Cmd, error) {
		list := fits()
		if slices.Contains(list, text) {
			list = []string{text}
		}
		if text == "" || len(list) != 1 {
			return nil, fmt.Errorf("%q is not one of them: type its name, or as much as tells it from others", text)
		}
		return lendTo(m, keys, list[0]), nil
	}})
	return nil
}

// lendTo asks for how long.
func lendTo(m *Model, keys []string, name string) tea.Cmd {
	title := "Lend " + these(keys) + " to " + name
	body := func(st *state) []para { return st.lendBody(keys, name) }
	then := func(m *Model, d time.Duration) tea.Cmd {
		var list []engine.Action
		for _, k := range keys {
			list = append(list, engine.Action{Verb: engine.VerbLend, Key: k, Service: name, ForS: d.Seconds()})
		}
		return m.do(list...)
	}
	options := durations(then, func(m *Model) tea.Cmd { return askDuration(m, title, body, then) }, "")
	// A lend has an end.
	options[2] = option{"2", "for 2 hours", func(m *Model) tea.Cmd { return then(m, 2*time.Hour) }}
	options[0], options[1], options[2] = options[2], options[0], options[1]
	m.open(&dialog{title: title, note: "u undoes it", body: body, options: append(options, option{"n", "cancel", nil})})
	return nil
}

// lendBody says what a lend brings the service, and what it takes from.
func (st *state) lendBody(keys []string, name string) []para {
	s := st.scene.byName[name]
	if s == nil {
		return []para{line(say(grey, "The service is no longer in the config."))}
	}
	after := s.Usable
	var paras []para
	for i, n := range keys {
		k := st.scene.keys[n]
		if k == nil {
			continue
		}
		l := s.lentTo(n)
		if k.Usable() && l == nil {
			after++
		}
		if i == 6 && len(keys) > 7 {
			paras = append(paras, line(say(grey, fmt.Sprintf("  and %d more", len(keys)-6))))
		}
		if i >= 6 && len(keys) > 7 {
			continue
		}
		text := []span{say(bold, n+" "), say(grey, mark(k.Fingerprint)+"  ")}
		add := func(label string, spans ...span) { paras = append(paras, fact(label, spans...)) }
		if l != nil {
			text = append(append(text, say(plain, "is lent there")), append(st.lendEnd(l), say(plain, "; this sets a new end. "))...)
		}
		switch q := ofKey(k, st.now); {
		case !k.Usable():
			text = append(text, say(red, "✗ it cannot serve now ("+pick(k.Draining, "draining", k.State.String())+"), so it does not help yet"))
		case q != nil:
			text = append(text, say(plain, percent(q.fraction())+" left "), say(grey, ofLimit(q.amount, q.unit, q.per, q.source)))
		default:
			text = append(text, say(grey, "no limit known"))
		}
		add("key", text...)
		if len(k.Services) > 0 {
			add("shares", say(grey, "goes on serving "+strings.Join(k.Services, ", ")+": what "+name+" uses comes out of the same quota"))
		}
		if k.Provider != s.Provider {
			add("beware", say(yellow, "it is of "+k.Provider+", the service of "+s.Provider+": refused if they do not speak one language, and models may have other names"))
		}
	}
	return append([]para{line(say(bold, name), say(plain, ": "+plural(s.Usable, "usable key")+" now, "), say(bold, strconv.Itoa(after)), say(plain, " with it.")), line()}, paras...)
}

// lends are those that U would end: of the service in question from the list of
// services, else of the keys.
func (st *state) lends() (list []engine.Lent) {
	if st.scene == nil {
		return nil
	}
	if st.focus == paneServices {
		for _, s := range st.targetServices() {
			list = append(list, s.Lent...)
		}
		return list
	}
	for _, k := range st.targetKeys() {
		list = append(list, st.scene.lends[k.Name]...)
	}
	return list
}

func canUnlend(st *state) bool { return len(st.lends()) > 0 }

// askUnlend ends a lend; where there are several it asks which.
func askUnlend(m *Model) tea.Cmd {
	lends := m.lends()
	if len(lends) == 1 {
		return m.endLends(lends)
	}
	var options []option
	for i, l := range lends[:min(len(lends), 9)] {
		options = append(options, option{strconv.Itoa(i + 1), l.Key + " → " + l.Service, func(m *Model) tea.Cmd { return m.endLends([]engine.Lent{l}) }})
	}
	options = append(options, option{"a", fmt.Sprintf("all %d", len(lends)), func(m *Model) tea.Cmd { return m.endLends(lends) }}, option{"n", "cancel", nil})
	m.open(&dialog{title: "End which lend?", note: "u undoes it", body: func(*state) []para {
		return []para{line(say(grey, plural(len(lends), "lend")+" would end by themselves."))}
	}, options: options})
	return nil
}

// endLends ends lends, after a question where a service is left with one key or
// none.
func (m *Model) endLends(lends []engine.Lent) tea.Cmd {
	var list []engine.Action
	for _, l := range lends {
		list = append(list, engine.Action{Verb: engine.VerbUnlend, Key: l.Key, Service: l.Service})
	}
	if !gravest(m.scene.unlent(lends, m.now)).dangerous() {
		return m.do(list...)
	}
	what := plural(len(lends), "lend")
	if len(lends) == 1 {
		what = "the lend of " + lends[0].Key + " to " + lends[0].Service
	}
	m.open(&dialog{title: "End " + what + "?", note: "u undoes it", danger: true, picked: 1, body: func(st *state) []para {
		var paras []para
		for _, q := range st.scene.unlent(lends, st.now) {
			paras = append(paras, q.para())
		}
		return append(paras, line(say(grey, "What is in flight finishes first.")))
	}, options: []option{{"y", "end " + pick(len(lends) == 1, "it", "them"), func(m *Model) tea.Cmd { return m.do(list...) }}, {"n", "cancel", nil}}})
	return nil
}

// unlent is what the end of lends means for their services.
func (sc *scene) unlent(lends []engine.Lent, now time.Time) (list []consequence) {
	gone := map[string]map[string]bool{}
	for _, l := range lends {
		if gone[l.Service] == nil {
			gone[l.Service] = map[string]bool{}
		}
		gone[l.Service][l.Key] = true
	}
	for i := range sc.services {
		name := sc.services[i].Name
		if gone[name] == nil {
			continue
		}
		for _, q := range sc.without(gone[name], now) {
			if q.service == name {
				list = append(list, q)
			}
		}
	}
	return list
}

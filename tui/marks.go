package tui

import (
	"maps"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"keywheel/engine"
)

// marks are the services and the keys that a person has marked, by name. The
// next action is on all of them.
type marks struct {
	services, keys map[string]bool
	// anchor is what was marked last: a range begins there.
	anchor string
}

// of is the set that a pane's marks are in, nil where nothing can be marked.
func (m *marks) of(id paneID) map[string]bool {
	if m.services == nil {
		m.services, m.keys = map[string]bool{}, map[string]bool{}
	}
	switch id {
	case paneServices:
		return m.services
	case paneKeys, paneAll:
		return m.keys
	}
	return nil
}

// word says in a pane's title how many are marked.
func (m *marks) word(id paneID) string {
	if n := len(m.of(id)); n > 0 {
		return " · " + grouped(n) + " marked"
	}
	return ""
}

func (m *marks) clear() { *m = marks{} }

// forget drops the marks of what is no longer there.
func (m *marks) forget(sc *scene) {
	maps.DeleteFunc(m.services, func(n string, _ bool) bool { return sc.byName[n] == nil })
	maps.DeleteFunc(m.keys, func(n string, _ bool) bool { return sc.keys[n] == nil })
}

// canMark reports whether the rows of the pane with the keyboard can be marked.
func canMark(st *state) bool {
	return st.scene != nil && !st.summed() && st.marks.of(st.focus) != nil && len(st.list().ids) > 0
}

// names are the names behind a row: itself, or all keys of a group.
func (st *state) names(id string) []string {
	if st.focus == paneAll && strings.HasPrefix(id, groupPrefix) {
		for i := range st.all {
			if r := &st.all[i]; r.id == id {
				return r.group.names()
			}
		}
	}
	return []string{id}
}

// mark1 marks the selected row, or takes its mark away, and goes on to the next.
func mark1(m *Model) tea.Cmd {
	l, set := m.list(), m.marks.of(m.focus)
	names := m.names(l.pick())
	on := slices.ContainsFunc(names, func(n string) bool { return !set[n] })
	setMarks(set, names, on)
	m.marks.anchor = l.chosen
	m.choose(m.focus, l.at()+1)
	return nil
}

// markRange marks from the last mark to the selection.
func markRange(m *Model) tea.Cmd {
	l := m.list()
	from, to := slices.Index(l.ids, m.marks.anchor), l.at()
	if from < 0 {
		from = to
	}
	for _, id := range l.ids[min(from, to) : max(from, to)+1] {
		setMarks(m.marks.of(m.focus), m.names(id), true)
	}
	return nil
}

// markAll marks all that is shown, or nothing if all is marked.
func markAll(m *Model) tea.Cmd {
	set := m.marks.of(m.focus)
	var names []string
	for _, id := range m.list().ids {
		names = append(names, m.names(id)...)
	}
	setMarks(set, names, slices.ContainsFunc(names, func(n string) bool { return !set[n] }))
	return nil
}

func setMarks(set map[string]bool, names []string, on bool) {
	for _, n := range names {
		if on {
			set[n] = true
		} else {
			delete(set, n)
		}
	}
}

// targetKeys are the keys that an action is on: the marked ones, else the one
// in question.
func (st *state) targetKeys() []*engine.KeyStatus {
	if st.scene == nil {
		return nil
	}
	if (st.focus == paneKeys || st.focus == paneAll) && !st.summed() { // what is not seen is not acted on
		if set := st.marks.of(st.focus); len(set) > 0 {
			keys := make([]*engine.KeyStatus, 0, len(set))
			for _, n := range slices.Sorted(maps.Keys(set)) {
				if k := st.scene.keys[n]; k != nil {
					keys = append(keys, k)
				}
			}
			return keys
		}
	}
	if k := st.subjectKey(); k != nil {
		return []*engine.KeyStatus{k}
	}
	return nil
}

// targetServices are the services that an action is on.
func (st *state) targetServices() []*service {
	if set := st.marks.of(paneServices); st.scene != nil && st.focus == paneServices && len(set) > 0 {
		var list []*service
		for _, n := range slices.Sorted(maps.Keys(set)) {
			if s := st.scene.byName[n]; s != nil {
				list = append(list, s)
			}
		}
		return list
	}
	if s := st.subjectService(); s != nil {
		return []*service{s}
	}
	return nil
}

// rowBegin draws how each row begins: whether it is selected, whether it is
// marked, and what state it is in.
func (st *state) rowBegin(p *pen, id paneID, name string, k look) {
	on := st.focus == id
	p.put(pick(on, blue|bold, grey), pick(name == st.lists[id].chosen, "▸", " "))
	p.put(blue|bold, pick(st.marks.of(id)[name], "✓", " ")).put(k.ink, k.glyph)
}

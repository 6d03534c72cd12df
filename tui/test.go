package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"keywheel/engine"
)

// Tester is a Source that can ask the providers of keys whether they are valid.
// Without it the monitor does not offer that.
type Tester interface {
	// Test tells of each key as soon as it is known, one at a time. An error says
	// why there were none, or not all.
	Test(ctx context.Context, keys []string, by string, tell func(engine.KeyTest)) error
}

// trial is one test of some keys, while it runs and after.
type trial struct {
	keys []string
	said map[string]engine.KeyTest
	// err is why it ended before all was said.
	err    error
	over   bool
	cancel context.CancelFunc
	told   chan testedMsg
}

// testedMsg is what was said of one key, or that there is no more.
type testedMsg struct {
	of   *trial
	test engine.KeyTest
	over bool
	err  error
}

// toTest are the keys that t asks about: the keys in question, or from the list
// of services all of theirs.
func (st *state) toTest() (names []string) {
	if st.scene == nil || st.focus != paneServices {
		return keyNames(st.targetKeys())
	}
	seen := map[string]bool{}
	for _, s := range st.targetServices() {
		for _, k := range s.keys {
			if !seen[k.Name] {
				seen[k.Name] = true
				names = append(names, k.Name)
			}
		}
	}
	return names
}

// canTest is asked for every frame: it looks for one key and not for all.
func canTest(st *state) bool {
	if !st.tests || st.scene == nil || st.focus != paneServices {
		return st.tests && len(st.targetKeys()) > 0
	}
	return slices.ContainsFunc(st.targetServices(), func(s *service) bool { return len(s.keys) > 0 })
}

// testKeys asks about keys. It changes nothing and costs nothing, so nobody is
// asked first: of one key a toast tells, of several a page.
func testKeys(m *Model) tea.Cmd {
	src, ok := m.src.(Tester)
	if !ok {
		return nil
	}
	names := m.toTest()
	ctx, cancel := context.WithCancel(m.ctx)
	t := &trial{keys: names, said: map[string]engine.KeyTest{}, cancel: cancel, told: make(chan testedMsg, len(names)+1)}
	if len(names) > 1 {
		m.open(&dialog{title: "Testing " + plural(len(names), "key"), work: t, body: t.body})
	} else {
		m.toast = toastFor(m.now, "asking about "+names[0]+" …", false, nil)
		m.toast.waits, m.toast.until = true, m.now.Add(waitTime)
	}
	return func() tea.Msg {
		go func() {
			err := src.Test(ctx, names, "you", func(k engine.KeyTest) { t.told <- testedMsg{of: t, test: k} })
			cancel()
			t.told <- testedMsg{of: t, over: true, err: err}
		}()
		return <-t.told
	}
}

// tested takes in what was said, and waits for more.
func (m *Model) tested(msg testedMsg) tea.Cmd {
	t := msg.of
	if msg.over {
		t.over, t.err = true, msg.err
		m.marks.clear()
		m.tellTested(t)
		return m.lookNow()
	}
	t.said[msg.test.Key] = msg.test
	return func() tea.Msg { return <-t.told }
}

// tellTested says in a toast how a test ended that no page tells of.
func (m *Model) tellTested(t *trial) {
	for _, d := range m.dialogs {
		if d.work == work(t) {
			return
		}
	}
	switch k, one := t.said[t.keys[0]], len(t.keys) == 1; {
	case t.err != nil && !errors.Is(t.err, context.Canceled):
		m.toast = toastFor(m.now, "", false, t.err)
	case len(t.said) < len(t.keys):
		m.toast = toastFor(m.now, "the test was cancelled", false, nil)
	case one && (k.Well() || k.Untested != ""):
		m.toast = toastFor(m.now, t.keys[0]+": "+testLine(k), false, nil)
	case one:
		m.toast = toastFor(m.now, "", false, errors.New(t.keys[0]+": "+testLine(k)))
	}
}

// testLine says what was said of a key, and how soon.
func testLine(t engine.KeyTest) string {
	text := t.Words()
	if t.Untested != "" {
		return text
	}
	if t.Status != 0 {
		text += fmt.Sprintf(" (%d after %s)", t.Status, millis(float64(t.TookMS)))
	}
	if !t.Well() && t.Message != "" {
		text += ": " + t.Message
	}
	return text
}

func (t *trial) running() bool { return !t.over }

func (t *trial) leave(*state) { t.cancel() }

func (t *trial) closing(*state) string { return pick(t.over, "esc closes", "esc cancels") }

// body tells of each key what was said so far, and at the end how many are well.
func (t *trial) body(st *state) []para {
	paras := make([]para, 0, len(t.keys)+2)
	well, ill, held := 0, 0, false
	for _, name := range t.keys {
		k, said := t.said[name]
		look := span{yellow, "◔ "}
		text := span{grey, pick(t.over, "not asked", "asking …")}
		switch {
		case said && k.Well():
			look, text = span{green, "✓ "}, span{plain, testLine(k)}
			well++
		case said && k.Missing:
			look, text = span{red | bold, "? "}, span{red, testLine(k)}
			ill++
		case said && k.Untested != "":
			look, text = span{grey, "· "}, span{grey, testLine(k)}
		case said:
			look, text = span{red | bold, "✗ "}, span{red, testLine(k)}
			ill++
		}
		state := span{}
		if key := st.live().keys[name]; key != nil && key.State != engine.Active {
			state = span{yellow, pick(said && k.Well(), "  but ", "  ") + key.State.String() + " here"}
			held = held || said && k.Well()
		}
		paras = append(paras, fact(name, look, text, state))
	}
	paras = append(paras, line())
	switch {
	case !t.over:
		return append(paras, line(say(grey, fmt.Sprintf("%d of %d asked", len(t.said), len(t.keys)))))
	case t.err != nil && !errors.Is(t.err, context.Canceled):
		return append(paras, line(say(red, t.err.Error())))
	case ill == 0:
		return append(paras, line(say(green|bold, "✓ "), say(bold, plural(well, "key")+pick(well == 1, " is", " are")+" accepted."),
			say(grey, pick(held, " What holds a key here stays until R lifts it.", ""))))
	}
	return append(paras, line(say(red|bold, fmt.Sprintf("✗ %d of %d", ill, len(t.keys))), say(plain, " not well. "),
		say(bold, "d\u00a0"), say(plain, "disables a key, "), say(bold, "x\u00a0"), say(plain, "replaces its secret.")))
}

package tui

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/exp/golden"

	"keywheel/engine"
)

// newSecret has letters that are actions, and none that stands on the screen by
// chance.
const newSecret = "QZqz-rdxRLUpDu!w?/:2QZqz"

var errRejected = errors.New("openai rejects it (401 Incorrect API key provided). Nothing was changed")

// toProd3 selects prod-3.
var toProd3 = find("prod-3")

// mustHide fails if any three letters of the secret's ends are on the screen.
func mustHide(t *testing.T, m *Model) {
	t.Helper()
	if v := ansi.Strip(m.View()); strings.Contains(v, "QZq") || strings.Contains(v, "Zqz") {
		t.Fatalf("the secret is on the screen:\n%s", v)
	}
}

func TestReplace(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		fails error
		keys  []string
		got   string
		says  []string
	}{
		{"it goes through", nil, keysOf(toProd3, "x", letters(newSecret), "enter"), newSecret,
			[]string{"tested: openai accepts it", "1 in flight", "✓ prod-3 goes out with ·4e4e.", "u does not take this back"}},
		{"it is rejected", errRejected, keysOf(toProd3, "x", letters(newSecret), "enter"), newSecret,
			[]string{"✗ openai rejects it (401", "prod-3 still goes out with ·9f2a.", "tries another"}},
		{"esc", nil, keysOf(toProd3, "x", letters(newSecret), "esc"), "", []string{"prod-3"}},
		{"nothing typed", nil, keysOf(toProd3, "x enter"), "", []string{"nothing was typed"}},
		{"a blank", nil, keysOf(toProd3, "x a", []string{" "}, "b enter"), "", []string{"holds a blank"}},
		{"mended at its end", nil, keysOf(toProd3, "x left home ctrl+a q w backspace e enter"), "qe", []string{"goes out with"}},
		{"cleared", nil, keysOf(toProd3, "x q w ctrl+u r enter"), "r", []string{"goes out with"}},
		{"of two keys there is none", nil, keysOf("2", []string{" ", " "}, "x a b enter"), "", []string{"2 marked"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			m, src := monitor(t, 120, 36, healthy(), quiet(), inColour)
			src.steps, src.fails = steps(), tc.fails
			press(m, tc.keys...)
			mustShow(t, m, tc.says...)
			mustHide(t, m)
			if src.got != tc.got || len(src.did) > 0 {
				t.Errorf("replaced by %q, did %q", src.got, verbs(src.did))
			}
		})
	}
}

// What is typed is never drawn, acts on nothing, and outlives what happens
// around it.
func TestTheSecretIsHidden(t *testing.T) {
	t.Parallel()
	m, src := monitor(t, 120, 36, healthy(), quiet(), inColour)
	press(m, keysOf(toProd3, "x")...)
	for _, k := range letters(newSecret) {
		press(m, k)
		mustHide(t, m)
	}
	for _, size := range sizes {
		settle(m, tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		mustHide(t, m)
	}
	settle(m, tea.WindowSizeMsg{Width: 120, Height: 36})
	src.snap = lent()
	m.Update(fetch(src, m.seq, m.reqSeq)())
	settle(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("QZqz pasted\n"), Paste: true})
	settle(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("not marked as a paste: r d u")})
	mustHide(t, m)
	mustShow(t, m, fmt.Sprintf("new secret: %d characters", len(newSecret)+11+28))
	if len(src.did) > 0 || len(m.dialogs) != 1 {
		t.Errorf("typing did %q, %d dialogs", verbs(src.did), len(m.dialogs))
	}
	press(m, "ctrl+u")
	settle(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(newSecret + "\r\n"), Paste: true})
	press(m, "enter")
	mustHide(t, m)
	if src.got != newSecret {
		t.Errorf("a pasted secret arrives as %q", src.got)
	}
	press(m, "esc", "y")
	mustHide(t, m)
	settle(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(strings.Repeat("x", 20)), Paste: true})
	press(m, "x")
	settle(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(strings.Repeat("z", maxSecret+1)), Paste: true})
	press(m, "enter")
	mustShow(t, m, "too long for a key")
}

func TestAKeyThatGoesWhileItsSecretIsTyped(t *testing.T) {
	t.Parallel()
	m, src := monitor(t, 120, 36, healthy(), quiet(), noColour)
	press(m, keysOf(toProd3, "x a b c")...)
	src.snap = engine.Snapshot{At: noon}
	m.Update(fetch(src, m.seq, m.reqSeq)())
	press(m, "enter")
	mustShow(t, m, "no longer in the config")
	if src.got != "" {
		t.Error("it was replaced")
	}
}

// begun is a replacement under way, the fake's steps told and its end awaited.
func begun(t *testing.T) (m *Model, src *fake, next tea.Cmd) {
	t.Helper()
	m, src = monitor(t, 120, 36, healthy(), quiet(), noColour)
	src.steps, src.wait = steps()[:3], make(chan struct{})
	press(m, keysOf(toProd3, "x", letters(newSecret))...)
	_, next = m.Update(keyMsg("enter"))
	for i, text := range src.steps {
		if i > 0 {
			mustNotShow(t, m, "accepts it")
		}
		_, next = m.Update(next())
		if i != 1 {
			mustShow(t, m, text[:20], "until the switch nothing is changed", "esc cancels")
		}
	}
	return m, src, next
}

func TestStepsComeOneByOne(t *testing.T) {
	t.Parallel()
	m, src, next := begun(t)
	press(m, "r", "q", "d", "enter", "x") // none of them closes it or acts
	if len(m.dialogs) != 1 || len(src.did) > 0 {
		t.Fatalf("%d dialogs, did %q", len(m.dialogs), verbs(src.did))
	}
	worse := lent()
	for i := range worse.Keys {
		if worse.Keys[i].Name == "prod-3" {
			worse.Keys[i].Fingerprint = replacedMark
		}
	}
	m.take(fetchedMsg{seq: m.seq, scene: newScene(worse, nil)})
	mustShow(t, m, "◔ ·77aa 3 in flight on the old secret", "esc closes, it goes on")
	press(m, "esc")
	close(src.wait)
	settle(m, next())
	mustShow(t, m, "✓ replaced the secret of prod-3: ·9f2a → ·4e4e; u does not undo this")
}

func TestEscCancelsBeforeTheSwitch(t *testing.T) {
	t.Parallel()
	m, src, next := begun(t)
	press(m, "esc")
	settle(m, next())
	mustShow(t, m, "cancelled: prod-3 still goes out with ·9f2a")
	if len(m.dialogs) > 0 || src.snap.Keys[2].Fingerprint == replacedMark {
		t.Error("it goes on")
	}
}

func TestAFailureBehindAClosedPageIsAToast(t *testing.T) {
	t.Parallel()
	m, src, next := begun(t)
	var logged []error
	m.log = func(err error) { logged = append(logged, err) }
	src.fails = errRejected
	m.dialogs = nil // ctrl+c, then stay
	close(src.wait)
	settle(m, next())
	mustShow(t, m, "✗ openai rejects it (401", "prod-3 still goes out with ·9f2a")
	if len(logged) != 1 {
		t.Errorf("logged %v", logged)
	}
}

// A source that cannot does not offer it.
func TestNoReplacer(t *testing.T) {
	t.Parallel()
	m, src := monitor(t, 120, 36, healthy(), quiet(), noColour)
	plain := New(terse{src}, Options{}, func(string) string { return "" })
	plain.scene, plain.w, plain.h = m.scene, 120, 36
	plain.arrange()
	press(plain, "enter", "x")
	if len(plain.dialogs) > 0 {
		t.Error("it is offered")
	}
}

// The pages of a replacement, at its steps and at both its ends.
func TestViewReplacing(t *testing.T) {
	t.Parallel()
	for name, set := range map[string]func(*fake){
		"under-way": func(f *fake) { f.steps = steps()[:3]; f.wait = make(chan struct{}) },
		"draining":  func(f *fake) { f.snap = lent(); f.steps = steps()[:8]; f.wait = make(chan struct{}) },
		"done":      func(f *fake) { f.steps = steps() },
		"rejected":  func(f *fake) { f.steps = steps()[:2]; f.fails = errRejected },
	} {
		for _, size := range sizes {
			for look, env := range map[string]map[string]string{"colour": inColour, "plain": noColour, "ascii": inASCII} {
				if look == "ascii" && size[0] < 50 {
					continue
				}
				t.Run(fmt.Sprintf("%s/%dx%d-%s", name, size[0], size[1], look), func(t *testing.T) {
					t.Parallel()
					m, src := monitor(t, size[0], size[1], healthy(), quiet(), env)
					set(src)
					press(m, keysOf(toProd3, "x", letters(newSecret))...)
					_, next := m.Update(keyMsg("enter"))
					for range src.steps {
						_, next = m.Update(next())
					}
					if src.wait == nil {
						m.Update(next())
					}
					if name == "draining" {
						now := lent()
						now.Keys[2].Fingerprint = replacedMark
						m.take(fetchedMsg{seq: m.seq, scene: newScene(now, nil)})
					}
					mustHide(t, m)
					mustFit(t, m)
					golden.RequireEqual(t, m.View())
					if src.wait != nil {
						close(src.wait)
						next()
					}
				})
			}
		}
	}
}

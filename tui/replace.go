package tui

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"keywheel/engine/secret"
)

// Replacer is a Source whose keys can be given another secret while it runs.
// Without it the monitor does not offer that.
type Replacer interface {
	// Replace tells of each step. It may run as long as requests are in flight
	// on the old secret. An error says that the key has its old secret still.
	Replace(ctx context.Context, key string, s secret.Secret, by string, tell func(text string)) error
}

// replacement is one exchange of a key's secret, from the typed secret to the
// last request on the old one.
type replacement struct {
	key string
	was string // the fingerprint of the old secret
	progress
	done *replacedMsg // nil while it runs
}

// replacedMsg is how a replacement ended, and the fingerprint that the key has
// then; "" is unknown.
type replacedMsg struct {
	of  *replacement
	now string
	err error
}

// canReplace needs one key: a secret is that of one.
func canReplace(st *state) bool { return st.replaces && len(st.targetKeys()) == 1 }

// askReplace asks for the new secret of a key. Nothing of it is ever drawn.
func askReplace(m *Model) tea.Cmd {
	key := m.targetKeys()[0].Name
	m.open(&dialog{title: "Replace the secret of " + key, note: "not undoable", danger: true, ask: "new secret:", input: &input{hidden: true},
		body: func(st *state) []para { return st.replaceBody(key) },
		submit: func(m *Model, text string) (tea.Cmd, error) {
			switch wrong := secret.Unfit(text); {
			case m.scene.keys[key] == nil:
				return nil, errors.New("the key is no longer in the config: nothing was changed")
			case text == "":
				return nil, errors.New("nothing was typed: paste the new secret, or esc")
			case len(text) >= maxSecret:
				return nil, errors.New("this is too long for a key: ctrl+u clears it")
			case wrong != "":
				return nil, fmt.Errorf("this cannot be a key: it %s. ctrl+u clears it", wrong)
			}
			return m.replace(key, secret.New(text)), nil
		}})
	return nil
}

// replaceBody says what a replacement will do.
func (st *state) replaceBody(key string) []para {
	k := st.scene.keys[key]
	if k == nil {
		return []para{line(say(grey, "The key is no longer in the config."))}
	}
	serves := "no service uses it"
	if len(k.Services) > 0 {
		serves = "in " + strings.Join(k.Services, ", ")
	}
	old := "the old one"
	if k.Fingerprint != "" {
		old = mark(k.Fingerprint)
	}
	paras := []para{line(say(bold, key+" "), say(grey, mark(k.Fingerprint)+"  "), say(plain, serves)), line(),
		fact("test", say(plain, "by a free call, where "+k.Provider+" has one. If it is rejected, nothing is changed.")),
		fact("switch", say(plain, "New requests go out with the new secret at once."))}
	if !k.Usable() {
		why := pick(k.Draining, "draining", k.State.String())
		paras = append(paras, fact(" ", say(yellow, "The key is "+why+" now; what does not come from the old secret stays.")))
	}
	drain := []span{say(plain, old+" gets no new requests; ")}
	if k.InFlight > 0 {
		drain = append(drain, say(bold, strconv.Itoa(k.InFlight)+" in flight"), say(plain, pick(k.InFlight == 1, " finishes on it.", " finish on it.")))
	} else {
		drain = append(drain, say(plain, "nothing is in flight on it."))
	}
	paras = append(paras, fact("drain", drain...))
	if k.Bindings > 0 {
		paras = append(paras, fact("bindings", say(plain, plural(k.Bindings, "binding")+" to things made upstream stay with the name: they are found if the new secret is of the same account.")))
	}
	kept := []span{say(plain, "in keys.d/"+key+" of keywheel's state directory, in the place of "+k.Ref+"; in memory only, if it keeps no state. The config is not written.")}
	if strings.HasPrefix(k.Ref, "env:") {
		kept = append(kept, say(yellow, " A running process cannot see a changed environment: changing "+k.Ref+" does not reach it."))
	}
	return append(paras, fact("kept", kept...), line(say(grey, "u does not take it back: the way back is another replacement.")))
}

// replace begins a replacement and opens the page that follows it.
func (m *Model) replace(key string, s secret.Secret) tea.Cmd {
	src, ok := m.src.(Replacer)
	if !ok {
		return nil
	}
	r := &replacement{key: key, was: m.scene.keys[key].Fingerprint}
	var ctx context.Context
	r.progress, ctx = starting()
	m.open(&dialog{title: "Replacing the secret of " + key, work: r, body: r.body})
	all := m.src
	return r.run(func(tell func(string)) error { return src.Replace(ctx, key, s, "you", tell) }, func(err error) tea.Msg {
		end := replacedMsg{of: r, err: err}
		for _, k := range all.Snapshot().Keys {
			if k.Name == key {
				end.now = k.Fingerprint
			}
		}
		return end
	})
}

// replaced takes in how a replacement ended.
func (m *Model) replaced(msg replacedMsg) tea.Cmd {
	r := msg.of
	r.done = &msg
	open := m.follow(&r.progress) // then the page tells how it ended, and nothing covers it
	switch {
	case msg.err == nil && !open:
		m.toast = toastFor(m.now, "replaced the secret of "+r.key+": "+mark(r.was)+" → "+mark(msg.now)+"; u does not undo this", false, nil)
	case r.cancelled:
		m.toast = toastFor(m.now, "cancelled: "+r.outcome(), false, nil)
	case msg.err != nil:
		if m.log != nil {
			m.log(msg.err)
		}
		if !open {
			m.toast = toastFor(m.now, "", false, fmt.Errorf("%w. %s", msg.err, r.outcome()))
		}
	}
	return m.lookNow()
}

func (r *replacement) running() bool { return r.done == nil }

// switched reports whether a fingerprint is another than that of the old secret.
func (r *replacement) switched(now string) bool { return now != "" && now != r.was }

// outcome says which secret a key has after a replacement that did not end well.
func (r *replacement) outcome() string {
	switch {
	case r.switched(r.done.now):
		return r.key + " has its new secret " + mark(r.done.now) + " all the same; the old one drains by itself"
	case r.was == "":
		return r.key + " has no secret still"
	default:
		return r.key + " still goes out with " + mark(r.was)
	}
}

// leave is esc on the page: before the switch it cancels, after it the rest goes
// on and a toast tells how it ended.
func (r *replacement) leave(st *state) {
	if r.done == nil && !r.inForce(st) {
		r.cancelled = true
		r.cancel()
	}
}

// inForce reports whether the newest snapshot has the new secret.
func (r *replacement) inForce(st *state) bool {
	k := st.live().keys[r.key]
	return k != nil && r.switched(k.Fingerprint)
}

func (r *replacement) closing(st *state) string {
	switch {
	case r.done != nil:
		return "esc closes"
	case r.inForce(st):
		return "esc closes, it goes on"
	default:
		return "esc cancels"
	}
}

// body tells the steps as they happen, what is being waited for, and the end.
func (r *replacement) body(st *state) []para {
	paras := r.paras(st)
	switch {
	case r.done == nil:
		if k := st.live().keys[r.key]; k != nil && len(k.Retiring) > 0 {
			return append(paras, line(append([]span{say(yellow, "◔ ")}, retiring(k)...)...))
		}
		return append(paras, line(say(yellow, "◔ "), say(grey, pick(r.inForce(st), "under way", "under way; until the switch nothing is changed"))))
	case r.done.err == nil:
		return append(paras, line(say(green|bold, "✓ "), say(bold, r.key+" goes out with "+mark(r.done.now)+"."),
			say(grey, " u does not take this back: the way back is another replacement.")))
	}
	paras = append(paras, line(say(red|bold, "✗ "+r.done.err.Error())))
	if r.switched(r.done.now) || r.was == "" {
		return append(paras, line(say(plain, r.outcome()+".")))
	}
	return append(paras, line(say(plain, r.outcome()+". If it has leaked, take it out now: "), say(bold, "D\u00a0"), say(plain, "drains it, "),
		say(bold, "d\u00a0"), say(plain, "disables it. "), say(bold, "x\u00a0"), say(plain, "tries another secret.")))
}

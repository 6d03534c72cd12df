package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"keywheel/engine"
	"keywheel/engine/provider"
	"keywheel/engine/secret"
)

// Migrator is a Source whose services can be moved to other keys while it runs.
// Without it the monitor does not offer that.
type Migrator interface {
	// Migrate tells of each step. s is the secret of a key that is not there
	// yet, else empty. An error says that the service has its old keys still, as
	// it does when ctx ends.
	Migrate(ctx context.Context, m engine.Migration, s secret.Secret, by string, tell func(text string)) error
}

// migration is a service's move to another key, from the choice of the key to
// the first real request that it served.
type migration struct {
	service, key string
	progress
	done *migratedMsg // nil while it runs
}

// migratedMsg is how a migration ended.
type migratedMsg struct {
	of  *migration
	err error
}

// toMigrate is the service in question, nil if it is none that has keys.
func (st *state) toMigrate() *service {
	list := st.targetServices()
	if len(list) != 1 || list[0].Planned || len(list[0].Keys) == 0 {
		return nil
	}
	return list[0]
}

func canMigrate(st *state) bool { return st.migrates && st.toMigrate() != nil }

// newKeys are the keys that a service could be moved to: those of its provider.
func (st *state) newKeys(s *service) (names []string) {
	for i := range st.scene.snap.Keys {
		k := &st.scene.snap.Keys[i]
		if k.Provider == s.Provider && k.Usable() && !(len(s.Keys) == 1 && s.Keys[0] == k.Name) {
			names = append(names, k.Name)
		}
	}
	// Those that nobody uses first.
	slices.SortStableFunc(names, func(a, b string) int { return len(st.scene.keys[a].Services) - len(st.scene.keys[b].Services) })
	return names
}

// askMigrate asks for the new key: one of the config, or a new one.
func askMigrate(m *Model) tea.Cmd {
	s := m.toMigrate()
	service := s.Name
	var options []option
	names := m.newKeys(s)
	for i, name := range names[:min(len(names), 8)] {
		k := m.scene.keys[name]
		label := name + "  " + mark(k.Fingerprint) + pick(len(k.Services) == 0, "  no service uses it", "  in "+strings.Join(k.Services, ", "))
		options = append(options, option{strconv.Itoa(i + 1), label, func(m *Model) tea.Cmd { return m.migrate(service, name, secret.Secret{}) }})
	}
	options = append(options, option{"k", "a new key: its name, then its secret", func(m *Model) tea.Cmd { return askNewKey(m, service) }})
	if s.Moved != nil {
		options = append(options, option{"b", "back to " + strings.Join(s.Moved.From, ", ") + ", as the config says", func(m *Model) tea.Cmd {
			return m.do(engine.Action{Verb: engine.VerbMigrate, Service: service})
		}})
	}
	m.open(&dialog{title: "Move " + service + " to which key?", note: "u undoes it", body: func(st *state) []para { return st.migrateBody(service) },
		options: append(options, option{"n", "cancel", nil})})
	return nil
}

// migrateBody says what a migration will do.
func (st *state) migrateBody(service string) []para {
	s := st.scene.byName[service]
	if s == nil {
		return []para{line(say(grey, "The service is no longer in the config."))}
	}
	now := "has " + strings.Join(s.Keys, ", ")
	if s.Moved != nil {
		now += ", where " + s.Moved.By + " moved it; the config says " + strings.Join(s.Moved.From, ", ")
	}
	paras := []para{line(say(bold, service+" "), say(plain, now+".")), line()}
	if page := provider.KeyPage(s.Kind); page != "" {
		paras = append(paras, fact("1 key", say(plain, "A new one is made at "+page+". It is tested for what the service needs.")))
	} else {
		paras = append(paras, fact("1 key", say(plain, "It is tested for what the service needs.")))
	}
	return append(paras,
		fact("2 switch", say(plain, "New requests go out with it; the old keys stand by behind it.")),
		fact("3 verify", say(plain, "Final when it has served a real request. If it fails, all is as before, and no client notices.")))
}

// askNewKey asks for the name of a key that is to be added, then for its secret.
func askNewKey(m *Model, service string) tea.Cmd {
	title := "Move " + service + " to a new key"
	m.open(&dialog{title: title, note: "u undoes it", ask: "its name:", input: &input{}, body: func(st *state) []para { return st.migrateBody(service) },
		submit: func(m *Model, name string) (tea.Cmd, error) {
			switch {
			case secret.LooksSecret(name):
				return nil, errors.New("this looks like the key itself: a name first. ctrl+u clears it")
			case name == "":
				return nil, errors.New("nothing was typed: a name such as " + service + "-2, or esc")
			case m.scene.keys[name] != nil:
				return nil, fmt.Errorf("there is a key %s already", name)
			}
			m.open(&dialog{title: title, note: "u undoes it", ask: "secret of " + name + ":", input: &input{hidden: true}, body: func(st *state) []para { return st.migrateBody(service) },
				submit: func(m *Model, text string) (tea.Cmd, error) {
					if wrong := secret.Unfit(text); wrong != "" {
						return nil, fmt.Errorf("this cannot be a key: it %s. ctrl+u clears it", wrong)
					}
					return m.migrate(service, name, secret.New(text)), nil
				}})
			return nil, nil
		}})
	return nil
}

// migrate begins a migration and opens the page that follows it.
func (m *Model) migrate(service, key string, s secret.Secret) tea.Cmd {
	src, ok := m.src.(Migrator)
	if !ok {
		return nil
	}
	g := &migration{service: service, key: key}
	var ctx context.Context
	g.progress, ctx = starting()
	m.open(&dialog{title: "Moving " + service + " to " + key, work: g, body: g.body})
	return g.run(func(tell func(string)) error {
		return src.Migrate(ctx, engine.Migration{Service: service, Key: key}, s, "you", tell)
	}, func(err error) tea.Msg { return migratedMsg{g, err} })
}

// migrated takes in how a migration ended.
func (m *Model) migrated(msg migratedMsg) tea.Cmd {
	g := msg.of
	g.done = &msg
	open := m.follow(&g.progress)
	switch {
	case g.cancelled:
		m.toast = toastFor(m.now, "cancelled: "+g.service+" has its old keys", false, nil)
	case msg.err != nil:
		if m.log != nil {
			m.log(msg.err)
		}
		if !open {
			m.toast = toastFor(m.now, "", false, fmt.Errorf("not moved: %w", msg.err))
		}
	case !open:
		m.toast = toastFor(m.now, "moved "+g.service+" to "+g.key, true, nil)
	}
	return m.lookNow()
}

func (g *migration) running() bool { return g.done == nil }

// leave is esc on the page: nothing is final before the end, so it cancels.
func (g *migration) leave(*state) {
	if g.done == nil {
		g.cancelled = true
		g.cancel()
	}
}

func (g *migration) closing(*state) string {
	return pick(g.done != nil, "esc closes", "esc cancels, and all is as before")
}

// body tells the steps as they happen, and the end.
func (g *migration) body(st *state) []para {
	paras := g.paras(st)
	switch {
	case g.done == nil:
		return append(paras, line(say(yellow, "◔ "), say(grey, "under way; until a real request was served nothing is final")))
	case g.done.err == nil:
		return append(paras, line(say(green|bold, "✓ "), say(bold, g.service+" goes out with "+g.key+"."), say(grey, " u takes it back; to keep it in the config too, write keys = [\""+g.key+"\"] there.")))
	}
	return append(paras, line(say(red|bold, "✗ "+g.done.err.Error())), line(say(plain, g.service+" has its old keys.")))
}

// movedParas say that an operator has moved the service to another key than the
// config gives it, or is about to.
func (st *state) movedParas(s *service) []para {
	if m := s.Moved; m != nil {
		return []para{line(), line(say(blue, "→ "), say(bold, "moved to "+m.Key), say(plain, " by "+m.By+", "+st.at(m.At)), say(grey, "; the config says "+strings.Join(m.From, ", ")))}
	}
	if s.Trying != "" {
		return []para{line(), line(say(yellow, "◔ "), say(bold, "being moved to "+s.Trying), say(plain, ", which is not verified yet"))}
	}
	return nil
}

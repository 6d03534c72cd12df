package tui

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// work is something that takes a while and is followed on a page.
type work interface {
	running() bool
	// leave is esc on the page, closing says what that does.
	leave(st *state)
	closing(st *state) string
}

// progress is what some work has told so far, and how it is ended.
type progress struct {
	steps []step
	// cancel ends it, cancelled is true once a person did.
	cancel    context.CancelFunc
	cancelled bool
	told      chan tea.Msg
}

type step struct {
	at   time.Time
	text string
}

// stepMsg is a step that some work told.
type stepMsg struct {
	of   *progress
	text string
}

// stepsAhead is how many steps may be told before the screen has taken them.
const stepsAhead = 64

// starting is work that is about to begin, and when it is given up.
func starting() (progress, context.Context) {
	ctx, cancel := context.WithCancel(context.Background())
	return progress{cancel: cancel, told: make(chan tea.Msg, stepsAhead)}, ctx
}

func (p *progress) progressOf() *progress { return p }

// of reports whether it is the progress of some work.
func (p *progress) of(w work) bool {
	of, ok := w.(interface{ progressOf() *progress })
	return ok && of.progressOf() == p
}

// run does the work beside the screen. end makes the message that it ended with.
func (p *progress) run(do func(tell func(text string)) error, end func(err error) tea.Msg) tea.Cmd {
	return func() tea.Msg {
		go func() {
			// Whoever tells may hold what the proxy needs: telling never waits,
			// not even for a screen that has gone.
			err := do(func(text string) {
				select {
				case p.told <- stepMsg{p, text}:
				default:
				}
			})
			p.cancel()
			p.told <- end(err)
		}()
		return <-p.told
	}
}

// stepped takes in a step and waits for the next.
func (m *Model) stepped(msg stepMsg) tea.Cmd {
	p := msg.of
	now := step{m.now, msg.text}
	if n := len(p.steps); n > 0 && counts(msg.text) && counts(p.steps[n-1].text) {
		p.steps[n-1] = now // a count takes the place of the one before
	} else {
		p.steps = append(p.steps, now)
	}
	m.follow(p)
	return func() tea.Msg { return <-p.told }
}

// counts reports whether a step is only how many are left: "3 in flight".
func counts(text string) bool {
	n, ok := strings.CutSuffix(text, " in flight")
	_, err := strconv.Atoi(n)
	return ok && err == nil
}

// follow scrolls the page of some work to its end, and finds whether it is still
// open.
func (m *Model) follow(p *progress) (open bool) {
	i := slices.IndexFunc(m.dialogs, func(d *dialog) bool { return p.of(d.work) })
	if i >= 0 {
		m.dialogs[i].scroll(m, "end")
	}
	return i >= 0
}

// paras are the steps so far.
func (p *progress) paras(st *state) []para {
	var list []para
	for _, s := range p.steps {
		list = append(list, fact(st.stamp(s.at), say(plain, s.text)))
	}
	return append(list, line())
}

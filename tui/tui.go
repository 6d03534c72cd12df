// Package tui is the monitor: it shows a keywheel live in a terminal and lets a
// person step in. It knows the engine only as a [Source].
//
// A frame is a pure function of a state (snapshot, events, what is selected,
// size, time): nothing that draws reads a clock or asks the Source. The Source
// is asked a few times a second and actions are carried out beside the screen,
// never in its way.
package tui

import (
	"cmp"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/muesli/termenv"

	"keywheel/engine"
)

// Source is what the monitor watches and steers: the engine, or a client of a
// running one.
type Source interface {
	// Snapshot is called about five times a second. A zero one says that there
	// is no word from the engine.
	Snapshot() engine.Snapshot
	// Events returns what happened after a sequence number, the oldest first.
	Events(after uint64) []engine.Event
	// Do carries out an operator's action, [engine.VerbUndo] included.
	Do(engine.Action) (engine.Result, error)
}

// Lively is a Source that says cheaply whether there is anything new, and as
// soon as there is. Others are looked at every time.
type Lively interface {
	// Pulse is another number whenever something has happened.
	Pulse() uint64
	// Wait returns the events after a sequence number as soon as there is one,
	// or ctx's error.
	Wait(ctx context.Context, after uint64) ([]engine.Event, error)
}

// Options are what the monitor is started with. The zero value is good.
type Options struct {
	// Own is true when quitting the monitor stops the proxy.
	Own bool
	// ASCII draws with ASCII only. It is chosen without asking where the
	// terminal or its locale has no more.
	ASCII bool
	// Title stands in the corner; "" is KEYWHEEL.
	Title string
	// Zone is the time zone that times are shown in; nil is the local one.
	Zone *time.Location
	// Bell rings the terminal's bell at each alert, WindowTitle says in the
	// terminal's title who needs a person.
	Bell, WindowTitle bool
	// Log is told of errors that the screen showed; nil is nobody.
	Log func(error)
}

// New returns the model that [Run] runs, for those who drive it themselves.
// getenv is asked for what the terminal can show (os.Getenv).
func New(src Source, o Options, getenv func(string) string) *Model {
	m := &Model{state: newState(), ctx: context.Background(), src: src, log: o.Log, editor: cmp.Or(getenv("VISUAL"), getenv("EDITOR"), "vi")}
	m.lively, _ = src.(Lively)
	_, m.replaces = src.(Replacer)
	_, m.migrates = src.(Migrator)
	_, m.tests = src.(Tester)
	_, m.spends = src.(Spender)
	m.zone = o.Zone
	if m.zone == nil {
		m.zone = time.Local
	}
	m.own, m.title = o.Own, o.Title
	m.bell, m.titled = o.Bell, o.WindowTitle
	m.ascii = o.ASCII || needsASCII(getenv)
	m.colour = getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"
	m.now = time.Now()
	return m
}

// framesPerSecond is how soon after a key its effect may show: a frame of its
// own costs more than a person sees of it.
const framesPerSecond = 15

// Run shows the monitor on the whole terminal until the person quits or ctx
// ends.
func Run(ctx context.Context, src Source, o Options) error {
	m := New(src, o, os.Getenv)
	if termenv.NewOutput(os.Stdout).EnvColorProfile() == termenv.Ascii {
		m.colour = false
	}
	ended, end := context.WithCancel(ctx)
	defer end()
	m.ctx = ended
	out := &terminal{File: os.Stdout}
	m.write = out
	p := tea.NewProgram(m, tea.WithOutput(out), tea.WithAltScreen(), tea.WithMouseCellMotion(), tea.WithContext(ctx),
		tea.WithoutSignalHandler(), tea.WithFPS(framesPerSecond))
	_, err := p.Run()
	if ctx.Err() != nil && errors.Is(err, tea.ErrProgramKilled) {
		return nil
	}
	return err
}

// terminal is the screen's output, which one write has at a time: a frame is
// never cut by a word to the clipboard.
type terminal struct {
	*os.File
	mu sync.Mutex
}

func (t *terminal) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.File.Write(p)
}

// WriteString is Write: the file's own would not take its turn.
func (t *terminal) WriteString(s string) (int, error) { return t.Write([]byte(s)) }

// needsASCII reports whether the terminal cannot show more than ASCII.
func needsASCII(getenv func(string) string) bool {
	switch getenv("TERM") {
	case "linux", "dumb":
		return true
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := getenv(name); v != "" {
			v = strings.ToLower(v)
			return !strings.Contains(v, "utf-8") && !strings.Contains(v, "utf8")
		}
	}
	return false
}

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"

	"keywheel/engine"
	"keywheel/engine/control"
)

// program is the real program as a test runs it, one instance at a time:
// [program.serve] has it serve with a log, [inTerminal] with a screen.
type program struct {
	path           string // of the program itself
	dir            string // where its config, socket and journal are
	config, socket string
	workdir        string   // where it runs; "" is where the test does
	env            []string // by itself it holds no key
	// first is what a shell does before it starts it.
	first string

	cmd    *exec.Cmd // that serves
	log    *notes    // of that
	client *control.Client
	addr   string // where it listens
}

func newProgram(t testing.TB, env ...string) *program {
	dir := shortDir(t)
	p := &program{path: "keywheel", dir: dir, config: filepath.Join(dir, "keywheel.toml"), env: append(plainEnv(dir), env...)}
	p.answersAt(filepath.Join(dir, "kw.sock"))
	return p
}

// plainEnv is an environment that holds no key.
func plainEnv(home string) []string {
	return []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "GORACE=atexit_sleep_ms=0"} // else every verb takes a second
}

// shortDir is a directory until the test ends. The path of a socket in it is
// short, as it must be.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kw")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// answersAt says where its socket is.
func (p *program) answersAt(socket string) {
	p.socket, p.client = socket, control.NewClient(socket)
}

// write writes a file that it reads, for its owner alone.
func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// configure gives it keys k0, k1 and so on of an upstream, all in the service
// ui, and a journal.
func (p *program) configure(t testing.TB, upstream string, keys int) {
	t.Helper()
	var toml strings.Builder
	fmt.Fprintf(&toml, "listen = \"127.0.0.1:0\"\njournal = \"kw.db\"\n[providers.up]\nkind = \"openai\"\nbase_url = \"%s/v1\"\n", upstream)
	var names []string
	for i := range keys {
		name := fmt.Sprintf("k%d", i)
		names = append(names, name)
		write(t, filepath.Join(p.dir, name), fmt.Sprintf("sk-test-not-a-key-%d", i))
		fmt.Fprintf(&toml, "[keys.%s]\nprovider = \"up\"\nsecret = \"file:%[1]s\"\n", name)
	}
	fmt.Fprintf(&toml, "[services.ui]\nkeys = [\"%s\"]\n", strings.Join(names, `", "`))
	write(t, p.config, toml.String())
}

// command is a call of it.
func (p *program) command(ctx context.Context, args ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, p.path, args...)
	c.Dir, c.Env = p.workdir, slices.Clone(p.env)
	return c
}

// serve has it serve, without a screen, until the test ends or ends it.
func (p *program) serve(t testing.TB, args ...string) {
	t.Helper()
	p.log = &notes{}
	c := exec.Command("sh", append([]string{"-c", p.first + ` exec "$0" serve "$@"`, p.path, "--config", p.config, "--socket", p.socket}, args...)...)
	c.Dir, c.Env, c.Stdout, c.Stderr = p.workdir, p.env, p.log, p.log
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	p.cmd = c
	t.Cleanup(func() { kill(c) })
	p.log.await(t, "listening")
	p.awaitAnswer(t)
}

// kill ends a command that may have ended already, and waits for it.
func kill(c *exec.Cmd) {
	_ = c.Process.Kill()
	_ = c.Wait()
}

// awaitAnswer waits until it answers on its socket, and notes where it listens.
func (p *program) awaitAnswer(t testing.TB) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for range 12_000 { // two minutes
		if s, err := p.client.Snapshot(t.Context()); err == nil {
			p.addr = s.Proxy.Listen
			return
		}
		<-tick.C
	}
	t.Fatal("it never answered")
}

// url is where it serves a path.
func (p *program) url(path string) string { return "http://" + p.addr + path }

// snapshot is how it says that it stands.
func (p *program) snapshot(t testing.TB) engine.Snapshot {
	t.Helper()
	s, err := p.client.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// notes is a log to look into while it is written.
type notes struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(p)
}

// text is what was written so far.
func (n *notes) text() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.String()
}

// await waits until the log holds text.
func (n *notes) await(t testing.TB, text string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range 120_000 { // two minutes
		if strings.Contains(n.text(), text) {
			return
		}
		<-tick.C
	}
	t.Fatalf("%q never came:\n%s", text, n.text())
}

// screen is a command in a terminal, and what it shows there.
type screen struct {
	cmd  *exec.Cmd
	pty  *os.File
	busy sync.WaitGroup
	once sync.Once // to end it

	mu      sync.Mutex
	term    *vt.Emulator // nil where nobody looks
	changed chan struct{}
	raw     bytes.Buffer // all that it wrote
}

// inTerminal starts a command in a terminal, until the test ends or ends it.
func inTerminal(t testing.TB, c *exec.Cmd, cols, rows int) *screen {
	t.Helper()
	s := openTerminal(t, c, cols, rows)
	s.term, s.changed = vt.NewEmulator(cols, rows), make(chan struct{})
	s.busy.Go(s.watch)
	s.busy.Go(func() { _, _ = io.Copy(s.pty, s.term) }) // what the terminal answers
	return s
}

// unseen starts a command in a terminal that nobody looks at, until the test
// ends or ends it.
func unseen(t testing.TB, c *exec.Cmd) *screen {
	t.Helper()
	s := openTerminal(t, c, 120, 36)
	s.busy.Go(func() { _, _ = io.Copy(io.Discard, s.pty) })
	return s
}

func openTerminal(t testing.TB, c *exec.Cmd, cols, rows int) *screen {
	t.Helper()
	c.Env = append(c.Env, "TERM=xterm-256color", "LANG=C.UTF-8")
	f, err := pty.StartWithSize(c, &pty.Winsize{Cols: uint16(cols), Rows: uint16(rows)})
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{cmd: c, pty: f}
	t.Cleanup(func() { s.end(syscall.SIGKILL) })
	return s
}

// watch shows what the command writes, until it ends.
func (s *screen) watch() {
	buf := make([]byte, 64<<10)
	for {
		n, err := s.pty.Read(buf)
		s.mu.Lock()
		_, _ = s.term.Write(buf[:n])
		s.raw.Write(buf[:n])
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// end ends the command by a signal, if it has not been ended; raw is whole then.
func (s *screen) end(how syscall.Signal) {
	s.once.Do(func() {
		_ = s.cmd.Process.Signal(how)
		_ = s.cmd.Wait()
		if s.term != nil {
			_ = s.term.InputPipe().(io.Closer).Close()
		}
		_ = s.pty.Close()
		s.busy.Wait()
	})
}

// typed types keys.
func (s *screen) typed(t testing.TB, keys string) {
	t.Helper()
	if _, err := io.WriteString(s.pty, keys); err != nil {
		t.Fatal(err)
	}
}

// text is what the screen shows.
func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.term.String()
}

// shows waits a while for the screen to show a pattern.
func (s *screen) shows(pattern string, within time.Duration) bool {
	want, late := regexp.MustCompile(pattern), time.After(within)
	for {
		s.mu.Lock()
		text, changed := s.term.String(), s.changed
		s.mu.Unlock()
		if want.MatchString(text) {
			return true
		}
		select {
		case <-changed:
		case <-late:
			return false
		}
	}
}

// until waits until the screen shows a pattern.
func (s *screen) until(t testing.TB, pattern string) {
	t.Helper()
	if !s.shows(pattern, 2*time.Minute) {
		t.Fatalf("the screen did not show %s:\n%s", pattern, s.text())
	}
}

package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
)

// patience is how long Wait waits when the tape does not say: twice as long as
// in VHS, for machines that have more to do.
const patience = 30 * time.Second

// player runs a shell in a terminal of its own and does to it what a tape says.
type player struct {
	mu      sync.Mutex
	screen  *vt.Emulator
	changed chan struct{} // closed and made anew whenever the screen changes
	pty     *os.File
	cols    int
	rows    int
	frames  float64 // pictures a second, for Output
	speed   float64 // how fast Output plays them
	output  string
	hidden  bool
	// fonts draw Screenshot and Output; nil draws nothing.
	fonts *fonts
	film  *film
	// hurry leaves out Sleep, which is for those who watch, and waits for longer.
	hurry bool
	// end is called when the tape is at its end and its last screen still there.
	end func() error
}

// play plays a tape to its end. env is what the shell gets beside PATH.
func (p *player) play(t tape, env []string) error {
	p.cols, p.rows, p.frames, p.speed = 120, 36, 4, 1
	var rest tape
	for _, c := range t {
		if c.verb != "Set" && c.verb != "Env" && c.verb != "Output" && c.verb != "Require" {
			rest = append(rest, c)
			continue
		}
		if err := p.set(c, &env); err != nil {
			return fmt.Errorf("line %d: %w", c.line, err)
		}
	}
	p.screen = vt.NewEmulator(p.cols, p.rows)
	p.changed = make(chan struct{})
	// Without job control all that the tape starts is one group, and ends with it.
	shell := exec.Command("sh", "+m")
	shell.Env = append([]string{"PATH=" + os.Getenv("PATH"), "TERM=xterm-256color", "COLORTERM=truecolor", "LANG=C.UTF-8", "PS1=$ "}, env...)
	f, err := pty.StartWithSize(shell, &pty.Winsize{Cols: uint16(p.cols), Rows: uint16(p.rows)})
	if err != nil {
		return err
	}
	p.pty = f
	var running sync.WaitGroup
	running.Go(func() { p.show(f) })
	running.Go(func() { _, _ = io.Copy(f, p.screen) }) // what the terminal answers
	stop := make(chan struct{})
	defer func() {
		close(stop)
		_ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) // a session of its own: the shell and what it started
		_ = f.Close()
		_ = shell.Wait()
		// The pipe and not the screen, whose Close does not wait for who reads.
		_ = p.screen.InputPipe().(io.Closer).Close()
		running.Wait()
	}()
	if p.fonts != nil && p.output != "" {
		p.film = &film{painter: painter{fonts: p.fonts}, speed: p.speed}
		running.Go(func() { p.shoot(stop) })
	}
	for _, c := range rest {
		if err := p.do(c); err != nil {
			return fmt.Errorf("line %d: %w", c.line, err)
		}
	}
	if p.end != nil {
		return p.end()
	}
	if p.film == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.film.save(p.output)
}

// shoot takes pictures for Output while the screen is shown.
func (p *player) shoot(stop <-chan struct{}) {
	every := time.NewTicker(time.Duration(float64(time.Second) / p.frames))
	defer every.Stop()
	for {
		select {
		case <-stop:
			return
		case now := <-every.C:
			p.mu.Lock()
			if p.hidden {
				p.film.shot = now
			} else {
				p.film.take(p.screen, now)
			}
			p.mu.Unlock()
		}
	}
}

// set takes what a tape says before it begins.
func (p *player) set(c command, env *[]string) error {
	name, value, _ := strings.Cut(c.text, " ")
	value = strings.Trim(strings.TrimSpace(value), "\"'")
	switch {
	case c.verb == "Env":
		*env = append(*env, name+"="+value)
	case c.verb == "Output":
		p.output = c.text
	case c.verb == "Require":
		if _, err := exec.LookPath(c.text); err != nil {
			return err
		}
	case c.verb == "Set" && numbers[name] != nil:
		n, err := strconv.ParseFloat(value, 64)
		if err != nil || n <= 0 {
			return fmt.Errorf("%s %s: want a number above 0", name, value)
		}
		numbers[name](p, n)
	}
	return nil
}

// numbers are what Set sets. Width and Height are pixels in VHS; here a cell is
// 10 by 20 of them.
var numbers = map[string]func(p *player, n float64){
	"Width":         func(p *player, n float64) { p.cols = int(n) / cellWidth },
	"Height":        func(p *player, n float64) { p.rows = int(n) / cellHeight },
	"Framerate":     func(p *player, n float64) { p.frames = n },
	"PlaybackSpeed": func(p *player, n float64) { p.speed = n },
}

// show feeds the screen with what the shell prints.
func (p *player) show(r io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		p.mu.Lock()
		_, _ = p.screen.Write(buf[:n])
		close(p.changed)
		p.changed = make(chan struct{})
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (p *player) do(c command) error {
	switch {
	case c.verb == "Type":
		return p.send(c.text)
	case keys[c.verb] != "":
		return p.send(strings.Repeat(keys[c.verb], c.count))
	case strings.HasPrefix(c.verb, "Ctrl+"):
		return p.send(string(c.verb[len(c.verb)-1] & 0x1f))
	case c.verb == "Sleep" && !p.hurry:
		time.Sleep(c.d)
	case c.verb == "Hide" || c.verb == "Show":
		p.mu.Lock()
		p.hidden = c.verb == "Hide"
		p.mu.Unlock()
	case c.verb == "Wait+Screen":
		return p.wait(c)
	case c.verb == "Screenshot" && p.fonts != nil:
		p.mu.Lock()
		defer p.mu.Unlock()
		return (&painter{fonts: p.fonts}).png(p.screen, c.text)
	}
	return nil
}

func (p *player) send(s string) error {
	_, err := io.WriteString(p.pty, s)
	return err
}

// wait waits until the screen shows what the tape wants.
func (p *player) wait(c command) error {
	if text, ok := p.until(c.d, c.want.MatchString); !ok {
		return errors.New("the screen did not show " + c.want.String() + ":\n" + text)
	}
	return nil
}

// until waits until the screen is as wanted, no longer than limit, and returns
// what it shows.
func (p *player) until(limit time.Duration, wanted func(text string) bool) (string, bool) {
	limit = cmp.Or(limit, patience)
	if p.hurry {
		limit *= 4 // beside it other tests run
	}
	end := time.NewTimer(limit)
	defer end.Stop()
	for {
		p.mu.Lock()
		text, changed := p.screen.String(), p.changed
		p.mu.Unlock()
		if wanted(text) {
			return text, true
		}
		select {
		case <-changed:
		case <-end.C:
			return text, false
		}
	}
}

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/charmbracelet/x/vt"
	"github.com/creack/pty"
)

// patience is how long Wait waits when the tape does not say.
const patience = 15 * time.Second

// player runs a shell in a terminal of its own and does to it what a tape says.
type player struct {
	mu      sync.Mutex
	screen  *vt.Emulator
	changed chan struct{} // closed and made anew whenever the screen changes
	pty     *os.File
	cols    int
	rows    int
	// draw makes a picture of the screen for Screenshot.
	draw func(*vt.Emulator, string) error
}

// play plays a tape to its end. env is what the shell gets beside PATH.
func (p *player) play(t tape, env []string) error {
	p.cols, p.rows = 120, 36
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
	shell := exec.Command("sh")
	shell.Env = append([]string{"PATH=" + os.Getenv("PATH"), "TERM=xterm-256color", "COLORTERM=truecolor", "LANG=C.UTF-8", "PS1=$ "}, env...)
	f, err := pty.StartWithSize(shell, &pty.Winsize{Cols: uint16(p.cols), Rows: uint16(p.rows)})
	if err != nil {
		return err
	}
	p.pty = f
	var running sync.WaitGroup
	running.Go(func() { p.show(f) })
	running.Go(func() { _, _ = io.Copy(f, p.screen) }) // what the terminal answers
	defer func() {
		_ = f.Close()
		_ = shell.Process.Kill()
		_ = shell.Wait()
		_ = p.screen.Close()
		running.Wait()
	}()
	for _, c := range rest {
		if err := p.do(c); err != nil {
			return fmt.Errorf("line %d: %w", c.line, err)
		}
	}
	return nil
}

// set takes what a tape says before it begins. Width and Height are pixels in
// VHS; here a cell is 10 by 20 of them.
func (p *player) set(c command, env *[]string) error {
	name, value, _ := strings.Cut(c.text, " ")
	value = strings.Trim(strings.TrimSpace(value), "\"'")
	switch {
	case c.verb == "Env":
		*env = append(*env, name+"="+value)
	case c.verb == "Set" && (name == "Width" || name == "Height"):
		n, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		if name == "Width" {
			p.cols = n / cellWidth
		} else {
			p.rows = n / cellHeight
		}
	}
	return nil
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
	case c.verb == "Sleep":
		time.Sleep(c.d)
	case c.verb == "Wait+Screen":
		return p.wait(c)
	case c.verb == "Screenshot":
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.draw(p.screen, c.text)
	}
	return nil
}

func (p *player) send(s string) error {
	_, err := io.WriteString(p.pty, s)
	return err
}

// wait waits until the screen shows what the tape wants.
func (p *player) wait(c command) error {
	limit := c.d
	if limit == 0 {
		limit = patience
	}
	end := time.NewTimer(limit)
	defer end.Stop()
	for {
		p.mu.Lock()
		text, changed := p.screen.String(), p.changed
		p.mu.Unlock()
		if c.want.MatchString(text) {
			return nil
		}
		select {
		case <-changed:
		case <-end.C:
			return errors.New("the screen did not show " + c.want.String() + " within " + limit.String() + ":\n" + text)
		}
	}
}

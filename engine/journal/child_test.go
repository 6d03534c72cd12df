package journal

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"testing"
)

// children are what this binary does as another process.
var children = map[string]func(path string) error{
	"exclusive":  exclusive,
	"restricted": restricted,
	"busy":       busy,
	"calm":       calm,
	"cramped":    cramped,
	"lax":        lax,
}

func TestMain(m *testing.M) {
	if what := os.Getenv("KEYWHEEL_JOURNAL_CHILD"); what != "" {
		if err := children[what](os.Getenv("KEYWHEEL_JOURNAL_PATH")); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child is another process.
type child struct {
	cmd *exec.Cmd
	out *bufio.Scanner
}

func start(t testing.TB, what, path string) *child {
	t.Helper()
	c := &child{cmd: exec.Command(os.Args[0])}
	c.cmd.Dir = "/"
	c.cmd.Env = append(os.Environ(), "KEYWHEEL_JOURNAL_CHILD="+what, "KEYWHEEL_JOURNAL_PATH="+path)
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.kill(t) })
	return c
}

// line is the next line that the child says.
func (c *child) line(t testing.TB) string {
	t.Helper()
	if !c.out.Scan() {
		t.Fatal("the child said nothing")
	}
	return c.out.Text()
}

// kill ends the child as kill -9 does.
func (c *child) kill(testing.TB) {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

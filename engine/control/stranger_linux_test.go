package control

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

const nobody = 65534

// asNobody calls f in a thread that is another user's.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can be somebody else")
	}
	done := make(chan syscall.Errno)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this
		_, _, err := syscall.RawSyscall(syscall.SYS_SETRESUID, nobody, nobody, nobody)
		if err == 0 {
			f()
		}
		done <- err
	}()
	if err := <-done; err != 0 {
		t.Skipf("nobody else can be had here: %v", err)
	}
}

// openTo lets everybody into a directory of a test.
func openTo(t *testing.T, dir string) {
	t.Helper()
	for ; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// knock asks a socket for the snapshot.
func knock(path string) string {
	c, err := net.DialTimeout("unix", path, 2*time.Minute)
	if err != nil {
		return err.Error()
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Minute))
	_, _ = io.WriteString(c, "GET /v1/snapshot HTTP/1.1\r\nHost: keywheel\r\nConnection: close\r\n\r\n")
	text, _ := io.ReadAll(c)
	return string(text)
}

func TestAnotherUserIsKeptOut(t *testing.T) {
	t.Parallel()
	_, _, path := serve(t)
	asNobody(t, func() {
		if got := knock(path); !strings.Contains(got, "permission denied") {
			t.Errorf("through the directory: %s", got)
		}
	})
	// However far somebody has opened the way to it, it asks who comes.
	openTo(t, filepath.Dir(path))
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	asNobody(t, func() {
		if got := knock(path); !strings.HasPrefix(got, "HTTP/1.1 403 ") || strings.Contains(got, "k1") {
			t.Errorf("through an open door: %s", got)
		}
	})
	if got := knock(path); !strings.HasPrefix(got, "HTTP/1.1 200 ") {
		t.Errorf("the owner: %s", got)
	}
}

// TestASharedDirectory has a stranger who was in a shared directory before us.
func TestASharedDirectory(t *testing.T) {
	t.Parallel()
	shared := t.TempDir()
	openTo(t, shared)
	if err := os.Chmod(shared, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	env := func(name string) (string, bool) { return shared, name == "XDG_RUNTIME_DIR" }
	ours := filepath.Join(shared, "keywheel")
	private := filepath.Join(t.TempDir(), "private")
	openTo(t, filepath.Dir(private))
	for what, prepare := range map[string]func() error{
		"a directory": func() error { return os.Mkdir(ours, 0o777) },
		"a link":      func() error { return os.Symlink(private, ours) },
	} {
		if err := os.MkdirAll(private, 0o755); err != nil {
			t.Fatal(err)
		}
		asNobody(t, func() {
			if err := prepare(); err != nil {
				t.Error(err)
			}
		})
		if path, err := Path(env, "5399", false); err == nil || !strings.Contains(err.Error(), "another user's") {
			t.Errorf("%s of a stranger's was used: %s, %v", what, path, err)
		}
		if info, err := os.Stat(private); err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("%s of a stranger's had something changed: %v, %v", what, info.Mode(), err)
		}
		if err := os.Remove(ours); err != nil {
			t.Fatal(err)
		}
	}
	// What we made ourselves is closed, whatever the umask was.
	if err := os.Mkdir(ours, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(ours, 0o777); err != nil {
		t.Fatal(err)
	}
	if path, err := Path(env, "5399", false); err != nil || path != filepath.Join(ours, "5399.sock") {
		t.Errorf("%s, %v", path, err)
	}
	if info, err := os.Stat(ours); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("it stayed open: %v, %v", info.Mode(), err)
	}
	// A socket that is named may be in a shared directory that is sticky, in no
	// other, and follows no link.
	target := filepath.Join(private, "target")
	if err := os.Symlink(target, filepath.Join(shared, "linked.sock.lock")); err != nil {
		t.Fatal(err)
	}
	if l, err := Listen(filepath.Join(shared, "linked.sock")); err == nil {
		_ = l.Close()
		t.Error("it followed a link")
	}
	l, err := Listen(filepath.Join(shared, "named.sock"))
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	if err := os.Chmod(shared, 0o777); err != nil {
		t.Fatal(err)
	}
	if l, err := Listen(filepath.Join(shared, "named.sock")); err == nil || !strings.Contains(err.Error(), "chmod o-w") {
		_ = l.Close()
		t.Errorf("in a directory that anybody may write: %v", err)
	}
}

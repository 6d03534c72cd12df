package journal

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// filled makes a journal of some size that nobody writes, and gives its bytes.
func filled(t *testing.T) (path string, data []byte) {
	t.Helper()
	p := filepath.Join(t.TempDir(), "journal.db")
	j := open(t, p, Options{})
	for i := range uint64(500) {
		j.Record(rotation(i+1, time.Now()))
		j.Save(State{Kind: "key/1", Name: fmt.Sprint("key-", i), Doc: []byte(`{"filler":"` + strings.Repeat("x", 200) + `"}`)})
	}
	shut(t, j)
	data, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	return p, data
}

// refused opens a journal that cannot be opened, and makes sure that it says so
// for a person and leaves the file as it was.
func refused[T error](t *testing.T, p string, words ...string) {
	t.Helper()
	before, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	info, _ := os.Stat(p)
	j, err := Open(p, Options{})
	if err == nil {
		_ = j.Close()
		t.Fatal("it was opened")
	}
	var want T
	if !errors.As(err, &want) {
		t.Fatalf("the error is %T, want %T: %v", err, want, err)
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("the error is not one line: %q", err)
	}
	for _, w := range append(words, p, "--no-journal", "nothing was changed") {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error does not say %q: %v", w, err)
		}
	}
	after, err := os.ReadFile(p)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the file was changed (%v)", err)
	}
	if now, _ := os.Stat(p); now.Mode() != info.Mode() || !now.ModTime().Equal(info.ModTime()) {
		t.Errorf("the file was %v of %v, is %v of %v", info.Mode(), info.ModTime(), now.Mode(), now.ModTime())
	}
}

func TestDamageIsToldAndLeftAlone(t *testing.T) {
	t.Parallel()
	_, data := filled(t)
	random := make([]byte, 8192)
	for i := range random {
		random[i] = byte(rand.Uint32())
	}
	overwritten := bytes.Clone(data)
	page := rootOf(t, data, "state")
	copy(overwritten[(page-1)*4096:], bytes.Repeat([]byte{0xa5}, 4096))
	for _, tt := range []struct {
		name string
		data []byte
	}{
		{"random bytes", random},
		{"a text", []byte("these are my notes\n")},
		{"cut in half", data[:len(data)/2/4096*4096]},
		{"cut in a page", data[:len(data)-1000]},
		{"cut in the first page", data[:1000]},
		{"a page overwritten", overwritten},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := filepath.Join(t.TempDir(), "journal.db")
			if err := os.WriteFile(p, tt.data, 0o600); err != nil {
				t.Fatal(err)
			}
			refused[*CorruptError](t, p, "Move it away")
			if r, err := OpenReadOnly(p); err == nil {
				_ = r.Close()
				t.Error("it was opened to be read")
			}
		})
	}
}

// rootOf is the page at which a table begins.
func rootOf(t *testing.T, data []byte, table string) (page int) {
	t.Helper()
	p := filepath.Join(t.TempDir(), "journal.db")
	if err := os.WriteFile(p, data, 0o600); err != nil {
		t.Fatal(err)
	}
	err := alter(t, p, func(db *sql.DB) error {
		return db.QueryRow("SELECT rootpage FROM sqlite_schema WHERE name = ?", table).Scan(&page)
	})
	if err != nil || page == 0 {
		t.Fatal(page, err)
	}
	return page
}

// alter does something to a file as another program would.
func alter(t *testing.T, p string, do func(*sql.DB) error) error {
	t.Helper()
	db, err := sql.Open("sqlite", p)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	return do(db)
}

func run(statement string) func(*sql.DB) error {
	return func(db *sql.DB) error {
		_, err := db.Exec(statement)
		return err
	}
}

func TestADamagedPageOfEventsIsToldWhenItIsRead(t *testing.T) {
	t.Parallel()
	p, data := filled(t)
	copy(data[(rootOf(t, data, "events")-1)*4096:], bytes.Repeat([]byte{0xa5}, 4096))
	if err := os.WriteFile(p, data, 0o600); err != nil {
		t.Fatal(err)
	}
	j, err := Open(p, Options{})
	if err == nil { // only the events are damaged
		_, err = j.Events(t.Context(), EventQuery{})
		_ = j.Close()
	}
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) {
		t.Errorf("%v, want a CorruptError", err)
	}
}

func TestAJournalOfANewerProgramIsLeftAlone(t *testing.T) {
	t.Parallel()
	p, _ := filled(t)
	if err := alter(t, p, run("PRAGMA user_version = 99")); err != nil {
		t.Fatal(err)
	}
	refused[*NewerError](t, p, "version 99", "knows 2")
	var newer *NewerError
	if _, err := OpenReadOnly(p); !errors.As(err, &newer) {
		t.Errorf("reading: %v", err)
	}
}

func TestADatabaseOfAnotherProgramIsLeftAlone(t *testing.T) {
	t.Parallel()
	p := filepath.Join(t.TempDir(), "journal.db")
	if err := alter(t, p, run("CREATE TABLE notes (text)")); err != nil {
		t.Fatal(err)
	}
	refused[*CorruptError](t, p, "another program")
}

func TestAJournalOfAnotherKeywheelIsLeftAlone(t *testing.T) {
	t.Parallel()
	p := path(t)
	j := open(t, p, Options{})
	refused[*LockedError](t, p, fmt.Sprintf("process %d", os.Getpid()))
	// The first must not have lost its locks by this.
	if _, err := j.Commit(t.Context(), Action{}); err != nil {
		t.Error(err)
	}
	refused[*LockedError](t, p)
	shut(t, j)
	shut(t, open(t, p, Options{}))
}

func TestAJournalLockedByAnotherProgramIsLeftAlone(t *testing.T) {
	t.Parallel()
	p, _ := filled(t)
	c := start(t, "exclusive", p)
	c.line(t)
	refused[*LockedError](t, p, "another program")
	c.kill(t)
	shut(t, open(t, p, Options{}))
}

// exclusive is another program that locks the journal.
func exclusive(p string) error {
	db, err := sql.Open("sqlite", p)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; UPDATE state SET at = 1"); err != nil {
		return err
	}
	fmt.Println("locked")
	time.Sleep(time.Hour)
	return nil
}

func TestALockThatIsALinkIsNotFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, theirs := filepath.Join(dir, "journal.db"), filepath.Join(dir, "theirs")
	if err := errors.Join(os.WriteFile(theirs, []byte("theirs"), 0o600), os.Symlink(theirs, p+".lock")); err != nil {
		t.Fatal(err)
	}
	j, err := Open(p, Options{})
	if err == nil {
		_ = j.Close()
		t.Fatal("it was opened")
	}
	if !strings.Contains(err.Error(), p+".lock is a link") {
		t.Error(err)
	}
	if now, _ := os.ReadFile(theirs); string(now) != "theirs" {
		t.Errorf("what it leads to is now %q", now)
	}
}

func TestAJournalThatMayNotBeWrittenIsLeftAlone(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		file, dir os.FileMode
		want      string
	}{
		{"file", 0o400, 0o700, "the file"},
		{"directory", 0o600, 0o500, "its directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, before := filled(t)
			dir := filepath.Dir(p)
			if err := errors.Join(os.Remove(p+".lock"), os.Chmod(p, tt.file), os.Chmod(dir, tt.dir)); err != nil {
				t.Fatal(err)
			}
			// Whoever runs the tests may be allowed everything.
			if os.Getuid() == 0 {
				if err := errors.Join(os.Chown(p, nobody, nobody), os.Chown(dir, nobody, nobody), os.Chmod(filepath.Dir(dir), 0o755)); err != nil {
					t.Fatal(err)
				}
			}
			c := start(t, "restricted", p)
			got := c.line(t)
			c.kill(t)
			if !strings.Contains(got, "ReadOnlyError") || !strings.Contains(got, tt.want+" may not be written") || !strings.Contains(got, "--no-journal") {
				t.Errorf("got %q", got)
			}
			_ = os.Chmod(dir, 0o700) // so that it can be removed
			if after, err := os.ReadFile(p); err != nil || !bytes.Equal(before, after) {
				t.Errorf("the file was changed (%v)", err)
			}
			if left := files(t, p); len(left) != 1 {
				t.Errorf("files were left: %v", left)
			}
		})
	}
}

const nobody = 65534

// restricted opens the journal as somebody who is not allowed everything.
func restricted(p string) error {
	if os.Getuid() == 0 {
		if err := errors.Join(syscall.Setgid(nobody), syscall.Setuid(nobody)); err != nil {
			return err
		}
	}
	_, err := Open(p, Options{})
	fmt.Printf("%T %v\n", err, err)
	time.Sleep(time.Hour)
	return nil
}

func TestAFileThatWasMovedIsNotWrittenInSilence(t *testing.T) {
	t.Parallel()
	p := path(t)
	j := open(t, p, Options{})
	if err := os.Rename(p, p+".bak"); err != nil {
		t.Fatal(err)
	}
	_, err := j.Commit(t.Context(), Action{})
	var behind *BehindError
	if !errors.As(err, &behind) || !strings.Contains(err.Error(), "moved or deleted") {
		t.Errorf("%v, want to be told that the file was moved", err)
	}
	if st := j.Status(); st.Error == "" || st.Queued == 0 {
		t.Errorf("%+v", st)
	}
	if err := os.Rename(p+".bak", p); err != nil {
		t.Fatal(err)
	}
	settle(t, j)
}

func TestAQueueThatIsFullSaysSo(t *testing.T) {
	t.Parallel()
	p := path(t)
	j := open(t, p, Options{MaxQueued: 4})
	if err := os.Rename(p, p+".bak"); err != nil {
		t.Fatal(err)
	}
	refusals := 0
	for range 10 {
		_, err := j.Commit(t.Context(), Action{})
		var behind *BehindError
		if !errors.As(err, &behind) {
			t.Fatal(err)
		}
		if strings.Contains(err.Error(), "no room") {
			refusals++
		}
	}
	if st := j.Status(); refusals != 6 || st.Queued != 4 || st.Dropped != 6 || st.FailingSince == nil || st.BehindS == 0 {
		t.Errorf("%d refused, %+v", refusals, st)
	}
	if err := j.Close(); err == nil || !strings.Contains(err.Error(), "4 entries were not written") {
		t.Errorf("Close: %v", err)
	}
	if _, err := j.Commit(t.Context(), Action{}); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	j.Save(State{Kind: "key/1", Name: "a", Doc: []byte("{}")}) // is ignored
}

func TestAFileOfLaxRightsIsClosedToOthers(t *testing.T) {
	t.Parallel()
	p, _ := filled(t)
	if err := os.Chmod(p, 0o644); err != nil {
		t.Fatal(err)
	}
	open(t, p, Options{})
	if info, err := os.Stat(p); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}

func TestAPathWithOddCharacters(t *testing.T) {
	t.Parallel()
	p := filepath.Join(t.TempDir(), "a?b=c#d %41", "ключ.db")
	j := open(t, p, Options{})
	if err := j.Bind(t.Context(), Binding{Provider: "p", ID: "1"}); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := j.Binding(t.Context(), "p", "1"); !ok || err != nil {
		t.Error(ok, err)
	}
	if _, err := os.Stat(p); err != nil {
		t.Error(err)
	}
}

func fileSize(t testing.TB, p string) int64 {
	t.Helper()
	info, err := os.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// Whoever may write the directory could put a log beside the journal that
// SQLite reads into it.
func TestADirectoryThatAnybodyMayWrite(t *testing.T) {
	t.Parallel()
	for _, mode := range []os.FileMode{0o777, 0o777 | os.ModeSticky, 0o702} {
		dir := t.TempDir()
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		j, err := Open(filepath.Join(dir, "kw.db"), Options{})
		if err == nil {
			_ = j.Close()
		}
		if err == nil || !strings.Contains(err.Error(), "chmod o-w "+dir) || !strings.Contains(err.Error(), "--no-journal") {
			t.Errorf("%v: %v", mode, err)
		}
		if list, _ := os.ReadDir(dir); len(list) > 0 {
			t.Errorf("%v: it left %v", mode, list)
		}
	}
}

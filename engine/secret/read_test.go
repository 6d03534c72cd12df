package secret

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zalando/go-keyring"
)

// place is a directory with files of keys, and an environment.
func place(t *testing.T) (dir string, o ReadOptions, warnings *[]string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{
		"key":         "  " + fake + "  \nsecond line\n",
		"empty":       "\n\n",
		"placeholder": "your_key\n",
		"keys":        "# the team's keys\nsk-a-1\n\n sk-a-2  # account 2\nyour_key\nsk-a-3,sk-a-4\n",
		".env":        "AI_ML_API_KEY='" + fake + "'\nMANY=\"sk-b-1\nsk-b-2\"\nEMPTY=\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	script := "#!/bin/sh\nprintf '%s|%s|%s\\n' \"$1\" \"$PWD\" \"$OPENAI_API_KEY\"\n"
	if err := os.WriteFile(filepath.Join(dir, "prog"), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"KEY": fake, "BLANK": " ", "SAMPLE": "sk-...", "BEARER": "Bearer " + fake, "QUOTED": `"` + fake + `"`,
		"LIST": "sk-c-1, sk-c-2", "HOME": dir, "PATH": dir + ":/usr/bin:/bin", "OPENAI_API_KEY": "sk-must-not-arrive"}
	warnings = new([]string)
	return dir, ReadOptions{
		Dir:       dir,
		LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok },
		Keyring: func(service, user string) (string, error) {
			switch service {
			case "keywheel":
				return fake + "\n", nil
			case "locked":
				return "", errors.New("dbus: " + fake)
			}
			return "", keyring.ErrNotFound
		},
		Warn: func(text string) { *warnings = append(*warnings, text) },
	}, warnings
}

func TestRead(t *testing.T) {
	t.Parallel()
	dir, o, warnings := place(t)
	for _, tc := range []struct {
		ref  string
		want string // what it reveals
		err  string // or what the error says
	}{
		{ref: "env:KEY", want: fake},
		{ref: "env: KEY ", want: fake},
		{ref: "env:NOPE", err: "env:NOPE is not set: export it, or write it into the .env beside the config"},
		{ref: "env:BLANK", err: "env:BLANK is empty: put the real one there"},
		{ref: "env:SAMPLE", err: "env:SAMPLE holds a placeholder, not a key: put the real one there"},
		{ref: "env:BEARER", err: "env:BEARER begins with the word Bearer, which is no part of the key: put the real one there"},
		{ref: "env:QUOTED", err: "env:QUOTED holds quotes around the key: put the real one there"},
		{ref: "env:", err: "env: names nothing: write env:NAME"},
		{ref: "env:" + fake, err: "env: is followed by what looks like the key itself: write env:NAME"},
		{ref: "env:0123456789abcdef0123456789abcdef", err: "env: is followed by what looks like the key itself: write env:NAME"},
		{ref: "env:NOT A NAME", err: "env: is not followed by the name of a variable: write env:NAME"},
		{ref: "file:key", want: fake},
		{ref: "file:./key", want: fake},
		{ref: "file:~/key", want: fake},
		{ref: "file:" + dir + "/key", want: fake},
		{ref: "file:nope", err: "file:nope does not exist: write the key into " + dir + "/nope"},
		{ref: "file:.", err: "file:. cannot be read (it is not a regular file): name a file that holds the key"},
		{ref: "file:empty", err: "file:empty is empty: put the real one there"},
		{ref: "file:placeholder", err: "file:placeholder holds a placeholder, not a key: put the real one there"},
		{ref: "file:" + fake, err: "file: is followed by what looks like the key itself: write file:PATH"},
		{ref: "dotenv:.env#AI_ML_API_KEY", want: fake},
		{ref: "dotenv:.env#NOPE", err: "dotenv:.env#NOPE is not set there: write NOPE=... into that file"},
		{ref: "dotenv:.env#EMPTY", err: "dotenv:.env#EMPTY is empty: put the real one there"},
		{ref: "dotenv:.env", err: "dotenv: names no file or no variable: write dotenv:PATH#NAME"},
		{ref: "dotenv:nope#A", err: "dotenv:nope#A does not exist: write the key into " + dir + "/nope"},
		{ref: "cmd:echo " + fake, want: fake},
		{ref: "cmd:prog 'a b'", err: "cmd:prog ... holds a blank or another character that no key has: put the real one there"},
		{ref: "cmd:./prog ab", want: "ab|" + dir + "|"},
		{ref: "cmd:prog \"$KEY;id\"", want: "$KEY;id|" + dir + "|"},
		{ref: "cmd:nope", err: "cmd:nope cannot be run: there is no such program: install it, or write its whole path"},
		{ref: "cmd:false", err: "cmd:false failed (exit status 1): run it by hand to see why"},
		{ref: "cmd:true", err: "cmd:true is empty: put the real one there"},
		{ref: "cmd:echo 'x", err: "cmd: is not followed by a command, or a quote is not closed: write cmd:PROGRAM ARGUMENTS"},
		{ref: "keyring:keywheel/main", want: fake},
		{ref: "keyring:nope/main", err: `keyring:nope/main is not in the keyring: store it there, service "nope" and user "main"`},
		{ref: "keyring:locked/main", err: "keyring:locked/main cannot be read, the keyring does not answer: where there is no keyring, use file: or env:"},
		{ref: "keyring:main", err: "keyring: names no service or no user: write keyring:SERVICE/USER"},
		{ref: fake, err: "a secret must not stand in the file itself: write a reference to where it is: " + forms()},
		{ref: "", err: "a secret must not stand in the file itself: write a reference to where it is: " + forms()},
	} {
		s, err := Read(tc.ref, o)
		switch {
		case tc.err == "" && (err != nil || s.Reveal() != tc.want):
			t.Errorf("%q: got %q, %v", tc.ref, s.Reveal(), err)
		case tc.err != "" && (err == nil || err.Error() != tc.err):
			t.Errorf("%q: got error %v, want %s", tc.ref, err, tc.err)
		case err != nil && strings.Contains(fmt.Sprintf("%v %+v", err, err), fake):
			t.Errorf("%q: the error shows the secret: %v", tc.ref, err)
		case err != nil && !s.Empty():
			t.Errorf("%q: an error and a secret", tc.ref)
		}
	}
	if len(*warnings) != 0 {
		t.Errorf("warnings: %v", *warnings)
	}
}

func TestReadAll(t *testing.T) {
	t.Parallel()
	_, o, _ := place(t)
	for _, tc := range []struct{ ref, want string }{
		{"file:keys", "sk-a-1 sk-a-2 (file:keys holds a placeholder, not a key: put the real one there) sk-a-3 sk-a-4"},
		{"env:LIST", "sk-c-1 sk-c-2"},
		{"env:KEY", fake},
		{"dotenv:.env#MANY", "sk-b-1 sk-b-2"},
		{"env:BLANK", "error: env:BLANK holds no keys: write one key a line into it"},
		{"file:nope", "error: file:nope does not exist"},
	} {
		items, err := ReadAll(tc.ref, o)
		var got []string
		for _, item := range items {
			if item.Err != nil {
				got = append(got, fmt.Sprintf("(%v)", item.Err))
			} else {
				got = append(got, item.Secret.Reveal())
			}
		}
		if err != nil {
			got = append(got, fmt.Sprintf("error: %v", err))
		}
		if g := strings.Join(got, " "); !strings.HasPrefix(g, tc.want) {
			t.Errorf("%s: got %s, want %s", tc.ref, g, tc.want)
		}
	}
}

func TestReadWarnsOfOthers(t *testing.T) {
	t.Parallel()
	for mode, want := range map[os.FileMode]string{0o600: "", 0o640: "", 0o644: "can be read by others", 0o666: "can be changed by others"} {
		dir, o, warnings := place(t)
		if err := os.Chmod(filepath.Join(dir, "key"), mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Read("file:key", o); err != nil {
			t.Errorf("%v: %v", mode, err)
		}
		got := strings.Join(*warnings, "\n")
		if want == "" && got != "" || !strings.Contains(got, want) || strings.Contains(got, fake) {
			t.Errorf("%v: warnings %q, want %q", mode, got, want)
		}
	}
}

func TestCommandEnds(t *testing.T) {
	t.Parallel()
	_, o, _ := place(t)
	o.Timeout = 20 * time.Millisecond
	began := time.Now()
	_, err := Read("cmd:sleep 3600", o)
	if err == nil || !strings.Contains(err.Error(), "did not end within 20ms") || time.Since(began) > 30*time.Minute {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
}

func TestFallback(t *testing.T) {
	t.Parallel()
	_, o, _ := place(t)
	o.Fallback = func(name string) (string, bool) { return "sk-test-fallback", name == "LATER" || name == "KEY" }
	for ref, want := range map[string]string{"env:KEY": fake, "env:LATER": "sk-test-fallback", "env:NOPE": ""} {
		if s, _ := Read(ref, o); s.Reveal() != want {
			t.Errorf("%s is %q, want %q", ref, s.Reveal(), want)
		}
	}
}

func TestFindsNothingHere(t *testing.T) {
	t.Parallel()
	dir, o, _ := place(t)
	env := map[string]string{"PATH": ":.:" + filepath.Join(dir, "nope")}
	o.LookupEnv = func(name string) (string, bool) { v, ok := env[name]; return v, ok }
	o.Fallback = func(name string) (string, bool) { return dir, name == "PATH" } // a .env says what runs
	if _, err := Read("cmd:prog x", o); err == nil || !strings.Contains(err.Error(), "no such program") {
		t.Errorf("a program of the current directory was run: %v", err)
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	for ref, want := range map[string]string{
		"env:KEY": "env:KEY", "file:a b": "file:a b", "keyring:a/b": "keyring:a/b", "dotenv:.env#A": "dotenv:.env#A",
		"cmd:op read op://x": "cmd:op ...", "cmd:pass": "cmd:pass", "cmd:'": "cmd:****", fake: "****", "x:" + fake: "****",
	} {
		if got := Show(ref); got != want {
			t.Errorf("%q is shown as %q, want %q", ref, got, want)
		}
	}
}

func TestErrorIsData(t *testing.T) {
	t.Parallel()
	_, o, _ := place(t)
	_, err := Read("file:nope", o)
	var e *Error
	if !errors.As(err, &e) || e.Brief() != "file:nope does not exist" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %#v", err)
	}
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{"env:A", "file:a", "dotenv:a#b", "cmd:'a\" b", "keyring:a/b", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		_ = Check(ref)
		_ = Show(ref)
		_, _ = words(ref)
	})
}

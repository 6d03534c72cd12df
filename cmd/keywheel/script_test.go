package main

import (
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"keywheel/engine"
	"keywheel/engine/journal"
	"keywheel/engine/secret"
	"keywheel/engine/sim"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"keywheel": main, "bareproxy": bareProxy})
}

// TestScripts runs the verbs as a person would, in the real program.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(e *testscript.Env) error {
			// A socket's path must be short: not the script's own directory.
			dir, err := os.MkdirTemp("", "kw")
			if err != nil {
				return err
			}
			e.Defer(func() { _ = os.RemoveAll(dir) })
			e.Setenv("XDG_RUNTIME_DIR", dir)
			e.Setenv("HOME", dir)
			e.Setenv("GORACE", "atexit_sleep_ms=0") // else every verb takes a second
			port, err := quietPort()
			e.Setenv("PORT", port)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// await waits until a running instance answers, or as many as it is
			// told have begun.
			"await": func(ts *testscript.TestScript, _ bool, args []string) {
				tick := time.NewTicker(25 * time.Millisecond)
				defer tick.Stop()
				for range patience {
					found, _ := filepath.Glob(filepath.Join(ts.Getenv("XDG_RUNTIME_DIR"), "keywheel", "*.sock"))
					if len(args) > 0 {
						if args[0] == fmt.Sprint(len(found)) {
							return
						}
					} else if len(found) > 0 {
						if _ = ts.Exec("keywheel", "status"); strings.Contains(ts.ReadFile("stdout"), "SERVICE") {
							return
						}
					}
					<-tick.C
				}
				ts.Fatalf("no instance within two minutes")
			},
			// awaitevent waits until the running instance tells of something.
			"awaitevent": func(ts *testscript.TestScript, _ bool, args []string) {
				tick := time.NewTicker(25 * time.Millisecond)
				defer tick.Stop()
				for range patience {
					if _ = ts.Exec("keywheel", "events"); strings.Contains(ts.ReadFile("stdout"), args[0]) {
						return
					}
					<-tick.C
				}
				ts.Fatalf("no such event within two minutes: %s", args[0])
			},
			// pretend starts a simulated provider of a kind that takes some secrets,
			// and puts its address into a variable.
			"pretend": func(ts *testscript.TestScript, _ bool, args []string) {
				var keys []sim.Key
				for i, s := range args[2:] {
					keys = append(keys, sim.Key{Name: fmt.Sprint("key", i), Secret: secret.New(s)})
				}
				up, err := sim.NewUpstream(args[0], sim.Options{}, keys...)
				ts.Check(err)
				ts.Check(up.Start())
				ts.Defer(func() { _ = up.Close() })
				ts.Setenv(args[1], up.BaseURL())
			},
			// expand puts the values of variables into a file.
			"expand": func(ts *testscript.TestScript, _ bool, args []string) {
				text := ts.ReadFile(args[0])
				for _, name := range args[1:] {
					text = strings.ReplaceAll(text, "$"+name, ts.Getenv(name))
				}
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
			},
			// healthy waits until the instance on KEYWHEEL_SOCKET can serve.
			"healthy": func(ts *testscript.TestScript, _ bool, _ []string) {
				tick := time.NewTicker(25 * time.Millisecond)
				defer tick.Stop()
				for range patience {
					if ts.Exec("keywheel", "status", "--health") == nil {
						return
					}
					<-tick.C
				}
				ts.Fatalf("it was not healthy within two minutes")
			},
			// today puts the day into a file, for DATE.
			"today": func(ts *testscript.TestScript, _ bool, args []string) {
				text := strings.ReplaceAll(ts.ReadFile(args[0]), "DATE", time.Now().Format(time.DateOnly))
				ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o600))
			},
			// terminate sends SIGTERM to everything that runs in the background.
			"terminate": func(ts *testscript.TestScript, _ bool, _ []string) {
				for _, c := range ts.BackgroundCmds() {
					ts.Check(c.Process.Signal(syscall.SIGTERM))
				}
			},
			// newer makes a journal of a keywheel that is yet to come.
			"newer": func(ts *testscript.TestScript, _ bool, args []string) {
				path := ts.MkAbs(args[0])
				j, err := journal.Open(path, journal.Options{})
				ts.Check(err)
				ts.Check(j.Close())
				db, err := sql.Open("sqlite", path)
				ts.Check(err)
				_, err = db.Exec("PRAGMA user_version = 99")
				ts.Check(err)
				ts.Check(db.Close())
			},
			// week makes a journal of a week.
			"week": func(ts *testscript.TestScript, _ bool, args []string) {
				ts.Check(week(ts.MkAbs(args[0])))
			},
			// exits runs a command that must end with the given code.
			"exits": func(ts *testscript.TestScript, _ bool, args []string) {
				err := ts.Exec(args[1], args[2:]...)
				got := "0"
				if err != nil {
					got = strings.TrimPrefix(fmt.Sprint(err), "exit status ")
				}
				if got != args[0] {
					ts.Fatalf("%v ended with %s, want %s", args[1:], got, args[0])
				}
			},
		},
	})
}

// patience is how often a script looks, every 25 ms, for what must come.
const patience = 2 * 60 * 40

// ports counts those that were given out.
var ports atomic.Int32

// quietPort is a port that a script may listen on again and again. It is below
// those that systems give out by themselves: nobody takes it meanwhile.
func quietPort() (string, error) {
	const lowest, most = 20_000, 10_000
	ports.CompareAndSwap(0, 1+rand.Int32N(most)) // other runs have others
	for range most {
		port := fmt.Sprint(lowest + ports.Add(1)%most)
		l, err := net.Listen("tcp", "0.0.0.0:"+port)
		if err == nil {
			return port, l.Close()
		}
	}
	return "", errors.New("every port is in use")
}

// week makes a journal in which service ui was used once on each of seven days,
// and video every day and in the last hour, with a key that was refused.
func week(path string) error {
	j, err := journal.Open(path, journal.Options{})
	if err != nil {
		return err
	}
	now := time.Now()
	for day := range 7 {
		at := now.Add(-time.Duration(day)*24*time.Hour - 3*time.Hour - time.Minute)
		if day == 6 {
			at = at.Add(6 * time.Hour) // within seven days
		}
		j.Count(at, journal.Who{Key: "a", Service: "ui", Model: "gpt-4o", Account: "team"},
			journal.Usage{Requests: 10, InputTokens: 1000, OutputTokens: 100, CostUSD: 1, Unpriced: 1})
		if day == 0 {
			at = now
		}
		j.Count(at, journal.Who{Key: "=cmd", Service: "video", Model: "veo", Account: "team"},
			journal.Usage{Requests: 5, Failures: 1, RateLimited: 1, CostUSD: 12})
	}
	j.Record(engine.Event{Seq: 1, At: now.Add(-time.Hour), Kind: engine.EventRotation, Service: "video", Key: "=cmd", By: "engine", Text: "=cmd → b  429 rate limited",
		Rotation: &engine.Rotation{At: now.Add(-time.Hour), Service: "video", From: "=cmd", To: "b", Cause: "429 rate limited", By: "engine"}})
	return j.Close()
}

package journal

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// release makes a file as a released version left it.
func release(t *testing.T, version int) (path string) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("testdata/v%d.sql", version))
	if err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(t.TempDir(), "journal.db")
	if err := alter(t, p, run(string(text))); err != nil {
		t.Fatal(err)
	}
	return p
}

// schemaOf is all that makes up the format of a file.
func schemaOf(t *testing.T, p string) (list []string) {
	t.Helper()
	err := alter(t, p, func(db *sql.DB) error {
		rows, err := db.Query("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name")
		list, err = scanAll(rows, err, func(rows *sql.Rows) (s string, err error) {
			err = rows.Scan(&s)
			var lines []string
			for line := range strings.Lines(s) {
				line, _, _ = strings.Cut(line, "--")
				lines = append(lines, strings.Fields(line)...)
			}
			return strings.Join(lines, " "), err
		})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestEveryReleasedVersionOpens(t *testing.T) {
	t.Parallel()
	fresh := path(t)
	shut(t, open(t, fresh, Options{}))
	want := schemaOf(t, fresh)
	for v := 1; v <= len(migrations); v++ {
		t.Run(fmt.Sprint("version ", v), func(t *testing.T) {
			p := release(t, v)
			j := open(t, p, Options{Keep: 100 * 365 * 24 * time.Hour})
			// A row in everything, however it came to look like this.
			events, err := j.Events(t.Context(), EventQuery{Key: "team-a"})
			if err != nil || len(events) != 1 || events[0].Seq != 7 || events[0].Text != "held" {
				t.Errorf("events: %+v, %v", events, err)
			}
			actions, err := j.Actions(t.Context(), ActionQuery{Undoable: true})
			if err != nil || len(actions) != 1 || actions[0].By != "uid 1000" {
				t.Errorf("actions: %+v, %v", actions, err)
			}
			if b, ok, err := j.Binding(t.Context(), "aimlapi", "video-1"); !ok || err != nil || b.Account != "team" {
				t.Errorf("binding: %+v, %v, %v", b, ok, err)
			}
			states, err := j.States(t.Context(), "key/1")
			if err != nil || len(states) != 1 || string(states[0].Doc) != "{}" {
				t.Errorf("states: %+v, %v", states, err)
			}
			used, err := j.Usage(t.Context(), UsageQuery{By: []string{ByKey}})
			if err != nil || len(used) != 1 || used[0].Requests != 3 || used[0].CostUSD != 0.5 {
				t.Errorf("usage: %+v, %v", used, err)
			}
			shut(t, j)
			if got := schemaOf(t, p); !slices.Equal(got, want) {
				t.Errorf("after migration the format is\n%s\nwant\n%s\n(a released version may not be changed: add a migration)", strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		})
	}
	if _, err := os.Stat(fmt.Sprintf("testdata/v%d.sql", len(migrations)+1)); err == nil {
		t.Error("testdata has a version that there is no migration to")
	}
}

func TestMigrationsLeadForwardFromEachVersion(t *testing.T) {
	t.Parallel()
	steps := []string{
		"CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1)",
		"ALTER TABLE a ADD COLUMN y INTEGER NOT NULL DEFAULT 5; CREATE TABLE b (z TEXT)",
		"INSERT INTO b SELECT x + y FROM a; DROP TABLE a",
	}
	for from := range steps {
		t.Run(fmt.Sprint("from version ", from), func(t *testing.T) {
			p := filepath.Join(t.TempDir(), "old.db")
			if err := step(t, p, 0, steps[:from]); err != nil {
				t.Fatal(err)
			}
			if err := step(t, p, from, steps); err != nil {
				t.Fatal(err)
			}
			var version, id int
			var z string
			err := alter(t, p, func(db *sql.DB) error {
				return db.QueryRow("SELECT user_version, application_id, (SELECT z FROM b) FROM pragma_user_version, pragma_application_id").Scan(&version, &id, &z)
			})
			if err != nil || version != 3 || id != applicationID || z != "6" {
				t.Errorf("version %d, application %x, z %q, %v", version, id, z, err)
			}
		})
	}
}

func TestAMigrationThatFailsLeavesTheOldVersion(t *testing.T) {
	t.Parallel()
	p := filepath.Join(t.TempDir(), "old.db")
	err := step(t, p, 0, []string{"CREATE TABLE a (x INTEGER)", "CREATE TABLE b (x INTEGER); INSERT INTO nowhere VALUES (1)"})
	if err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("the error is %v", err)
	}
	if got := schemaOf(t, p); len(got) != 1 || !strings.Contains(got[0], "TABLE a") {
		t.Errorf("the file has %v", got)
	}
	var version int
	err = alter(t, p, func(db *sql.DB) error { return db.QueryRow("PRAGMA user_version").Scan(&version) })
	if err != nil || version != 1 {
		t.Errorf("version %d, %v", version, err)
	}
}

// step migrates a file by the steps given.
func step(t *testing.T, p string, from int, steps []string) error {
	return alter(t, p, func(db *sql.DB) error {
		c, err := db.Conn(t.Context())
		if err != nil {
			return err
		}
		return errors.Join(migrate(t.Context(), c, from, steps), c.Close())
	})
}

package node

import (
	"context"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/fsnotify/fsnotify"

	"keywheel/engine"
	"keywheel/engine/config"
)

// settle is how long after the first sign of a change the files are looked at:
// an editor, or whoever changes several, is done by then.
const settle = 200 * time.Millisecond

// stamp tells one content of a file from another without reading it.
type stamp struct {
	real     string // where links lead
	modified time.Time
	size     int64
	mode     fs.FileMode
}

func stampOf(file string) (s stamp) {
	if real, err := filepath.EvalSymlinks(file); err == nil {
		s.real = real
	}
	if info, err := os.Stat(file); err == nil {
		s.modified, s.size, s.mode = info.ModTime(), info.Size(), info.Mode()
	}
	return s
}

// stamps are those of the files that a configuration was read from.
type stamps map[string]stamp

func stampsOf(files []string) stamps {
	s := stamps{}
	for _, f := range files {
		s[f] = stampOf(f)
	}
	return s
}

func (s stamps) files() []string { return slices.Sorted(maps.Keys(s)) }

// next are the stamps after a load that they were taken before. A file that
// changed while it was read for the first time has none yet. What a broken
// configuration does not speak of is watched on.
func (s stamps) next(cfg *config.Config, broken bool) stamps {
	n := stamps{}
	if broken {
		maps.Copy(n, s)
	}
	if cfg == nil {
		return n
	}
	for _, f := range cfg.Files {
		st, known := s[f]
		if !known {
			st = stampOf(f)
			if st.modified.After(cfg.LoadedAt) {
				st = stamp{}
			}
		}
		n[f] = st
	}
	return n
}

// changed are the files that are not what they were.
func (s stamps) changed() (list []string) {
	for f, was := range s {
		if stampOf(f) != was {
			list = append(list, f)
		}
	}
	return list
}

// watch reloads whenever a file of the configuration changes, until ctx ends.
func (n *Node) watch(ctx context.Context) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		n.engine.Note(engine.Event{Kind: engine.EventReloadFailed, State: engine.Failing, Text: "changes of the config are not noticed (" + err.Error() + "): SIGHUP reads it again"})
		return
	}
	defer w.Close()
	look := time.NewTimer(settle)
	defer look.Stop()
	waiting := true
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.refiled:
			waiting = true
			look.Reset(settle)
		case <-w.Events:
		case <-w.Errors: // events were lost
		case <-look.C:
			waiting = false
			n.reloading.Lock()
			follow(w, n.stamps.files())
			changed := n.stamps.changed()
			n.reloading.Unlock()
			if len(changed) > 0 {
				_ = n.Reload(slices.Contains(changed, n.inForce().Path)) // noted
			}
			continue
		}
		if !waiting {
			waiting = true
			look.Reset(settle)
		}
	}
}

// follow watches the directories of the files: a file that is replaced is
// another one, and a link may come to lead elsewhere.
func follow(w *fsnotify.Watcher, files []string) {
	dirs := map[string]bool{}
	for _, f := range files {
		dirs[filepath.Dir(f)] = true
		if real, err := filepath.EvalSymlinks(f); err == nil {
			dirs[filepath.Dir(real)] = true
		}
	}
	for dir := range maps.Clone(dirs) {
		for w.Add(dir) != nil && dir != filepath.Dir(dir) {
			dir = filepath.Dir(dir) // it may be made
			dirs[dir] = true
		}
	}
	for _, dir := range w.WatchList() {
		if !dirs[dir] {
			_ = w.Remove(dir)
		}
	}
}

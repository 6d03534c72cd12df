package node

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"keywheel/engine"
	"keywheel/engine/config"
)

// about is what a node tells of its process. What changes is looked up at most
// every two seconds, however many screens ask.
type about struct {
	mu    sync.Mutex
	at    time.Time
	told  engine.SystemStatus
	taken []metrics.Sample
}

// lookEvery is how long what was looked up counts as now.
const lookEvery = 2 * time.Second

func aboutOf(cfg *config.Config) *about {
	a := &about{told: engine.SystemStatus{Version: version(), PID: os.Getpid(), StartedAt: time.Now()},
		taken: []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}}
	a.loaded(cfg)
	return a
}

// loaded notes the configuration that is in force now.
func (a *about) loaded(cfg *config.Config) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if at := cfg.LoadedAt; !at.IsZero() {
		a.told.LoadedAt = &at
	}
	a.told.Config, a.told.Sources, a.told.ReloadError, a.told.Problems = cfg.Path, cfg.Sources, "", nil
	for _, w := range cfg.Warnings {
		a.told.Problems = append(a.told.Problems, w.String())
	}
}

// notLoaded notes why a newer configuration was not taken.
func (a *about) notLoaded(why string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.told.ReloadError = why
}

// System tells of the process: what it was set up with and what it takes.
func (n *Node) System() engine.SystemStatus {
	n.mu.Lock() // not between a reload's event and what it changed
	defer n.mu.Unlock()
	a := n.about
	a.mu.Lock()
	defer a.mu.Unlock()
	if now := time.Now(); now.Sub(a.at) >= lookEvery {
		a.at = now
		metrics.Read(a.taken)
		a.told.HeapBytes, a.told.Goroutines, a.told.Files = a.taken[0].Value.Uint64(), runtime.NumGoroutine(), openFiles()
	}
	if n.control != nil {
		a.told.Monitors = n.control.Watching()
	}
	told := a.told
	told.Journal = n.keeper.status()
	return told
}

// openFiles counts the open file descriptors, 0 where the system does not tell.
func openFiles() int {
	d, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0
	}
	defer d.Close()
	names, _ := d.Readdirnames(-1)
	return max(len(names)-1, 0) // without the one that looks
}

// version is the module's, or the commit that it was built from.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	if v := info.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return "commit " + s.Value[:min(len(s.Value), 12)]
		}
	}
	return "development"
}

package engine

import "time"

// SystemStatus is what is known of the process itself: how it was set up and
// what it takes. What nobody told is zero and not shown.
type SystemStatus struct {
	Version   string    `json:"version"`
	PID       int       `json:"pid"`
	StartedAt time.Time `json:"started_at"`
	// Config is the file in force, "" when all comes from the environment;
	// Sources tell what was taken from where, Problems what is odd about it.
	Config   string   `json:"config"`
	Sources  []string `json:"sources"`
	Problems []string `json:"problems"`
	// LoadedAt is when the config in force was read.
	LoadedAt *time.Time `json:"loaded_at"`
	// ReloadError says why a newer config was not taken, with file and line;
	// "" if there is none.
	ReloadError string `json:"reload_error,omitempty"`
	// Socket is the control socket; Monitors is how many watch
	// through it.
	Socket   string `json:"socket"`
	Monitors int    `json:"monitors"`
	// Journal is nil where nothing is kept.
	Journal *JournalStatus `json:"journal,omitempty"`
	// HeapBytes and Goroutines are the Go runtime's, Files the open file
	// descriptors; 0 is unknown.
	HeapBytes  uint64 `json:"heap_bytes"`
	Goroutines int    `json:"goroutines"`
	Files      int    `json:"files"`
}

// JournalStatus is how the journal stands, field by field what the journal says
// of itself: engine.JournalStatus(j.Status()).
type JournalStatus struct {
	Path  string `json:"path"`
	Bytes int64  `json:"bytes"`
	// Queued is how many entries wait for the disk, BehindS how many seconds
	// the oldest of them has waited, Dropped how many found no room to wait.
	Queued  int     `json:"queued"`
	BehindS float64 `json:"behind_s"`
	Dropped int64   `json:"dropped"`
	// Error is why it cannot be written now, "" if it can; FailingSince is
	// since when.
	Error        string     `json:"error"`
	FailingSince *time.Time `json:"failing_since"`
}

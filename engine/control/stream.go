package control

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"keywheel/engine"
)

const (
	// heartbeat is how often a quiet stream says that it is alive.
	heartbeat = 5 * time.Second
	// maxStreams is how many may follow the events at once.
	maxStreams = 64
)

// eventGap is the one event of a stream that is none of the engine's: events
// that the client has not had are not remembered any more, or the engine began
// anew.
const eventGap = "gap"

// gap is the data of an [eventGap].
type gap struct {
	// After is where the client was; First is the event that follows, 0 if
	// there is none yet.
	After uint64 `json:"after"`
	First uint64 `json:"first"`
	Why   string `json:"why"`
}

// stream sends the events after a sequence number as they happen, as
// server-sent events, until the client leaves or the server closes.
//
// Nothing is buffered for a client: each takes from the engine's ring what it
// has not had. Who does not read for as long as a write may take is cut, and
// may come back with Last-Event-ID.
func (s *Server) stream(w http.ResponseWriter, r *http.Request, after uint64) {
	select {
	case s.streams <- struct{}{}:
		defer func() { <-s.streams }()
	default:
		fail(w, http.StatusServiceUnavailable, fmt.Errorf("%d are following the events already, and no more may", maxStreams))
		return
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Time{}) // the request has been read
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := &sse{w: w, rc: rc, patience: s.patience}
	out.beat() // it is heard
	if last := s.source.Snapshot().LastSeq; after > last {
		out.write(0, eventGap, gap{after, min(last, 1), "the engine began anew"})
		out.flush()
		after = 0
	}
	for out.err == nil {
		list := s.wait(r.Context(), after)
		switch {
		case r.Context().Err() != nil:
			return
		case len(list) == 0:
			out.beat()
			continue
		}
		if first := list[0].Seq; after > 0 && first > after+1 {
			out.write(0, eventGap, gap{after, first, fmt.Sprintf("%d events are not remembered any more", first-after-1)})
		}
		for _, ev := range list {
			after = ev.Seq
			out.write(ev.Seq, string(ev.Kind), ev)
		}
		out.flush()
	}
}

// wait waits for events, no longer than until the next heartbeat.
func (s *Server) wait(ctx context.Context, after uint64) []engine.Event {
	beat, cancel := context.WithTimeout(ctx, heartbeat)
	defer cancel()
	list, _ := s.source.Wait(beat, after)
	return list
}

// sse writes server-sent events until one cannot be written.
type sse struct {
	w        http.ResponseWriter
	rc       *http.ResponseController
	patience time.Duration
	err      error
}

// write writes one event; id 0 is none.
func (o *sse) write(id uint64, event string, data any) {
	text, err := json.Marshal(data)
	if err != nil || o.err != nil {
		return
	}
	var b strings.Builder
	if id > 0 {
		fmt.Fprintf(&b, "id: %d\n", id)
	}
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", event, text) // JSON has no line breaks
	o.put(b.String())
}

// beat writes a comment, so that each side notices when the other is gone.
func (o *sse) beat() {
	o.put(": alive\n\n")
	o.flush()
}

func (o *sse) put(text string) {
	if o.err == nil {
		_ = o.rc.SetWriteDeadline(time.Now().Add(o.patience))
		_, o.err = o.w.Write([]byte(text))
	}
}

func (o *sse) flush() {
	if o.err == nil {
		o.err = o.rc.Flush()
	}
}

// wantsStream reports whether the client asks for server-sent events.
func wantsStream(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// afterOf is the sequence number that a client asks to go on from: that of the
// last event it had, else that of its query.
func afterOf(r *http.Request) (uint64, error) {
	name, text := "Last-Event-ID", r.Header.Get("Last-Event-ID")
	if text == "" {
		name, text = "after", r.URL.Query().Get("after")
	}
	if text == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %q is not a sequence number", name, text)
	}
	return n, nil
}

package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"keywheel/engine"
)

// maxEvent is the longest event that a client takes.
const maxEvent = 4 << 20

// News is one message of the stream of events.
type News struct {
	// Gap says why events are missing before the next; "" is that none are.
	Gap string
	// Event is what happened; nil with a gap.
	Event *engine.Event
}

// Follow tells of the events after a sequence number, the oldest first, and
// goes on as they happen until ctx ends, tell gives an error, or the instance
// is gone. It always returns an error: that one, or an [*UnreachableError].
func (c *Client) Follow(ctx context.Context, after uint64, tell func(News) error) error {
	alive, cancel := context.WithCancel(ctx)
	defer cancel()
	silent := time.AfterFunc(3*heartbeat, cancel)
	defer silent.Stop()
	req, err := http.NewRequestWithContext(alive, http.MethodGet, fmt.Sprintf("http://keywheel/v1/events?after=%d", after), nil)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "text/event-stream")
	gone := func(err error) error {
		if ctx.Err() == nil && alive.Err() != nil {
			return &UnreachableError{Socket: c.socket, Why: "keywheel does not answer"}
		}
		return c.unreachable(err)
	}
	res, err := c.stream.Do(req)
	if err != nil {
		return gone(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return refusal(res)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxEvent)
	kind := ""
	for lines.Scan() {
		silent.Reset(3 * heartbeat)
		name, value, _ := bytes.Cut(lines.Bytes(), []byte(": "))
		switch string(name) {
		case "event":
			kind = string(value)
		case "data":
			news, err := newsOf(kind, value)
			if err == nil {
				err = tell(news)
			}
			if err != nil {
				return err
			}
		}
	}
	err = lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return gone(err)
}

func newsOf(kind string, data []byte) (News, error) {
	if kind == eventGap {
		var g gap
		err := json.Unmarshal(data, &g)
		return News{Gap: g.Why}, err
	}
	var ev engine.Event
	err := json.Unmarshal(data, &ev)
	return News{Event: &ev}, err
}

package control

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"keywheel/engine/secret"
)

// Work that takes a while answers with its steps as they happen, one JSON object
// a line.

// workStep is one line of the answer: a step, or how it ended.
type workStep struct {
	Text  string `json:"text,omitempty"`
	Done  bool   `json:"done,omitempty"`
	Error string `json:"error,omitempty"`
}

// tellSteps answers with the steps of some work.
func (s *Server) tellSteps(w http.ResponseWriter, work func(tell func(text string)) error) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // the request has been read; past it the work would be given up
	send := func(step workStep) {
		_ = out.SetWriteDeadline(time.Now().Add(s.patience))
		_ = json.NewEncoder(w).Encode(step)
		_ = out.Flush()
	}
	if err := work(func(text string) { send(workStep{Text: text}) }); err != nil {
		send(workStep{Error: secret.Hide(err.Error())})
		return
	}
	send(workStep{Done: true})
}

// work asks for it, and tells of the steps as they happen.
func (c *Client) work(ctx context.Context, path string, ask any, tell func(text string)) error {
	body, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://keywheel"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if c.terminal != "" {
		req.Header.Set(terminalHeader, c.terminal)
	}
	res, err := c.stream.Do(req)
	if err != nil {
		return c.unreachable(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
		return refusal(res, text)
	}
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		var step workStep
		switch err := json.Unmarshal(lines.Bytes(), &step); {
		case err != nil:
			return err
		case step.Error != "":
			return errors.New(step.Error)
		case step.Done:
			return nil
		default:
			tell(step.Text)
		}
	}
	err = lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w; the steps that it told are done", c.unreachable(err))
}

// understand reads what is asked for. What the decoder says could hold a secret
// and is not repeated.
func understand(w http.ResponseWriter, r *http.Request, into any, want string) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	d.DisallowUnknownFields()
	if d.Decode(into) != nil {
		fail(w, http.StatusBadRequest, errors.New("not understood: want "+want))
		return false
	}
	return true
}

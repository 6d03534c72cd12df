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

// Replacer is a source whose keys can be given another secret while it runs.
type Replacer interface {
	// Replace tells of each step. An error says that the key has its old secret
	// still.
	Replace(ctx context.Context, key string, s secret.Secret, by string, tell func(text string)) error
}

// replaceRequest asks for it. The secret goes over the socket here and nowhere
// else.
type replaceRequest struct {
	Key    string `json:"key"`
	Secret string `json:"secret"`
}

// replaceStep is one line of the answer: a step, or how it ended.
type replaceStep struct {
	Text  string `json:"text,omitempty"`
	Done  bool   `json:"done,omitempty"`
	Error string `json:"error,omitempty"`
}

// replace answers with the steps as they happen, one JSON object a line.
func (s *Server) replace(w http.ResponseWriter, r *http.Request) {
	source, ok := s.source.(Replacer)
	if !ok {
		fail(w, http.StatusNotImplemented, errors.New("this keywheel cannot replace secrets"))
		return
	}
	var ask replaceRequest
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	d.DisallowUnknownFields()
	if d.Decode(&ask) != nil { // what the decoder says could hold the secret
		fail(w, http.StatusBadRequest, errors.New(`not a replacement: want {"key":"...","secret":"..."}`))
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := http.NewResponseController(w)
	send := func(step replaceStep) {
		_ = out.SetWriteDeadline(time.Now().Add(s.patience))
		_ = json.NewEncoder(w).Encode(step)
		_ = out.Flush()
	}
	err := source.Replace(r.Context(), ask.Key, secret.New(ask.Secret), peerOf(r).name(), func(text string) { send(replaceStep{Text: text}) })
	if err != nil {
		send(replaceStep{Error: err.Error()})
		return
	}
	send(replaceStep{Done: true})
}

// Replace asks to give a key another secret, and tells of the steps as they
// happen. The server says by whom it is: by does not go over the socket.
func (c *Client) Replace(ctx context.Context, key string, s secret.Secret, _ string, tell func(text string)) error {
	body, err := json.Marshal(replaceRequest{key, s.Reveal()})
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://keywheel/v1/replace", bytes.NewReader(body))
	if err != nil {
		return err
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
		var step replaceStep
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

// Replace is [Client.Replace] for the monitor.
func (m *Mirror) Replace(ctx context.Context, key string, s secret.Secret, by string, tell func(text string)) error {
	err := m.client.Replace(ctx, key, s, by, tell)
	m.look()
	return err
}

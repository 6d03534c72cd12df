package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"keywheel/engine"
	"keywheel/engine/secret"
)

// step is one line of the answer to what takes a while: something that
// happened, or how it ended.
type step struct {
	Text  string          `json:"text,omitempty"`
	Test  *engine.KeyTest `json:"test,omitempty"`
	Done  bool            `json:"done,omitempty"`
	Error string          `json:"error,omitempty"`
}

// steps answers with what work tells as it happens, one JSON object a line.
func (s *Server) steps(w http.ResponseWriter, work func(tell func(step)) error) {
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := http.NewResponseController(w)
	_ = out.SetReadDeadline(time.Time{}) // the request has been read; past it the work would be given up
	send := func(st step) {
		_ = out.SetWriteDeadline(time.Now().Add(s.patience))
		_ = json.NewEncoder(w).Encode(st)
		_ = out.Flush()
	}
	if err := work(send); err != nil {
		send(step{Error: secret.Hide(err.Error())})
		return
	}
	send(step{Done: true})
}

// follow asks for something that takes a while and tells of its steps as they
// happen, until it is done.
func (c *Client) follow(ctx context.Context, path string, ask any, tell func(step)) error {
	body, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	res, err := c.send(ctx, &c.stream, http.MethodPost, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	lines := bufio.NewScanner(res.Body)
	for lines.Scan() {
		var st step
		switch err := json.Unmarshal(lines.Bytes(), &st); {
		case err != nil:
			return err
		case st.Error != "":
			return errors.New(st.Error)
		case st.Done:
			return nil
		default:
			tell(st)
		}
	}
	err = lines.Err()
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%w; the steps that it told are done", c.unreachable(err))
}

// understand reads what is asked for, in no more than so many bytes. What the
// decoder says could hold a secret and is not repeated.
func understand(w http.ResponseWriter, r *http.Request, most int64, into any, want string) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, most))
	d.DisallowUnknownFields()
	if d.Decode(into) != nil {
		fail(w, http.StatusBadRequest, errors.New("not understood: want "+want))
		return false
	}
	return true
}

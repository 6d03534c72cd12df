package control

import (
	"context"
	"errors"
	"net/http"

	"keywheel/engine"
)

// Tester is a source that can ask the providers of its keys whether they are
// valid.
type Tester interface {
	// Test tells of each key as soon as it is known; no names are all keys.
	Test(ctx context.Context, keys []string, by string, tell func(engine.KeyTest)) error
}

// testRequest asks for it.
type testRequest struct {
	Keys []string `json:"keys"`
}

// test answers with what was said of each key, one JSON object a line.
func (s *Server) test(w http.ResponseWriter, r *http.Request) {
	source, ok := s.source.(Tester)
	if !ok {
		fail(w, http.StatusNotImplemented, errors.New("this keywheel cannot test keys"))
		return
	}
	var ask testRequest
	if !understand(w, r, 1<<20, &ask, `{"keys":["..."]}, none for all`) {
		return
	}
	s.steps(w, func(tell func(step)) error {
		return source.Test(r.Context(), ask.Keys, nameOf(r), func(t engine.KeyTest) { tell(step{Test: &t}) })
	})
}

// Test asks the providers of keys whether they are valid, and tells of each as
// it is known; no names are all keys. The server says by whom it is: by does
// not go over the socket.
func (c *Client) Test(ctx context.Context, keys []string, _ string, tell func(engine.KeyTest)) error {
	return c.follow(ctx, "/v1/test", testRequest{keys}, func(st step) {
		if st.Test != nil {
			tell(*st.Test)
		}
	})
}

// Test is [Client.Test] for the monitor.
func (m *Mirror) Test(ctx context.Context, keys []string, by string, tell func(engine.KeyTest)) error {
	err := m.client.Test(ctx, keys, by, tell)
	_, _ = m.look()
	return err
}

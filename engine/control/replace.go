package control

import (
	"context"
	"errors"
	"net/http"

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

// replace answers with the steps as they happen, one JSON object a line.
func (s *Server) replace(w http.ResponseWriter, r *http.Request) {
	source, ok := s.source.(Replacer)
	if !ok {
		fail(w, http.StatusNotImplemented, errors.New("this keywheel cannot replace secrets"))
		return
	}
	var ask replaceRequest
	if !understand(w, r, 64<<10, &ask, `{"key":"...","secret":"..."}`) {
		return
	}
	s.steps(w, func(tell func(step)) error {
		return source.Replace(r.Context(), ask.Key, secret.New(ask.Secret), nameOf(r), func(text string) { tell(step{Text: text}) })
	})
}

// Replace asks to give a key another secret, and tells of the steps as they
// happen. The server says by whom it is: by does not go over the socket.
func (c *Client) Replace(ctx context.Context, key string, s secret.Secret, _ string, tell func(text string)) error {
	return c.follow(ctx, "/v1/replace", replaceRequest{key, s.Reveal()}, func(st step) { tell(st.Text) })
}

// Replace is [Client.Replace] for the monitor.
func (m *Mirror) Replace(ctx context.Context, key string, s secret.Secret, by string, tell func(text string)) error {
	err := m.client.Replace(ctx, key, s, by, tell)
	m.look()
	return err
}

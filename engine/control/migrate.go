package control

import (
	"context"
	"errors"
	"net/http"

	"keywheel/engine"
	"keywheel/engine/secret"
)

// Migrator is a source whose services can be moved to other keys while it runs.
type Migrator interface {
	// Migrate tells of each step. s is the secret of a key that is not there
	// yet, else empty. An error says that the service has its old keys still.
	Migrate(ctx context.Context, m engine.Migration, s secret.Secret, by string, tell func(text string)) error
}

// migrateRequest asks for it. The secret goes over the socket here and nowhere
// else.
type migrateRequest struct {
	engine.Migration
	Secret string `json:"secret,omitempty"`
}

// migrate answers with the steps as they happen.
func (s *Server) migrate(w http.ResponseWriter, r *http.Request) {
	source, ok := s.source.(Migrator)
	if !ok {
		fail(w, http.StatusNotImplemented, errors.New("this keywheel cannot migrate services"))
		return
	}
	var ask migrateRequest
	if !understand(w, r, 64<<10, &ask, `{"service":"...","key":"...","secret":"..."}`) {
		return
	}
	s.steps(w, func(tell func(step)) error {
		return source.Migrate(r.Context(), ask.Migration, secret.New(ask.Secret), nameOf(r), func(text string) { tell(step{Text: text}) })
	})
}

// Migrate asks to move a service to another key, and tells of the steps as they
// happen. The server says by whom it is: by does not go over the socket.
func (c *Client) Migrate(ctx context.Context, m engine.Migration, s secret.Secret, _ string, tell func(text string)) error {
	return c.follow(ctx, "/v1/migrate", migrateRequest{m, s.Reveal()}, func(st step) { tell(st.Text) })
}

// Migrate is [Client.Migrate] for the monitor.
func (m *Mirror) Migrate(ctx context.Context, to engine.Migration, s secret.Secret, by string, tell func(text string)) error {
	err := m.client.Migrate(ctx, to, s, by, tell)
	_, _ = m.look()
	return err
}

package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"keywheel/engine"
)

// Client is a running keywheel seen through its socket.
type Client struct {
	socket string
	http   http.Client
}

// NewClient makes a client of the instance behind a socket. It connects with
// its first call.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", socket)
	}
	return &Client{socket: socket, http: http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DialContext: dial}}}
}

// Snapshot asks for everything there is to see now.
func (c *Client) Snapshot(ctx context.Context) (s engine.Snapshot, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/snapshot", nil, &s)
	return s, err
}

// Events asks for the events after a sequence number, the oldest first.
func (c *Client) Events(ctx context.Context, after uint64) (list []engine.Event, err error) {
	err = c.call(ctx, http.MethodGet, fmt.Sprintf("/v1/events?after=%d", after), nil, &list)
	return list, err
}

// Do asks for an action. The server says by whom it is: Action.By does not go
// over the socket.
func (c *Client) Do(ctx context.Context, a engine.Action) (r engine.Result, err error) {
	body, err := json.Marshal(a)
	if err != nil {
		return r, err
	}
	err = c.call(ctx, http.MethodPost, "/v1/actions", body, &r)
	return r, err
}

func (c *Client) call(ctx context.Context, method, path string, body []byte, into any) error {
	req, err := http.NewRequestWithContext(ctx, method, "http://keywheel"+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := c.http.Do(req)
	if errors.Is(err, syscall.ENOENT) || errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("not done: keywheel is not running, nothing answers on %s", c.socket)
	}
	if err != nil {
		return fmt.Errorf("no keywheel answers on %s: %w", c.socket, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 256<<20))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		var f failure
		if json.Unmarshal(text, &f) != nil || f.Error == "" {
			return fmt.Errorf("keywheel answered %s", res.Status)
		}
		return errors.New(f.Error)
	}
	return json.Unmarshal(text, into)
}

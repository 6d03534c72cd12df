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
	"net/url"
	"os"
	"syscall"
	"time"

	"keywheel/engine"
)

// Client is a running keywheel seen through its socket.
type Client struct {
	socket string
	http   http.Client
	// stream has no end to its patience with an answer's body.
	stream http.Client
	// terminal is where the person sits, "" where nobody does.
	terminal string
}

// NewClient makes a client of the instance behind a socket. It connects with
// its first call.
func NewClient(socket string) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(ctx, "unix", socket)
		if err != nil {
			return nil, err
		}
		if uid, _, err := peer(conn); err == nil && !trusted(uid, os.Getuid()) {
			_ = conn.Close()
			return nil, syscall.EPERM
		}
		return conn, nil
	}
	way := &http.Transport{DialContext: dial}
	return &Client{socket: socket, http: http.Client{Timeout: 10 * time.Second, Transport: way}, stream: http.Client{Transport: way}, terminal: terminal()}
}

// trusted reports whether a user may be told secrets behind a socket: oneself
// and root. Root uses everybody's; -1 is one whom the system does not name.
func trusted(uid, self int) bool { return uid < 0 || uid == self || uid == 0 || self == 0 }

// Socket is where the instance answers.
func (c *Client) Socket() string { return c.socket }

// UnreachableError says that no keywheel answers on a socket.
type UnreachableError struct {
	Socket string
	// Why is in plain words: "keywheel is not running".
	Why string
	// Refused is true when nothing can have come of what was asked.
	Refused bool
}

func (err *UnreachableError) Error() string {
	return fmt.Sprintf("%s (%s). `keywheel serve` starts it", err.Why, err.Socket)
}

// unreachable says why a call got no answer.
func (c *Client) unreachable(err error) error {
	u := &UnreachableError{Socket: c.socket, Why: "keywheel broke off before it answered"}
	var op *net.OpError
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ECONNREFUSED):
		u.Why, u.Refused = "keywheel is not running", true
	case errors.Is(err, syscall.EACCES), errors.Is(err, syscall.EPERM):
		return fmt.Errorf("the keywheel behind %s is another user's: only its owner may use it", c.socket)
	case errors.As(err, &op) && op.Op == "dial":
		u.Why, u.Refused = "keywheel cannot be reached", true
	case os.IsTimeout(err):
		u.Why = "keywheel does not answer"
	}
	return u
}

// Snapshot asks for everything there is to see now.
func (c *Client) Snapshot(ctx context.Context) (s engine.Snapshot, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/snapshot", nil, &s)
	return s, err
}

// since asks for what has changed since a mark, and for the requests that ended
// after a sequence number.
func (c *Client) since(ctx context.Context, mark string, requests uint64) (d delta, err error) {
	err = c.call(ctx, http.MethodGet, fmt.Sprintf("/v1/snapshot?since=%s&requests=%d", url.QueryEscape(mark), requests), nil, &d)
	return d, err
}

// Events asks for the events after a sequence number, the oldest first.
func (c *Client) Events(ctx context.Context, after uint64) (list []engine.Event, err error) {
	err = c.call(ctx, http.MethodGet, fmt.Sprintf("/v1/events?after=%d", after), nil, &list)
	return list, err
}

// Requests asks for the requests that ended after a sequence number, the oldest
// first.
func (c *Client) Requests(ctx context.Context, after uint64) (list []engine.RequestRecord, err error) {
	err = c.call(ctx, http.MethodGet, fmt.Sprintf("/v1/requests?after=%d", after), nil, &list)
	return list, err
}

// System asks what the process tells of itself.
func (c *Client) System(ctx context.Context) (s engine.SystemStatus, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/system", nil, &s)
	return s, err
}

// Spent asks what was used since the instance began, by service, key and model.
func (c *Client) Spent(ctx context.Context) (list []engine.Spent, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/spent", nil, &list)
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
	var gone *UnreachableError
	if errors.As(err, &gone) {
		if gone.Refused {
			return r, fmt.Errorf("not done: %w", err)
		}
		return r, fmt.Errorf("nobody knows whether it was done: %w", err)
	}
	return r, err
}

func (c *Client) call(ctx context.Context, method, path string, body []byte, into any) error {
	res, err := c.send(ctx, &c.http, method, path, body)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 256<<20))
	if err != nil {
		return c.unreachable(err)
	}
	return json.Unmarshal(text, into)
}

// send sends a request that says whose terminal it comes from. An answer other
// than 200 is an error.
func (c *Client) send(ctx context.Context, way *http.Client, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://keywheel"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if c.terminal != "" {
		req.Header.Set(terminalHeader, c.terminal)
	}
	res, err := way.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		return nil, refusal(res)
	}
	return res, nil
}

// refusal is what an answer other than 200 says.
func refusal(res *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	var f failure
	if json.Unmarshal(text, &f) != nil || f.Error == "" {
		return fmt.Errorf("keywheel answered %s", res.Status)
	}
	return errors.New(f.Error)
}

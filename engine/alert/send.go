package alert

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"time"

	"keywheel/engine/child"
	"keywheel/engine/secret"
)

const (
	// patience is how long a command or a webhook may take, again the pause
	// before a webhook is asked once more.
	patience = 10 * time.Second
	again    = time.Second
	// waiting is how many alerts may wait for each of the two.
	waiting = 64
)

// Options say where alerts go.
type Options struct {
	// Command is a program and its arguments. It is run for each alert without
	// a shell, with the alert as JSON on stdin; "{text}" in an argument is the
	// alert's text. Empty is none.
	Command []string
	// Place is where the command is looked for and run.
	Place child.Place
	// Webhook is a URL that [CheckWebhook] passes, to which each alert is
	// posted as JSON; empty is none.
	Webhook secret.Secret
	// Failed is told what could not be delivered, in words without a secret. It
	// is called from several goroutines.
	Failed func(Alert, error)
}

// Sender delivers alerts, each way in its own time and in order. What does not
// get through is told of, and given up.
type Sender struct {
	ways   []way
	failed func(Alert, error)
}

// way is one way out, with those that wait for it.
type way struct {
	queue   chan Alert
	deliver func(context.Context, Alert) error
}

// NewSender makes a Sender. Nothing is delivered before [Sender.Run].
func NewSender(o Options) *Sender {
	s := &Sender{failed: o.Failed}
	add := func(deliver func(context.Context, Alert) error) {
		s.ways = append(s.ways, way{make(chan Alert, waiting), deliver})
	}
	if len(o.Command) > 0 {
		add((&command{o.Command, o.Place, patience}).deliver)
	}
	if !o.Webhook.Empty() {
		add(newWebhook(o.Webhook).deliver)
	}
	return s
}

// Send hands an alert over to be delivered. It never blocks: where too many wait
// already, the alert is given up.
func (s *Sender) Send(a Alert) {
	for _, w := range s.ways {
		select {
		case w.queue <- a:
		default:
			s.failed(a, fmt.Errorf("%d others wait to be delivered", waiting))
		}
	}
}

// Run delivers until ctx ends.
func (s *Sender) Run(ctx context.Context) {
	var running sync.WaitGroup
	defer running.Wait()
	for _, w := range s.ways {
		running.Go(func() {
			for {
				select {
				case <-ctx.Done():
					return
				case a := <-w.queue:
					if err := w.deliver(ctx, a); err != nil && ctx.Err() == nil {
						s.failed(a, err)
					}
				}
			}
		})
	}
}

// command is a program that is run for each alert.
type command struct {
	argv    []string
	place   child.Place
	timeout time.Duration
}

func (c *command) deliver(ctx context.Context, a Alert) error {
	input, err := json.Marshal(a)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	arguments := make([]string, len(c.argv)-1)
	for i, text := range c.argv[1:] {
		arguments[i] = strings.ReplaceAll(text, "{text}", a.Text)
	}
	name := "command " + c.argv[0]
	cmd, err := c.place.Command(ctx, c.argv[0], arguments...)
	if err != nil {
		return fmt.Errorf("%s: there is no such program: install it, or write its whole path", name)
	}
	cmd.Stdin = bytes.NewReader(append(input, '\n'))
	err = cmd.Run()
	switch exit := (*exec.ExitError)(nil); {
	case ctx.Err() != nil:
		return fmt.Errorf("%s did not end within %v", name, c.timeout)
	case errors.As(err, &exit): // what it said could hold a secret
		return fmt.Errorf("%s failed (%v): run it by hand to see why", name, exit.ProcessState)
	case err != nil:
		return fmt.Errorf("%s failed: run it by hand to see why", name)
	}
	return nil
}

// CheckWebhook says what is wrong with the URL of a webhook ("must be ..."),
// without repeating it; "" is nothing.
func CheckWebhook(text string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Scheme != "https" && u.Scheme != "http":
		return `must be a URL like "https://example.com/hook"`
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return "must begin with https://: plain http is only for this machine"
	default:
		return ""
	}
}

// loopback reports whether a host is this machine.
func loopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

// webhook is a URL that each alert is posted to.
type webhook struct {
	url            secret.Secret
	name           string // safe to show
	client         http.Client
	timeout, pause time.Duration
}

func newWebhook(to secret.Secret) *webhook {
	h := &webhook{url: to, name: "webhook", timeout: patience, pause: again, client: http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, DisableKeepAlives: true},
		// Nothing is known of where a redirect leads.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	if u, err := url.Parse(to.Reveal()); err == nil {
		h.name += " at " + u.Host
	}
	return h
}

func (h *webhook) deliver(ctx context.Context, a Alert) error {
	body, err := json.Marshal(a)
	if err != nil {
		return err
	}
	retry, err := h.post(ctx, body)
	if err == nil || !retry {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(h.pause):
	}
	_, err = h.post(ctx, body)
	return err
}

// post sends one alert, and reports whether to try again after an error. The
// error says nothing of the URL but its host.
func (h *webhook) post(ctx context.Context, body []byte) (retry bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url.Reveal(), bytes.NewReader(body))
	if err != nil {
		return false, fmt.Errorf("%s: its URL cannot be used", h.name)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "keywheel")
	res, err := h.client.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return true, fmt.Errorf("%s did not answer within %v", h.name, h.timeout)
		}
		if ue := (*url.Error)(nil); errors.As(err, &ue) {
			err = ue.Err
		}
		return true, fmt.Errorf("%s: %w", h.name, err)
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	_ = res.Body.Close()
	if res.StatusCode/100 == 2 {
		return false, nil
	}
	return res.StatusCode >= 500 || res.StatusCode == http.StatusTooManyRequests, fmt.Errorf("%s answered %d", h.name, res.StatusCode)
}

package control

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keywheel/engine"
	"keywheel/engine/secret"
)

// twoKeys is an engine with one service of two keys.
func twoKeys(t testing.TB) *engine.Engine {
	t.Helper()
	var keys []engine.Key
	for _, n := range []string{"a", "b"} {
		keys = append(keys, engine.Key{Name: n, Provider: "openai", Kind: "openai", BaseURL: "https://api.openai.com/v1", Secret: secret.New("sk-test-not-a-key-" + n)})
	}
	e, err := engine.New(engine.Config{Keys: keys, Services: []engine.Service{{Name: "ui", Keys: []string{"a", "b"}}}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// shake makes n events.
func shake(t testing.TB, e *engine.Engine, n int) {
	t.Helper()
	for i := range n {
		v := engine.VerbDisable
		if i%2 == 1 {
			v = engine.VerbEnable
		}
		if _, err := e.Do(engine.Action{Verb: v, Key: "b"}); err != nil {
			t.Fatal(err)
		}
	}
}

var errEnough = errors.New("enough")

// follow collects n messages of a stream.
func follow(t *testing.T, c *Client, after uint64, n int) (list []News) {
	t.Helper()
	err := c.Follow(t.Context(), after, func(news News) error {
		if list = append(list, news); len(list) == n {
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) {
		t.Fatalf("after %d messages: %v", len(list), err)
	}
	return list
}

func TestFollow(t *testing.T) {
	t.Parallel()
	e := twoKeys(t)
	c, s := serveSource(t, e, readPatience)
	shake(t, e, 3)
	for i, news := range follow(t, c, 0, 3) {
		if news.Gap != "" || news.Event.Seq != uint64(i+1) || news.Event.Kind != engine.EventOperator {
			t.Errorf("message %d: %+v", i, news)
		}
	}
	if news := follow(t, c, 2, 1); news[0].Event.Seq != 3 {
		t.Errorf("resumed at %d", news[0].Event.Seq)
	}
	// What happens while it is followed, then the end of the server.
	seen, ended := make(chan News), make(chan error, 1)
	go func() {
		ended <- c.Follow(context.Background(), 3, func(n News) error { seen <- n; return nil })
	}()
	shake(t, e, 1)
	if n := <-seen; n.Event.Text != "disabled b" {
		t.Errorf("saw %+v", n.Event)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closing: %v", err)
	}
	var gone *UnreachableError
	if err := <-ended; !errors.As(err, &gone) {
		t.Errorf("the stream ended with %v", err)
	}
}

func TestFollowSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	e := twoKeys(t)
	c, _ := serveSource(t, e, readPatience)
	shake(t, e, 2100) // the engine remembers 2000
	for _, r := range []struct {
		after uint64
		gap   string
		first uint64
	}{
		{5, "95 events are not remembered any more", 101},
		{99, "1 events are not remembered any more", 101},
		{9999, "the engine began anew", 101},
	} {
		got := follow(t, c, r.after, 2)
		if got[0].Gap != r.gap || got[1].Event == nil || got[1].Event.Seq != r.first {
			t.Errorf("after %d: %+v, then %+v", r.after, got[0], got[1].Event)
		}
	}
	for _, after := range []uint64{0, 100} { // has asked for no more than there is
		if got := follow(t, c, after, 1); got[0].Gap != "" || got[0].Event.Seq != 101 {
			t.Errorf("after %d: %+v", after, got[0])
		}
	}
}

func TestLastEventIDWins(t *testing.T) {
	t.Parallel()
	for _, r := range []struct {
		id, query string
		after     uint64
		wrong     bool
	}{{"", "", 0, false}, {"", "7", 7, false}, {"9", "7", 9, false}, {"-1", "7", 0, true}, {"", "x", 0, true}} {
		req := httptest.NewRequest(http.MethodGet, "/v1/events?after="+r.query, nil)
		req.Header.Set("Last-Event-ID", r.id)
		if after, err := afterOf(req); after != r.after || err != nil != r.wrong {
			t.Errorf("Last-Event-ID %q, after=%s: %d, %v", r.id, r.query, after, err)
		}
	}
}

func TestWhoDoesNotReadIsCut(t *testing.T) {
	t.Parallel()
	e := twoKeys(t)
	c, s := serveSource(t, e, 20*time.Millisecond)
	conn, err := net.Dial("unix", c.Socket())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("GET /v1/events HTTP/1.1\r\nHost: keywheel\r\nAccept: text/event-stream\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 12)); err != nil { // it has begun
		t.Fatal(err)
	}
	shake(t, e, 2000) // more than a socket takes unread
	shake(t, e, 2000)
	for range maxStreams { // every place is free again
		select {
		case s.streams <- struct{}{}:
		case <-time.After(2 * time.Minute):
			t.Fatal("the stream that nobody reads goes on")
		}
	}
}

func TestTooManyStreams(t *testing.T) {
	t.Parallel()
	e := twoKeys(t)
	c, s := serveSource(t, e, readPatience)
	for range maxStreams {
		s.streams <- struct{}{}
	}
	err := c.Follow(t.Context(), 0, func(News) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "64 are following") {
		t.Errorf("got %v", err)
	}
}

func TestQuietStreamSaysThatItIsAlive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := twoKeys(t)
		s := &Server{source: e, streams: make(chan struct{}, maxStreams), patience: readPatience}
		ctx, cancel := context.WithTimeout(t.Context(), 2*heartbeat+time.Second)
		defer cancel()
		w := httptest.NewRecorder()
		s.stream(w, httptest.NewRequest(http.MethodGet, "/v1/events", nil).WithContext(ctx), 0)
		if got := strings.Count(w.Body.String(), ": alive\n\n"); got != 3 {
			t.Errorf("%d heartbeats: %q", got, w.Body)
		}
	})
}

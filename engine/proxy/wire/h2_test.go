package wire

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// vouched are the certificate of hosts in tests, and who vouches for it.
var vouched = sync.OnceValues(func() (*tls.Config, *tls.Config) {
	s := httptest.NewUnstartedServer(nil)
	s.StartTLS()
	defer s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	return &tls.Config{Certificates: s.TLS.Certificates, NextProtos: []string{"h2"}}, &tls.Config{RootCAs: roots, ServerName: "example.com"}
})

// secure is a base that trusts the hosts of tests and offers HTTP/2.
func secure() *http.Transport {
	base := tuned()
	base.ForceAttemptHTTP2 = true
	_, trust := vouched()
	base.TLSClientConfig = trust.Clone()
	base.HTTP2 = &http.HTTP2Config{MaxReceiveBufferPerStream: 64 << 10}
	return base
}

// peer is the host's end of an HTTP/2 connection, written by hand.
type peer struct {
	net.Conn
	*http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
}

// hosted listens and gives each connection to serve, after both have said hello.
func hosted(t testing.TB, serve func(p *peer), settings ...http2.Setting) (url string) {
	t.Helper()
	config, _ := vouched()
	l, err := tls.Listen("tcp", "127.0.0.1:0", config)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); all.Wait() })
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { greet(c, serve, settings...) })
		}
	})
	return "https://" + l.Addr().String()
}

func greet(c net.Conn, serve func(p *peer), settings ...http2.Setting) {
	defer c.Close()
	hello := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c, hello); err != nil || string(hello) != http2.ClientPreface {
		return
	}
	p := &peer{Conn: c, Framer: http2.NewFramer(c, c)}
	p.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.AllowIllegalWrites = true
	p.encoder = hpack.NewEncoder(&p.block)
	if p.WriteSettings(settings...) == nil {
		serve(p)
	}
}

// next is the next frame that is not about the connection; nil is its end.
func (p *peer) next() http2.Frame {
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return nil
		}
		switch f := f.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() {
				_ = p.WriteSettingsAck()
			}
		case *http2.PingFrame:
			if !f.IsAck() {
				_ = p.WritePing(true, f.Data)
			}
		case *http2.WindowUpdateFrame:
		default:
			return f
		}
	}
}

// asked reads until a request is whole; 0 is the connection's end.
func (p *peer) asked() (stream uint32) {
	for {
		switch f := p.next().(type) {
		case nil:
			return 0
		case *http2.MetaHeadersFrame:
			if f.StreamEnded() {
				return f.StreamID
			}
		case *http2.DataFrame:
			if f.StreamEnded() {
				return f.StreamID
			}
		}
	}
}

// head writes a head, or trailers; the fields are a name and a value in turn.
func (p *peer) head(stream uint32, end bool, fields ...string) {
	p.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = p.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	block := p.block.Bytes()
	n := min(len(block), 16<<10)
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block[:n], EndStream: end, EndHeaders: n == len(block)})
	for block = block[n:]; len(block) > 0; block = block[n:] {
		n = min(len(block), 16<<10)
		_ = p.WriteContinuation(stream, n == len(block), block[:n])
	}
}

// answer writes a plain answer.
func (p *peer) answer(stream uint32, text string) {
	p.head(stream, false, ":status", "200")
	_ = p.WriteData(stream, true, []byte(text))
}

// framed are answers over HTTP/2, right and wrong.
var frames = map[string]func(p *peer, s uint32){
	"plain": func(p *peer, s uint32) { p.answer(s, "hello") },
	"with a length": func(p *peer, s uint32) {
		p.head(s, false, ":status", "200", "content-length", "5", "x-a", "1", "x-a", "2")
		_ = p.WriteData(s, true, []byte("hello"))
	},
	"an empty end": func(p *peer, s uint32) {
		p.head(s, false, ":status", "200")
		_ = p.WriteData(s, false, []byte("hello"))
		_ = p.WriteData(s, true, nil)
	},
	"padded": func(p *peer, s uint32) {
		p.head(s, false, ":status", "200")
		_ = p.WriteDataPadded(s, true, []byte("hello"), make([]byte, 200))
	},
	"in pieces": func(p *peer, s uint32) {
		p.head(s, false, ":status", "404")
		for _, c := range "hello" {
			_ = p.WriteData(s, c == 'o', []byte(string(c)))
		}
	},
	"no body":           func(p *peer, s uint32) { p.head(s, true, ":status", "200") },
	"no body, a length": func(p *peer, s uint32) { p.head(s, true, ":status", "200", "content-length", "0") },
	"204":               func(p *peer, s uint32) { p.head(s, true, ":status", "204") },
	"304 with a length": func(p *peer, s uint32) { p.head(s, true, ":status", "304", "etag", "a") },
	"304, ended later": func(p *peer, s uint32) {
		p.head(s, false, ":status", "304", "etag", "a")
		_ = p.WriteData(s, true, nil)
	},
	"trailers": func(p *peer, s uint32) {
		p.head(s, false, ":status", "200", "trailer", "X-Sum, x-b")
		_ = p.WriteData(s, false, []byte("hello"))
		p.head(s, true, "x-sum", "1", "x-b", "2")
	},
	"trailers, no body": func(p *peer, s uint32) { p.head(s, false, ":status", "200"); p.head(s, true, "x-sum", "1") },
	"early hints first": func(p *peer, s uint32) {
		p.head(s, false, ":status", "103", "link", "</a>")
		p.head(s, false, ":status", "100")
		p.answer(s, "hello")
	},
	"interim for ever": func(p *peer, s uint32) {
		for range 3000 {
			p.head(s, false, ":status", "103", "link", "</a>")
		}
	},
	"only interim": func(p *peer, s uint32) { p.head(s, true, ":status", "103") },
	"101":          func(p *peer, s uint32) { p.head(s, true, ":status", "101") },
	"a body too long": func(p *peer, s uint32) {
		p.head(s, false, ":status", "200", "content-length", "3")
		_ = p.WriteData(s, true, []byte("hello"))
	},
	"a body too short": func(p *peer, s uint32) {
		p.head(s, false, ":status", "200", "content-length", "9")
		_ = p.WriteData(s, true, []byte("hello"))
	},
	"a body missing": func(p *peer, s uint32) { p.head(s, true, ":status", "200", "content-length", "9") },
	"reset":          func(p *peer, s uint32) { _ = p.WriteRSTStream(s, http2.ErrCodeInternal) },
	"reset in the body": func(p *peer, s uint32) {
		p.head(s, false, ":status", "200")
		_ = p.WriteData(s, false, []byte("hel"))
		_ = p.WriteRSTStream(s, http2.ErrCodeNo)
	},
	"reset after it": func(p *peer, s uint32) { p.answer(s, "hello"); _ = p.WriteRSTStream(s, http2.ErrCodeNo) },
	"gone":           func(p *peer, _ uint32) { _ = p.Close() },
	"gone in the body": func(p *peer, s uint32) {
		p.head(s, false, ":status", "200")
		_ = p.WriteData(s, false, []byte("hel"))
		_ = p.Close()
	},
	"no status":           func(p *peer, s uint32) { p.head(s, true, "x-a", "1") },
	"half a status":       func(p *peer, s uint32) { p.head(s, true, ":status", "20") },
	"a status in words":   func(p *peer, s uint32) { p.head(s, true, ":status", "two") },
	"two statuses":        func(p *peer, s uint32) { p.head(s, true, ":status", "200", ":status", "201") },
	"a status at the end": func(p *peer, s uint32) { p.head(s, true, "x-a", "1", ":status", "200") },
	"a request's field":   func(p *peer, s uint32) { p.head(s, true, ":status", "200", ":path", "/") },
	"capitals":            func(p *peer, s uint32) { p.head(s, true, ":status", "200", "X-A", "1") },
	"a line feed":         func(p *peer, s uint32) { p.head(s, true, ":status", "200", "x-a", "1\nx-b: 2") },
	"a body before it":    func(p *peer, s uint32) { _ = p.WriteData(s, true, []byte("hello")) },
	"a head in the body": func(p *peer, s uint32) {
		p.head(s, false, ":status", "200")
		p.head(s, false, "x-a", "1")
		_ = p.WriteData(s, true, nil)
	},
	"a huge head": func(p *peer, s uint32) { p.head(s, true, ":status", "200", "x-a", strings.Repeat("a", 100_000)) },
	"many fields": func(p *peer, s uint32) {
		p.head(s, true, append([]string{":status", "200"}, strings.Split(strings.Repeat("x-a,1,", 5000), ",")[:10000]...)...)
	},
	"a head in two":    func(p *peer, s uint32) { p.head(s, true, ":status", "200", "x-a", strings.Repeat("€", 15_000)) },
	"an unknown frame": func(p *peer, s uint32) { _ = p.WriteRawFrame(0xbe, 0, s, []byte("?")); p.answer(s, "hello") },
	"a priority": func(p *peer, s uint32) {
		_ = p.WritePriority(s, http2.PriorityParam{StreamDep: 0})
		p.answer(s, "hello")
	},
	"a push": func(p *peer, s uint32) {
		_ = p.WritePushPromise(http2.PushPromiseParam{StreamID: s, PromiseID: 2, BlockFragment: []byte{0x88}, EndHeaders: true})
	},
	"to nobody": func(p *peer, s uint32) { p.answer(s+100, "hello") },
	"garbage":   func(p *peer, _ uint32) { _, _ = io.WriteString(p.Conn, "HTTP/1.1 400 Bad Request\r\n\r\n") },
	"a bad table": func(p *peer, s uint32) {
		_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: s, BlockFragment: []byte{0xff, 0xff, 0xff}, EndHeaders: true})
	},
	"a bad setting":   func(p *peer, s uint32) { _ = p.WriteSettings(http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1}) },
	"too much of all": func(p *peer, _ uint32) { _ = p.WriteWindowUpdate(0, 1<<31-1) },
	"nothing of all":  func(p *peer, _ uint32) { _ = p.WriteWindowUpdate(0, 0) },
	"a frame too large": func(p *peer, s uint32) {
		p.head(s, false, ":status", "200")
		_ = p.WriteData(s, true, make([]byte, 16<<10+1))
	},
}

// stricter are answers that wire takes less of than http.Transport does.
var stricter = map[string]bool{"half a status": true, "a body too long": true}

// TestFramesReadAsByTransport puts answers to http.Transport and to wire: callers
// see the same.
func TestFramesReadAsByTransport(t *testing.T) {
	t.Parallel()
	for name, answer := range frames {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			t.Run(method+" "+name, func(t *testing.T) {
				t.Parallel()
				url := hosted(t, func(p *peer) {
					s := p.asked()
					if s == 0 {
						return
					}
					answer(p, s)
					for p.next() != nil { // until the caller hangs up
					}
				})
				var got [2]outcome
				var errs [2]error
				base := secure()
				ours := New(secure())
				for i, rt := range []http.RoundTripper{base, ours} {
					ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
					req, _ := http.NewRequestWithContext(ctx, method, url, nil)
					if method == "POST" {
						req, _ = http.NewRequestWithContext(ctx, method, url, strings.NewReader("prompt"))
					}
					got[i], errs[i] = ask(rt, req)
					cancel()
				}
				base.CloseIdleConnections()
				ours.CloseIdleConnections()
				if got[0] != got[1] && (!stricter[name] || !got[1].broken) {
					t.Errorf("http.Transport: %+v, %v\nwire: %+v, %v", got[0], errs[0], got[1], errs[1])
				}
				nothingOpen(t, ours)
			})
		}
	}
}

// nothingOpen fails the test if a request is still on a connection.
func nothingOpen(t *testing.T, rt *Transport) {
	t.Helper()
	rt.mu.Lock()
	defer rt.mu.Unlock()
	for h, p := range rt.hosts {
		for _, m := range p.shared {
			m.mu.Lock()
			if m.booked != 0 || len(m.streams) != 0 || len(m.waiting) != 0 || m.unread != 0 {
				t.Errorf("%v: %d places, %d streams, %d uploads", h, m.booked, len(m.streams), len(m.waiting))
			}
			m.mu.Unlock()
		}
	}
}

// TestRepeats says which requests go up again, and how often, when the host did
// not look at them or went away.
func TestRepeats(t *testing.T) {
	t.Parallel()
	refuse := func(p *peer, s uint32) { _ = p.WriteRSTStream(s, http2.ErrCodeRefusedStream) }
	leave := func(p *peer, s uint32) { _ = p.WriteGoAway(s-1, http2.ErrCodeNo, nil) }
	for _, c := range []struct {
		name, method string
		once         bool // its body cannot be sent twice
		bad          int  // how many requests fare badly
		how          func(p *peer, s uint32)
		calls        int32
		served       bool
	}{
		{"refused once", "POST", false, 1, refuse, 2, true},
		{"refused twice", "POST", false, 2, refuse, 3, true},
		{"refused always", "POST", false, 9, refuse, mostRefused, false},
		{"refused, once only", "POST", true, 1, refuse, 1, false},
		{"not looked at", "POST", false, 1, leave, 2, true},
		{"not looked at for long", "POST", false, 5, leave, 6, true},
		{"never looked at", "POST", false, 9, leave, mostRefused, false},
		{"gone", "POST", false, 1, func(p *peer, _ uint32) { _ = p.Close() }, 1, false},
		{"gone, asked for something", "GET", false, 1, func(p *peer, _ uint32) { _ = p.Close() }, 2, true},
		{"told too much room", "GET", false, 1, func(p *peer, s uint32) { _ = p.WriteWindowUpdate(s, 1<<31-1) }, 1, false}, // net/http hangs
		{"told of what nobody asked", "GET", false, 1, func(p *peer, _ uint32) { p.answer(2, "hello") }, 2, true},          // and it waits
		{"reset", "GET", false, 1, func(p *peer, s uint32) { _ = p.WriteRSTStream(s, http2.ErrCodeInternal) }, 1, false},
		{"leaving, but served", "POST", false, 9, func(p *peer, s uint32) { _ = p.WriteGoAway(s, http2.ErrCodeNo, nil); p.answer(s, "hello") }, 1, true},
		{"leaving in two steps", "POST", false, 9, func(p *peer, s uint32) {
			_ = p.WriteGoAway(1<<31-1, http2.ErrCodeNo, nil)
			_ = p.WriteGoAway(s, http2.ErrCodeNo, nil)
			p.answer(s, "hello")
		}, 1, true},
	} {
		var conns, calls atomic.Int32
		url := hosted(t, func(p *peer) {
			if conns.Add(1) == 1 {
				p.answer(p.asked(), "hello") // so that it is known to be well
			}
			for s := p.asked(); s != 0; s = p.asked() {
				if int(calls.Add(1)) <= c.bad {
					c.how(p, s)
				} else {
					p.answer(s, "hello")
				}
			}
		})
		rt := New(secure())
		req, _ := http.NewRequest("GET", url, nil)
		if _, err := ask(rt, req); err != nil {
			t.Fatal(err)
		}
		req, _ = http.NewRequest(c.method, url, strings.NewReader("prompt"))
		if c.once {
			req.GetBody = nil
		}
		got, err := ask(rt, req)
		if n := calls.Load(); n != c.calls || (err == nil && got.body == "hello") != c.served {
			t.Errorf("%s: %d calls, %+v, %v", c.name, n, got, err)
		}
		nothingOpen(t, rt)
		rt.CloseIdleConnections()
	}
}

// TestAsMuchAsTheHostTakes counts what goes up against the host's windows, which
// widen bit by bit and shrink in between.
func TestAsMuchAsTheHostTakes(t *testing.T) {
	t.Parallel()
	for _, first := range []int64{0, 10, 1000, 200_000} {
		url := hosted(t, func(p *peer) {
			all, first, told := int64(65535), int64(65535), []int64{first} // a window counts when the other end says so
			left, came := map[uint32]int64{}, map[uint32]int{}
			for n := 0; ; n++ {
				f, err := p.ReadFrame()
				if err != nil {
					return
				}
				switch f := f.(type) {
				case *http2.SettingsFrame:
					if !f.IsAck() {
						_ = p.WriteSettingsAck()
						continue
					}
					for id := range left {
						left[id] += told[0] - first
					}
					first, told = told[0], told[1:]
				case *http2.MetaHeadersFrame:
					_ = p.WriteWindowUpdate(f.StreamID, 7)
					left[f.StreamID] = first + 7
				case *http2.DataFrame:
					id, n := f.StreamID, int64(f.Length)
					came[id] += int(n)
					if all, left[id] = all-n, left[id]-n; all < 0 || left[id] < 0 {
						t.Errorf("more came than may: %d, %d", all, left[id])
						return
					}
					if f.StreamEnded() {
						p.answer(id, fmt.Sprint(came[id]))
						delete(left, id)
					} else {
						more := max(n, 3000)
						_ = p.WriteWindowUpdate(id, uint32(more))
						left[id] += more
					}
					_ = p.WriteWindowUpdate(0, uint32(n))
					all += n
				}
				if n%5 == 4 { // a stream may have less than nothing then
					told = append(told, (first+777)%5000)
					_ = p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(told[len(told)-1])})
				}
			}
		}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(first)})
		rt := New(secure())
		var all sync.WaitGroup
		for i := range 12 {
			all.Go(func() {
				req, _ := http.NewRequest("POST", url, bytes.NewReader(make([]byte, (oneGo+30_000)/(1+i%3))))
				if got, err := ask(rt, req); err != nil || got.body != fmt.Sprint(req.ContentLength) {
					t.Errorf("%d: %+v, %v", i, got, err)
				}
			})
		}
		all.Wait()
		nothingOpen(t, rt)
		rt.CloseIdleConnections()
	}
}

// TestAReaderThatIsSlow holds up what it reads, up to the window, and nobody else.
func TestAReaderThatIsSlow(t *testing.T) {
	t.Parallel()
	url := hosted(t, func(p *peer) {
		first := p.asked()
		p.head(first, false, ":status", "200")
		for range 4 { // all that it may
			_ = p.WriteData(first, false, make([]byte, 16<<10))
		}
		second := p.asked()
		p.answer(second, "hello")
		for { // the rest, when it is read
			f, err := p.ReadFrame()
			if err != nil {
				return
			}
			if w, ok := f.(*http2.WindowUpdateFrame); ok && w.StreamID == first {
				_ = p.WriteData(first, true, make([]byte, 10))
			}
		}
	})
	rt := New(secure())
	req, _ := http.NewRequest("GET", url, nil)
	slow, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	req, _ = http.NewRequest("GET", url, nil)
	if got, err := ask(rt, req); err != nil || got.body != "hello" {
		t.Errorf("%+v, %v", got, err)
	}
	if text, err := io.ReadAll(slow.Body); err != nil || len(text) != 64<<10+10 {
		t.Errorf("%d bytes, %v", len(text), err)
	}
	_ = slow.Body.Close()
	nothingOpen(t, rt)
	rt.CloseIdleConnections()
}

// TestOverHTTP2GivingUp ends requests at every point: the host is told, and
// nothing is left behind.
func TestOverHTTP2GivingUp(t *testing.T) {
	t.Parallel()
	for name, said := range map[string]func(p *peer, s uint32){
		"nothing":    func(*peer, uint32) {},
		"interim":    func(p *peer, s uint32) { p.head(s, false, ":status", "103") },
		"a head":     func(p *peer, s uint32) { p.head(s, false, ":status", "200") },
		"in between": func(p *peer, s uint32) { p.head(s, false, ":status", "200"); _ = p.WriteData(s, false, []byte("hel")) },
	} {
		for _, size := range []int{0, 1 << 10, oneGo, 8 << 20} {
			ctx, cancel := context.WithCancel(t.Context())
			told := make(chan http2.ErrCode, 1)
			url := hosted(t, func(p *peer) {
				for {
					switch f := p.next().(type) {
					case nil:
						return
					case *http2.MetaHeadersFrame:
						said(p, f.StreamID)
						cancel()
					case *http2.RSTStreamFrame:
						told <- f.ErrCode
					}
				}
			})
			rt := New(secure())
			body := &noted{Reader: bytes.NewReader(make([]byte, size)), closed: make(chan struct{})}
			req, _ := http.NewRequestWithContext(ctx, "POST", url, body)
			if req.ContentLength = int64(size); size == 0 {
				req.Body = nil // a body of unknown length would not be wire's affair
			}
			if _, err := ask(rt, req); !errors.Is(err, context.Canceled) {
				t.Errorf("%s, %d bytes: %v", name, size, err)
			}
			if size > 0 {
				<-body.closed
			}
			if code := <-told; code != http2.ErrCodeCancel {
				t.Errorf("%s, %d bytes: the host was told %v", name, size, code)
			}
			nothingOpen(t, rt)
			rt.CloseIdleConnections()
		}
	}
}

// TestOverHTTP2ClosingABodyEndsItsRead does so while a Read waits.
func TestOverHTTP2ClosingABodyEndsItsRead(t *testing.T) {
	t.Parallel()
	url := hosted(t, func(p *peer) {
		s := p.asked()
		p.head(s, false, ":status", "200")
		_ = p.WriteData(s, false, []byte("hel"))
		p.next()
	})
	rt := New(secure())
	closeWhileReading(t, rt, url)
	nothingOpen(t, rt)
}

// TestOverHTTP2AnAnswerBeforeTheBodyIsRead lets the host answer an upload that it
// does not read; the upload ends.
func TestOverHTTP2AnAnswerBeforeTheBodyIsRead(t *testing.T) {
	t.Parallel()
	for _, size := range []int{oneGo, 8 << 20} {
		for _, resets := range []bool{true, false} {
			url := hosted(t, func(p *peer) {
				f, _ := p.next().(*http2.MetaHeadersFrame)
				p.head(f.StreamID, false, ":status", "413")
				_ = p.WriteData(f.StreamID, true, []byte("large"))
				if resets {
					_ = p.WriteRSTStream(f.StreamID, http2.ErrCodeNo)
				}
				for p.next() != nil {
				}
			})
			rt := New(secure())
			body := &noted{Reader: bytes.NewReader(make([]byte, size)), closed: make(chan struct{})}
			req, _ := http.NewRequest("POST", url, body)
			req.ContentLength = int64(size)
			if got, err := ask(rt, req); err != nil || got.status != 413 || got.body != "large" {
				t.Errorf("%d bytes: %+v, %v", size, got, err)
			}
			<-body.closed
			nothingOpen(t, rt)
			rt.CloseIdleConnections()
		}
	}
}

// TestMoreThanItMay breaks off an answer that nobody reads and that comes anyway.
func TestMoreThanItMay(t *testing.T) {
	t.Parallel()
	told := make(chan http2.ErrCode, 1)
	url := hosted(t, func(p *peer) {
		s := p.asked()
		p.head(s, false, ":status", "200")
		for range 5 {
			_ = p.WriteData(s, false, make([]byte, 16<<10))
		}
		if f, ok := p.next().(*http2.RSTStreamFrame); ok {
			told <- f.ErrCode
		}
		for p.next() != nil {
		}
	})
	rt := New(secure())
	req, _ := http.NewRequest("GET", url, nil)
	res, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	if code := <-told; code != http2.ErrCodeFlowControl {
		t.Errorf("the host was told %v", code)
	}
	if n, err := io.Copy(io.Discard, res.Body); err == nil || n > 64<<10 {
		t.Errorf("%d bytes, %v", n, err)
	}
	_ = res.Body.Close()
	nothingOpen(t, rt)
	rt.CloseIdleConnections()
}

// TestStreamsAtATime asks no more than the host takes on one connection, and makes
// others for the rest.
func TestStreamsAtATime(t *testing.T) {
	t.Parallel()
	var conns, refusals, open atomic.Int32
	three := make(chan struct{})
	url := hosted(t, func(p *peer) {
		conns.Add(1)
		var mine []uint32
		for s := p.asked(); s != 0; s = p.asked() {
			if len(mine) == 3 {
				refusals.Add(1)
				_ = p.WriteRSTStream(s, http2.ErrCodeRefusedStream)
				continue
			}
			open.Add(1)
			if mine = append(mine, s); len(mine) == 3 {
				<-three
				for _, s := range mine {
					p.answer(s, "hello")
				}
				mine = nil
			}
		}
	}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 3})
	rt := New(secure())
	at := func(once int) {
		open.Store(0)
		var all sync.WaitGroup
		for i := range once {
			all.Go(func() {
				req, _ := http.NewRequest("POST", url, strings.NewReader("prompt"))
				if got, err := ask(rt, req); err != nil || got.body != "hello" {
					t.Errorf("%d: %+v, %v", i, got, err)
				}
			})
		}
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for int(open.Load()) < once {
			<-tick.C
		}
		for range once / 3 {
			three <- struct{}{}
		}
		all.Wait()
	}
	at(3)
	at(3)
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections for three at a time", n)
	}
	at(12)
	if n, r := conns.Load(), refusals.Load(); n != 4 || r != 0 {
		t.Errorf("%d connections for twelve, %d refusals", n, r)
	}
	nothingOpen(t, rt)
	rt.CloseIdleConnections()
}

// TestNoTableKeepsASecret: what bears a key goes up in a form that nobody on the
// way may keep.
func TestNoTableKeepsASecret(t *testing.T) {
	t.Parallel()
	url := hosted(t, func(p *peer) {
		for range 2 {
			f, _ := p.next().(*http2.MetaHeadersFrame)
			if f == nil {
				return
			}
			for _, hf := range f.RegularFields() {
				if secret := hf.Name != "x-a" && hf.Name != "user-agent"; hf.Sensitive != secret {
					t.Errorf("%s: sensitive %v", hf.Name, hf.Sensitive)
				}
			}
			p.answer(f.StreamID, "")
		}
	})
	rt := New(secure())
	for range 2 {
		req, _ := http.NewRequest("GET", url, nil)
		for _, name := range []string{"Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "X-Auth-Token", "Cookie", "Proxy-Authorization", "X-A"} {
			req.Header.Set(name, "sk-test-not-a-key")
		}
		if _, err := ask(rt, req); err != nil {
			t.Error(err)
		}
	}
	rt.CloseIdleConnections()
}

// TestOverHTTP2Silence is in virtual time: the head has its time, a body all of it,
// and a host that is gone without a word is noticed by its pings.
func TestOverHTTP2Silence(t *testing.T) {
	t.Parallel()
	config, _ := vouched()
	for _, c := range []struct {
		name  string
		serve func(p *peer)
		size  int
		takes time.Duration // at most, and the half of it at least
		want  string
	}{
		{"no head", func(p *peer) {
			for p.next() != nil {
			}
		}, 0, 2 * time.Minute, "did not begin in time"},
		{"no head, long", func(p *peer) {
			for p.next() != nil {
			}
		}, 8 << 20, 2 * time.Minute, "does not read"},
		{"a slow body", func(p *peer) {
			s := p.asked()
			p.head(s, false, ":status", "200")
			go func() { _, _ = io.Copy(io.Discard, p.Conn) }()
			for range 30 {
				<-time.After(30 * time.Second)
				_ = p.WriteData(s, false, []byte("."))
			}
			_ = p.WriteData(s, true, nil)
		}, 0, 16 * time.Minute, ""},
		{"pings are answered, the body comes late", func(p *peer) {
			s := p.asked()
			p.head(s, false, ":status", "200")
			for pings := 0; pings < 20; {
				f, err := p.ReadFrame()
				if err != nil {
					return
				}
				if f, ok := f.(*http2.PingFrame); ok {
					_ = p.WritePing(true, f.Data)
					pings++
				}
			}
			_ = p.WriteData(s, true, nil)
			for p.next() != nil {
			}
		}, 0, 20 * time.Minute, ""},
		{"pings are not answered", func(p *peer) {
			p.head(p.asked(), false, ":status", "200")
			_, _ = io.Copy(io.Discard, p.Conn)
		}, 0, 75 * time.Second, "does not answer pings"},
		{"nothing is read", func(p *peer) {
			p.head(1, false, ":status", "200")
			<-time.After(time.Hour)
		}, 8 << 20, 75 * time.Second, "does not answer pings"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				base := secure()
				base.IdleConnTimeout, base.ResponseHeaderTimeout = 90*time.Second, 90*time.Second
				base.HTTP2.SendPingTimeout, base.HTTP2.PingTimeout = 30*time.Second, 15*time.Second
				base.DialContext = func(context.Context, string, string) (net.Conn, error) {
					near, far := net.Pipe()
					go greet(tls.Server(far, config), c.serve)
					return near, nil
				}
				rt := New(base)
				begun := time.Now()
				req, _ := http.NewRequest("POST", "https://example.com/", bytes.NewReader(make([]byte, c.size)))
				_, err := ask(rt, req)
				took := time.Since(begun)
				if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) || took > c.takes || took < c.takes/2 {
					t.Errorf("after %v: %v", took, err)
				}
				if late, ok := errors.AsType[net.Error](err); c.want != "" && (!ok || !late.Timeout()) {
					t.Errorf("no timeout: %v", err)
				}
				nothingOpen(t, rt)
				<-time.After(2 * time.Hour) // idle connections go
				if rt.mu.Lock(); len(rt.hosts[host{"https", "example.com"}].shared) > 0 {
					t.Error("an idle connection stayed")
				}
				rt.mu.Unlock()
			})
		})
	}
}

// What a host speaks is found out anew after it was down: it may come back as one
// that speaks HTTP/2, and nothing else.
func TestAHostThatComesBackSpeakingAnotherProtocol(t *testing.T) {
	t.Parallel()
	base, addr := secure(), ""
	base.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, addr)
	}
	rt := New(base)
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2.0", "HTTP/1.1"} {
		up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) }))
		up.EnableHTTP2 = protocol == "HTTP/2.0"
		up.StartTLS()
		addr = up.Listener.Addr().String()
		req, _ := http.NewRequest("GET", "https://host.test/", nil)
		if got, err := ask(rt, req); err != nil || got.body != protocol {
			t.Errorf("%s: %+v, %v", protocol, got, err)
		}
		rt.CloseIdleConnections()
		up.Close()
		if _, err := ask(rt, req); err == nil {
			t.Error("nobody listens, and it was served")
		}
	}
}

// TestFindingOut: many who ask at once of a host that is not known find out
// together, whatever it speaks, and each has the answer or the error.
func TestFindingOut(t *testing.T) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		var conns atomic.Int32
		up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
		up.EnableHTTP2 = http2
		up.Config.ConnState = func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				conns.Add(1)
			}
		}
		up.StartTLS()
		rt := New(secure())
		left, cancel := context.WithCancel(t.Context())
		cancel()
		var all sync.WaitGroup
		for i := range 30 {
			all.Go(func() {
				ctx := t.Context()
				if i%3 == 0 {
					ctx = left
				}
				req, _ := http.NewRequestWithContext(ctx, "POST", up.URL, strings.NewReader("prompt"))
				if got, err := ask(rt, req); i%3 == 0 && !errors.Is(err, context.Canceled) || i%3 != 0 && (err != nil || got.body != "prompt") {
					t.Errorf("%+v, %v", got, err)
				}
			})
		}
		all.Wait()
		if n := conns.Load(); http2 && n != 1 || n > 20 {
			t.Errorf("HTTP/2 %v: %d connections", http2, n)
		}
		rt.CloseIdleConnections()
		up.Close()
		req, _ := http.NewRequest("GET", up.URL, nil)
		if _, err := ask(New(secure()), req); err == nil {
			t.Error("nobody listens, and it was served")
		}
	}
}

package wire

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// begin takes the client's preface and says what the host allows.
func begin(c net.Conn, allow ...http2.Setting) *peer {
	p := &peer{Conn: c, Framer: http2.NewFramer(c, c)}
	p.encoder = hpack.NewEncoder(&p.block)
	p.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c, preface); err == nil {
		_ = p.WriteSettings(allow...)
	}
	return p
}

// until reads frames to the first that is as it should be; nil is the end.
func (p *peer) until(is func(http2.Frame) bool) http2.Frame {
	for {
		f, err := p.ReadFrame()
		if err != nil {
			return nil
		}
		if s, ok := f.(*http2.SettingsFrame); ok && !s.IsAck() {
			_ = p.WriteSettingsAck()
		}
		if is(f) {
			return f
		}
	}
}

// request reads on to the next request.
func (p *peer) request() uint32 {
	f := p.until(func(f http2.Frame) bool { _, ok := f.(*http2.MetaHeadersFrame); return ok })
	if f == nil {
		return 0
	}
	return f.Header().StreamID
}

// joined is a Transport that has a connection to one host, without TLS, and can
// make no other.
func joined(base *http.Transport) (*Transport, *mux, net.Conn) {
	base.DialContext = func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("there is one connection")
	}
	t := New(base)
	m, c := join(t)
	return t, m, c
}

// join gives t another connection.
func join(t *Transport) (*mux, net.Conn) {
	ours, theirs := net.Pipe()
	h := host{"https", "host.test"}
	m := newMux(t, &conn{t: t, host: h, net: ours})
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.pool(h)
	p.shared = append(p.shared, m)
	m.start()
	return m, theirs
}

func asked(method string, body io.Reader) *http.Request {
	req, _ := http.NewRequest(method, "https://host.test/v1", body)
	return req
}

// count gives how many streams are open on m, and places booked.
func (m *mux) count() (open, booked int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.streams), m.booked
}

// A reader that is slower than the host for a long time holds no more than what
// it has not read.
func TestASlowReaderHoldsOnlyWhatItHasNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, m, c := joined(tuned())
		go func() {
			p := begin(c)
			id := p.request()
			p.head(id, false, ":status", "200")
			piece := make([]byte, 8<<10)
			go func() {
				for p.WriteData(id, false, piece) == nil {
					time.Sleep(time.Millisecond)
				}
			}()
			_, _ = io.Copy(io.Discard, c)
		}()
		res, err := rt.RoundTrip(asked("GET", nil))
		if err != nil {
			t.Fatal(err)
		}
		s := res.Body.(*stream)
		time.Sleep(20 * time.Millisecond)
		buf := make([]byte, 8<<10)
		for range 4000 {
			if _, err := res.Body.Read(buf); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		m.mu.Lock()
		held := 0
		if s.came != nil {
			held = cap(*s.came)
		}
		m.mu.Unlock()
		if held > 4*streamWindow {
			t.Errorf("a reader that is behind by a few pieces holds %d bytes", held)
		}
		_ = res.Body.Close()
		m.end(errNotNeeded)
		_ = c.Close()
		time.Sleep(time.Second) // until all have seen it
	})
}

// An answer without a body is all that there will be: what is left of the upload
// is not sent, even when the host does not say so.
func TestAnAnswerWithoutABodyEndsTheUpload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, m, c := joined(tuned())
		code := make(chan http2.ErrCode, 1)
		go func() {
			p := begin(c)
			p.head(p.request(), true, ":status", "401")
			f := p.until(func(f http2.Frame) bool { _, ok := f.(*http2.RSTStreamFrame); return ok })
			if f != nil {
				code <- f.(*http2.RSTStreamFrame).ErrCode
			}
		}()
		body := &noted{Reader: strings.NewReader(strings.Repeat("x", 1<<20)), closed: make(chan struct{})}
		req := asked("POST", body)
		req.ContentLength = 1 << 20
		res, err := rt.RoundTrip(req)
		if err != nil || res.StatusCode != 401 {
			t.Fatal(res, err)
		}
		_ = res.Body.Close()
		synctest.Wait()
		if open, booked := m.count(); open+booked != 0 {
			t.Errorf("%d streams open, %d booked after the answer", open, booked)
		}
		m.end(errNotNeeded)
		_ = c.Close()
		select {
		case got := <-code:
			if got != http2.ErrCodeNo {
				t.Errorf("the upload was broken off with %v", got)
			}
		default:
			t.Error("the host was not told that no more comes")
		}
	})
}

// A request that its host hangs up on is not sent for ever, however many
// connections there are.
func TestHangingUpOnARequestIsBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, m, c := joined(tuned())
		ours, theirs := []*mux{m}, []net.Conn{c}
		for range 9 {
			m, c := join(rt)
			ours, theirs = append(ours, m), append(theirs, c)
		}
		var sent atomic.Int32
		for _, c := range theirs {
			go func() {
				defer c.Close()
				if begin(c).request() != 0 {
					sent.Add(1)
				}
			}()
		}
		synctest.Wait()
		if _, err := rt.RoundTrip(asked("GET", nil)); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v", err)
		}
		if n := sent.Load(); n != 3 {
			t.Errorf("it was sent %d times", n)
		}
		for _, m := range ours {
			m.end(errNotNeeded)
		}
	})
}

// A host that takes no requests at a time is not dialed again and again.
func TestAHostThatAllowsNoStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, m, c := joined(tuned())
		p := begin(c, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 0})
		go func() {
			for id := p.request(); id != 0; id = p.request() {
				_ = p.WriteRSTStream(id, http2.ErrCodeRefusedStream)
			}
		}()
		synctest.Wait()
		if _, err := rt.RoundTrip(asked("GET", nil)); !errors.Is(err, ErrRefused) {
			t.Errorf("got %v", err)
		}
		m.end(errNotNeeded)
		_ = c.Close()
	})
}

// What is only padding is read by nobody, and yet makes room for more.
func TestPaddingIsReturned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, m, c := joined(tuned())
		go func() {
			p := begin(c)
			id := p.request()
			p.head(id, false, ":status", "200")
			room := streamWindow
			pad := make([]byte, 255)
			for range 4000 {
				for room < 256 {
					f := p.until(func(f http2.Frame) bool { w, ok := f.(*http2.WindowUpdateFrame); return ok && w.StreamID == id })
					if f == nil {
						return
					}
					room += int(f.(*http2.WindowUpdateFrame).Increment)
				}
				room -= 256
				_ = p.WriteDataPadded(id, false, nil, pad)
			}
			_ = p.WriteData(id, true, nil)
			_, _ = io.Copy(io.Discard, c)
		}()
		res, err := rt.RoundTrip(asked("GET", nil))
		if err != nil {
			t.Fatal(err)
		}
		late := time.AfterFunc(time.Minute, func() { _ = res.Body.Close() })
		if _, err := io.ReadAll(res.Body); err != nil {
			t.Error(err)
		}
		late.Stop()
		m.end(errNotNeeded)
		_ = c.Close()
	})
}

// A request that finds its connection leaving lets it go.
func TestAConnectionThatLeavesEndsWithItsLastPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, m, c := joined(tuned())
		if !m.book() {
			t.Fatal("no place")
		}
		p := begin(c)
		go func() { _, _ = io.Copy(io.Discard, c) }()
		_ = p.WriteGoAway(0, http2.ErrCodeNo, nil)
		synctest.Wait()
		if _, l, err := m.exchange(asked("GET", nil), nil); l != refused || err == nil {
			t.Error(l, err)
		}
		synctest.Wait()
		m.mu.Lock()
		ended := m.ended
		m.mu.Unlock()
		if ended == nil {
			t.Error("the connection stays")
			m.end(errNotNeeded)
		}
		_ = c.Close()
	})
}

// Large heads that wait to be sent are no sign of a host that does not read.
func TestLargeHeadsMayWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, m, c := joined(tuned())
		p := begin(c)
		synctest.Wait()
		for range 4 {
			req := asked("GET", nil)
			req.Header.Set("X-Api-Key", strings.Repeat("Z", 1<<20))
			go func() {
				if res, err := rt.RoundTrip(req); err != nil {
					t.Error(err)
				} else {
					_ = res.Body.Close()
				}
			}()
		}
		synctest.Wait()
		_ = p.WritePing(false, [8]byte{})
		synctest.Wait()
		for range 4 {
			id := p.request()
			if id == 0 {
				break
			}
			go p.head(id, true, ":status", "200")
			synctest.Wait()
		}
		synctest.Wait()
		m.end(errNotNeeded)
		_ = c.Close()
	})
}

// A host that asks for more answers than it reads is left.
func TestAHostThatReadsNoAnswersToItsPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, m, c := joined(tuned())
		p := begin(c)
		for range 2*tooMany + 2 {
			if p.WritePing(false, [8]byte{}) != nil {
				break
			}
		}
		synctest.Wait()
		m.mu.Lock()
		if m.ended != errNotRead {
			t.Errorf("it ended with %v", m.ended)
		}
		m.mu.Unlock()
		m.end(errNotNeeded)
		_ = c.Close()
	})
}

// What a host says before it hangs up on an upload is heard, even after the upload
// has failed.
func TestLastWordsOverHTTP2(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, speaks := range []bool{true, false} {
			rt := New(tuned())
			ours, c := net.Pipe()
			cut := &oneWay{Conn: ours}
			h := host{"https", "host.test"}
			m := newMux(rt, &conn{t: rt, host: h, net: cut})
			rt.pool(h).shared = []*mux{m}
			m.start()
			go func() {
				p := begin(c)
				id := p.request()
				cut.off.Store(true)
				go func() { _, _ = io.Copy(io.Discard, c) }()
				_ = p.WriteWindowUpdate(id, 1<<20)
				_ = p.WriteWindowUpdate(0, 1<<20)
				if time.Sleep(lastWords / 2); speaks {
					p.head(id, true, ":status", "413")
				}
			}()
			res, err := rt.RoundTrip(asked("POST", bytes.NewReader(make([]byte, 1<<20))))
			switch {
			case !speaks && !errors.Is(err, syscall.EPIPE):
				t.Errorf("the upload failed with %v", err)
			case speaks && err != nil:
				t.Error(err)
			case speaks:
				_ = res.Body.Close()
			}
			m.end(errNotNeeded)
			_ = c.Close()
		}
	})
}

// oneWay is a connection on which nothing more can be sent when it is off.
type oneWay struct {
	net.Conn
	off atomic.Bool
}

func (o *oneWay) Write(p []byte) (int, error) {
	if o.off.Load() {
		return 0, syscall.EPIPE
	}
	return o.Conn.Write(p)
}

// A host that is quiet is asked before it is taken for dead.
func TestPingsAreAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		base := tuned()
		base.HTTP2 = &http.HTTP2Config{SendPingTimeout: time.Second, PingTimeout: time.Second}
		rt, m, c := joined(base)
		go func() {
			p := begin(c)
			id := p.request()
			p.until(func(f http2.Frame) bool {
				if ping, ok := f.(*http2.PingFrame); ok {
					_ = p.WritePing(true, ping.Data)
				}
				_, ok := f.(*http2.PingFrame)
				return ok
			})
			p.head(id, true, ":status", "200")
			_, _ = io.Copy(io.Discard, c)
		}()
		res, err := rt.RoundTrip(asked("GET", nil))
		if err != nil {
			t.Error(err)
		} else {
			_ = res.Body.Close()
		}
		m.end(errNotNeeded)
		_ = c.Close()
	})
}

// An upload that ends with its context makes way for the next, whoever still holds
// its answer.
func TestAnUploadThatEndsMakesWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, m, c := joined(tuned())
		go func() {
			p := begin(c, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
			for id := p.request(); id != 0; id = p.request() {
				go p.head(id, false, ":status", "200")
			}
		}()
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		body := &noted{Reader: strings.NewReader("question"), closed: make(chan struct{})}
		req := asked("POST", body).WithContext(ctx)
		req.ContentLength = 8
		res, err := rt.RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		<-body.closed
		synctest.Wait()
		if open, booked := m.count(); open+booked != 0 {
			t.Errorf("%d streams open, %d booked after the end of the upload", open, booked)
		}
		if _, err := res.Body.Read(make([]byte, 1)); err != context.Canceled {
			t.Errorf("the answer ended with %v", err)
		}
		_ = res.Body.Close()
		m.end(errNotNeeded)
		_ = c.Close()
	})
}

// counted is a body that knows how often it was closed.
type counted struct {
	io.Reader
	closed atomic.Int32
}

func (c *counted) Close() error {
	c.closed.Add(1)
	return nil
}

// FuzzFrames has a host say anything on a connection that requests are on: each of
// them ends, and nothing of them stays.
func FuzzFrames(f *testing.F) {
	for _, say := range []func(p *peer){
		func(p *peer) {
			p.head(1, false, ":status", "100")
			p.head(1, false, ":status", "200", "trailer", "a, b", "content-length", "5")
			_ = p.WriteDataPadded(1, false, []byte("hello"), make([]byte, 9))
			p.head(1, true, "a", "1", "c", "2")
		},
		func(p *peer) {
			p.head(3, true, ":status", "204")
			_ = p.WriteRSTStream(5, http2.ErrCodeRefusedStream)
			_ = p.WriteRSTStream(7, http2.ErrCodeNo)
			_ = p.WritePing(false, [8]byte{1})
		},
		func(p *peer) {
			_ = p.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}, http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: 2},
				http2.Setting{ID: http2.SettingHeaderTableSize, Val: 0}, http2.Setting{ID: http2.SettingMaxFrameSize, Val: 1 << 20})
			_ = p.WriteWindowUpdate(0, 1<<30)
			for id := uint32(1); id < 9; id += 2 {
				_ = p.WriteWindowUpdate(id, 1<<21)
				p.head(id, false, ":status", "200")
				_ = p.WriteData(id, id%4 == 1, []byte("words"))
			}
			_ = p.WriteGoAway(1<<31-1, http2.ErrCodeNo, nil)
			_ = p.WriteGoAway(3, http2.ErrCodeEnhanceYourCalm, []byte("enough"))
		},
		func(p *peer) {
			p.block.Reset()
			_ = p.encoder.WriteField(hpack.HeaderField{Name: ":status", Value: "413"})
			_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: 7, BlockFragment: p.block.Bytes(), EndStream: true})
			_ = p.WriteContinuation(7, true, nil)
			_ = p.WriteData(1, true, nil)
			_ = p.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, EndHeaders: true})
		},
		func(p *peer) { _ = p.WriteRawFrame(0xfe, 1, 9, []byte("what is that")) },
	} {
		var b bytes.Buffer
		p := &peer{Framer: http2.NewFramer(&b, nil)}
		p.encoder = hpack.NewEncoder(&p.block)
		_ = p.WriteSettings()
		_ = p.WriteSettingsAck()
		say(p)
		f.Add(b.Bytes())
	}
	f.Fuzz(func(t *testing.T, says []byte) {
		synctest.Test(t, func(t *testing.T) {
			rt, m, c := joined(tuned())
			go func() { _, _ = io.Copy(io.Discard, c) }()
			var all sync.WaitGroup
			var bodies []*counted
			for _, length := range []int{0, 10, -1, 1 << 20} {
				method := "POST"
				switch length {
				case 0:
					method = "GET"
				case -1:
					method, length = "HEAD", 0
				}
				req := asked(method, nil)
				if length > 0 {
					body := &counted{Reader: strings.NewReader(strings.Repeat("x", length))}
					bodies = append(bodies, body)
					req.Body, req.ContentLength = body, int64(length)
				}
				all.Go(func() {
					if res, err := rt.RoundTrip(req); err == nil {
						_, _ = io.Copy(io.Discard, res.Body)
						_ = res.Body.Close()
					}
				})
				synctest.Wait() // the streams have the same numbers every time
			}
			_, _ = c.Write(says)
			time.Sleep(time.Second)
			_ = c.Close()
			all.Wait()
			synctest.Wait()
			if open, booked := m.count(); open+booked != 0 || m.ended == nil || len(rt.pool(m.host).shared) > 0 {
				t.Errorf("%d streams open, %d booked; it ended with %v", open, booked, m.ended)
			}
			for _, body := range bodies {
				if n := body.closed.Load(); n != 1 {
					t.Errorf("a body was closed %d times", n)
				}
			}
		})
	})
}

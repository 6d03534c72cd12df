package wire

import (
	"cmp"
	"errors"
	"fmt"
	"math"

	"golang.org/x/net/http2"
)

// read reads frames until the connection ends.
func (m *mux) read() {
	left := false
	for {
		f, err := m.frames.ReadFrame()
		more := m.more()
		m.mu.Lock()
		m.heard++
		bad, ofStream := err.(http2.StreamError)
		switch {
		case ofStream:
			err = nil
			if s := m.streams[bad.StreamID]; s != nil {
				m.reset(s, bad.Code, fmt.Errorf("the host broke the rules of HTTP/2: %w", cmp.Or(bad.Cause, error(bad))))
			}
		case err == nil:
			if _, ok := f.(*http2.SettingsFrame); m.heard == 1 && !ok {
				err = errors.New("the host does not speak HTTP/2")
			} else if err = m.handle(f); err == nil && m.owed > tooMany {
				err = errNotRead
			}
		}
		if !more {
			m.feed()
		}
		if err != nil {
			err = cmp.Or(m.failed, err)
		}
		leaves := m.leaving && !left
		left = m.leaving
		m.mu.Unlock()
		if err != nil || !more {
			for i, s := range m.woken {
				wake(s.wake)
				m.woken[i] = nil
			}
			m.woken = m.woken[:0]
		}
		if leaves {
			m.t.forget(m)
		}
		if err != nil {
			m.end(err)
			return
		}
	}
}

// more reports whether the next frame is there whole, with all that belongs to it.
func (m *mux) more() bool {
	n := m.br.Buffered()
	if n < 9 {
		return false
	}
	h, _ := m.br.Peek(9)
	if http2.FrameType(h[3]) == http2.FrameHeaders && !http2.Flags(h[4]).Has(http2.FlagHeadersEndHeaders) {
		return false
	}
	return n >= 9+(int(h[0])<<16|int(h[1])<<8|int(h[2]))
}

// handle takes a frame in. An error ends the connection.
func (m *mux) handle(f http2.Frame) error {
	id := f.Header().StreamID
	s := m.streams[id]
	switch f := f.(type) {
	case *http2.SettingsFrame:
		return m.allow(f)
	case *http2.PingFrame:
		if !f.IsAck() {
			_ = m.frames.WritePing(true, f.Data)
			m.owed++
			m.flush()
		}
		return nil
	case *http2.GoAwayFrame:
		m.leave(f)
		return nil
	case *http2.WindowUpdateFrame:
		return m.widen(s, f)
	case *http2.PushPromiseFrame:
		return http2.ConnectionError(http2.ErrCodeProtocol)
	case *http2.DataFrame:
		if err := m.receive(int64(f.Length)); err != nil {
			return err
		}
	case *http2.MetaHeadersFrame, *http2.RSTStreamFrame:
	default:
		return nil
	}
	if s == nil {
		if id%2 == 0 || id >= m.next {
			return http2.ConnectionError(http2.ErrCodeProtocol) // nobody asked
		}
		return nil // it was given up
	}
	var code http2.ErrCode
	var err error
	switch f := f.(type) {
	case *http2.DataFrame:
		code, err = s.data(f)
	case *http2.MetaHeadersFrame:
		code, err = s.fields(f)
	case *http2.RSTStreamFrame:
		s.broken(f.ErrCode)
		return nil
	}
	if err != nil {
		m.reset(s, code, err)
		return nil
	}
	if s.whole && s.sent {
		m.drop(s)
	}
	m.woken = append(m.woken, s)
	return nil
}

// allow notes what the host allows.
func (m *mux) allow(f *http2.SettingsFrame) error {
	if f.IsAck() {
		return nil
	}
	if m.heard == 1 {
		m.most = anyStreams
	}
	err := f.ForeachSetting(func(s http2.Setting) error {
		if err := s.Valid(); err != nil {
			return err
		}
		switch s.ID {
		case http2.SettingMaxConcurrentStreams:
			m.most = int(min(max(s.Val, 1), math.MaxInt32)) // the answer to one tells more than no place
		case http2.SettingMaxFrameSize:
			m.frame = int(min(s.Val, chunk))
		case http2.SettingHeaderTableSize:
			m.encoder.SetMaxDynamicTableSize(s.Val)
		case http2.SettingInitialWindowSize:
			for _, open := range m.streams {
				open.window += int64(s.Val) - m.first
			}
			m.first = int64(s.Val)
		}
		return nil
	})
	_ = m.frames.WriteSettingsAck()
	m.owed++
	m.flush()
	return err
}

// leave is told that the host takes no more requests on this connection, and which
// it has not looked at.
func (m *mux) leave(f *http2.GoAwayFrame) {
	m.leaving = true
	for id, s := range m.streams {
		if id > f.LastStreamID {
			s.fail(fmt.Errorf("%w: %v", errHostLeft, f.ErrCode), refused)
		}
	}
	if m.booked == 0 {
		go m.end(errHostLeft)
	}
}

// widen is told that the host takes more of a stream, or of all.
func (m *mux) widen(s *stream, f *http2.WindowUpdateFrame) error {
	switch {
	case f.StreamID == 0:
		if m.window += int64(f.Increment); m.window > math.MaxInt32 {
			return http2.ConnectionError(http2.ErrCodeFlowControl)
		}
	case s == nil:
		return nil
	default:
		if s.window += int64(f.Increment); s.window > math.MaxInt32 {
			m.reset(s, http2.ErrCodeFlowControl, http2.ConnectionError(http2.ErrCodeFlowControl))
		}
	}
	return nil
}

// receive counts what came for the streams, and lets as much more come.
func (m *mux) receive(n int64) error {
	if m.inflow -= n; m.inflow < 0 {
		return http2.ConnectionError(http2.ErrCodeFlowControl)
	}
	if m.taken += n; m.taken >= connWindow/1024 {
		_ = m.frames.WriteWindowUpdate(0, uint32(m.taken))
		m.flush()
		m.inflow, m.taken = m.inflow+m.taken, 0
	}
	return nil
}

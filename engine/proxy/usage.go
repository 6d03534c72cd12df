package proxy

import (
	"bytes"
	"io"
	"strings"

	"keywheel/engine/provider"
)

// asksUsage reports whether an OpenAI-like stream is to be made to tell what it
// used: where the provider tells it only when asked, and neither the client nor
// the service's defaults say how. The frame that then comes is to be hidden from
// the client.
func (v *visit) asksUsage() bool {
	return v.top.whole && v.top.stream && !v.top.options && v.service.Defaults["stream_options"] == nil && v.service.provider.AsksUsage && strings.HasSuffix(v.path, "/chat/completions")
}

// maxEvent bounds an event of a stream that usageHider keeps to look at.
const maxEvent = 64 << 10

// usageHider passes a stream on without the frame that carries only its usage.
// Of an event it keeps what came until the event is whole.
type usageHider struct {
	io.ReadCloser
	in, out []byte
	err     error
}

func (u *usageHider) Read(p []byte) (int, error) {
	for len(u.out) == 0 {
		if u.err != nil {
			return 0, u.err
		}
		n, err := u.ReadCloser.Read(p)
		u.in = append(u.in, p[:n]...)
		u.err = err
		u.pass(err != nil)
	}
	n := copy(p, u.out)
	u.out = u.out[n:]
	return n, nil
}

// pass moves whole events from in to out; at the end, or when an event is too
// long to be one of usage, whatever there is.
func (u *usageHider) pass(all bool) {
	u.out = u.out[:0]
	for {
		end := bytes.Index(u.in, []byte("\n\n"))
		skip := 2
		if crlf := bytes.Index(u.in, []byte("\r\n\r\n")); crlf >= 0 && (end < 0 || crlf < end) {
			end, skip = crlf, 4
		}
		if end < 0 {
			break
		}
		event := u.in[:end+skip]
		if data, ok := bytes.CutPrefix(event, []byte("data:")); !ok || !provider.IsUsageFrame(bytes.TrimSpace(data)) {
			u.out = append(u.out, event...)
		}
		u.in = u.in[end+skip:]
	}
	if all || len(u.in) > maxEvent {
		u.out = append(u.out, u.in...)
		u.in = u.in[:0]
	}
}

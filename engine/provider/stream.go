package provider

import (
	"bytes"
	"strings"

	"github.com/tidwall/gjson"

	"keywheel/engine"
)

// Says is what the beginning of a stream says so far.
type Says uint8

const (
	// Nothing yet: what came can be held back.
	Nothing Says = iota
	// Content has begun, or the stream has ended as it should: let it go.
	Content
	// Failure: an error came before any content.
	Failure
)

// Opening looks at the first frames of a stream, so that an error which comes
// before any content can still be sent to another key. Feed it what arrives
// until it says something other than [Nothing].
type Opening struct {
	p       *Provider
	a       Answer
	lines   lines
	says    Says
	verdict engine.Verdict
}

// Open begins to look at the stream whose head is a.
func (p *Provider) Open(a Answer) *Opening { return &Opening{p: p, a: a} }

// maxOpening bounds what is kept of a frame that has no end: what is larger is
// content.
const maxOpening = 64 << 10

// Feed takes what arrived next.
func (o *Opening) Feed(b []byte) Says {
	if o.says != Nothing {
		return o.says
	}
	o.lines.each(b, maxOpening, func(line []byte, cut bool) bool {
		if cut {
			o.says = Content
			return false
		}
		data, ok := dataOf(line)
		if ok {
			o.frame(data)
		} else if t := bytes.TrimSpace(line); len(t) > 0 && (t[0] == '{' || t[0] == '[' || t[0] == '<') {
			// No event stream, whatever its head said.
			o.frame(t)
		}
		return o.says == Nothing
	})
	return o.says
}

// End says that the stream is over. One without any content failed.
func (o *Opening) End() Says {
	if o.says == Nothing {
		rest := o.lines.rest()
		if data, ok := dataOf(rest); ok {
			o.frame(data)
		} else if t := bytes.TrimSpace(rest); len(t) > 0 && t[0] == '{' {
			o.frame(t)
		}
	}
	if o.says == Nothing {
		o.says = Failure
		o.verdict, _ = broken(o.p, &o.a, "the stream ended before any content").verdict(failed.because("the stream ended before any content"), "an empty stream")
	}
	return o.says
}

// Verdict is that of a stream that failed, else OK.
func (o *Opening) Verdict() engine.Verdict {
	if o.says != Failure {
		return engine.Verdict{Kind: engine.OK, Evidence: engine.Evidence{Status: o.a.Status}}
	}
	return o.verdict
}

func (o *Opening) frame(data []byte) {
	switch kind, root, e := readFrame(data); kind {
	case frameContent, frameEnd:
		o.says = Content
	case frameError:
		o.says = Failure
		s := inBody(o.p, &o.a, root, e)
		f, by := o.p.decide(s)
		o.verdict, _ = s.verdict(f, by)
	}
}

// JudgeFrame says what one frame's data of a stream says: whether it is
// metadata that can be held back, content, or an error and which.
func (p *Provider) JudgeFrame(a Answer, data []byte) (Says, engine.Verdict) {
	o := Opening{p: p, a: a}
	o.frame(data)
	return o.says, o.Verdict()
}

type frameKind uint8

const (
	frameMeta frameKind = iota
	frameContent
	frameEnd
	frameError
)

// frameTypes are the types of events that are neither content nor an error:
// OpenAI's Responses API, Anthropic's, Cohere's.
var frameTypes = map[string]frameKind{
	"response.created": frameMeta, "response.in_progress": frameMeta, "response.queued": frameMeta, "response.output_item.added": frameMeta,
	"response.content_part.added": frameMeta, "response.reasoning_summary_part.added": frameMeta, "keepalive": frameMeta, "codex.rate_limits": frameMeta,
	"response.completed": frameEnd, "response.incomplete": frameEnd, "response.done": frameEnd,
	"response.failed": frameError, "error": frameError,
	"message_start": frameMeta, "ping": frameMeta, "message_stop": frameEnd,
	"message-start": frameMeta, "content-start": frameMeta, "message-end": frameEnd, "stream-start": frameMeta, "stream-end": frameEnd,
}

// readFrame tells what a frame's data is, and finds its error.
func readFrame(data []byte) (kind frameKind, root, e gjson.Result) {
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return frameMeta, root, e
	}
	if string(data) == "[DONE]" {
		return frameEnd, root, e
	}
	if data[0] == '<' {
		root = gjson.Result{Type: gjson.String, Str: "an HTML page"}
		return frameError, root, root
	}
	if data[0] != '{' && data[0] != '[' {
		return frameContent, root, e
	}
	root = gjson.ParseBytes(data)
	if root.IsArray() {
		root = root.Get("0")
	}
	if e = root.Get("error"); real(e) {
		return frameError, root, e
	}
	if e = root.Get("base_resp"); e.Get("status_code").Int() != 0 {
		return frameError, root, e
	}
	if e = root.Get("choices.0.error"); real(e) {
		return frameError, root, e
	}
	if typ := root.Get("type"); typ.Type == gjson.String {
		return typedFrame(typ.Str, root)
	}
	if choices := root.Get("choices"); choices.IsArray() {
		return chatFrame(choices), root, e
	}
	if root.Get("object").Str == "error" || root.Get("code").Exists() && (root.Get("message").Exists() || root.Get("msg").Exists()) {
		return frameError, root, root
	}
	if root.Get("usage").Exists() || root.Get("meta").Exists() {
		return frameMeta, root, e
	}
	if root.Get("candidates.0.finishReason").Exists() || root.Get("promptFeedback.blockReason").Exists() {
		return frameEnd, root, e
	}
	return frameContent, root, e
}

// typedFrame reads a frame of an API whose events have types.
func typedFrame(typ string, root gjson.Result) (frameKind, gjson.Result, gjson.Result) {
	kind, known := frameTypes[typ]
	switch {
	case kind == frameError && known:
		for _, path := range [...]string{"response.error", "error"} {
			if e := root.Get(path); real(e) {
				return kind, root, e
			}
		}
		return kind, root, root
	case typ == "content_block_start":
		block := root.Get("content_block")
		if t := block.Get("type").Str; (t == "text" || t == "thinking") && block.Get("text").Str == "" && block.Get("thinking").Str == "" {
			return frameMeta, root, gjson.Result{}
		}
		return frameContent, root, gjson.Result{}
	case typ == "message_delta" && root.Get("delta.stop_reason").Str != "":
		return frameEnd, root, gjson.Result{}
	case known:
		return kind, root, gjson.Result{}
	}
	return frameContent, root, gjson.Result{}
}

// chatFrame tells a chunk with something in it from the one that only names a
// role, or carries Azure's filter results or the usage.
func chatFrame(choices gjson.Result) frameKind {
	kind := frameMeta
	choices.ForEach(func(_, c gjson.Result) bool {
		if f := c.Get("finish_reason"); f.Type == gjson.String && f.Str != "" {
			kind = frameEnd
			return false
		}
		if t := c.Get("text"); t.Type == gjson.String && t.Str != "" {
			kind = frameContent
		}
		c.Get("delta").ForEach(func(name, v gjson.Result) bool {
			if name.Str != "role" && v.Type != gjson.Null && v.Raw != `""` && v.Raw != "[]" {
				kind = frameContent
			}
			return true
		})
		return true
	})
	return kind
}

// dataOf is the data of a line of an event stream.
func dataOf(line []byte) ([]byte, bool) {
	data, ok := bytes.CutPrefix(line, []byte("data:"))
	return bytes.TrimSpace(data), ok
}

// isStream reports whether an answer is an event stream.
func isStream(a *Answer) bool {
	ct := first(a.Header, "Content-Type")
	if strings.HasPrefix(ct, "text/event-stream") {
		return true
	}
	if ct != "" && !strings.HasPrefix(ct, "text/plain") {
		return false
	}
	for _, begins := range [...]string{"data:", "event:", ": ", ":\n", "id:"} {
		if bytes.HasPrefix(a.Body, []byte(begins)) {
			return true
		}
	}
	return false
}

// streamSigns finds the error in what there is of a stream, nil if there is
// none. Of a whole one it also says if it is empty, or was cut.
func streamSigns(p *Provider, a *Answer) (found *signs) {
	var ls lines
	ended, content, chat := false, false, false
	frame := func(data []byte) bool {
		kind, root, e := readFrame(data)
		switch kind {
		case frameError:
			found = inBody(p, a, root, e)
			return false
		case frameEnd:
			ended = true
		case frameContent:
			content = true
		}
		chat = chat || root.Get("choices").Exists() || root.Get("candidates").Exists() || frameTypes[root.Get("type").Str] == frameMeta && root.Get("type").Exists()
		return true
	}
	if t := bytes.TrimSpace(a.Body); len(t) > 0 && (t[0] == '{' || t[0] == '[') {
		frame(t[:min(len(t), maxBody)])
		return found
	}
	ls.each(a.Body, maxOpening, func(line []byte, cut bool) bool {
		if data, ok := dataOf(line); ok && !cut {
			return frame(data)
		}
		content = content || cut
		return true
	})
	if data, ok := dataOf(ls.rest()); ok && found == nil {
		frame(data)
	}
	switch {
	case found != nil || !a.Whole:
		return found
	case !content && !ended:
		return broken(p, a, "the stream ended before any content")
	case chat && !ended:
		return broken(p, a, "the stream was cut")
	}
	return nil
}

// lines cuts what arrives into lines, keeping of one that is not whole at most
// a bound.
type lines struct {
	part []byte
	over bool // the line is longer than that, and is being skipped
}

// each calls f with every line that is whole, without its end, until f returns
// false. Of a line that is longer than bound f gets the beginning, and cut.
func (l *lines) each(b []byte, bound int, f func(line []byte, cut bool) bool) {
	for len(b) > 0 {
		i := bytes.IndexAny(b, "\r\n")
		if i < 0 {
			if l.over {
				return
			}
			room := bound - len(l.part)
			if len(b) <= room {
				l.part = append(l.part, b...)
				return
			}
			l.over = true
			line := append(l.part, b[:room]...)
			l.part = l.part[:0]
			f(line, true)
			return
		}
		line := b[:i]
		b = b[i+1:]
		if l.over {
			l.over = false
			continue
		}
		if len(l.part) > 0 {
			line = append(l.part, line[:min(len(line), bound)]...)
			l.part = l.part[:0]
		}
		if len(line) > 0 && !f(line, len(line) > bound) {
			return
		}
	}
}

// rest is the last line, if it had no end.
func (l *lines) rest() []byte {
	if l.over {
		return nil
	}
	return l.part
}

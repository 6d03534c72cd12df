package provider

import (
	"bytes"
	"errors"

	"keywheel/engine"
)

// Tap reads what a body used as it passes, JSON or a stream of any API, without
// keeping it: what it holds is bounded, however long a line is. It also sees
// how a stream ends, and an error that comes after content.
type Tap struct {
	p      *Provider
	a      Answer
	stream bool

	carry  []byte // a line that is not whole yet, or the end of a long one
	long   bool   // carry is the end of a line, not its beginning
	tail   []byte // maxTail long once something passed
	nTail  int
	used   counter
	ended  bool
	failed bool
	fault  engine.Verdict
}

// counter reads usage objects as they are found.
type counter struct {
	usage Usage
	last  []byte // the latest, not read yet
	seen  bool   // one was read
}

const (
	maxCarry = 16 << 10
	maxTail  = 1 << 10
)

// Tap begins to read the body of the answer whose head is a.
func (p *Provider) Tap(a Answer) *Tap {
	t := &Tap{p: p, a: a, stream: isStream(&a)}
	t.used.usage.Head(a.Header)
	return t
}

// UsageOf is what an answer used whose body is there as a whole.
func (p *Provider) UsageOf(a Answer) Usage {
	var c counter
	c.usage.Head(a.Header)
	c.scan(a.Body)
	return c.sum()
}

// scan finds the usage objects in a text, and reports whether there were any.
func (c *counter) scan(b []byte) (any bool) {
	for {
		i := indexMark(b, usageMark)
		if i < 0 {
			return any
		}
		raw, n := usageObject(b[i:])
		if raw != nil {
			any = true
			c.found(raw)
		}
		b = b[i+n:]
	}
}

// sum is what was used in all.
func (c *counter) sum() Usage {
	if len(c.last) > 0 {
		c.usage.merge(c.last)
		c.last = c.last[:0]
	}
	return c.usage
}

// Write takes what passes. It never fails.
func (t *Tap) Write(b []byte) (int, error) {
	n := len(b)
	t.remember(b)
	if len(t.carry) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			t.keep(b)
			return n, nil
		}
		t.keep(b[:i+1])
		t.scan(t.carry, t.long)
		t.carry, t.long = t.carry[:0], false
		b = b[i+1:]
	}
	if i := bytes.LastIndexByte(b, '\n'); i >= 0 {
		t.scan(b[:i+1], false)
		b = b[i+1:]
	}
	if len(b) > 0 {
		t.keep(b)
	}
	return n, nil
}

// keep adds to the line that is not whole. Of one that grows too long only the
// end is kept, after a look at what goes.
func (t *Tap) keep(b []byte) {
	for len(t.carry)+len(b) > maxCarry {
		room := maxCarry - len(t.carry)
		t.carry = append(t.carry, b[:room]...)
		b = b[room:]
		t.scan(t.carry, true)
		t.carry = t.carry[:copy(t.carry, t.carry[len(t.carry)-maxUsage-len(usageMark)*4:])]
		t.long = true
	}
	t.carry = append(t.carry, b...)
}

func (t *Tap) remember(b []byte) {
	if t.tail == nil {
		t.tail = make([]byte, maxTail)
	}
	if len(b) >= maxTail {
		t.nTail = copy(t.tail, b[len(b)-maxTail:])
		return
	}
	if over := t.nTail + len(b) - maxTail; over > 0 {
		t.nTail = copy(t.tail, t.tail[over:t.nTail])
	}
	t.nTail += copy(t.tail[t.nTail:], b)
}

// scan looks through whole lines, or a part of a long one.
func (t *Tap) scan(b []byte, part bool) {
	if t.used.scan(b) || part && t.stream {
		t.ended = t.ended || bytes.Contains(b, completedMark)
	}
	if t.stream && !t.failed && !part && says(b, errorMark) {
		t.errors(b)
	}
}

var completedMark = []byte(`"response.completed"`)

// found takes a usage object. The first is read at once, of the rest the last:
// a stream may have one in every frame.
func (c *counter) found(raw []byte) {
	if !c.seen {
		c.seen = true
		c.usage.merge(raw)
		return
	}
	if len(c.last) > 0 && !bytes.Contains(raw, tokenMark) {
		// It is about the cost alone; the counts are in the one before.
		c.usage.merge(c.last)
	}
	c.last = append(c.last[:0], raw...)
}

var tokenMark = []byte("oken")

// errors looks for an error among lines.
func (t *Tap) errors(b []byte) {
	for line := range bytes.SplitSeq(b, []byte("\n")) {
		data, ok := dataOf(bytes.TrimRight(line, "\r"))
		if !ok || !bytes.Contains(data, errorMark) {
			continue
		}
		if kind, root, e := readFrame(data); kind == frameError {
			s := inBody(t.p, &t.a, root, e)
			f, by := t.p.decide(s)
			t.fault, _ = s.verdict(f, by)
			t.failed = true
			return
		}
	}
}

// Usage is what has been used, as far as the body has passed.
func (t *Tap) Usage() Usage {
	if len(t.carry) > 0 {
		t.scan(t.carry, t.long)
	}
	return t.used.sum()
}

// endMarks stand in the last frames of a stream that ended as it should, each
// before a value.
var endMarks = [][]byte{[]byte(`"finish_reason"`), []byte(`"finishReason"`), []byte(`"stop_reason"`)}

// endTypes are the types of last frames.
var endTypes = [][]byte{[]byte("\ndata: [DONE]"), []byte("\ndata:[DONE]"), []byte(`"message_stop"`), []byte(`"response.completed"`), []byte(`"response.incomplete"`), []byte(`"response.failed"`),
	[]byte(`"message-end"`), []byte(`"stream-end"`), []byte(`"blockReason"`)}

// Ended reports whether the stream's terminal event has passed: what is cut
// off behind it is not missed. What is no stream never has one.
func (t *Tap) Ended() bool {
	if t.ended || t.failed {
		return true
	}
	tail := t.tail[:t.nTail]
	t.ended = bytes.HasPrefix(tail, endTypes[0][1:])
	for _, m := range endTypes {
		t.ended = t.ended || bytes.Contains(tail, m)
	}
	for _, m := range endMarks {
		for rest := tail; !t.ended; {
			i := bytes.Index(rest, m)
			if i < 0 {
				break
			}
			rest = bytes.TrimLeft(rest[i+len(m):], " :")
			t.ended = len(rest) > 1 && rest[0] == '"' && rest[1] != '"'
		}
	}
	return t.ended
}

// Failure is the verdict on an error that came in the stream, after content or
// not; ok is false if none did.
func (t *Tap) Failure() (v engine.Verdict, ok bool) { return t.fault, t.failed }

// Err says in a few words what error came in the stream, nil if none did: the
// client saw it as it came, and the request failed.
func (t *Tap) Err() error {
	if !t.failed {
		return nil
	}
	msg := t.fault.Evidence.Message
	if msg == "" {
		msg = t.fault.Kind.Words()
	}
	return errors.New("an error in the stream: " + msg)
}

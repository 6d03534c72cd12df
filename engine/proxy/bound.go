package proxy

import (
	"bytes"
	"net/http"
	"slices"
	"strings"

	"github.com/tidwall/gjson"

	"keywheel/engine"
	"keywheel/engine/provider"
)

// names tells the engine which bound resources a request names.
func names(r *engine.Request, p *provider.Provider, query string, t top, b *body) {
	c := provider.Call{Method: r.Method, Path: r.Path, Query: query, Repeatable: r.Repeatable, Model: t.model}
	if t.names {
		c.Body = b.outline()
	}
	r.Bound, r.Guessed = p.Names(c)
}

// learn notes what a successful answer's head tells of bound resources, and
// returns what reads the rest of it from the body; nil if that tells nothing.
func (s *sender) learn(r *engine.Request, t *target, lease *engine.Lease, res *http.Response) *learner {
	p := t.provider
	if r.Method == http.MethodDelete {
		// Of what is part of another thing only the part is gone.
		if len(r.Bound) == 1 && strings.HasSuffix(r.Path, "/"+r.Bound[0]) {
			lease.Forget(r.Bound...)
		}
		return nil
	}
	if !p.Learns(r.Method, r.Path, r.Repeatable) {
		return nil
	}
	l := &learner{provider: p, redactor: t.redactor, lease: lease, bound: s.bound, method: r.Method, path: r.Path, stream: formOf(res.Header) == stream, encoding: res.Header.Get("Content-Encoding")}
	l.bind(p.LearnedInHead(res.Header))
	return l
}

// maxLearn is how much of an answer is read for the ids it tells: what makes
// something says so at once.
const maxLearn = 64 << 10

// learner reads the ids that an answer tells as it passes, and binds them to
// the key before the client has them.
type learner struct {
	provider     *provider.Provider
	redactor     *redactor
	lease        *engine.Lease
	bound        func() // after each Bind; nil is nobody
	method, path string
	stream       bool
	encoding     string
	seen         []byte
}

// pass takes what passes; end says that it is the last. It reports whether
// there is more to learn.
func (l *learner) pass(b []byte, end bool) (more bool) {
	l.seen = append(l.seen, b[:min(len(b), maxLearn-len(l.seen))]...)
	end = end || len(l.seen) == maxLearn
	var ids []string
	switch {
	case l.stream:
		ids = l.events(end)
		end = end || len(ids) > 0
	case end && l.encoding != "":
		if text, _, whole := decode(l.seen, l.encoding); whole {
			ids = l.provider.Learned(l.method, l.path, text)
		}
	case end || bytes.HasSuffix(bytes.TrimRight(b, " \r\n"), []byte("}")) && gjson.ValidBytes(l.seen):
		ids, end = l.provider.Learned(l.method, l.path, l.seen), true
	}
	l.bind(ids)
	return !end
}

func (l *learner) bind(ids []string) {
	// An id is written down, so one that holds the key is none. What is shorter
	// than a piece is no key.
	ids = slices.DeleteFunc(ids, func(id string) bool { return len(l.redactor.pieces) > 0 && l.redactor.words(id) != id })
	if len(ids) == 0 {
		return
	}
	l.lease.Bind(ids...)
	if l.bound != nil {
		l.bound()
	}
}

// events looks through the events that are whole.
func (l *learner) events(end bool) []string {
	for {
		i := bytes.IndexByte(l.seen, '\n')
		if i < 0 && !end {
			return nil
		}
		line, rest, _ := bytes.Cut(l.seen, []byte("\n"))
		if data, ok := bytes.CutPrefix(line, []byte("data:")); ok {
			if ids := l.provider.Learned(l.method, l.path, data); len(ids) > 0 {
				return ids
			}
		}
		if l.seen = rest; i < 0 {
			return nil
		}
	}
}

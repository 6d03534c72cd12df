package proxy

import (
	"bytes"
	"io"

	"github.com/tidwall/gjson"

	"keywheel/engine/provider"
)

const (
	// maxToken bounds the strings and numbers whose text a scan gives, and
	// maxName the fields' names.
	maxToken = 1 << 10
	maxName  = 128
)

// scan goes through the top level of a JSON object, whose text need not be in
// memory at once. What is nested is stepped over, not read: a body is mostly
// long strings, and those are skipped at the speed of memory. What is no JSON
// ends it early.
type scan struct {
	view  []byte    // what is in memory now
	i     int       // in view, of what comes next
	from  int       // in view, of the last string or number; not in view if negative
	base  int64     // of the view, in the text
	rest  io.Reader // what follows the view; nil is nothing
	chunk *[]byte   // of [buffers], for a view of the rest; nil before that
	begun bool

	room  [maxName]byte
	named int // of room

	// Of the field that next came to: where its value is, and what it is if that
	// is a string or a number, or the like, and short.
	at, end int64
	value   []byte // until the next call
	// names is whether some field so far, however deep, may name a bound resource.
	names bool
	// media is how many strings were images, sound or the like, and mediaSize how
	// long they are together.
	media, mediaSize int64
	// whole is whether the object ended, and nothing follows it.
	whole bool
}

// scan makes a scan of what is kept of the body. The caller closes it.
func (b *body) scan() scan {
	s := scan{view: b.mem}
	if b.file != nil {
		s.rest = b.part(int64(len(b.mem)), b.size)
	}
	return s
}

func (s *scan) close() {
	if s.chunk != nil {
		buffers.Put(s.chunk)
	}
}

// name is that of the field that next came to; "" of one that is too long.
func (s *scan) name() []byte { return s.room[:s.named] }

// offset is where the scan is in the text.
func (s *scan) offset() int64 { return s.base + int64(s.i) }

// next comes to the next field; false says that there is none.
func (s *scan) next() bool {
	c := s.peek()
	switch {
	case !s.begun && c == '{':
		s.begun = true
		s.i++
		s.end = s.offset()
		c = s.peek()
	case s.begun && c == ',':
		s.i++
		if c = s.peek(); c == '}' {
			return false
		}
	case s.begun && c == '}':
	default:
		return false
	}
	if c == '}' {
		s.i++
		s.whole = s.peek() == 0 && s.i == len(s.view)
		return false
	}
	if c != '"' || !s.skipString() {
		return false
	}
	s.setName(s.token())
	if s.peek() != ':' {
		return false
	}
	s.i++
	c = s.peek()
	s.at, s.value = s.offset(), nil
	switch c {
	case '{', '[':
		if !s.skipNested() {
			return false
		}
	case '"':
		if !s.skipString() {
			return false
		}
		s.value = s.token()
	default:
		if s.skipWord(); s.offset() == s.at {
			return false
		}
		s.value = s.token()
	}
	s.end = s.offset()
	return true
}

func (s *scan) setName(raw []byte) {
	s.named = 0
	if bytes.IndexByte(raw, '\\') >= 0 {
		if name := gjson.ParseBytes(raw).Str; len(name) <= maxName {
			s.named = copy(s.room[:], name)
		}
	} else if len(raw) <= maxName+2 && len(raw) > 2 {
		s.named = copy(s.room[:], raw[1:len(raw)-1])
	}
	s.names = s.names || provider.MayName(s.name())
}

// token is the text of the last string or number; nil of one that is too long.
func (s *scan) token() []byte {
	if s.from < 0 || s.i-s.from > maxToken {
		return nil
	}
	return s.view[s.from:s.i]
}

// more brings what follows into view. Of what was there it keeps a token that is
// under way, unless that is too long already.
func (s *scan) more() bool {
	if s.rest == nil {
		return false
	}
	if s.chunk == nil {
		s.chunk = buffers.Get().(*[]byte)
	}
	gone := len(s.view)
	if s.from >= 0 && gone-s.from <= maxToken {
		gone = s.from
	}
	chunk := (*s.chunk)[:cap(*s.chunk)]
	kept := copy(chunk, s.view[gone:])
	n, _ := io.ReadAtLeast(s.rest, chunk[kept:], 1)
	s.view, s.base = chunk[:kept+n], s.base+int64(gone)
	s.i, s.from = s.i-gone, s.from-gone
	if n == 0 {
		s.rest = nil
	}
	return n > 0
}

// peek is the next byte that is not white; 0 at the end.
func (s *scan) peek() byte {
	for {
		for ; s.i < len(s.view); s.i++ {
			if c := s.view[s.i]; c > ' ' || c != ' ' && c != '\n' && c != '\t' && c != '\r' {
				return c
			}
		}
		if !s.more() {
			return 0
		}
	}
}

// skipString steps over the string that begins here; false if it does not end.
func (s *scan) skipString() bool {
	s.from = s.i
	begun, encoded := s.offset(), false
	view, i := s.view, s.i+1
	start, escaped := i, false
	for {
		n := bytes.IndexByte(view[i:], '"')
		if n < 0 {
			escaped = escapes(view[start:], escaped)
			encoded = encoded || begun >= s.base && isEncoded(view[begun-s.base+1:])
			s.i = len(view)
			if !s.more() {
				return false
			}
			view, i, start = s.view, s.i, s.i
			continue
		}
		i += n + 1
		if !escapes(view[start:i-1], escaped) {
			s.i = i
			if size := s.offset() - begun; size > leastMedia && (encoded || begun >= s.base && isEncoded(view[begun-s.base+1:])) {
				s.media, s.mediaSize = s.media+1, s.mediaSize+size
			}
			return true
		}
	}
}

// leastMedia is how long a string is at least that may be an image or the like.
const leastMedia = 4 << 10

// isEncoded reports whether a text, of which enough is there, begins as base64
// does, or a data URL of it.
func isEncoded(text []byte) bool {
	const enough = 64
	if len(text) < enough {
		return false
	}
	for _, c := range text[:enough] {
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && bytes.IndexByte([]byte("+/=-_:;,."), c) < 0 {
			return false
		}
	}
	return true
}

// escapes reports whether b escapes what follows it: whether it ends in an odd
// number of backslashes, not counting its first byte where that is escaped.
func escapes(b []byte, escaped bool) bool {
	k := len(b)
	for k > 0 && b[k-1] == '\\' {
		k--
	}
	if k > 0 {
		escaped = false
	}
	return escaped != ((len(b)-k)&1 == 1)
}

// skipNested steps over the object or list that begins here; false if it does
// not end.
func (s *scan) skipNested() bool {
	for depth := 0; ; {
		view, i := s.view, s.i
		for i < len(view) && view[i] != '"' {
			switch view[i] {
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					s.i = i + 1
					return true
				}
			}
			i++
		}
		s.i = i
		if i == len(view) {
			if !s.more() {
				return false
			}
			continue
		}
		if !s.skipString() {
			return false
		}
		if !s.names && s.from >= 0 {
			s.names = provider.MayName(s.view[s.from+1 : s.i-1])
		}
	}
}

// skipWord steps over a number, true, false or null.
func (s *scan) skipWord() {
	for s.from = s.i; ; {
		for ; s.i < len(s.view); s.i++ {
			switch s.view[s.i] {
			case ',', '}', ' ', '\n', '\r', '\t':
				return
			}
		}
		if !s.more() {
			return
		}
	}
}

// outline is as much of a body as names and ids are looked up in: all of one that
// is in memory; of another what is left when its long strings are emptied, or the
// beginning of that.
func (b *body) outline() []byte {
	if b.file == nil {
		return b.mem
	}
	s := b.scan()
	defer s.close()
	var out []byte
	for len(out) < inMemory {
		switch c := s.peek(); c {
		case 0:
			return out
		case '"':
			if !s.skipString() {
				return out
			}
			if t := s.token(); t != nil {
				out = append(out, t...)
			} else {
				out = append(out, `""`...)
			}
		default:
			out = append(out, c)
			s.i++
		}
	}
	return out
}

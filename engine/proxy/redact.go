package proxy

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"keywheel/engine"
)

const (
	// piece is how many characters of a secret in a row are too many to show.
	piece = 8
	// look is how many characters are looked at, once in each step: one look
	// falls within whatever piece there is.
	look = 5
	step = piece - look + 1
)

// redactor takes the secret of one key out of what its provider says: all of
// it, any piece of it, and the ends that providers show of a key they mask
// ("sk-ab****1234"). The key's name stands there then, however the secret was
// spelled: in letters of any case, percent-encoded, escaped as in JSON or HTML,
// or in base64.
type redactor struct {
	secret, name []byte
	// pieces are all that the secret has, sorted; one that is shorter than a
	// piece has none, and is only looked for as a whole.
	pieces []uint64
	// looks has a bit for whatever a look into a piece can see.
	looks [128]uint64
}

func newRedactor(k *engine.Key) *redactor {
	r := &redactor{secret: []byte(k.Secret.Reveal()), name: []byte("[key " + k.Name + "]")}
	if len(r.secret) < piece {
		return r
	}
	for _, spelled := range append(inBase64(r.secret), r.secret) {
		for i := range max(0, len(spelled)-piece+1) {
			r.pieces = append(r.pieces, pieceAt(spelled, i))
			for j := range step {
				word, bit := lookAt(spelled, i+j)
				r.looks[word] |= bit
			}
		}
	}
	slices.Sort(r.pieces)
	r.pieces = slices.Compact(r.pieces)
	return r
}

// inBase64 is what of a secret's base64 does not depend on what stands around
// it, in each of three places and two alphabets.
func inBase64(secret []byte) (list [][]byte) {
	for before, unsure := range [...]int{0, 2, 3} {
		text := append(make([]byte, before), secret...)
		sure := len(text) * 8 / 6
		for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
			list = append(list, []byte(e.EncodeToString(text)[unsure:sure]))
		}
	}
	return list
}

// anyCase makes no difference between large and small letters.
const anyCase = 0x2020202020202020

func pieceAt(text []byte, i int) uint64 { return binary.LittleEndian.Uint64(text[i:]) | anyCase }

// lookAt is the bit of what a look sees at a place.
func lookAt(text []byte, i int) (word int, bit uint64) {
	seen := uint64(binary.LittleEndian.Uint32(text[i:])) | uint64(text[i+look-1])<<32 | anyCase
	hash := seen * 0x9e3779b97f4a7c15 >> 51
	return int(hash >> 6), 1 << (hash & 63)
}

// next is where the first piece from a place on stands, and its size; -1 is
// nowhere.
func (r *redactor) next(text []byte, from int) (i, size int) {
	if len(r.pieces) == 0 {
		if i = bytes.Index(text[from:], r.secret); i >= 0 {
			i += from
		}
		return i, len(r.secret)
	}
	for at := from + step - 1; at+look <= len(text); at += step {
		if word, bit := lookAt(text, at); r.looks[word]&bit == 0 {
			continue
		}
		for i := at - step + 1; i <= min(at, len(text)-piece); i++ {
			if _, found := slices.BinarySearch(r.pieces, pieceAt(text, i)); found {
				return i, piece
			}
		}
	}
	return -1, 0
}

// span is a part of a text that must go; end is whether it is a cut end, which
// nothing stands in for.
type span struct {
	from, to int
	end      bool
}

// unescapings is how many escapes within each other are undone.
const unescapings = 3

// text is the text without the secret. Of one that was cut it also drops an end
// that could be the beginning of the secret.
func (r *redactor) text(text []byte, cut bool) []byte {
	if len(r.secret) == 0 {
		return text
	}
	seen := view{text: text, end: len(text)}
	found := r.find(nil, seen, cut)
	for range unescapings {
		if bytes.IndexByte(seen.text, '%') < 0 && bytes.IndexByte(seen.text, '\\') < 0 && bytes.IndexByte(seen.text, '&') < 0 {
			break
		}
		seen = seen.unescaped()
		found = r.find(found, seen, cut)
	}
	if len(found) == 0 {
		return text
	}
	slices.SortFunc(found, func(a, b span) int { return a.from - b.from })
	var out []byte
	done := 0 // what comes before is in out
	for len(found) > 0 {
		all := found[0]
		for found = found[1:]; len(found) > 0 && found[0].from < all.to; found = found[1:] {
			all.to, all.end = max(all.to, found[0].to), all.end || found[0].end
		}
		out = append(out, text[done:all.from]...)
		if !all.end {
			out = append(out, r.name...)
		}
		done = all.to
	}
	return append(out, text[done:]...)
}

// find adds what of a text must go as it is seen.
func (r *redactor) find(found []span, v view, cut bool) []span {
	for i, size := r.next(v.text, 0); i >= 0; i, size = r.next(v.text, i+1) {
		s := span{v.origin(i), v.origin(i + size), false}
		if n := len(found) - 1; n >= 0 && found[n].from <= s.from && s.from < found[n].to {
			found[n].to = max(found[n].to, s.to)
		} else {
			found = append(found, s)
		}
	}
	for i := 0; i < len(v.text); i++ {
		from := i
		for i < len(v.text) && hides(v.text[i]) {
			i++
		}
		if i-from < 2 {
			continue
		}
		if head, tail := r.ends(v.text[:from], v.text[i:]); head+tail >= 4 {
			found = append(found, span{v.origin(from - head), v.origin(i + tail), false})
		}
	}
	if cut {
		for i := max(0, len(v.text)-len(r.secret)); i < len(v.text) || v.open && i == len(v.text); i++ {
			if bytes.HasPrefix(r.secret, v.text[i:]) {
				return append(found, span{v.origin(i), v.end, true})
			}
		}
	}
	return found
}

// hides reports whether providers write c in the place of what they mask:
// asterisks, dots, crosses, or what no key holds.
func hides(c byte) bool {
	return c == '*' || c == '.' || c == 'x' || c == 'X' || c == '#' || c == '[' || c == ']' || c >= utf8.RuneSelf
}

// ends are how much of the secret's two ends stands around a mask.
func (r *redactor) ends(before, after []byte) (head, tail int) {
	most := min(len(r.secret)-1, 40)
	for head = min(most, len(before)); !bytes.HasSuffix(before, r.secret[:head]); head-- {
	}
	for tail = min(most, len(after)); !bytes.HasPrefix(after, r.secret[len(r.secret)-tail:]); tail-- {
	}
	return head, tail
}

// view is a text as whoever undoes its escapes sees it.
type view struct {
	text []byte
	// at is where each byte began in the text as it came, and where the last
	// one ended; nil is of that text itself.
	at []int
	// end is where that text ends; open is that its last escape is not whole,
	// and not seen.
	end  int
	open bool
}

func (v view) origin(i int) int {
	if v.at == nil {
		return i
	}
	return v.at[i]
}

// unescaped is the view with one layer of escapes undone.
func (v view) unescaped() view {
	out := view{text: make([]byte, 0, len(v.text)), at: make([]int, 0, len(v.text)+1), end: v.end, open: v.open}
	i := 0
	for i < len(v.text) {
		b, size := unescaped(v.text[i:])
		if size == 0 {
			out.open = true
			break
		}
		out.text, out.at = append(out.text, b), append(out.at, v.origin(i))
		i += size
	}
	out.at = append(out.at, v.origin(i))
	return out
}

// unescaped is the byte that text begins with and how much of text spells it; 0
// is that text ends before that is clear. What is not ASCII is 0xff.
func unescaped(text []byte) (b byte, size int) {
	var digits []byte
	base := 16
	switch c := text[0]; {
	case c == '%':
		if len(text) < 3 {
			return 0, 0
		}
		digits, size = text[1:3], 3
	case c == '\\' && len(text) == 1:
		return 0, 0
	case c == '\\' && text[1] != 'u':
		return text[1], 2
	case c == '\\':
		if len(text) < 6 {
			return 0, 0
		}
		digits, size = text[2:6], 6
	case c == '&':
		end := bytes.IndexByte(text[:min(len(text), 10)], ';')
		if end < 2 {
			return c, 1
		}
		if named, ok := entities[string(text[1:end])]; ok {
			return named, end + 1
		}
		if text[1] != '#' {
			return c, 1
		}
		digits, base, size = text[2:end], 10, end+1
		if len(digits) > 0 && digits[0]|0x20 == 'x' {
			digits, base = digits[1:], 16
		}
	default:
		return c, 1
	}
	n, err := strconv.ParseUint(string(digits), base, 32)
	if err != nil {
		return text[0], 1
	}
	return byte(min(n, 0xff)), size
}

// entities are the names that HTML has for what a key may hold.
var entities = map[string]byte{"amp": '&', "lt": '<', "gt": '>', "quot": '"', "apos": '\''}

// header is [redactor.text] for a head or a trailer. A field is dropped whose name
// has the secret in it, all of it: parts are in names that mean no harm.
func (r *redactor) header(h http.Header) {
	if len(r.secret) == 0 {
		return
	}
	for name, values := range h {
		if at, _ := r.next([]byte(name), 0); at >= 0 && strings.Contains(strings.ToLower(name), strings.ToLower(string(r.secret))) {
			delete(h, name)
			continue
		}
		for i, v := range values {
			if at, _ := r.next([]byte(v), 0); at >= 0 || strings.IndexByte(v, '%') >= 0 || strings.IndexByte(v, '\\') >= 0 || strings.IndexByte(v, '*') >= 0 {
				values[i] = r.words(v)
			}
		}
	}
}

// words is [redactor.text] for a line of text.
func (r *redactor) words(text string) string { return string(r.text([]byte(text), false)) }

package proxy

import (
	"bytes"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// inMemory is how much of a body is kept in memory; what follows goes to
	// an unlinked file.
	inMemory = 1 << 20
	// oneWrite is up to where a body goes up as a plain bytes.Reader, which
	// net/http sends in one write with the head.
	oneWrite = 16 << 10
)

// body is a request's body, kept so that it can be sent again.
type body struct {
	mem  []byte
	file *os.File // what did not fit in mem
	size int64    // of mem and file together
	// rest is what follows and was not read; a body with a rest can be sent once.
	rest io.ReadCloser
	// source is closed with the last use of the body; nil is nothing.
	source io.Closer
	// length is the whole body's, -1 if unknown.
	length int64
	edits  []edit // in the order of their places
	budget *budget
	taken  int64 // of the budget
	pooled *[]byte
	users  atomic.Int32
	// begun is when the attempt under way was, agains how often it was repeated.
	begun  time.Time
	agains int
}

// edit is text that goes up in place of what was kept from one offset to another.
type edit struct {
	from, to int64
	text     []byte
}

// budget bounds what all kept bodies take together.
type budget struct {
	left atomic.Int64
}

func (b *budget) take(n int64) bool {
	if n == 0 {
		return true
	}
	if b.left.Add(-n) < 0 {
		b.left.Add(n)
		return false
	}
	return true
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 128<<10); return &b }}

// keep reads a body of the given length (-1: unknown) as far as limit and the
// budget allow. The caller ends it with drop.
func keep(r io.ReadCloser, length, limit int64, total *budget) (*body, error) {
	b := &body{length: length, budget: total}
	b.users.Store(1)
	switch {
	case length == 0 || r == nil:
		b.length = 0
		return b, nil
	case length > 0 && length <= oneWrite:
		b.mem = make([]byte, length)
		n, err := io.ReadFull(r, b.mem)
		b.mem, b.size = b.mem[:n], int64(n)
		return b, err
	}
	b.pooled = buffers.Get().(*[]byte)
	b.mem = (*b.pooled)[:0]
	if length > 0 && length <= inMemory && int64(cap(b.mem)) < length {
		b.mem = make([]byte, 0, length)
	}
	beyond := limit - inMemory
	if length >= 0 {
		beyond = length - inMemory
	}
	beyond = max(beyond, 0)
	once := length > limit || !total.take(beyond)
	if !once {
		b.taken = beyond
	}
	err := b.fill(r, inMemory)
	if err == io.EOF {
		return b, b.whole()
	}
	if err != nil {
		b.drop()
		return nil, err
	}
	if !once && limit > inMemory {
		b.file, err = unlinkedFile()
	}
	if b.file == nil || err != nil {
		b.rest = r
		return b, nil
	}
	switch err := b.spill(r, limit); {
	case err == io.EOF || err == nil && b.size == b.length:
		return b, b.whole()
	case err == nil: // more than is kept, or the disk is full
		if b.rest == nil {
			b.rest = r
		}
		return b, nil
	default:
		b.drop()
		return nil, err
	}
}

// spill reads on into the file up to limit bytes in all; io.EOF says that the
// body ended. When the disk is full, what was read last and the rest are left
// in b.rest.
func (b *body) spill(r io.ReadCloser, limit int64) error {
	chunk := buffers.Get().(*[]byte)
	defer buffers.Put(chunk)
	for b.size < limit {
		buf := (*chunk)[:min(int64(cap(*chunk)), limit-b.size)]
		n, err := r.Read(buf)
		written, werr := b.file.Write(buf[:n])
		b.size += int64(written)
		if werr != nil {
			b.rest = &resumed{io.MultiReader(bytes.NewReader(bytes.Clone(buf[written:n])), r), r}
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// resumed is a body of which some was read already.
type resumed struct {
	io.Reader
	io.Closer
}

// fill reads into memory up to want bytes; io.EOF says that the body ended.
func (b *body) fill(r io.Reader, want int64) error {
	for int64(len(b.mem)) < want {
		if len(b.mem) == cap(b.mem) {
			b.mem = append(b.mem, 0)[:len(b.mem)]
		}
		n, err := r.Read(b.mem[len(b.mem):min(int64(cap(b.mem)), want)])
		b.mem = b.mem[:len(b.mem)+n]
		b.size = int64(len(b.mem))
		if err != nil {
			return err
		}
	}
	return nil
}

// whole notes that the body is complete, checks that it is as long as said, and
// gives back the room that it does not need.
func (b *body) whole() error {
	if b.length >= 0 && b.size != b.length {
		b.drop()
		return io.ErrUnexpectedEOF
	}
	b.length = b.size
	needed := b.size - int64(len(b.mem)) // in the file
	b.budget.left.Add(b.taken - needed)
	b.taken = needed
	return nil
}

// repeatable reports whether the body can be sent more than once.
func (b *body) repeatable() bool { return b.rest == nil }

// edit puts text in place of what was kept from one offset to another, behind
// all earlier edits. It may be called while nothing reads the body, and only on
// one that is kept whole.
func (b *body) edit(from, to int64, text []byte) {
	b.edits = append(b.edits, edit{from, to, text})
	b.length += int64(len(text)) - (to - from)
}

// open makes a reader of the whole body for one attempt.
func (b *body) open() io.ReadCloser {
	switch {
	case b.length == 0:
		return nil
	case b.pooled == nil:
		return io.NopCloser(b.edited())
	}
	b.users.Add(1)
	r := &bodyReader{body: b, Reader: b.edited()}
	if b.rest != nil {
		r.Reader = io.MultiReader(r.Reader, b.rest)
	}
	return r
}

// edited reads what is kept with the edits in it.
func (b *body) edited() io.Reader {
	if b.edits == nil {
		return b.part(0, b.size)
	}
	var parts []io.Reader
	from := int64(0)
	for _, e := range b.edits {
		parts = append(parts, b.part(from, e.from), bytes.NewReader(e.text))
		from = e.to
	}
	return io.MultiReader(append(parts, b.part(from, b.size))...)
}

// part reads what was kept from one offset to another.
func (b *body) part(from, to int64) io.Reader {
	switch inMem := int64(len(b.mem)); {
	case to <= inMem:
		return bytes.NewReader(b.mem[from:to])
	case from >= inMem:
		return io.NewSectionReader(b.file, from-inMem, to-from)
	default:
		return io.MultiReader(bytes.NewReader(b.mem[from:]), io.NewSectionReader(b.file, 0, to-inMem))
	}
}

// drop ends one use of the body; the last gives back what it took.
func (b *body) drop() {
	if b.users.Add(-1) > 0 {
		return
	}
	if b.file != nil {
		_ = b.file.Close()
	}
	if b.source != nil {
		_ = b.source.Close()
	}
	b.budget.left.Add(b.taken)
	if b.pooled != nil {
		if cap(b.mem) <= inMemory {
			*b.pooled = b.mem[:0]
		}
		buffers.Put(b.pooled)
	}
}

// bodyReader is a body on its way up. Its buffer is used again only after the
// Transport closed it.
type bodyReader struct {
	io.Reader
	body   *body
	closed atomic.Bool
}

func (r *bodyReader) Close() error {
	if !r.closed.Swap(true) {
		r.body.drop()
	}
	return nil
}

// unlinkedFile makes a file that only this process sees and that goes with it.
func unlinkedFile() (*os.File, error) {
	f, err := os.CreateTemp("", "keywheel-body-*")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

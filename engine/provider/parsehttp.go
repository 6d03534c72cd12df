package provider

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// maxPasted bounds what ParseHTTP reads, maxHeaders how many headers.
const (
	maxPasted  = 1 << 20
	maxHeaders = 200
)

// ErrNoResponse says that a text is no HTTP response as `curl -i` prints one.
var ErrNoResponse = errors.New("no HTTP response: it has to begin with a line like HTTP/1.1 429 Too Many Requests, as `curl -i` prints it")

// ParseHTTP reads a response as `curl -i` prints it: the last of several heads
// counts, lines end in LF or CRLF. Chunks and encodings are undone by curl.
func ParseHTTP(r io.Reader) (Answer, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxPasted))
	if err != nil {
		return Answer{}, fmt.Errorf("reading the response: %w", err)
	}
	text = bytes.TrimLeft(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")), " \t\r\n")
	a := Answer{Whole: len(text) < maxPasted}
	for {
		status, ok := statusLine(text)
		if !ok {
			if a.Status == 0 {
				return Answer{}, ErrNoResponse
			}
			a.Body = text
			return a, nil
		}
		a.Status, a.Header = status, http.Header{}
		_, text = cutLine(text)
		last := ""
		for len(text) > 0 {
			var line []byte
			line, text = cutLine(text)
			if len(line) == 0 {
				break
			}
			if (line[0] == ' ' || line[0] == '\t') && last != "" {
				v := a.Header[last]
				v[len(v)-1] += " " + strings.TrimSpace(string(line)) // a folded line
				continue
			}
			name, value, ok := strings.Cut(string(line), ":")
			if !ok || len(a.Header) >= maxHeaders {
				continue
			}
			last = http.CanonicalHeaderKey(strings.TrimSpace(name))
			a.Header[last] = append(a.Header[last], strings.TrimSpace(value))
		}
	}
}

// statusLine reads "HTTP/1.1 429 Too Many Requests" and "HTTP/2 429".
func statusLine(text []byte) (status int, ok bool) {
	line, _ := cutLine(text)
	if !bytes.HasPrefix(line, []byte("HTTP/")) || len(line) > 1000 {
		return 0, false
	}
	fields := strings.Fields(string(line))
	if len(fields) < 2 {
		return 0, false
	}
	status, err := strconv.Atoi(fields[1])
	return status, err == nil && status >= 100 && status < 1000
}

// cutLine cuts the first line off, without its end.
func cutLine(text []byte) (line, rest []byte) {
	line, rest, _ = bytes.Cut(text, []byte("\n"))
	return bytes.TrimSuffix(line, []byte("\r")), rest
}

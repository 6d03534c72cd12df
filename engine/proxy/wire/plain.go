package wire

import (
	"bufio"
	"bytes"
	"net/http"
	"net/textproto"
	"net/url"
	"strconv"
	"strings"
)

// plainHead reads the head of an answer that is as most are: all of it there, a
// status that has a body, a length, and nothing that changes what the connection
// does. It reads such a head as net/http does, but makes less of it. nil is any
// other, of which nothing was read.
func plainHead(br *bufio.Reader, req *http.Request) *http.Response {
	there, _ := br.Peek(br.Buffered())
	end := bytes.Index(there, []byte("\r\n\r\n"))
	if end < 0 || req.Method == http.MethodHead {
		return nil
	}
	line, lines, _ := strings.Cut(string(there[:end+2]), "\r\n")
	status, ok := strings.CutPrefix(line, "HTTP/1.1 ")
	if !ok || !isText(status) || len(status) < len("200 O") || status[3] != ' ' || status[4] == ' ' || status[len(status)-1] == ' ' {
		return nil
	}
	code, err := strconv.ParseUint(status[:3], 10, 16)
	if err != nil || code < 200 || code > 599 || code == http.StatusNoContent || code == http.StatusNotModified {
		return nil
	}
	f, ok := plainFields(lines, false)
	if !ok || f.length < 0 {
		return nil
	}
	_, _ = br.Discard(end + 4)
	res := &http.Response{Status: status, StatusCode: int(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: f.header, ContentLength: f.length, Request: req}
	if f.length == 0 {
		res.Body = http.NoBody
	}
	return res
}

// fields are the lines of a head.
type fields struct {
	header http.Header
	host   string // of a request, which is not in header
	length int64  // of the body, -1 where they do not tell
}

// plainFields reads them. ok is false where net/http must look at them.
func plainFields(text string, request bool) (f fields, ok bool) {
	n := strings.Count(text, "\n")
	f = fields{header: make(http.Header, n), length: -1}
	values := make([]string, n) // of all fields: most have one
	for i := range values {
		line, rest, _ := strings.Cut(text, "\r\n")
		name, value, found := strings.Cut(line, ":")
		if !found || !isToken(name) || !isText(value) {
			return f, false
		}
		name, value, text = textproto.CanonicalMIMEHeaderKey(name), textproto.TrimString(value), rest
		switch name {
		case "Content-Length":
			size, err := strconv.ParseUint(value, 10, 63)
			if err != nil || f.length >= 0 {
				return f, false
			}
			f.length = int64(size)
		case "Connection":
			if !strings.EqualFold(value, "keep-alive") {
				return f, false
			}
		case "Transfer-Encoding", "Trailer", "Pragma":
			return f, false
		case "Expect", "Upgrade":
			if request {
				return f, false
			}
		case "Host":
			if request {
				if f.host != "" || !plainHost(value) {
					return f, false
				}
				f.host = value
				continue
			}
		}
		if f.header[name] != nil {
			f.header[name] = append(f.header[name], value)
			continue
		}
		values[i] = value
		f.header[name] = values[i : i+1 : i+1]
	}
	return f, true
}

// plainRequest reads a request as most are: of which all the head is there, and
// which asks for nothing special. It reads it as net/http does, but makes less of
// it. nil is any other, of which nothing was read; odd is whether it stays so,
// whatever follows.
func plainRequest(br *bufio.Reader) (r *http.Request, odd bool) {
	there, _ := br.Peek(br.Buffered())
	end := bytes.Index(there, []byte("\r\n\r\n"))
	if end < 0 {
		return nil, !mayBePlain(there)
	}
	eol := bytes.Index(there, []byte("\r\n"))
	line, lines := string(there[:eol]), string(there[eol+2:end+2]) // who keeps the path keeps no more
	method, rest, _ := strings.Cut(line, " ")
	target, ok := strings.CutSuffix(rest, " HTTP/1.1")
	if !ok || method != http.MethodPost && method != http.MethodGet || target == "" || target[0] != '/' || strings.IndexByte(target, ' ') >= 0 || !isText(target) {
		return nil, true
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, true
	}
	f, ok := plainFields(lines, true)
	if !ok || f.host == "" || f.length > plainBody {
		return nil, true
	}
	_, _ = br.Discard(end + 4)
	return &http.Request{Method: method, URL: u, RequestURI: target, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: f.header, Host: f.host, ContentLength: max(f.length, 0)}, false
}

// mayBePlain reports whether a plain request can begin so. What it cannot is
// net/http's at once, for the end of such a head may be another, or never come.
func mayBePlain(begin []byte) bool {
	if !mayBegin(begin, "POST /") && !mayBegin(begin, "GET /") {
		return false
	}
	return bytes.Count(begin, []byte("\n")) == bytes.Count(begin, []byte("\r\n"))
}

// mayBegin reports whether what begins so may go on to begin with start.
func mayBegin(begin []byte, start string) bool {
	n := min(len(begin), len(start))
	return string(begin[:n]) == start[:n]
}

// plainBody is the longest body of a plain request.
const plainBody = 1 << 20

// isText reports whether s is printable ASCII, and tabs.
func isText(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' && c != '\t') || c >= 0x7f {
			return false
		}
	}
	return true
}

package wire

import (
	"bufio"
	"bytes"
	"net/http"
	"net/textproto"
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
	line, fields, _ := strings.Cut(string(there[:end+2]), "\r\n")
	status, ok := strings.CutPrefix(line, "HTTP/1.1 ")
	if !ok || !isText(status) || len(status) < len("200 O") || status[3] != ' ' || status[4] == ' ' || status[len(status)-1] == ' ' {
		return nil
	}
	code, err := strconv.ParseUint(status[:3], 10, 16)
	if err != nil || code < 200 || code > 599 || code == http.StatusNoContent || code == http.StatusNotModified {
		return nil
	}
	h, length, ok := plainFields(fields)
	if !ok {
		return nil
	}
	_, _ = br.Discard(end + 4)
	res := &http.Response{Status: status, StatusCode: int(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: h, ContentLength: length, Request: req}
	if length == 0 {
		res.Body = http.NoBody
	}
	return res
}

// plainFields reads the lines of a head, and the length of the body that they
// tell. ok is false where net/http must look at them.
func plainFields(text string) (h http.Header, length int64, ok bool) {
	n := strings.Count(text, "\n")
	h, length = make(http.Header, n), -1
	values := make([]string, n) // of all fields: most have one
	for i := range values {
		line, rest, _ := strings.Cut(text, "\r\n")
		name, value, found := strings.Cut(line, ":")
		if !found || !isToken(name) || !isText(value) {
			return nil, 0, false
		}
		name, value, text = textproto.CanonicalMIMEHeaderKey(name), textproto.TrimString(value), rest
		switch name {
		case "Content-Length":
			size, err := strconv.ParseUint(value, 10, 63)
			if err != nil || length >= 0 {
				return nil, 0, false
			}
			length = int64(size)
		case "Connection":
			if !strings.EqualFold(value, "keep-alive") {
				return nil, 0, false
			}
		case "Transfer-Encoding", "Trailer", "Pragma":
			return nil, 0, false
		}
		if h[name] != nil {
			h[name] = append(h[name], value)
			continue
		}
		values[i] = value
		h[name] = values[i : i+1 : i+1]
	}
	return h, length, length >= 0
}

// isText reports whether s is printable ASCII, and tabs.
func isText(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < ' ' && c != '\t') || c >= 0x7f {
			return false
		}
	}
	return true
}

package wire

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
)

// ownFields are written by wire itself, from what the request says elsewhere.
var ownFields = []string{"Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer"}

// appendHead appends the head of a request, as http.Transport writes it: no
// field can end before its line does.
func appendHead(b []byte, r *http.Request) ([]byte, error) {
	method, u := r.Method, r.URL
	if method == "" {
		method = http.MethodGet
	}
	if !isToken(method) {
		return nil, fmt.Errorf("no HTTP method: %q", method)
	}
	b = append(append(b, method...), ' ')
	start := len(b)
	if path := u.EscapedPath(); path != "" {
		b = append(b, path...)
	} else {
		b = append(b, '/')
	}
	if u.ForceQuery || u.RawQuery != "" {
		b = append(append(b, '?'), u.RawQuery...)
	}
	for _, c := range b[start:] {
		if c <= ' ' || c == 0x7f {
			return nil, errors.New("the request's URL has a space or a control character")
		}
	}
	b = append(b, " HTTP/1.1\r\nHost: "...)
	if r.Host != "" {
		b = append(b, r.Host...)
	} else {
		b = append(b, u.Host...)
	}
	agent := "Go-http-client/1.1"
	if said := r.Header["User-Agent"]; len(said) > 0 {
		agent = said[0]
	}
	b = append(b, "\r\n"...)
	var err error
	if agent != "" {
		if b, err = appendField(b, "User-Agent", agent); err != nil {
			return nil, err
		}
	}
	if r.ContentLength > 0 || method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
		b = append(strconv.AppendInt(append(b, "Content-Length: "...), r.ContentLength, 10), "\r\n"...)
	}
	// The same request always reads the same: some hosts tell programs apart by
	// the order.
	var few [24]string
	for _, name := range sortedNames(r.Header, few[:0]) {
		if slices.Contains(ownFields, name) {
			continue
		}
		for _, value := range r.Header[name] {
			if b, err = appendField(b, name, value); err != nil {
				return nil, err
			}
		}
	}
	return append(b, "\r\n"...), nil
}

// sortedNames appends the names of h's fields to names, and sorts them.
func sortedNames(h http.Header, names []string) []string {
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func appendField(b []byte, name, value string) ([]byte, error) {
	if !isToken(name) {
		return nil, fmt.Errorf("no name of a header field: %q", name)
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return nil, fmt.Errorf("the header field %s has a control character in it", name) // the value may be a secret
		}
	}
	b = append(append(b, name...), ": "...)
	return append(append(b, textproto.TrimString(value)...), "\r\n"...), nil
}

// isToken reports whether s is what HTTP calls a token.
func isToken(s string) bool {
	for i := range len(s) {
		if !tokens[s[i]] {
			return false
		}
	}
	return s != ""
}

var tokens = func() (t [256]bool) {
	for _, c := range "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" {
		t[c] = true
	}
	return t
}()

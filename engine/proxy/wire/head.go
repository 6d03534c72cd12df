package wire

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/net/http2/hpack"
)

// ownFields are written by wire itself, from what the request says elsewhere.
var ownFields = []string{"Host", "User-Agent", "Content-Length", "Transfer-Encoding", "Trailer"}

// appendHead appends the head of a request, as http.Transport writes it: no
// field can end before its line does.
func appendHead(b []byte, r *http.Request) ([]byte, error) {
	method, target, err := startOf(r)
	if err != nil {
		return nil, err
	}
	b = append(append(append(b, method...), ' '), target...)
	b = append(append(b, " HTTP/1.1\r\nHost: "...), cmp.Or(r.Host, r.URL.Host)...)
	b = append(b, "\r\n"...)
	err = eachField(r, method, func(name, value string) {
		b = append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
	})
	return append(b, "\r\n"...), err
}

// startOf is how a request begins: its method, and the path with the query.
func startOf(r *http.Request) (method, target string, err error) {
	method = cmp.Or(r.Method, http.MethodGet)
	if !isToken(method) {
		return "", "", fmt.Errorf("no HTTP method: %q", method)
	}
	target = r.URL.RequestURI()
	for i := range len(target) {
		if c := target[i]; c <= ' ' || c == 0x7f {
			return "", "", errors.New("the request's URL has a space or a control character")
		}
	}
	return method, target, nil
}

// eachField gives the fields of a request's head, but for where it goes. None has
// anything in it that would end it.
func eachField(r *http.Request, method string, give func(name, value string)) error {
	agent := "Go-http-client/1.1"
	if said := r.Header["User-Agent"]; len(said) > 0 {
		agent = said[0]
	}
	if agent != "" {
		if err := checkField("User-Agent", agent); err != nil {
			return err
		}
		give("User-Agent", textproto.TrimString(agent))
	}
	if r.ContentLength > 0 || method == http.MethodPost || method == http.MethodPut || method == http.MethodPatch {
		give("Content-Length", strconv.FormatInt(r.ContentLength, 10))
	}
	// The same request always reads the same: some hosts tell programs apart by
	// the order.
	var few [24]string
	for _, name := range sortedNames(r.Header, few[:0]) {
		if slices.Contains(ownFields, name) {
			continue
		}
		for _, value := range r.Header[name] {
			if err := checkField(name, value); err != nil {
				return err
			}
			give(name, textproto.TrimString(value))
		}
	}
	return nil
}

// sortedNames appends the names of h's fields to names, and sorts them.
func sortedNames(h http.Header, names []string) []string {
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func checkField(name, value string) error {
	if !isToken(name) {
		return fmt.Errorf("no name of a header field: %q", name)
	}
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return fmt.Errorf("the header field %s has a control character in it", name) // the value may be a secret
		}
	}
	return nil
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

// headOf makes the head of a request, as it goes over HTTP/2.
func headOf(head []hpack.HeaderField, r *http.Request) ([]hpack.HeaderField, error) {
	method, target, err := startOf(r)
	if err != nil {
		return nil, err
	}
	head = append(head, hpack.HeaderField{Name: ":authority", Value: cmp.Or(r.Host, r.URL.Host)}, hpack.HeaderField{Name: ":method", Value: method},
		hpack.HeaderField{Name: ":path", Value: target}, hpack.HeaderField{Name: ":scheme", Value: r.URL.Scheme})
	err = eachField(r, method, func(name, value string) {
		switch name {
		case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Upgrade":
			return // of HTTP/1.1
		}
		lower := lowered[name]
		if lower == "" {
			lower = strings.ToLower(name)
		}
		head = append(head, hpack.HeaderField{Name: lower, Value: value, Sensitive: isSecret(lower)})
	})
	return head, err
}

// isSecret reports whether a field may hold a secret: no table on the way keeps it.
func isSecret(name string) bool {
	for _, part := range [...]string{"auth", "key", "token", "cookie", "secret"} {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}

// lowered are the names of fields that many requests have, as HTTP/2 writes them.
var lowered = func() map[string]string {
	all := map[string]string{}
	for _, name := range [...]string{"Accept", "Accept-Encoding", "Accept-Language", "Anthropic-Beta", "Anthropic-Version", "Api-Key", "Authorization", "Content-Encoding", "Content-Length", "Content-Type",
		"Idempotency-Key", "Openai-Beta", "Openai-Organization", "Openai-Project", "User-Agent", "X-Api-Key", "X-Goog-Api-Key", "X-Stainless-Arch", "X-Stainless-Async", "X-Stainless-Lang",
		"X-Stainless-Os", "X-Stainless-Package-Version", "X-Stainless-Read-Timeout", "X-Stainless-Retry-Count", "X-Stainless-Runtime", "X-Stainless-Runtime-Version"} {
		all[name] = strings.ToLower(name)
	}
	return all
}()

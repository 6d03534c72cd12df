package proxy

import (
	"net/http"
	"strconv"
	"strings"

	"keywheel/engine"
)

// redact puts the key's name where its secret stood, however the secret is
// written there. Of a text that was cut it also drops an end that could be the
// beginning of the secret.
func redact(text []byte, k *engine.Key, cut bool) []byte {
	secret := k.Secret.Reveal()
	if secret == "" {
		return text
	}
	var out []byte
	from := 0 // what comes before is in out
	for i := 0; i < len(text); {
		n, whole := spelled(text[i:], secret)
		switch {
		case whole:
			out = append(append(out, text[from:i]...), "[key "+k.Name+"]"...)
			i += n
			from = i
		case n > 0 && cut:
			return append(out, text[from:i]...)
		default:
			i++
		}
	}
	if out == nil {
		return text
	}
	return append(out, text[from:]...)
}

// spelled reports whether text begins with the secret, as it is or with any of
// its bytes percent-encoded or escaped as in JSON, and how much of text that
// takes. n > 0 without whole is a text that ends in the middle of it.
func spelled(text []byte, secret string) (n int, whole bool) {
	if text[0] != secret[0] && text[0] != '%' && text[0] != '\\' {
		return 0, false
	}
	if len(text) >= len(secret) && string(text[:len(secret)]) == secret {
		return len(secret), true
	}
	if len(text) < len(secret) && strings.HasPrefix(secret, string(text)) {
		return len(text), false
	}
	for i := range len(secret) {
		b, size := unescaped(text[n:])
		if size == 0 {
			return len(text), false
		}
		if b != secret[i] {
			return 0, false
		}
		n += size
	}
	return n, true
}

// unescaped is the byte that text begins with and how much of text spells it; 0
// is that text ends before that is clear.
func unescaped(text []byte) (b byte, size int) {
	hex := 0 // where the digits end
	switch {
	case len(text) == 0:
		return 0, 0
	case text[0] == '%':
		hex = 3
	case text[0] != '\\':
		return text[0], 1
	case len(text) == 1:
		return 0, 0
	case text[1] == 'u':
		hex = 6
	default:
		return text[1], 2
	}
	if len(text) < hex {
		return 0, 0
	}
	n, err := strconv.ParseUint(string(text[hex/3:hex]), 16, 16)
	if err != nil || n > 0xff {
		return text[0], 1
	}
	return byte(n), hex
}

// redactHeader is redact for a head.
func redactHeader(h http.Header, k *engine.Key) {
	secret := k.Secret.Reveal()
	if secret == "" {
		return
	}
	for _, values := range h {
		for i, v := range values {
			if strings.Contains(v, secret) || strings.IndexByte(v, '%') >= 0 || strings.IndexByte(v, '\\') >= 0 {
				values[i] = redactWords(v, k)
			}
		}
	}
}

// redactWords is redact for a line of text.
func redactWords(text string, k *engine.Key) string { return string(redact([]byte(text), k, false)) }

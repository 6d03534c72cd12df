package proxy

import (
	"bytes"
	"strconv"

	"github.com/tidwall/gjson"

	"keywheel/engine/provider"
)

// top is what the top level of a JSON body says of the request.
type top struct {
	model string
	// stream is whether the answer is wanted as a stream, options whether the
	// client says how.
	stream, options bool
	// maxOutput is how many tokens the answer may have; 0 is not said.
	maxOutput int64
	// unkept is whether what is made is not to be stored.
	unkept bool
	// names is whether some field, however deep, may name a bound resource.
	names bool
}

// maxModel bounds a model's name.
const maxModel = 256

// readTop reads the top level of a JSON object in one pass. What is nested is
// stepped over, not read: a body is mostly long strings, and those are skipped
// at the speed of memory. What is no JSON gives what came before that.
func readTop(b []byte) (t top) {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '{' {
		return t
	}
	for i++; ; {
		if i = skipSpace(b, i); i < len(b) && b[i] == ',' {
			i = skipSpace(b, i+1)
		}
		if i >= len(b) || b[i] != '"' {
			return t
		}
		nameEnd := skipString(b, i)
		if nameEnd < 0 {
			return t
		}
		name := b[i+1 : nameEnd-1]
		if i = skipSpace(b, nameEnd); i >= len(b) || b[i] != ':' {
			return t
		}
		i = skipSpace(b, i+1)
		end := t.skipValue(b, i)
		if end < 0 {
			return t
		}
		t.names = t.names || provider.MayName(name)
		switch string(name) {
		case "model":
			t.model = text(b[i:end])
		case "stream":
			t.stream = string(b[i:end]) == "true"
		case "store":
			t.unkept = string(b[i:end]) == "false"
		case "stream_options":
			t.options = true
		case "max_tokens", "max_completion_tokens", "max_output_tokens":
			if n, err := strconv.ParseInt(string(b[i:end]), 10, 64); err == nil && n > 0 {
				t.maxOutput = n
			}
		}
		i = end
	}
}

// text is the value of a JSON string, "" of anything else or of one too long.
func text(raw []byte) string {
	switch {
	case len(raw) < 2 || raw[0] != '"' || len(raw) > maxModel+2:
		return ""
	case bytes.IndexByte(raw, '\\') >= 0:
		return gjson.ParseBytes(raw).Str
	default:
		return string(raw[1 : len(raw)-1])
	}
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// skipString steps over the string that begins at i; -1 if it does not end.
func skipString(b []byte, i int) int {
	for j := i + 1; ; {
		n := bytes.IndexByte(b[j:], '"')
		if n < 0 {
			return -1
		}
		j += n
		// An odd number of backslashes before it escapes the quote.
		k := j
		for k > i+1 && b[k-1] == '\\' {
			k--
		}
		j++
		if (j-1-k)%2 == 0 {
			return j
		}
	}
}

// skipValue steps over the value that begins at i; -1 if it does not end. Of
// what is nested it notes whether some string may be a field's name that matters.
func (t *top) skipValue(b []byte, i int) int {
	if i >= len(b) {
		return -1
	}
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		depth := 0
		for i < len(b) {
			switch b[i] {
			case '"':
				from := i
				if i = skipString(b, i); i < 0 {
					return -1
				}
				t.names = t.names || provider.MayName(b[from+1:i-1])
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
		return -1
	default:
		for i < len(b) && b[i] != ',' && b[i] != '}' && b[i] != ' ' && b[i] != '\n' && b[i] != '\r' && b[i] != '\t' {
			i++
		}
		return i
	}
}

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
	// media is how many images and the like are in it, and mediaSize how long they
	// are together.
	media, mediaSize int64
	// whole is whether the body is kept whole and is an object: then the model's
	// value stands from modelAt to modelEnd, and the last field ends at end, if
	// there are fields.
	whole, fields          bool
	modelAt, modelEnd, end int64
}

// mediaTokens is what an image is expected to count for, however long it is as
// text: providers scale it down and ask for some hundred to 1,600 tokens.
const mediaTokens = 1000

// inputTokens is how many tokens a body of a size lets expect.
func (t *top) inputTokens(size int64) int64 {
	return (size-t.mediaSize)/4 + t.media*mediaTokens
}

// maxModel bounds a model's name.
const maxModel = 256

// topOf finds what a request is for: at the top level of a JSON body, and the
// model also in the path.
func topOf(path string, b *body) top {
	s := b.scan()
	defer s.close()
	t := readTop(&s)
	t.whole = s.whole && b.repeatable()
	if m := provider.PathModel(path); m != "" {
		t.model = m
	}
	return t
}

// readTop reads the top level of a JSON object. What is no JSON gives what came
// before that.
func readTop(s *scan) (t top) {
	for s.next() {
		switch string(s.name()) {
		case "model":
			t.model, t.modelAt, t.modelEnd = text(s.value), s.at, s.end
		case "stream":
			t.stream = string(s.value) == "true"
		case "store":
			t.unkept = string(s.value) == "false"
		case "stream_options":
			t.options = true
		case "max_tokens", "max_completion_tokens", "max_output_tokens":
			if n, err := strconv.ParseInt(string(s.value), 10, 64); err == nil && n > 0 {
				t.maxOutput = n
			}
		}
		t.fields = true
	}
	t.end, t.names, t.media, t.mediaSize = s.end, s.names, s.media, s.mediaSize
	return t
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

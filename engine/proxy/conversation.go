package proxy

import (
	"hash/maphash"
	"net/http"
	"strconv"

	"github.com/tidwall/gjson"
)

// sessionHeaders are where clients name the conversation they are in: coding
// agents, LibreChat (as its `headers` are set) and gateways.
var sessionHeaders = []string{"X-Session-Affinity", "X-Claude-Code-Session-Id", "Session-Id", "X-Session-Id", "Thread-Id", "X-Conversation", "X-Conversation-Id"}

// sessionFields are where a body names it.
var sessionFields = []string{"prompt_cache_key", "session_id", "metadata.user_id", "user"}

// openings are how conversations begin, in each API: what stays the same from
// one turn to the next.
var openings = [][]string{
	{"messages.0", "messages.1", "system"},
	{"instructions", "input.0", "conversation"},
	{"systemInstruction", "contents.0"},
}

var conversationSeed = maphash.MakeSeed()

// conversationOf names the conversation a request is a part of, "" if nothing
// tells. The name says nothing of what it was made of.
func conversationOf(h http.Header, b *body) string {
	for _, name := range sessionHeaders {
		if v := h[name]; len(v) > 0 && v[0] != "" {
			return hashed(name, v[0])
		}
	}
	if len(b.mem) == 0 || b.mem[0] != '{' {
		return ""
	}
	text := b.outline()
	for _, field := range sessionFields {
		if v := gjson.GetBytes(text, field); v.Type == gjson.String && v.Str != "" {
			return hashed(field, v.Str)
		}
	}
	for _, opening := range openings {
		var parts []string
		for _, v := range gjson.GetManyBytes(b.mem, opening...) {
			parts = append(parts, v.Raw)
		}
		if parts[0]+parts[1] != "" {
			return hashed(parts...)
		}
	}
	return ""
}

func hashed(parts ...string) string {
	var h maphash.Hash
	h.SetSeed(conversationSeed)
	for _, p := range parts {
		_, _ = h.WriteString(p)
		_ = h.WriteByte(0)
	}
	return strconv.FormatUint(h.Sum64(), 36)
}

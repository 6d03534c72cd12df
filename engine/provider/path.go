package provider

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Target is the path, percent-encoded, at which a client's path lives upstream
// when the key's base URL has the path base (DESIGN section 3, "Paths"). The
// client's path is what stood behind the service's name, byte for byte.
func (p *Provider) Target(base, path string) string {
	if rest, ok := strings.CutPrefix(path, "/~"); ok && (rest == "" || rest[0] == '/') {
		return rest
	}
	if rest, ok := cutSegment(path, "/v1"); ok && hasSegment(rest, "/v1") {
		path = rest
	}
	base = strings.TrimSuffix(base, "/")
	if hasSegment(path, base) {
		return path
	}
	for _, r := range p.Roots {
		if strings.HasPrefix(path, r[0]) {
			return r[1] + path[len(r[0]):]
		}
	}
	if rest, ok := cutSegment(path, "/v1"); ok {
		return base + rest
	}
	if versioned(path) {
		return path
	}
	return base + path
}

// cutSegment cuts a whole-segment prefix.
func cutSegment(path, prefix string) (rest string, ok bool) {
	if !hasSegment(path, prefix) {
		return path, false
	}
	return path[len(prefix):], true
}

func hasSegment(path, prefix string) bool {
	return strings.HasPrefix(path, prefix) && (len(path) == len(prefix) || path[len(prefix)] == '/')
}

// versioned reports whether the path's first segment is a version: v2, v1beta.
func versioned(path string) bool {
	seg, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	return len(seg) > 1 && seg[0] == 'v' && seg[1] >= '0' && seg[1] <= '9'
}

// endpoint is what a path is for.
type endpoint struct {
	ending string
	scope  string
	// repeatable POSTs make nothing that is billed beyond the answer.
	repeatable bool
}

// endpoints are looked through in order; ending matches whole segments
// anywhere in the path.
var endpoints = []endpoint{
	{"/chat/completions", "chat", true},
	{"/completions", "chat", true},
	{"/chat", "chat", true},
	{"/chatcompletion_v2", "chat", true},
	{"/text-generation/generation", "chat", true},
	{"/messages/batches", "chat", false},
	{"/messages", "chat", true},
	{"/responses", "chat", true},
	{":generateContent", "chat", true},
	{":streamGenerateContent", "chat", true},
	{":countTokens", "chat", true},
	{"/embeddings", "embedding", true},
	{":embedContent", "embedding", true},
	{":batchEmbedContents", "embedding", true},
	{"/rerank", "embedding", true},
	{"/moderations", "", true},
	{"/images", "image", false},
	{"/video", "video", false},
	{"/videos", "video", false},
	{"/audio", "audio", false},
	{"/tts", "audio", false},
	{"/stt", "audio", false},
	{"/ocr", "ocr", false},
}

// Describe tells what a request is for: the scope ("" unknown), and whether it
// may be sent again when an answer does not tell if it was carried out.
func Describe(method, path string) (scope string, repeatable bool) {
	repeatable = method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
	for _, e := range endpoints {
		i := strings.Index(path, e.ending)
		if i < 0 {
			continue
		}
		if end := i + len(e.ending); end == len(path) || path[end] == '/' {
			return e.scope, repeatable || e.repeatable && method == http.MethodPost
		}
	}
	return "", repeatable
}

// refines are scopes that no path tells: each is a way to use the one beside it.
var refines = map[string]string{"code": "chat"}

// Label is the scope of a request to a service that needs only one thing, when
// its path tells scope ("" nothing). It is what the service needs, unless the
// path plainly tells something else: a chat is no video, whoever asks for it.
func Label(scope, need string) string {
	plain := slices.ContainsFunc(endpoints, func(e endpoint) bool { return e.scope == need })
	if scope == "" || refines[need] == scope || !plain && refines[need] == "" {
		return need
	}
	return scope
}

// PathModel is the model that a Gemini or Azure path names, "" if none.
func PathModel(path string) string {
	for _, mark := range []string{"/models/", "/deployments/"} {
		if _, rest, ok := strings.Cut(path, mark); ok {
			return rest[:len(rest)-len(strings.TrimLeft(rest, modelChars))]
		}
	}
	return ""
}

const modelChars = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._"

// managed are the first segments of the paths behind which accounts, keys and
// organizations are managed. A service's keys are not for that unless its
// `allow` says so.
var managed = []string{"organization", "organizations", "admin", "keys", "api-keys", "api_keys", "billing", "dashboard", "credits", "users", "account", "accounts"}

// Allows is the built-in rule for a service that has no `allow` of its own:
// everything but the management of accounts, keys and organizations; of a plain
// REST API only reading. It decides on the path that is sent when the key's base
// URL has the path base, read as liberally as any server may read it.
func (p *Provider) Allows(method, base, path string) bool {
	if p.ReadOnly {
		return method == http.MethodGet || method == http.MethodHead
	}
	sent, _ := cutSegment(liberal(p.Target(base, path)), strings.TrimSuffix(liberal(base), "/"))
	first := true // of what follows the base and versions
	for seg := range strings.SplitSeq(strings.TrimPrefix(sent, "/"), "/") {
		seg, _, _ = strings.Cut(seg, ";")
		seg = strings.TrimRight(seg, ". ")
		if first && slices.Contains(managed, seg) {
			return false
		}
		first = versioned(seg)
	}
	return true
}

// Unescapings is how often a path's escapes are undone to see where it leads.
// The proxy lets none in that has more within each other.
const Unescapings = 4

// liberal is a path as the most liberal server reads it: percent-decoded as often
// as that changes it, every kind of slash one slash, doubled slashes one, in
// lower case. It is to decide by, not to send.
func liberal(path string) string {
	for range Unescapings {
		if strings.IndexByte(path, '%') < 0 {
			break
		}
		decoded, err := url.PathUnescape(path)
		if err != nil {
			break
		}
		path = decoded
	}
	path = strings.ReplaceAll(path, `\`, "/")
	for strings.Contains(path, "//") {
		path = strings.ReplaceAll(path, "//", "/")
	}
	return strings.ToLower(path)
}

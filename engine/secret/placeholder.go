package secret

import "strings"

// samples are texts that documentation puts where a key belongs. Names that
// local servers take for want of a key ("none", "EMPTY") are not among them.
var samples = map[string]bool{
	"": true, "changeme": true, "change-me": true, "change_me": true,
	"replaceme": true, "replace-me": true, "replace_me": true,
	"placeholder": true, "user_provided": true, "yourkey": true,
	"api_key": true, "api-key": true, "apikey": true, "key": true, "secret": true, "token": true,
}

// brackets are what surrounds a text that stands for another one.
var brackets = [][2]string{{"<", ">"}, {"${", "}"}, {"{{", "}}"}, {"[", "]"}}

// Placeholder reports whether text stands where a key belongs without being
// one: "your_key", "sk-...", "<key>", "${KEY}", "changeme", "".
func Placeholder(text string) bool {
	t := strings.ToLower(strings.TrimSpace(text))
	if samples[t] || strings.HasSuffix(t, "...") || strings.HasSuffix(t, "…") {
		return true
	}
	for _, b := range brackets {
		if strings.HasPrefix(t, b[0]) && strings.HasSuffix(t, b[1]) {
			return true
		}
	}
	bare := t
	for _, prefix := range []string{"sk-", "ant-", "proj-", "ghp_"} {
		bare = strings.TrimPrefix(bare, prefix)
	}
	return strings.Trim(bare, "x*-_") == "" || yours(bare)
}

// yours tells "your-openai-key" and "insert_your_token_here".
func yours(t string) bool {
	before, after, found := strings.Cut(t, "your")
	if !found || before != "" && !strings.HasSuffix(before, "-") && !strings.HasSuffix(before, "_") {
		return false
	}
	return strings.HasPrefix(after, "-") || strings.HasPrefix(after, "_") || strings.HasPrefix(after, "key") ||
		strings.HasPrefix(after, "api") || strings.HasPrefix(after, "token")
}

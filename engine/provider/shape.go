package provider

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"keywheel/engine"
)

// Shape is how the keys of a provider look, as far as that tells them from
// others'. No two of the facts below are needed for a request: they tell a person
// why one was refused.
type Shape struct {
	// Begins are what all its keys begin with; none where they have no such mark.
	Begins []string
	// Marks are what further keys of it begin with, and some of no other do.
	Marks []string
	// Others are credentials of the same provider that ask no model, by what they
	// begin with: what each is.
	Others map[string]string
}

// shapes are by provider. They are what the providers' consoles give out, and
// what their own documentation and the rules of secret scanners (gitleaks,
// noseyparker, kingfisher) say of it. AIMLAPI's are 32 hexadecimal digits, of
// Mistral, Cohere and Azure OpenAI some letters and digits: nothing tells theirs.
var shapes = map[string]Shape{
	"openai": {Begins: []string{"sk-"}, Marks: []string{"sk-proj-", "sk-svcacct-"},
		Others: map[string]string{"sk-admin-": "an admin key: it manages the organization and asks no model"}},
	"anthropic": {Begins: []string{"sk-ant-"},
		Others: map[string]string{"sk-ant-admin": "an admin key: it manages the organization and asks no model"}},
	"gemini":      {Begins: []string{"AIza", "AQ."}},
	"openrouter":  {Begins: []string{"sk-or-"}},
	"groq":        {Begins: []string{"gsk_"}},
	"xai":         {Begins: []string{"xai-"}},
	"siliconflow": {Begins: []string{"sk-"}},
	"deepseek":    {Begins: []string{"sk-"}},
	"dashscope":   {Begins: []string{"sk-"}},
	"together":    {Marks: []string{"tgp_v1_"}},
	"github": {Marks: []string{"ghp_", "gho_", "ghu_", "ghs_", "github_pat_"},
		Others: map[string]string{"ghr_": "a refresh token: it only gets another token"}},
	// No provider of ours, and often in the same .env.
	"Hugging Face": {Begins: []string{"hf_"}},
	"Perplexity":   {Begins: []string{"pplx-"}},
	"AWS":          {Begins: []string{"AKIA", "ASIA"}},
	"Slack":        {Begins: []string{"xoxb-", "xoxp-"}},
}

// Misshapen says what is odd about the text of a key for the place that it goes
// to, in words that hold nothing of it; "" is nothing. sure is false where it may
// be right all the same. What is proven by an answer need not be asked here.
func Misshapen(k *engine.Key) (odd string, sure bool) {
	text := k.Secret.Reveal()
	for _, form := range noKeys {
		if form.is.MatchString(text) {
			return form.odd, true
		}
	}
	p, ok := Lookup(k.Kind)
	u, err := url.Parse(k.BaseURL)
	if !ok || err != nil || !p.KnowsHost(u.Hostname()) {
		return "", false // a gateway gives out keys of its own
	}
	if len(text) < shortest {
		return "is shorter than any key", false
	}
	own := shapes[p.Name]
	mark, owners := longest(text)
	if what := own.Others[mark]; what != "" {
		return "is " + what, true
	}
	if mark != "" && len(owners) == 1 && owners[0] != p.Name {
		return fmt.Sprintf("looks like a key of %s, and goes to %s", owners[0], p.Name), true
	}
	if len(own.Begins) > 0 && !slices.ContainsFunc(own.Begins, func(b string) bool { return strings.HasPrefix(text, b) }) {
		return fmt.Sprintf("does not begin as keys of %s do (%s)", p.Name, strings.Join(own.Begins, ", ")), false
	}
	return "", false
}

// shortest is less than the length of any provider's keys.
const shortest = 12

// noKeys are texts that are no key of anybody.
var noKeys = []struct {
	is  *regexp.Regexp
	odd string
}{
	{regexp.MustCompile(`^(export:)?[A-Z][A-Z0-9]*_[A-Z0-9_]*=[^=]`), "holds NAME=value, where the value alone belongs"},
	{regexp.MustCompile(`^[a-z]+://`), "is a URL"},
	{regexp.MustCompile(`[,;]`), "holds several keys, or something behind the key: [keysets] takes many"},
	{regexp.MustCompile("^[\"'`“‘]|[\"'`”’]$"), "holds a quote"},
	{regexp.MustCompile(`^(env|file|dotenv|cmd|keyring):`), "is a reference to a key and no key: it is read only once"},
}

// longest is the longest known beginning that a text has, and whose it is.
func longest(text string) (mark string, owners []string) {
	for owner, s := range shapes {
		marks := slices.Concat(s.Begins, s.Marks)
		for m := range s.Others {
			marks = append(marks, m)
		}
		for _, m := range marks {
			switch {
			case !strings.HasPrefix(text, m) || len(m) < len(mark):
			case len(m) > len(mark):
				mark, owners = m, []string{owner}
			case !slices.Contains(owners, owner):
				owners = append(owners, owner)
			}
		}
	}
	return mark, owners
}

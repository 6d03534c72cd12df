package provider

import (
	"slices"
	"strings"
	"time"

	"keywheel/engine"
)

// blame is whom a rule blames.
type blame uint8

const (
	nobody blame = iota
	theKey
	theAccount
	// theModel is one model on the whole account: most limits are that.
	theModel
	// keysModel is one model on this key alone.
	keysModel
	// usual is whomever the provider's rate limits belong to.
	usual
)

// finding is what a rule concludes.
type finding struct {
	kind  engine.Kind
	blame blame
	until Until
	limit string // in the corpus's words; "" is read from the text
	// wait is what the provider's documentation says to wait where the answer
	// says nothing.
	wait time.Duration
	why  string // for people
	// elsewhere says that what the request names is not in the key's account.
	elsewhere bool
}

// rule is one line of a provider's table: what has to be seen, and what it
// means. All that is set has to be seen. Rules are tried in order.
type rule struct {
	// codes are machine codes, in lower case, split by |. A * in one stands for
	// anything.
	codes string
	// on are statuses; 4 and 5 are all of that hundred. Rules of words alone
	// are tried on 4xx and on errors without a status, unless on says more.
	on []int
	// words are what the message has, in lower case: alternatives split by |,
	// each of parts joined by &.
	words string
	finding

	anyCode []pattern
	anyWord [][]phrase
}

// rules is a table of rules, tried in order.
type rules []rule

// look is what the first rule that matches concludes, and by what; "" if none
// does.
func (rs rules) look(s *signs) (finding, string) {
	for i := range rs {
		if code, word, ok := rs[i].match(s); ok {
			return rs[i].finding, seenAs(code, word)
		}
	}
	return finding{}, ""
}

// compile makes a table ready for use.
func compile(rules rules) rules {
	for i := range rules {
		r := &rules[i]
		if r.codes != "" {
			for code := range strings.SplitSeq(r.codes, "|") {
				r.anyCode = append(r.anyCode, pattern{code, strings.Contains(code, "*")})
			}
		}
		if r.words == "" {
			continue
		}
		for alternative := range strings.SplitSeq(r.words, "|") {
			var parts []phrase
			for part := range strings.SplitSeq(alternative, "&") {
				parts = append(parts, newPhrase(part))
			}
			r.anyWord = append(r.anyWord, parts)
		}
	}
	return rules
}

// match reports whether the rule's conditions are seen, and by what.
func (r *rule) match(s *signs) (code, word string, ok bool) {
	switch {
	case r.on != nil && !slices.ContainsFunc(r.on, func(on int) bool { return on == s.status || on < 10 && on == s.status/100 }):
		return "", "", false
	case r.on == nil && r.anyCode == nil && s.status >= 500:
		return "", "", false
	}
	if r.anyCode == nil && s.aboutRequest() && (r.kind == engine.InvalidKey || r.kind == engine.QuotaExhausted) {
		return "", "", false
	}
	if r.anyCode != nil {
		if code = s.hasCode(r.anyCode); code == "" {
			return "", "", false
		}
	}
	if r.anyWord != nil {
		if word = s.hasWord(r.anyWord); word == "" {
			return "", "", false
		}
	}
	return code, word, true
}

// hasCode is the first of the answer's codes that is wanted.
func (s *signs) hasCode(wanted []pattern) string {
	for i := range wanted {
		w := &wanted[i]
		for _, c := range s.codes {
			if c == w.text || w.open && like(c, w.text) {
				return c
			}
		}
	}
	return ""
}

// pattern is a code; in an open one each * stands for anything.
type pattern struct {
	text string
	open bool
}

// like matches a pattern in which each * stands for anything.
func like(code, pattern string) bool {
	head, rest, open := strings.Cut(pattern, "*")
	if !open {
		return code == pattern
	}
	code, ok := strings.CutPrefix(code, head)
	for ok {
		head, rest, open = strings.Cut(rest, "*")
		if !open {
			return strings.HasSuffix(code, head)
		}
		_, code, ok = strings.Cut(code, head)
	}
	return false
}

// hasWord is the first alternative that the text has all parts of.
func (s *signs) hasWord(alternatives [][]phrase) string {
	for _, parts := range alternatives {
		all := true
		for i := range parts {
			if p := &parts[i]; !s.pairs.mayHave(p) || !strings.Contains(s.text, p.text) {
				all = false
				break
			}
		}
		if all {
			return parts[0].text
		}
	}
	return ""
}

// phrase is a text that is looked for, with some of its pairs of bytes.
type phrase struct {
	text  string
	pairs [4]uint16
}

func newPhrase(text string) phrase {
	p := phrase{text: text}
	for i := range p.pairs {
		at := i * (len(text) - 2) / (len(p.pairs) - 1)
		p.pairs[i] = pair(text[at], text[at+1])
	}
	return p
}

// pairSet is the set of the pairs of bytes in a text. Hundreds of phrases are
// looked for in a message, and one look at the set rules out most of them.
type pairSet [64]uint64

func pair(a, b byte) uint16 { return (uint16(a)<<6 ^ uint16(b)) & 4095 }

func (ps *pairSet) add(text string) {
	for i := 1; i < len(text); i++ {
		n := pair(text[i-1], text[i])
		ps[n>>6] |= 1 << (n & 63)
	}
}

func (ps *pairSet) mayHave(p *phrase) bool {
	for _, n := range p.pairs {
		if ps[n>>6]&(1<<(n&63)) == 0 {
			return false
		}
	}
	return true
}

// sure are the sentences by which providers refuse a key or an account under a
// 400, the status of a bad request. They stand at the beginning: further on, or
// in quotes, such words may be the client's own.
var sure = []string{
	"credit balance is too low", "credit balance is insufficient", "reached your specified", "usage limits. you will regain", "workspace api usage limits",
	"insufficient balance", "insufficient account balance", "insufficient credit", "enough credits", "account is in good standing", "余额不足", "欠费", "账户已",
	"organization has been", "organization is disabled", "organization disabled", "account has been", "account is", "account suspended", "account deactivated", "account disabled",
	"api key not valid", "api key expired", "api key is invalid", "api key is not valid", "api key has", "api key was", "api key is", "api key not found", "api key invalid",
	"incorrect api key", "invalid api key", "invalid x-api-key", "the api key", "key was reported as leaked", "key has been", "令牌", "密钥", "身份验证",
}

// sureWithin is how far from the beginning such a sentence may start: behind
// "Error: ", "Access denied, please make sure your " and the like.
const sureWithin = 40

// aboutRequest reports whether an answer complains of the request, so that
// whatever words it has may be the client's own, and blame no key.
func (s *signs) aboutRequest() bool {
	switch s.status {
	case 404, 405, 409, 413, 415, 422:
		return true
	case 400:
	default:
		return false
	}
	if s.param {
		return true
	}
	said := unquoted(s.text)
	for _, sentence := range sure {
		if i := strings.Index(said, sentence); i >= 0 && i <= sureWithin && !strings.Contains(strings.TrimPrefix(said[:i], "error:"), ":") {
			return false
		}
	}
	return true
}

// unquoted is a text without what stands in quotes or backticks.
func unquoted(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		i := strings.IndexAny(text, "\"`'“")
		if i < 0 {
			break
		}
		closing := string(text[i])
		if strings.HasPrefix(text[i:], "“") {
			closing = "”"
		}
		j := strings.Index(text[i+1:], closing)
		if j < 0 || closing == "'" && i > 0 && text[i-1] != ' ' && text[i-1] != '(' && text[i-1] != ':' {
			// An apostrophe, or a quote that does not end.
			b.WriteString(text[:i+1])
			text = text[i+1:]
			continue
		}
		b.WriteString(text[:i])
		text = text[i+1+j+len(closing):]
	}
	b.WriteString(text)
	return b.String()
}

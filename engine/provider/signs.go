package provider

import (
	"bytes"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// The bounds of what is looked at in an error's body.
const (
	maxBody    = 64 << 10
	maxText    = 4 << 10
	maxCode    = 100
	maxCodes   = 24
	maxNesting = 3
)

// signs are what an error's answer shows, gathered once, so that rules only
// compare.
type signs struct {
	p      *Provider
	a      *Answer
	header http.Header
	// at is when the answer was made, by its own clock.
	at time.Time
	// status is the answer's, or what an error inside a 200 says of itself; 0
	// unknown.
	status int
	inBody bool
	html   bool
	// param is set where the answer names the parameter it does not like.
	param bool
	json  bool

	codes   []string // lower case, the telling first
	ranks   []int
	code    string // the most telling one, as it came
	message string
	text    string  // lower case
	pairs   pairSet // of text
	model   string  // that the answer names
	wait    time.Duration
	until   time.Time
	waitBy  string
}

// gather reads an error's head and body.
func gather(p *Provider, a *Answer) *signs {
	s := &signs{p: p, a: a, header: a.Header, status: a.Status, at: a.made()}
	for _, h := range codeHeaders {
		if v := a.Header[h.name]; len(v) > 0 {
			s.addCode(h.read(v[0]), 0)
		}
	}
	body := bytes.TrimSpace(bytes.TrimPrefix(a.Body[:min(len(a.Body), maxBody)], []byte("\xef\xbb\xbf")))
	if isStream(a) {
		body = firstData(body)
	}
	switch {
	case len(body) == 0:
	case body[0] == '{' || body[0] == '[':
		s.json = true
		s.object(gjson.ParseBytes(body), 0)
	case body[0] == '"':
		s.json = true
		s.message = gjson.ParseBytes(body).String()
	case isHTML(body):
		s.html = true
		s.message = "an HTML page"
		s.text = strings.ToLower(string(body[:min(len(body), 4*maxText)]))
		if title := between(s.text, "<title>", "</title>"); title != "" {
			s.message += ": " + strings.TrimSpace(title)
		}
	default:
		s.message = string(body[:min(len(body), maxText)])
		s.addCode(between(s.message, "<Code>", "</Code>"), 2) // of XML
	}
	if s.text == "" {
		s.text = strings.ToLower(s.message[:min(len(s.message), maxText)])
	}
	s.pairs.add(s.text)
	return s
}

// firstData is the data of a stream's first frame that has any; a body that is
// no stream stays as it is.
func firstData(body []byte) []byte {
	for line := range bytes.SplitSeq(body, []byte("\n")) {
		if data, ok := dataOf(line); ok && len(data) > 0 {
			return data
		}
	}
	return body
}

func isHTML(body []byte) bool {
	return len(body) > 0 && body[0] == '<' && !bytes.HasPrefix(body, []byte("<?xml")) && !bytes.HasPrefix(body, []byte("<Error"))
}

func between(s, from, to string) string {
	_, rest, ok := strings.Cut(s, from)
	if !ok {
		return ""
	}
	inner, _, ok := strings.Cut(rest, to)
	if !ok {
		return ""
	}
	return inner[:min(len(inner), 200)]
}

// codeHeaders are headers that bear a machine code.
var codeHeaders = []struct {
	name string
	read func(string) string
}{
	{"X-Amzn-Errortype", func(v string) string { code, _, _ := strings.Cut(v, ":"); return code }},
	{"Www-Authenticate", func(v string) string { return between(v, `error="`, `"`) }},
	{"X-Error-Code", func(v string) string { return v }},
	{"X-Deny-Reason", func(v string) string { return v }},
	{"X-Squid-Error", func(v string) string { code, _, _ := strings.Cut(v, " "); return code }},
}

// How telling the fields are that bear a machine code: the lowest first.
var codeFields = map[string]int{
	"errorcode": 1, "reason": 1, "limitsource": 1, "quotaid": 1, "errcode": 1,
	"code": 2, "statuscode": 5, "errortype": 3, "type": 4, "status": 4, "__type": 2, "errornum": 3, "name": 6,
}

// messageFields bear the text.
var messageFields = map[string]int{
	"message": 1, "msg": 1, "errormessage": 1, "errormsg": 1, "errmsg": 1, "statusmsg": 1, "faultstring": 1, "detail": 2,
	"errordescription": 1, "description": 3, "title": 4, "error": 2, "info": 4, "reason": 5,
}

// waitFields bear a delay or a moment; the value is the unit of a bare number.
var waitFields = map[string]time.Duration{
	"retryafter": time.Second, "retryafterseconds": time.Second, "retryaftersec": time.Second, "retryaftersecs": time.Second, "retryafterms": time.Millisecond,
	"retryin": time.Second, "retrydelay": time.Second, "retrydelayms": time.Millisecond, "resetin": time.Second, "resetsin": time.Second, "resetinseconds": time.Second,
	"resetsinseconds": time.Second, "resetsat": time.Second, "resetat": time.Second, "resettime": time.Second, "resettimestamp": time.Second,
	"waitseconds": time.Second, "retryafterts": time.Second, "nextflushtime": time.Second, "nextresettime": time.Second, "ratelimitreset": time.Second,
}

// inner are the fields whose objects are read as well.
var inner = map[string]bool{
	"error": true, "errors": true, "details": true, "innererror": true, "metadata": true, "availability": true, "baseresp": true, "fault": true,
	"violations": true, "parameters": true, "responsemetadata": true, "response": true, "detail": true, "cause": true, "errordetails": true, "quotadimensions": true,
	"rawerror": true,
}

// object reads what an object, or an array of them, says.
func (s *signs) object(o gjson.Result, depth int) {
	if depth > maxNesting+2 {
		return
	}
	if o.IsArray() {
		n := 0
		o.ForEach(func(_, item gjson.Result) bool {
			if item.IsObject() {
				s.object(item, depth+1)
			}
			n++
			return n < 8
		})
		return
	}
	messageRank := 99
	o.ForEach(func(key, value gjson.Result) bool {
		name := plain(key.Str)
		switch value.Type {
		case gjson.String, gjson.Number:
			s.field(name, value, depth, &messageRank)
		case gjson.JSON:
			switch {
			case name == "headers":
				s.innerHeaders(value)
			case name == "message" && value.IsObject():
				s.say(value.Raw, 3, depth, &messageRank)
				s.object(value, depth+1)
			case inner[name]:
				s.object(value, depth+1)
			case name == "requestedmodels" && s.model == "":
				s.model = value.Get("0").String()
			}
		}
		return true
	})
}

// field reads one field of an object.
func (s *signs) field(name string, value gjson.Result, depth int, messageRank *int) {
	text := value.String()
	if rank, ok := codeFields[name]; ok && (value.Type == gjson.Number || len(text) <= maxCode) {
		s.addCode(text, rank+s.deeper(depth))
	}
	if unit, ok := waitFields[name]; ok {
		s.waitField(name, value, unit)
	}
	if value.Type != gjson.String {
		return
	}
	if rank, ok := messageFields[name]; ok {
		s.say(text, rank, depth, messageRank)
		if name == "error" && isToken(text) {
			s.addCode(text, 2)
		}
	}
	switch {
	case name == "model" && s.model == "":
		s.model = text
	case name == "param":
		s.param = s.param || text != ""
	case name == "providername":
		s.addCode("from_provider", 9)
	case name == "raw" && depth > 0 || name == "message" && strings.HasPrefix(strings.TrimSpace(text), "{"):
		// A relay put the answer it got into its own.
		if inner := strings.TrimSpace(text); depth <= maxNesting && strings.HasPrefix(inner, "{") {
			s.object(gjson.Parse(inner), depth+2)
		} else if len(s.message)+len(text) < maxText {
			s.message += " " + text
		}
	}
}

// deeper makes codes of an error object come before those around it, and those
// of what a relay wrapped after both.
func (s *signs) deeper(depth int) int {
	if depth == 0 {
		return 10
	}
	return 0
}

// say takes a message: the first, or a better one; further ones of inner
// objects are put behind it.
func (s *signs) say(text string, rank, depth int, have *int) {
	if text = strings.TrimSpace(text); text == "" {
		return
	}
	switch {
	case s.message == "" || rank < *have && *have != 99:
		s.message = text[:min(len(text), maxText)]
	case len(s.message)+len(text) < maxText && !strings.Contains(s.message, text):
		s.message += " | " + text
	default:
		return
	}
	*have = min(*have, rank)
}

// addCode keeps a code in its rank.
func (s *signs) addCode(code string, rank int) {
	code = strings.TrimSpace(code)
	if code == "" || len(code) > maxCode || len(s.codes) >= maxCodes {
		return
	}
	i := len(s.codes)
	for i > 0 && s.ranks[i-1] > rank {
		i--
	}
	if i == 0 || s.code == "" {
		s.code = code
	}
	s.codes = slices.Insert(s.codes, i, strings.ToLower(code))
	s.ranks = slices.Insert(s.ranks, i, rank)
}

// waitField reads a field that says how long to wait, or until when.
func (s *signs) waitField(name string, value gjson.Result, unit time.Duration) {
	var d time.Duration
	var ok bool
	switch {
	case value.Type == gjson.Number && unit == time.Millisecond:
		d, ok = positive(time.Duration(value.Num * float64(unit)))
	case value.Type == gjson.Number:
		d, ok = waitNumber(value.Num, s.at)
		if t, isEpoch := epoch(value.Num); isEpoch && s.until.IsZero() {
			s.until = t
		}
	default:
		d, ok = parseWait(value.Str, s.at, s.p.zone())
		if t, isMoment := parseMoment(value.Str, s.p.zone()); isMoment && s.until.IsZero() {
			s.until = t
		}
	}
	if ok && s.wait == 0 {
		s.wait, s.waitBy = d, name
	}
}

// innerHeaders takes headers that a relay put into its body.
func (s *signs) innerHeaders(o gjson.Result) {
	s.header = s.header.Clone()
	if s.header == nil {
		s.header = http.Header{}
	}
	n := 0
	o.ForEach(func(key, value gjson.Result) bool {
		if s.header.Get(key.Str) == "" && len(key.Str) < 100 {
			s.header.Set(key.Str, value.String())
		}
		n++
		return n < 32
	})
}

// plain is a field's name without its style: retry_after, retryAfter and
// Retry-After are one.
func plain(name string) string {
	if len(name) > 40 {
		return ""
	}
	easy := true
	for i := range len(name) {
		if c := name[i]; c < 'a' || c > 'z' {
			easy = false
			break
		}
	}
	if easy {
		return name
	}
	var b [40]byte
	n := 0
	for i := range len(name) {
		c := name[i]
		switch {
		case c == '_' || c == '-':
			continue
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		}
		b[n] = c
		n++
	}
	return string(b[:n])
}

// isToken reports whether a text is one word, as machine codes are.
func isToken(s string) bool {
	return s != "" && len(s) <= 60 && !strings.ContainsAny(s, " \n\t") && strings.IndexFunc(s, func(r rune) bool { return r >= 0x80 }) < 0
}

// errorStatus is the status that an error inside a body gives itself: its code
// or a field of that name; 0 if none.
func errorStatus(root, e gjson.Result) int {
	for _, r := range [...]gjson.Result{e.Get("http_status"), e.Get("status"), e.Get("status_code"), e.Get("code"), root.Get("status"), root.Get("statusCode"), root.Get("status_code"), root.Get("code")} {
		if n := r.Int(); n >= 400 && n < 600 {
			return int(n)
		}
	}
	return 0
}

// setUntil takes the moment at which a hold ends from elsewhere than the body.
func (s *signs) setUntil(t time.Time, by string) {
	if t.IsZero() {
		return
	}
	s.until = t
	if d, ok := positive(t.Sub(s.at)); ok {
		s.wait, s.waitBy = d, by
	}
}

package provider

import (
	"bytes"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tidwall/gjson"
)

// Resource is something made upstream that only the account which made it can
// use. Where an id may stand in several fields they are split by |; nested ones
// are written as gjson does ("output.task_id").
type Resource struct {
	// Create is how the path ends (or, ending in a slash, what it has in it)
	// whose POST makes one; "" where the answer that makes one is not looked at.
	Create string
	// ID is where the answer to Create has the id, "" is "id".
	ID string
	// Head is a header of that answer whose URL has the id as its Query.
	Head string
	// Use is what stands before its id in the paths that use it, or, without a
	// slash at its end, the path whose Query names it. "" is any path with Query.
	Use string
	// Query is the query parameter that names one.
	Query string
	// Fields are the fields of a request's body, at any depth, that name one: as
	// a string, a list of strings, or an object with an id.
	Fields []string
	// Tells is where the answers about one have the ids of others that came of
	// it.
	Tells string
}

// What many providers have, in OpenAI's words.
var (
	files = Resource{Create: "/files", Use: "/files/", Fields: []string{"file_id", "file_ids", "input_file_id", "training_file", "validation_file"}}
	// The results of a batch are files of the account that made it.
	batches   = Resource{Create: "/batches", Use: "/batches/", Tells: "output_file_id|error_file_id"}
	responses = Resource{Create: "/responses", ID: "id|response.id", Use: "/responses/", Fields: []string{"previous_response_id"}}
	fineTunes = Resource{Create: "/fine_tuning/jobs", Use: "/fine_tuning/jobs/", Tells: "fine_tuned_model|result_files"}

	openAIResources = []Resource{
		files, batches, responses, fineTunes,
		{Create: "/uploads", Use: "/uploads/", Tells: "file.id"},
		{Create: "/conversations", Use: "/conversations/", Fields: []string{"conversation"}},
		{Create: "/threads", Use: "/threads/", Fields: []string{"thread_id"}}, {Create: "/threads/runs", ID: "thread_id"},
		{Create: "/assistants", Use: "/assistants/", Fields: []string{"assistant_id"}},
		{Create: "/vector_stores", Use: "/vector_stores/", Fields: []string{"vector_store_ids", "vector_store_id"}},
		{Create: "/containers", Use: "/containers/", Fields: []string{"container"}},
		{Create: "/videos", Use: "/videos/"}, {Create: "/remix"}, {Create: "/evals", Use: "/evals/"},
		// Every chat has an id, and next to none is kept: they are not learned.
		{Use: "/chat/completions/"},
		// The next page of a list is of the account that the first was of.
		{Query: "after"}, {Query: "before"},
	}
)

// taskFields are where the id of a task usually stands in the answer that
// starts it: the rule for what no table tells of.
const taskFields = "id|task_id|taskId|request_id|requestId|generation_id|job_id|output.task_id|data.id|data.task_id"

// verbs stand in paths where ids stand too.
var verbs = []string{"runs", "upload", "retrieve", "input_tokens", "compact", "cancel", "search", "create", "jobs", "generations", "completions"}

const (
	// maxID bounds an id, maxNamed how many of them one request is read for.
	maxID    = 256
	maxNamed = 64
	// maxDepth is how deep a body is looked into.
	maxDepth = 24
	idChars  = modelChars + "=~"
)

// normalID is the form in which an id is remembered: the last part of a path,
// without what follows a colon (AIMLAPI's vendor, Google's verb), but for the
// names of fine-tuned models, which are kept whole. It is "" of what is no id.
func normalID(s string) string {
	model := strings.HasPrefix(s, "ft:")
	if !model {
		s = s[strings.LastIndexByte(s, '/')+1:]
		s, _, _ = strings.Cut(s, ":")
	}
	if s == "" || len(s) > maxID || slices.Contains(verbs, s) || strings.Trim(s, idChars) != "" && !(model && strings.Trim(s, idChars+":") == "") {
		return ""
	}
	return s
}

// looksLikeID tells an id from a word: it is long and has a digit.
func looksLikeID(s string) bool { return len(s) >= 8 && strings.ContainsAny(s, "0123456789") }

// fieldNames are the fields of bodies that name a resource anywhere, and
// fieldShapes, per length of a name, the last letters they have: a body has
// thousands of strings, and this rules out nearly all of them.
var (
	fieldNames  = map[string]bool{}
	fieldShapes [32]uint32
)

func init() {
	for i := range table {
		for _, r := range table[i].Bound {
			for _, name := range r.Fields {
				fieldNames[name] = true
				fieldShapes[len(name)&31] |= 1 << (name[len(name)-1] & 31)
			}
		}
	}
}

// MayName reports whether a field of this name may name a bound resource.
func MayName(field []byte) bool {
	n := len(field)
	return n > 0 && n < len(fieldShapes) && fieldShapes[n]>>(field[n-1]&31)&1 != 0 && fieldNames[string(field)]
}

// Call is as much of a request as tells which bound resources it names.
type Call struct {
	Method, Path, Query string
	// Repeatable is what [Describe] says of it.
	Repeatable bool
	Model      string
	// Body is its JSON body; nil where that has no field that [MayName].
	Body []byte
}

// Names are the ids of the bound resources that a request names: in its path,
// its query, its model and its body. guessed says that they are only taken for
// ids because they look like some: then they count where they are known.
func (p *Provider) Names(c Call) (ids []string, guessed bool) {
	if p.ReadOnly {
		return nil, false // GitHub's ids are everybody's
	}
	path := c.Path
	if strings.IndexByte(path, '%') >= 0 {
		if decoded, err := url.PathUnescape(path); err == nil {
			path = decoded
		}
	}
	var values url.Values
	if c.Query != "" {
		values, _ = url.ParseQuery(c.Query)
	}
	for i := range p.Bound {
		r := &p.Bound[i]
		at := -1
		if r.Use != "" {
			at = strings.Index(path, r.Use)
		}
		if at >= 0 && strings.HasSuffix(r.Use, "/") {
			id, _, _ := strings.Cut(path[at+len(r.Use):], "/")
			ids = add(ids, id)
		}
		if r.Query != "" && (at >= 0 || r.Use == "") {
			ids = add(ids, values.Get(r.Query))
		}
	}
	if strings.HasPrefix(c.Model, "ft:") {
		ids = add(ids, c.Model)
	}
	if len(c.Body) > 0 {
		ids = p.inFields(ids, gjson.ParseBytes(c.Body), maxDepth)
	}
	if len(ids) > 0 {
		return ids, p.anyAPI
	}
	if c.Method == http.MethodPost && c.Repeatable || strings.Contains(path, "/models") {
		return nil, false
	}
	return guess(path, values), true
}

// guess finds what looks like an id in a path or a query of an API of which no
// table tells.
func guess(path string, values url.Values) (ids []string) {
	for seg := range strings.SplitSeq(path, "/") {
		if looksLikeID(seg) {
			ids = add(ids, seg)
		}
	}
	for name, vs := range values {
		if strings.HasSuffix(strings.ToLower(name), "id") && looksLikeID(vs[0]) {
			ids = add(ids, vs[0])
		}
	}
	return ids
}

func add(ids []string, id string) []string {
	if id = normalID(id); id == "" || len(ids) >= maxNamed || slices.Contains(ids, id) {
		return ids
	}
	return append(ids, id)
}

// inFields finds the ids that a body names, however deep.
func (p *Provider) inFields(ids []string, v gjson.Result, depth int) []string {
	v.ForEach(func(name, v gjson.Result) bool {
		if name.Type == gjson.String && fieldNames[name.Str] {
			for i := range p.Bound {
				if slices.Contains(p.Bound[i].Fields, name.Str) {
					ids = p.Bound[i].named(ids, v)
					break
				}
			}
		}
		if depth > 0 && (v.IsObject() || v.IsArray()) {
			ids = p.inFields(ids, v, depth-1)
		}
		return len(ids) < maxNamed
	})
	return ids
}

// named adds what a field's value names.
func (r *Resource) named(ids []string, v gjson.Result) []string {
	switch {
	case v.IsArray():
		v.ForEach(func(_, v gjson.Result) bool {
			ids = r.named(ids, v)
			return len(ids) < maxNamed
		})
		return ids
	case v.IsObject():
		v = v.Get("id")
	}
	id := idOf(v)
	if strings.Contains(id, "://") && !strings.Contains(id, r.Use) {
		return ids // a URL of something else, say of a film on YouTube
	}
	return add(ids, id)
}

// idOf is the id that a value is; some count theirs.
func idOf(v gjson.Result) string {
	switch v.Type {
	case gjson.String:
		return v.Str
	case gjson.Number:
		return v.Raw
	default:
		return ""
	}
}

// creates reports whether a POST to path makes one.
func (r *Resource) creates(path string) bool {
	if strings.HasSuffix(r.Create, "/") {
		return strings.Contains(path, r.Create)
	}
	return r.Create != "" && strings.HasSuffix(path, r.Create)
}

// uses reports whether the path is that of one.
func (r *Resource) uses(path string) bool { return r.Use != "" && strings.Contains(path, r.Use) }

func makes(method string) bool { return method == http.MethodPost || method == http.MethodPut }

// Learns reports whether a successful answer to such a request may tell the ids
// of things that are from then on bound to the account that answered.
func (p *Provider) Learns(method, path string, repeatable bool) bool {
	if p.ReadOnly || method == http.MethodHead || method == http.MethodDelete {
		return false
	}
	for i := range p.Bound {
		r := &p.Bound[i]
		if makes(method) && r.creates(path) || r.Tells != "" && r.uses(path) {
			return true
		}
	}
	return makes(method) && !repeatable
}

// Learned are the ids that a successful answer tells: in its JSON body or, of a
// stream, in one event's data. What it tells nothing of, it does not make up,
// whatever the body is.
func (p *Provider) Learned(method, path string, body []byte) (ids []string) {
	body = bytes.TrimLeft(body, " \t\r\n")
	if len(body) == 0 || body[0] != '{' {
		return nil
	}
	root, known := gjson.ParseBytes(body), false
	for i := range p.Bound {
		r := &p.Bound[i]
		if makes(method) && r.creates(path) {
			known = true
			where := r.ID
			if where == "" {
				where = "id"
			}
			ids = read(ids, root, where)
		}
		if r.uses(path) {
			known = true
			ids = read(ids, root, r.Tells)
		}
	}
	if known || !makes(method) {
		return ids
	}
	return slices.DeleteFunc(read(ids, root, taskFields), func(id string) bool { return !looksLikeID(id) })
}

// LearnedInHead are the ids that a successful answer's head tells: that of an
// upload, which the URL to send it to has.
func (p *Provider) LearnedInHead(h http.Header) (ids []string) {
	for i := range p.Bound {
		if r := &p.Bound[i]; r.Head != "" && len(h[r.Head]) > 0 {
			if u, err := url.Parse(h[r.Head][0]); err == nil {
				ids = add(ids, u.Query().Get(r.Query))
			}
		}
	}
	return ids
}

// read adds the ids that stand in the places, split by |, of an answer.
func read(ids []string, root gjson.Result, places string) []string {
	if places == "" {
		return ids
	}
	for place := range strings.SplitSeq(places, "|") {
		v := root.Get(place)
		if !v.IsArray() {
			ids = add(ids, idOf(v))
			continue
		}
		v.ForEach(func(_, v gjson.Result) bool {
			ids = add(ids, idOf(v))
			return len(ids) < maxNamed
		})
	}
	return ids
}

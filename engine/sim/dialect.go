package sim

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
)

// refusal is why a provider does not serve a request.
type refusal uint8

const (
	served refusal = iota
	missingKey
	invalidKey
	scopeDenied
	overRate
	outOfQuota
	outage
	noRoute
	noModel
	badBody
	demanded
)

// dialect is how one provider speaks.
type dialect struct {
	// base is the path of its base URL.
	base string
	// places are where it reads a key from, in its order.
	places []place
	routes []route
	// refusals are its words for every refusal.
	refusals map[refusal]func(*call) answer
	// stamp adds the headers that every answer to a known key bears.
	stamp func(*call, http.Header)
	// demand is a header that it insists on; "" is none.
	demand string
	// quota is what a key that names none has.
	quota int64
	per   time.Duration
}

// place is a header, or with query set a query parameter, that holds a key.
type place struct {
	name, prefix string
	query        bool
}

// read gives the key in its place.
func (p place) read(r *http.Request) string {
	if p.query {
		return r.URL.Query().Get(p.name)
	}
	v := r.Header.Get(p.name)
	if len(v) < len(p.prefix) || !strings.EqualFold(v[:len(p.prefix)], p.prefix) {
		return ""
	}
	return v[len(p.prefix):]
}

var bearer = []place{{name: "Authorization", prefix: "Bearer "}}

// route is one thing a provider can do.
type route struct {
	// pattern is as http.ServeMux takes it, with the base path.
	pattern string
	scope   string
	// free routes cost nothing and are never limited.
	free bool
	// model is true where the body has to name one.
	model bool
	// writes is true where the answer has output tokens.
	writes bool
	// usd is what one request costs; 0 is what its tokens cost.
	usd   float64
	serve func(*call)
}

// answer is a whole answer that is no stream.
type answer struct {
	status int
	header map[string]string
	// kind is the content type; "" is JSON.
	kind string
	body string
}

// object is a JSON object.
type object = map[string]any

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only values made here come here
	}
	return string(b)
}

func jsonAnswer(status int, v any) answer { return answer{status: status, body: encode(v)} }

// fixed is a refusal that always reads the same.
func fixed(status int, v any) func(*call) answer {
	a := jsonAnswer(status, v)
	return func(*call) answer { return a }
}

package sim

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"
)

// maxBody is as much of a request's body as is kept to look at.
const maxBody = 8 << 20

// call is one request on its way to an answer.
type call struct {
	u     *Upstream
	w     http.ResponseWriter
	r     *http.Request
	route *route
	key   *key
	given string // the key as the client gave it
	body  []byte
	now   time.Time
	model string
	id    string // unique, hexadecimal

	status  int           // of an outage
	wait    time.Duration // until the rate allows this request
	unit    string        // which rate does not: "requests" or "tokens"
	until   time.Time     // when a quota comes back
	took    time.Duration // how long the answer takes
	cut     bool          // the stream breaks off
	in, out int           // tokens
	usd     float64
	pieces  []string // the text of the answer
	limits  limits
	stamped bool // the answer bears the account's headers
}

// limits is how the account stands after this request, for headers.
type limits struct {
	rpm, tpm                    float64
	requestsLeft, tokensLeft    int
	requestsFull, tokensFull    time.Duration
	quota, quotaUsed, quotaLeft int64
	quotaReset                  time.Time
	plain                       [2]told // of requests and of tokens
}

func (u *Upstream) serve(w http.ResponseWriter, r *http.Request, rt *route) {
	c := &call{u: u, w: w, r: r, route: rt, now: time.Now()}
	var err error
	if c.body, err = io.ReadAll(io.LimitReader(r.Body, maxBody)); err == nil {
		_, err = io.Copy(io.Discard, r.Body)
	}
	if err != nil {
		panic(http.ErrAbortHandler) // the client left
	}
	why := c.admit()
	if why == outage && c.status == Cut {
		panic(http.ErrAbortHandler)
	}
	if why != served {
		c.refuse(why)
		return
	}
	rt.serve(c)
}

// admit decides, draws what is random about the answer, and books it.
func (c *call) admit() refusal {
	u := c.u
	u.mu.Lock()
	defer u.mu.Unlock()
	u.note(c.r, c.route != nil && c.route.free)
	c.id = fmt.Sprintf("%016x%016x", u.ids.Uint64(), u.ids.Uint64())
	c.status = u.outage
	c.key, c.given = u.find(c.r)
	if k := c.key; k != nil {
		k.account.tick(c.now)
		c.took = time.Duration(float64(k.Latency.draw(k.random)) * u.slow)
	}
	why := c.judge()
	switch {
	case c.key == nil || why == invalidKey || why == outage:
		return why
	case why == served && c.route.free:
		c.key.counts.Free++
		c.took /= 5
	case why == served:
		c.book()
	}
	c.limits, c.stamped = c.key.account.limits(), true
	return why
}

// judge goes through the reasons to refuse, in the order real providers do.
// The caller holds the lock.
func (c *call) judge() refusal {
	switch {
	case c.status != 0:
		return outage
	case c.given == "":
		return missingKey
	case c.key == nil || c.key.revoked:
		return invalidKey
	case c.u.dialect.demand != "" && c.r.Header.Get(c.u.dialect.demand) == "":
		return demanded
	case c.route == nil:
		return noRoute
	case c.route.scope != "" && len(c.key.Scopes) > 0 && !slices.Contains(c.key.Scopes, c.route.scope):
		return scopeDenied
	case c.route.free:
		return served
	case c.r.Method == http.MethodPost && !gjson.ValidBytes(c.body):
		return badBody
	}
	c.model = gjson.GetBytes(c.body, "model").String()
	if name := c.r.PathValue("call"); name != "" {
		c.model, _, _ = strings.Cut(name, ":")
	}
	switch {
	case c.route.model && c.model == "":
		return badBody
	case c.route.model && len(c.u.options.Models) > 0 && !slices.Contains(c.u.options.Models, c.model):
		return noModel
	}
	c.weigh()
	a, ok := c.key.account, false
	if c.until, ok = a.spent(); ok {
		return outOfQuota
	}
	if c.wait = a.requests.wait(1); c.wait > 0 {
		c.unit = "requests"
		return overRate
	}
	if c.wait = a.tokens.wait(float64(c.in + c.out)); c.wait > 0 {
		c.unit = "tokens"
		return overRate
	}
	return served
}

// weigh draws the answer's length and what it costs.
func (c *call) weigh() {
	if c.route.model {
		c.in = max(1, len(c.body)/4)
	}
	if c.route.writes {
		c.out = 24 + int(c.key.random.ExpFloat64()*160)
		c.out = min(c.out, 1200)
		for _, name := range []string{"max_completion_tokens", "max_tokens", "max_output_tokens", "generationConfig.maxOutputTokens"} {
			if limit := gjson.GetBytes(c.body, name); limit.Int() > 0 {
				c.out = min(c.out, int(limit.Int()))
				if c.u.options.FullLength {
					c.out = int(limit.Int())
				}
				break
			}
		}
		c.pieces = write(c.key.random, c.out)
	}
	if c.usd = c.route.usd; c.usd == 0 {
		c.usd = float64(c.in)*0.5e-6 + float64(c.out)*2e-6
	}
}

// book counts the request against its account.
func (c *call) book() {
	k, a := c.key, c.key.account
	k.counts.Accepted++
	k.counts.CostUSD += c.usd
	a.requests.take(1)
	a.tokens.take(float64(c.in + c.out))
	a.used++
	a.spentUSD += c.usd
	if c.streams() && c.u.cuts > 0 {
		c.u.cuts--
		c.cut = true
	}
}

// unbook takes back what one request used of its quota.
func (c *call) unbook() {
	c.u.mu.Lock()
	defer c.u.mu.Unlock()
	c.key.account.used--
	c.limits = c.key.account.limits()
}

func (a *account) limits() limits {
	l := limits{rpm: a.requests.perMin, tpm: a.tokens.perMin,
		requestsLeft: a.requests.left(), tokensLeft: a.tokens.left(),
		requestsFull: a.requests.full(), tokensFull: a.tokens.full(),
		plain: [2]told{a.requests.told(), a.tokens.told()},
		quota: a.terms.Quota, quotaUsed: a.used, quotaLeft: max(0, a.terms.Quota-a.used), quotaReset: a.reset}
	if a.empty {
		l.quotaUsed, l.quotaLeft = l.quota, 0
		if !a.until.IsZero() {
			l.quotaReset = a.until
		}
	}
	return l
}

// streams reports whether the client asked for a stream.
func (c *call) streams() bool {
	return gjson.GetBytes(c.body, "stream").Bool() ||
		strings.HasSuffix(c.r.PathValue("call"), ":streamGenerateContent")
}

// forcedTool is the tool that the client demands to be called, at a path in the
// body; "" if it leaves that to the model, which here never wants to.
func (c *call) forcedTool(path string) string {
	switch choice := gjson.GetBytes(c.body, "tool_choice"); {
	case choice.Str == "required", choice.Get("type").Str == "any":
		return gjson.GetBytes(c.body, path).Str
	default:
		return ""
	}
}

// refuse answers with the provider's words for a refusal, and counts it.
func (c *call) refuse(why refusal) {
	if c.key != nil && !c.pause(min(c.took/5, 100*time.Millisecond)) {
		panic(http.ErrAbortHandler)
	}
	a := c.u.dialect.refusals[why](c)
	if why == overRate {
		a = c.u.options.Tells.refusal(c, a)
	}
	c.reply(a)
}

// reply sends a whole answer.
func (c *call) reply(a answer) {
	h := c.w.Header()
	if c.stamped && c.u.dialect.stamp != nil {
		c.u.dialect.stamp(c, h)
		c.u.options.Tells.stamp(c, h)
	}
	for name, value := range a.header {
		if value == "" {
			h.Del(name)
			continue
		}
		h.Set(name, value)
	}
	if a.kind == "" {
		a.kind = "application/json"
	}
	h.Set("Content-Type", a.kind)
	if a.status != http.StatusNotModified {
		h.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	c.count(a.status)
	c.w.WriteHeader(a.status)
	if c.r.Method != http.MethodHead && a.status != http.StatusNotModified {
		_, _ = io.WriteString(c.w, a.body) // a client that left is no concern of ours
	}
}

func (c *call) count(status int) {
	if status < 400 {
		return
	}
	c.u.mu.Lock()
	defer c.u.mu.Unlock()
	if c.key == nil {
		c.u.unknown[status]++
		return
	}
	c.key.counts.Refused[status]++
	if c.route != nil && c.route.free {
		c.key.counts.FreeRefused++
	}
}

// done waits as long as the answer takes and sends it.
func (c *call) done(a answer) {
	if !c.pause(c.took) {
		panic(http.ErrAbortHandler)
	}
	c.reply(a)
}

// ok is done with a JSON object.
func (c *call) ok(v any) { c.done(jsonAnswer(http.StatusOK, v)) }

// pause waits, and reports whether the client still does.
func (c *call) pause(d time.Duration) bool {
	if d <= 0 {
		return c.r.Context().Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-c.r.Context().Done():
		return false
	}
}

// text is the whole answer's text.
func (c *call) text() string { return strings.Join(c.pieces, "") }

// uuid is the request's id in the form of one.
func (c *call) uuid() string { return uuid(c.id) }

func uuid(hex string) string {
	return hex[:8] + "-" + hex[8:12] + "-" + hex[12:16] + "-" + hex[16:20] + "-" + hex[20:32]
}

// seconds rounds up, as a Retry-After has to be.
func seconds(d time.Duration) string {
	return strconv.Itoa(int(max(1, math.Ceil(d.Seconds()))))
}

// binding is something an account made and only it can use.
type binding struct {
	account string
	model   string
	usd     float64
	at      time.Time
}

// maxBindings is how many an upstream remembers; then the old ones go, and
// where most are new, all.
const maxBindings = 10_000

var errNotBound = errors.New("sim: no such thing in this account")

// bind remembers that the call's account made id.
func (c *call) bind(id string) {
	c.u.mu.Lock()
	defer c.u.mu.Unlock()
	if len(c.u.bindings) >= maxBindings {
		maps.DeleteFunc(c.u.bindings, func(_ string, b binding) bool { return c.now.Sub(b.at) > time.Minute })
		if len(c.u.bindings) > maxBindings/2 {
			clear(c.u.bindings)
		}
	}
	c.u.bindings[id] = binding{account: c.key.account.name, model: c.model, usd: c.usd, at: c.now}
}

// bound finds what the call's own account made.
func (c *call) bound(id string) (binding, error) {
	c.u.mu.Lock()
	defer c.u.mu.Unlock()
	b, ok := c.u.bindings[id]
	if !ok || b.account != c.key.account.name {
		return binding{}, errNotBound
	}
	return b, nil
}

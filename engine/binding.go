package engine

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sort"
	"strings"
	"time"
)

// Binding says whose an upstream resource is: a file, a batch, a video job, a
// stored response. Only the account that made it can use it. It belongs to the
// names in the config, so that it survives a replaced secret.
type Binding struct {
	// Seq rises by one with every binding made and every one forgotten; 0 is of
	// one that came with [WithBindings].
	Seq uint64 `json:"seq,omitempty"`
	ID  string `json:"id"`
	// Provider, Key and Account are as the config names them. Without an account
	// only that very key can use it.
	Provider string    `json:"provider"`
	Key      string    `json:"key"`
	Account  string    `json:"account,omitempty"`
	At       time.Time `json:"at"`
	// Model is what it was made with, as far as that is known.
	Model string `json:"model,omitempty"`
	// Open is set while what making it cost has not been told: that is counted
	// when somebody looks at it.
	Open bool `json:"open,omitempty"`
	// Gone is set where it was deleted upstream: whatever was known of the id is
	// to be forgotten.
	Gone bool `json:"gone,omitempty"`
}

// owner says whose it is, for people.
func (b *Binding) owner() string {
	if b.Account == "" {
		return "key " + b.Key
	}
	return fmt.Sprintf("account %s (made with key %s)", b.Account, b.Key)
}

const (
	// maxBindings is how many bindings are kept: of more, those that were made
	// first go. So do those older than bindingAge: next to nothing that is made
	// upstream is kept for longer. What was forgotten is asked for again, and
	// learned anew.
	maxBindings = 200_000
	bindingAge  = 365 * 24 * time.Hour
	// An id that no account knows is not asked around again for unknownFor.
	unknownFor = 10 * time.Minute
	maxUnknown = 10_000
)

// name is what a binding is found by: ids are unique within a provider, and
// what is unknown is so to the keys of one service.
type name struct{ within, id string }

// bindings are those that are known, in the order they were made.
type bindings struct {
	list    []Binding
	dropped int          // how many have gone from the list's beginning
	at      map[name]int // where in the list, counted from the first ever
	ofKey   map[string]int
	unknown map[name]time.Time
	seq     uint64
	changed chan struct{} // closed and made anew with each binding; nil before anyone waits
}

// WithBindings gives the engine the bindings of an earlier run, in any order.
func WithBindings(list []Binding) Option {
	return func(e *Engine) {
		for _, b := range slices.SortedStableFunc(slices.Values(list), func(a, b Binding) int { return a.At.Compare(b.At) }) {
			b.Seq = 0
			e.bindings.put(b)
		}
	}
}

// Bindings lists what is known, the oldest first.
func (e *Engine) Bindings() []Binding {
	e.mu.Lock()
	defer e.mu.Unlock()
	bs := &e.bindings
	list := make([]Binding, 0, len(bs.at))
	for i, b := range bs.list {
		if at, ok := bs.at[b.name()]; ok && at == bs.dropped+i {
			list = append(list, b)
		}
	}
	return list
}

// BindingsSince lists, in order, the bindings made after the one with the given
// sequence number, and those forgotten; 0 is all since [New].
func (e *Engine) BindingsSince(after uint64) []Binding {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.bindings.since(after)
}

// WaitBindings is BindingsSince as soon as there is one, or ctx's error.
func (e *Engine) WaitBindings(ctx context.Context, after uint64) ([]Binding, error) {
	bs := &e.bindings
	return awaitNew(ctx, e, func() ([]Binding, <-chan struct{}) {
		if bs.changed == nil {
			bs.changed = make(chan struct{})
		}
		return bs.since(after), bs.changed
	})
}

// Kind is the built-in provider whose answers a service's keys speak, "" of a
// service that has none.
func (e *Engine) Kind(service string) (kind string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.svcBy[service]; s != nil {
		s.all(func(m *member) { kind = firstOf(kind, m.key.Kind) })
	}
	return kind
}

// Need is the one thing that a service needs its keys for, "" where it says
// nothing or several.
func (e *Engine) Need(service string) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if s := e.svcBy[service]; s != nil && len(s.Needs) == 1 {
		return s.Needs[0]
	}
	return ""
}

// Bind notes that these belong to the lease's key, and to its account: from now
// on requests that name one go there.
func (l *Lease) Bind(ids ...string) {
	l.e.mu.Lock()
	defer l.e.mu.Unlock()
	l.e.bind(l.key, l.req, ids, time.Now())
	if makes := l.req.Method == http.MethodPost || l.req.Method == http.MethodPut; makes {
		l.made = append(l.made, ids...)
	}
}

// Forget notes that these are gone upstream.
func (l *Lease) Forget(ids ...string) {
	l.e.mu.Lock()
	defer l.e.mu.Unlock()
	for _, id := range ids {
		if b := l.e.bindings.find(l.key.Provider, id); b != nil {
			l.e.bindings.add(Binding{ID: id, Provider: b.Provider, Key: b.Key, Account: b.Account, At: time.Now(), Gone: true})
		}
	}
}

// bind notes that these belong to the key that answered the request. What making
// them costs is told at once or later: an answer that is no creation's is not
// the first word.
func (e *Engine) bind(k *key, r *Request, ids []string, now time.Time) {
	for _, id := range ids {
		id = strings.Clone(id) // else the answer that it stood in would be kept
		if old := e.bindings.find(k.Provider, id); old == nil || !e.owns(old, k) {
			e.bindings.add(Binding{ID: id, Provider: k.Provider, Key: k.Name, Account: k.Account, At: now, Model: r.Model, Open: r.Method != http.MethodPost || !r.Repeatable})
		}
		for _, s := range e.services {
			delete(e.bindings.unknown, name{s.Name, id})
		}
	}
}

// owns reports whether the key is of the account that a binding is of.
func (e *Engine) owns(b *Binding, k *key) bool {
	if k.Provider != b.Provider {
		return false
	}
	maker, account := e.keyBy[b.Key], b.Account
	if maker != nil && account == "" {
		account = maker.Account
	}
	return k.Name == b.Key || maker != nil && maker.cred == k.cred || account != "" && k.Account == account
}

func (b *Binding) name() name { return name{b.Provider, b.ID} }

// add is put for what is new in this run.
func (bs *bindings) add(b Binding) {
	bs.seq++
	b.Seq = bs.seq
	bs.put(b)
	if bs.changed != nil {
		close(bs.changed)
		bs.changed = nil
	}
}

// put adds to the list, and drops what is too much or too old.
func (bs *bindings) put(b Binding) {
	if bs.at == nil {
		bs.at, bs.ofKey = map[name]int{}, map[string]int{}
	}
	bs.remove(b.name())
	if !b.Gone {
		bs.at[b.name()] = bs.dropped + len(bs.list)
		bs.ofKey[b.Key]++
	}
	bs.list = append(bs.list, b)
	drop := 0
	for drop < len(bs.list) && (len(bs.list)-drop > maxBindings || time.Since(bs.list[drop].At) > bindingAge) {
		if n := bs.list[drop].name(); bs.at[n] == bs.dropped+drop {
			bs.remove(n)
		}
		drop++
	}
	bs.list, bs.dropped = bs.list[drop:], bs.dropped+drop // append moves it when it has to
}

func (bs *bindings) remove(n name) {
	if i, ok := bs.at[n]; ok {
		bs.ofKey[bs.list[i-bs.dropped].Key]--
		delete(bs.at, n)
	}
}

// find is the binding of an id, nil if it is not known.
func (bs *bindings) find(provider, id string) *Binding {
	i, ok := bs.at[name{provider, id}]
	if !ok {
		return nil
	}
	b := bs.list[i-bs.dropped] // a copy: the list moves
	return &b
}

func (bs *bindings) since(after uint64) []Binding {
	i := sort.Search(len(bs.list), func(i int) bool { return bs.list[i].Seq > after })
	return slices.Clone(bs.list[i:])
}

// notFound remembers that none of a service's accounts knows the ids. When
// there are too many, those whose time is over are forgotten, and if that is not
// enough, any half.
func (bs *bindings) notFound(service string, ids []string, now time.Time) {
	if bs.unknown == nil {
		bs.unknown = map[name]time.Time{}
	}
	if len(bs.unknown) >= maxUnknown {
		for n, at := range bs.unknown {
			if now.Sub(at) > unknownFor {
				delete(bs.unknown, n)
			}
		}
		for n := range bs.unknown {
			if len(bs.unknown) <= maxUnknown/2 {
				break
			}
			delete(bs.unknown, n)
		}
	}
	for _, id := range ids {
		bs.unknown[name{service, strings.Clone(id)}] = now
	}
}

func (bs *bindings) isUnknown(service, id string, now time.Time) bool {
	at, ok := bs.unknown[name{service, id}]
	return ok && now.Sub(at) <= unknownFor
}

// bound is what is known of the ids that a request names.
type bound struct {
	// to is whose they are, maker the key that made them; nil while not known.
	to    *Binding
	maker *key
	// other is whose the rest of them are, where that is another account.
	other *Binding
	// asking is set when an account would not have them: then each is asked once.
	// told is set when it said that this is because it does not know them.
	asking, told bool
}

// resolve finds whose the resources are that the request names.
func (e *Engine) resolve(r *Request) {
	provider := ""
	r.svc.all(func(m *member) {
		if m.key.Provider == provider {
			return
		}
		provider = m.key.Provider
		for _, id := range r.Bound {
			b := e.bindings.find(provider, id)
			switch maker := (*key)(nil); {
			case b == nil:
			case r.bound.to == nil:
				if maker = e.keyBy[b.Key]; maker != nil && maker.Provider == b.Provider {
					r.bound.maker = maker
				}
				r.bound.to = b
			case !e.sameOwner(r.bound.to, b):
				r.bound.other = b
			}
		}
	})
}

func (e *Engine) sameOwner(a, b *Binding) bool {
	if maker := e.keyBy[b.Key]; maker != nil && maker.Provider == b.Provider {
		return e.owns(a, maker)
	}
	return a.Provider == b.Provider && (a.Key == b.Key || a.Account != "" && a.Account == b.Account)
}

// foreign says why the account of a key cannot have what the request names; ""
// when it can. It allocates nothing.
func (e *Engine) foreign(r *Request, k *key) string {
	if len(r.Bound) == 0 {
		return ""
	}
	if to := r.bound.to; to != nil && (r.bound.other != nil || !e.owns(to, k)) {
		return "is not of the account that has what is asked for"
	}
	for i := range r.attempts {
		a := r.attempt(i)
		if !a.elsewhere || r.bound.to != nil && k == r.bound.maker {
			continue // of an account's workspaces the maker's own knows it
		}
		if a.cred == k.cred || a.cred.account != nil && a.cred.account == k.cred.account {
			return "its account was asked: it does not have what is asked for"
		}
	}
	return ""
}

// wants reports whether a waiting request could do with the key.
func (e *Engine) wants(r *Request, k *key) bool {
	return !r.hasTried(k.cred) && k.isFor(r.Scope) && e.foreign(r, k) == ""
}

// pin is the service's as far as it concerns the request: what is bound beats it.
func (r *Request) pin() *pin {
	if r.bound.to != nil {
		return nil
	}
	return r.svc.pin
}

// narrowed reports whether only some accounts can serve the request.
func (r *Request) narrowed() bool { return r.bound.to != nil || r.bound.asking }

// leaseBound takes a key for a request that is narrowed to some accounts,
// whatever the service's tiers are: if it can be, the one that made what is
// asked for.
func (e *Engine) leaseBound(r *Request, s *service, now time.Time) *Lease {
	q, p := e.query(r, now), r.pin()
	if q.lacks(s.books) != nil {
		return nil
	}
	var best *key
	s.all(func(m *member) {
		if (best == nil || m.key == r.bound.maker) && (p == nil || p.key == m.key) && q.can(m) {
			best = m.key
		}
	})
	if best == nil {
		return nil
	}
	return e.take(r, best, now)
}

// elsewhere is what an answer says of a key whose request named bound
// resources: that they are not there is no fault of the key.
func (e *Engine) elsewhere(l *Lease, v Verdict) Verdict {
	r := l.req
	switch {
	case v.Elsewhere:
		r.bound.told = true
	case v.Kind == ClientError && v.Evidence.Status == http.StatusNotFound:
		v.Elsewhere, r.bound.told = true, true
	case v.Kind == PermissionDenied && v.Scope != ScopeNone && (r.bound.to == nil || r.bound.maker != l.key):
		v.Kind, v.Elsewhere = ClientError, true
	}
	return v
}

// askAnother remembers what an answer told of whose the request's resources are,
// and reports whether another account is to be asked: then this lease is over.
func (e *Engine) askAnother(l *Lease, v Verdict, now time.Time) bool {
	r, b := l.req, &l.req.bound
	if v.Kind == OK {
		if read := r.Method == http.MethodGet || r.Method == http.MethodHead; b.to == nil && (b.told || read && !r.Guessed) {
			e.bind(l.key, r, r.Bound, now)
		}
		return false
	}
	if !v.Elsewhere {
		return false
	}
	r.attempt(r.attempts - 1).elsewhere = true
	if r.Once || b.to == nil && !slices.ContainsFunc(r.Bound, func(id string) bool { return !e.bindings.isUnknown(r.svc.Name, id, now) }) {
		return false
	}
	b.asking = true
	soon := e.soon(r, now)
	// The key that made it is waited for; who may know it is asked if it can be.
	if e.another(r, now) || b.to != nil && !soon.IsZero() && !soon.After(r.began.Add(e.patience)) {
		e.endTrials(l, now)
		e.release(l, Usage{}, now)
		return true
	}
	if b.to == nil && r.pin() == nil && soon.IsZero() {
		e.bindings.notFound(r.svc.Name, r.Bound, now)
	}
	return false
}

// tellBound says in an error whose the request's resources are.
func (e *Engine) tellBound(r *Request, err *NoKeyError) {
	to := r.bound.to
	if to == nil {
		return
	}
	err.Bound = append(err.Bound, *to)
	switch {
	case r.bound.other != nil:
		err.Bound = append(err.Bound, *r.bound.other)
		err.Reasons, err.RetryAfter = nil, 0
	case len(err.Reasons) > 0:
	case r.bound.maker == nil:
		err.Reasons = []Candidate{{Key: to.Key, Why: "is no longer in the configuration"}}
	default:
		err.Reasons = []Candidate{{Key: to.Key, Why: "is not a key of " + r.svc.Name}}
	}
}

// About says whose the resources are that the request names; "" if that is not
// what is in its way.
func (err *NoKeyError) About() string {
	switch len(err.Bound) {
	case 0:
		return ""
	case 1:
		b := &err.Bound[0]
		return fmt.Sprintf("%s belongs to %s, and only that can use it", b.ID, b.owner())
	default:
		a, b := &err.Bound[0], &err.Bound[1]
		return fmt.Sprintf("%s belongs to %s, but %s to %s: no key can use both", a.ID, a.owner(), b.ID, b.owner())
	}
}

package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"keywheel/engine"
	"keywheel/engine/provider"
	"keywheel/engine/secret"
)

// verifyTime is how long real requests are waited for if nobody says.
const verifyTime = 2 * time.Minute

// lookTime is how often they are looked for.
const lookTime = 50 * time.Millisecond

// Migrate moves a service to another key in three steps: the new key is tested
// for what the service needs, it serves the service's requests while the old
// keys stand by, and when real ones were served by it the move is final: an
// action like any other, kept and undone as such. s is the secret of a key that
// the config does not have; that key is then added, like the one that the service
// has. tell hears of each step, and the timeline too. An error says that all is
// as before; so it is too when ctx ends.
func (n *Node) Migrate(ctx context.Context, m engine.Migration, s secret.Secret, by string, tell func(text string)) error {
	step := func(format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		ev := engine.Event{Kind: engine.EventOperator, Service: m.Service, State: engine.Active, By: by, Text: text}
		if k := n.statusOf(m.Key); k.Name != "" {
			ev.Key, ev.State = k.Name, k.State
		}
		n.engine.Note(ev)
		tell(text)
	}
	m.For, m.Requests = cmp.Or(m.For, verifyTime), max(m.Requests, 1)
	err := n.migrate(ctx, m, s, by, step, tell)
	if err != nil {
		n.engine.Note(engine.Event{Kind: engine.EventOperator, Service: m.Service, State: engine.Active, By: by, Text: "not migrated, " + m.Service + " is as before: " + err.Error()})
	}
	return err
}

func (n *Node) migrate(ctx context.Context, m engine.Migration, s secret.Secret, by string, step func(string, ...any), tell func(string)) error {
	sv, err := n.serviceNamed(m.Service)
	if err != nil {
		return err
	}
	step("step 1 of 3, the new key: %s for %s, which has %s", m.Key, m.Service, strings.Join(sv.Keys, ", "))
	added, err := n.obtain(ctx, m, s, sv, step)
	if err != nil {
		return err
	}
	final := false
	defer func() {
		if !final && added {
			n.unadd(m.Key, step)
		}
	}()
	if err := n.suffices(ctx, m.Key, sv, step); err != nil {
		return err
	}
	last := n.lastRequest()
	end, err := n.engine.Try(m.Service, m.Key)
	if err != nil {
		return err
	}
	defer end() // before the key is taken out again
	step("step 2 of 3, switched: new requests of %s go out with %s; what it cannot serve, the old goes on to serve (%s)", m.Service, m.Key, strings.Join(sv.Keys, ", "))
	step("step 3 of 3, verify: waiting up to %s until %s served by %s", m.For, requestsWere(m.Requests), m.Key)
	if err := n.verify(ctx, m, last, step); err != nil {
		end()
		step("rolled back: %s goes out with %s again", m.Service, strings.Join(sv.Keys, ", "))
		return err
	}
	r, err := n.Do(engine.Action{Verb: engine.VerbMigrate, Service: m.Service, Key: m.Key, By: by})
	if err != nil {
		return err
	}
	final = true
	tell(fmt.Sprintf("%s. `keywheel undo` takes it back, `keywheel migrate %s --back` does later", r.Text, m.Service)) // as an action it is in the timeline
	return nil
}

func requestsWere(n int) string {
	if n == 1 {
		return "a real request was"
	}
	return fmt.Sprintf("%d real requests were", n)
}

func (n *Node) serviceNamed(name string) (engine.ServiceStatus, error) {
	for _, sv := range n.engine.Snapshot().Services {
		if sv.Name == name {
			return sv, nil
		}
	}
	return engine.ServiceStatus{}, &engine.NotFoundError{What: "service", Name: name}
}

func (n *Node) lastRequest() (seq uint64) {
	for _, r := range n.engine.Requests(0) {
		seq = r.Seq
	}
	return seq
}

// obtain tests the new key, and adds it where the config does not have it.
func (n *Node) obtain(ctx context.Context, m engine.Migration, s secret.Secret, sv engine.ServiceStatus, step func(string, ...any)) (added bool, err error) {
	keys := n.inForce().Engine.Keys
	named := func(name string) int {
		return slices.IndexFunc(keys, func(k engine.Key) bool { return k.Name == name })
	}
	if i := named(m.Key); i >= 0 {
		if !s.Empty() {
			return false, fmt.Errorf("there is a key %s already: to give it another secret, `keywheel replace %s`", m.Key, m.Key)
		}
		if keys[i].Missing != "" {
			return false, fmt.Errorf("the secret of %s cannot be read: %s", m.Key, keys[i].Missing)
		}
		return false, n.testSecret(ctx, &keys[i], step)
	}
	if s.Empty() {
		return false, fmt.Errorf("the config has no key %s: give its secret to have it added", m.Key)
	}
	if wrong := secret.Unfit(s.Reveal()); wrong != "" {
		return false, fmt.Errorf("this cannot be a key: it %s", wrong)
	}
	like := n.likeOf(sv)
	i := named(like)
	if i < 0 {
		return false, fmt.Errorf("%s has no key of the config that a new one could be like", m.Service)
	}
	k := keys[i]
	k.Name, k.Secret, k.Missing = m.Key, s, ""
	for _, other := range keys {
		if other.Secret == s && other.Provider == k.Provider {
			return false, fmt.Errorf("that is the secret of %s: `keywheel migrate %s --key %s`", other.Name, m.Service, other.Name)
		}
	}
	if err := n.testSecret(ctx, &k, step); err != nil {
		return false, err
	}
	n.reloading.Lock()
	defer n.reloading.Unlock()
	next, where, err := n.inForce().Add(m.Key, like, s)
	if err != nil {
		return false, err
	}
	if err := n.apply(next, nil); err != nil {
		_, _ = next.Remove(m.Key)
		return false, err
	}
	if where == "" {
		where = "memory only: it is gone when keywheel stops"
	}
	step("added %s, like %s; its secret is kept in %s", m.Key, like, where)
	return true, nil
}

// likeOf is the service's first key that the config has.
func (n *Node) likeOf(sv engine.ServiceStatus) string {
	names := sv.Keys
	if sv.Moved != nil {
		names = sv.Moved.From
	}
	if len(names) == 0 {
		return ""
	}
	return names[0]
}

// unadd takes an added key out again.
func (n *Node) unadd(key string, step func(string, ...any)) {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	next, err := n.inForce().Remove(key)
	if err == nil {
		err = n.apply(next, nil)
	}
	if err != nil {
		step("%s could not be taken out again: %v", key, err)
		return
	}
	step("took %s out again, with its secret", key)
}

// suffices says what is known of the new key's permissions and quota, and
// refuses one without.
func (n *Node) suffices(ctx context.Context, key string, sv engine.ServiceStatus, step func(string, ...any)) error {
	var needs []string
	for _, c := range sv.Can {
		needs = append(needs, c.Scope)
	}
	k := n.statusOf(key)
	switch {
	case len(needs) == 0:
		step("permissions: %s does not say what it needs", sv.Name)
	case len(k.Scopes) == 0:
		step("permissions: %s needs %s, and the config allows %s everything; whether the provider does, live requests show", sv.Name, strings.Join(needs, ", "), key)
	default:
		step("permissions: %s needs %s; %s may be used for %s", sv.Name, strings.Join(needs, ", "), key, strings.Join(k.Scopes, ", "))
	}
	for _, l := range k.Limits {
		if l.Remaining <= 0 && l.Unit != "concurrent" && l.Amount > 0 {
			return fmt.Errorf("%s has nothing left of its %g %s per %s", key, l.Amount, l.Unit, l.Per)
		}
	}
	askCtx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	f, ok := n.proxy.Balance(askCtx, key)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !ok:
		step("quota: %s does not tell what money is left", k.Provider)
	case f.Unusable:
		return fmt.Errorf("%s says that its money does not suffice for a request (%s)", k.Provider, money1(f))
	default:
		step("quota: %s left", money1(f))
	}
	return nil
}

func money1(f provider.Funds) string {
	if f.Unlimited {
		return "no bound on money"
	}
	return strings.TrimSpace(fmt.Sprintf("%.2f %s", f.Left, f.Currency))
}

// errNotVerified ends a migration that nothing spoke for.
var errNotVerified = errors.New("no real request came, and there is no test call to go by: try again with more time")

// verify waits until real requests were served by the new key. One that the key
// is to blame for ends it.
func (n *Node) verify(ctx context.Context, m engine.Migration, last uint64, step func(string, ...any)) error {
	over := time.NewTimer(m.For)
	defer over.Stop()
	look := time.NewTicker(lookTime)
	defer look.Stop()
	served, faults := 0, 0
	for {
		for _, r := range n.engine.Requests(last) {
			last = r.Seq
			if r.Service != m.Service {
				continue
			}
			for _, a := range r.Attempts {
				if a.Key != m.Key {
					continue
				}
				switch a.Verdict {
				case engine.OK:
					served++
					step("%s served a request: %s %s, %d after %d ms", m.Key, r.Method, r.Path, a.Status, a.TookMS)
				case engine.InvalidKey, engine.PermissionDenied, engine.QuotaExhausted:
					return fmt.Errorf("%s could not serve %s %s: %s (%d)", m.Key, r.Method, r.Path, a.Verdict.Words(), a.Status)
				case engine.UpstreamFault:
					if faults++; r.Outcome == engine.OutcomeServed && r.Key != m.Key {
						return fmt.Errorf("%s could not serve %s %s (%d), and %s did", m.Key, r.Method, r.Path, a.Status, r.Key)
					}
				}
			}
		}
		if served >= m.Requests {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-n.ctx.Done():
			return errors.New("keywheel is stopping")
		case <-over.C:
			return n.verifyByTest(ctx, m, served, faults, step)
		case <-look.C:
		}
	}
}

// verifyByTest makes the provider's test call where real requests did not come.
func (n *Node) verifyByTest(ctx context.Context, m engine.Migration, served, faults int, step func(string, ...any)) error {
	if served > 0 || faults > 0 {
		return fmt.Errorf("in %s %s served %d of %d requests, %d failed", m.For, m.Key, served, m.Requests, faults)
	}
	askCtx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	switch v, ok := n.proxy.Probe(askCtx, m.Key); {
	case !ok:
		return errNotVerified
	case v.Kind != engine.OK:
		return fmt.Errorf("no real request came in %s, and the test call says %s", m.For, v.Kind.Words())
	}
	step("no real request came in %s; verified by the provider's test call alone", m.For)
	return nil
}

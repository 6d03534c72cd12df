package node

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"keywheel/engine"
	"keywheel/engine/secret"
)

const (
	// testTime bounds the test of a new secret.
	testTime = 20 * time.Second
	// countTime is how often what is in flight on an old secret is counted.
	countTime = 250 * time.Millisecond
)

// Replace gives a key another secret, in the place of one that leaked or is old:
// the provider tests it, it is kept in keys.d, new requests go out with it, and
// the old one is retired when nothing is in flight on it any more. tell hears of
// each step, and the timeline too. An error says that the key has its old secret
// still. What the name stands for stays: its services, its bindings, whether it
// is disabled. When ctx ends after the switch the rest goes on by itself.
func (n *Node) Replace(ctx context.Context, key string, s secret.Secret, by string, tell func(text string)) error {
	step := func(format string, args ...any) {
		text := fmt.Sprintf(format, args...)
		n.engine.Note(engine.Event{Kind: engine.EventOperator, Key: key, State: n.statusOf(key).State, By: by, Text: text})
		tell(text)
	}
	k, err := n.candidate(key, s)
	if err != nil {
		return err
	}
	was := n.statusOf(key)
	step("replacing the secret of %s%s", key, usedBy(was))
	if strings.HasPrefix(k.Ref, "env:") {
		tell(fmt.Sprintf("%s of a running process cannot change: the new secret is kept in a file and used in its place. To have it elsewhere, write secret = \"file:...\" or \"keyring:...\" into the config", k.Ref))
	}
	if err := n.testSecret(ctx, k, step); err != nil {
		n.engine.Note(engine.Event{Kind: engine.EventOperator, Key: key, State: n.statusOf(key).State, By: by, Text: "not replaced: " + err.Error()})
		return err
	}
	if err := n.switchTo(k, step); err != nil {
		return err
	}
	n.noteReplaced(key, by)
	now := n.statusOf(key)
	step("switched %s to %s: new requests go out with it", key, mark(now.Fingerprint))
	if _, keys := n.engine.Holds(now.Fingerprint); len(keys) > 1 {
		step("%s have one secret now: to the provider they are one key", strings.Join(keys, " and "))
	}
	n.tellBindings(key, step)
	if now.Draining || now.State == engine.Disabled {
		tell(fmt.Sprintf("%s is still %s: `keywheel enable %s` lets it serve", key, stateWords(now), key))
	}
	if was.Fingerprint != "" {
		n.drained(ctx, key, was.Fingerprint, step, tell)
	}
	return nil
}

// noteReplaced keeps that it was done, so that undo does not take back what was
// done before it in its place.
func (n *Node) noteReplaced(key, by string) {
	if n.keeper == nil {
		n.engine.Replaced(key, by)
		return
	}
	n.keeper.mu.Lock()
	defer n.keeper.mu.Unlock()
	n.keeper.journal.Act(actionOf(n.engine.Replaced(key, by)))
}

// candidate is a key as it would be with another secret.
func (n *Node) candidate(key string, s secret.Secret) (*engine.Key, error) {
	keys := n.inForce().Engine.Keys
	i := slices.IndexFunc(keys, func(k engine.Key) bool { return k.Name == key })
	if i < 0 {
		return nil, &engine.NotFoundError{What: "key", Name: key}
	}
	if wrong := secret.Unfit(s.Reveal()); wrong != "" {
		return nil, fmt.Errorf("this cannot be a key: it %s", wrong)
	}
	k := keys[i]
	if k.Secret == s {
		return nil, fmt.Errorf("that is the secret that %s has already", key)
	}
	k.Secret, k.Missing = s, ""
	return &k, nil
}

// testSecret refuses a secret that its provider rejects.
func (n *Node) testSecret(ctx context.Context, k *engine.Key, step func(string, ...any)) error {
	ctx, cancel := context.WithTimeout(ctx, testTime)
	defer cancel()
	v, ok := n.proxy.Test(ctx, k)
	said := v.Evidence.Message
	if v.Evidence.Status != 0 {
		said = strings.TrimSpace(fmt.Sprintf("%d %s", v.Evidence.Status, said))
	}
	switch {
	case ctx.Err() != nil && ctx.Err() != context.DeadlineExceeded:
		return ctx.Err()
	case !ok:
		step("not tested: %s has no free call for that", k.Provider)
	case v.Kind == engine.OK:
		step("tested: %s accepts it", k.Provider)
	case v.Kind == engine.InvalidKey:
		return fmt.Errorf("%s rejects it (%s). Nothing was changed", k.Provider, said)
	default:
		step("the test did not settle it (%s: %s)", v.Kind.Words(), said)
	}
	return nil
}

// switchTo keeps the secret and puts it in force.
func (n *Node) switchTo(k *engine.Key, step func(string, ...any)) error {
	n.reloading.Lock()
	defer n.reloading.Unlock()
	// It goes where it was tested and nowhere else.
	if now, err := n.candidate(k.Name, k.Secret); err != nil || now.Provider != k.Provider || now.BaseURL != k.BaseURL {
		return fmt.Errorf("the config of %s has changed meanwhile. The secret was not replaced, try again", k.Name)
	}
	next, where, err := n.inForce().Replace(k.Name, k.Secret)
	if err != nil {
		return err
	}
	if where == "" {
		step("there is no place to keep it: it is gone when keywheel stops")
	} else {
		step("kept in %s, in the place of %s", where, k.Ref)
	}
	if err := n.apply(next, nil); err != nil {
		return fmt.Errorf("kept in %s, but not in force: %w", where, err)
	}
	return nil
}

// drained tells of the old secret until nothing is in flight on it.
func (n *Node) drained(ctx context.Context, key, fingerprint string, step func(string, ...any), tell func(string)) {
	inFlight, keys := n.engine.Holds(fingerprint)
	if len(keys) > 0 {
		step("the old secret %s is still that of %s: replace it there too", mark(fingerprint), strings.Join(keys, ", "))
		return
	}
	if inFlight > 0 {
		step("draining %s: no new requests, %d in flight finish", mark(fingerprint), inFlight)
	}
	count := time.NewTicker(countTime)
	defer count.Stop()
	for last := inFlight; inFlight > 0; inFlight, _ = n.engine.Holds(fingerprint) {
		if inFlight != last {
			tell(fmt.Sprintf("%d in flight", inFlight))
			last = inFlight
		}
		select {
		case <-ctx.Done():
			return
		case <-count.C:
		}
	}
	step("retired %s of %s: delete it at the provider if you have not yet", mark(fingerprint), key)
}

// tellBindings lists what was made upstream with the key: it stays the key's, if
// the new secret is of the same account.
func (n *Node) tellBindings(key string, step func(string, ...any)) {
	const most = 10
	var ids []string
	for _, b := range n.engine.Bindings() {
		if b.Key == key {
			ids = append(ids, b.ID)
		}
	}
	more := ""
	if rest := len(ids) - most; rest > 0 {
		ids, more = ids[rest:], fmt.Sprintf(" and %d older", rest)
	}
	if len(ids) > 0 {
		step("bindings stay with the name, if the new secret is of the same account: %s%s", strings.Join(ids, ", "), more)
	}
}

func (n *Node) statusOf(key string) engine.KeyStatus {
	for _, k := range n.engine.Snapshot().Keys {
		if k.Name == key {
			return k
		}
	}
	return engine.KeyStatus{}
}

func usedBy(k engine.KeyStatus) string {
	text := ""
	if k.Fingerprint != "" {
		text = " (" + mark(k.Fingerprint) + ")"
	}
	if len(k.Services) > 0 {
		text += ", which serves " + strings.Join(k.Services, ", ")
	}
	return text
}

func stateWords(k engine.KeyStatus) string {
	if k.State == engine.Disabled {
		return k.State.String()
	}
	return "draining"
}

// mark shows a fingerprint as people see it: ·9f2a.
func mark(fingerprint string) string { return "·" + fingerprint[:min(4, len(fingerprint))] }

package node

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/control"
	"keywheel/engine/journal"
)

const (
	// saveEvery is how often what changed goes to the journal, which gathers for
	// a while itself.
	saveEvery = 140 * time.Millisecond
	// actionTime is how long an operator's action waits for the disk, boundTime
	// how long an answer does that tells of something made upstream.
	actionTime = 2 * time.Second
	boundTime  = 50 * time.Millisecond
	// recalled is how many events the timeline begins with.
	recalled = 500
	// maxModels bounds the models that usage tells apart: clients name them. The
	// others are one.
	maxModels  = 2000
	otherModel = "(other)"
)

// The documents of the journal, by the kind of [journal.State].
const (
	credentialDoc = "credential/1"
	accountDoc    = "account/1"
	keyDoc        = "key/1"
	serviceDoc    = "service/1"
)

// JournalPath is where the journal of a configuration is: where it says, else
// in the state directory, by the port.
func JournalPath(cfg *config.Config, env control.LookupEnv, port string) (string, error) {
	if cfg.Journal != "" {
		return cfg.Journal, nil
	}
	dir := control.StateDir(env)
	if dir == "" {
		return "", fmt.Errorf("there is no place for the journal: set HOME, or say `journal` in the config; `--no-journal` goes on without one")
	}
	return filepath.Join(dir, port+".db"), nil
}

// keeper keeps what the engine knows in a journal. Actions are on disk before
// they are answered, bindings before the client hears of what was made, the
// rest follows.
type keeper struct {
	engine  *engine.Engine
	journal *journal.Journal
	// patience is how long an answer waits for its bindings, deedPatience how
	// long an operator's action waits for the disk.
	patience, deedPatience time.Duration

	// mu makes what is taken of the engine first come to the journal first: no
	// older document follows a newer one.
	mu sync.Mutex
	// bound is the number of the last binding that the journal has, dropped how
	// many entries it had no room for.
	bound   uint64
	dropped int64

	models struct {
		sync.Mutex
		known map[string]struct{}
	}
}

// openJournal opens the node's journal and reads what it knows of earlier runs.
func (n *Node) openJournal(where func(port string) (string, error)) (past, error) {
	_, port, err := net.SplitHostPort(n.addr)
	if err != nil {
		return past{}, err
	}
	path, err := where(port)
	if err != nil {
		return past{}, err
	}
	j, err := journal.Open(path, journal.Options{Keep: n.config.Keep})
	if err != nil {
		return past{}, err
	}
	n.keeper = &keeper{journal: j, patience: boundTime, deedPatience: actionTime}
	return recall(context.Background(), j.Reader, n.log)
}

func (n *Node) closeJournal() error {
	if n.keeper == nil {
		return nil
	}
	return n.keeper.close()
}

// do carries out an operator's action and waits until it is on disk. If it does
// not get there, the action stands, and the result says so.
func (k *keeper) do(a engine.Action) (engine.Result, error) {
	k.mu.Lock()
	r, d, err := k.engine.Act(a)
	if err != nil {
		k.mu.Unlock()
		return r, err
	}
	m := k.engine.Changed()
	_, pending := k.journal.Act(actionOf(d), documents(m)...)
	k.journal.Record(m.Events...)
	k.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), k.deedPatience)
	defer cancel()
	if err := pending.Wait(ctx); err != nil {
		r.Unsaved = err.Error()
		r.Text += " (" + r.Unsaved + ")"
	}
	return r, nil
}

// keepBindings gives the journal the bindings that are new.
func (k *keeper) keepBindings() *journal.Pending {
	k.mu.Lock()
	defer k.mu.Unlock()
	list := k.engine.BindingsSince(k.bound)
	if n := len(list); n > 0 {
		k.bound = list[n-1].Seq
	}
	return k.journal.Bound(bindingsOf(list)...)
}

// waitBound waits until the bindings that the engine knows are on disk, but not
// for long.
func (k *keeper) waitBound() {
	ctx, cancel := context.WithTimeout(context.Background(), k.patience)
	defer cancel()
	_ = k.keepBindings().Wait(ctx) // the journal's status tells
}

// used counts what came of a request. It is called on the request's path.
func (k *keeper) used(u engine.Used) {
	n := journal.Usage{InputTokens: u.Input, OutputTokens: u.Output, CachedTokens: u.Cached, CostUSD: u.CostUSD}
	if !u.Later {
		n.Requests = 1
	}
	if u.Kind != engine.OK && u.Kind != engine.ClientError {
		n.Failures = 1
	}
	if u.Kind == engine.RateLimited {
		n.RateLimited = 1
	}
	if u.Unpriced {
		n.Unpriced = 1
	}
	k.journal.Count(u.At, journal.Who{Key: u.Key, Service: u.Service, Model: k.model(u.Model), Account: u.Account}, n)
}

// model is the name that a model's usage is counted by.
func (k *keeper) model(name string) string {
	m := &k.models
	m.Lock()
	defer m.Unlock()
	if _, ok := m.known[name]; ok {
		return name
	}
	if len(m.known) >= maxModels {
		return otherModel
	}
	if m.known == nil {
		m.known = map[string]struct{}{}
	}
	m.known[name] = struct{}{}
	return name
}

// run saves what changes until ctx ends.
func (k *keeper) run(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			k.save()
		}
	}
}

// save gives the journal what has changed; all there is when it had no room for
// something and can be written again.
func (k *keeper) save() {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := k.engine.Changed()
	var bindings []engine.Binding
	if st := k.journal.Status(); st.Dropped != k.dropped && st.Error == "" {
		k.dropped = st.Dropped
		m, bindings = k.engine.Memory(), k.engine.Bindings()
	}
	news := k.engine.BindingsSince(k.bound)
	if n := len(news); n > 0 {
		k.bound = news[n-1].Seq
	}
	if bindings = append(bindings, news...); len(bindings) > 0 {
		k.journal.Bound(bindingsOf(bindings)...)
	}
	k.journal.Save(documents(m)...)
	k.journal.Record(m.Events...)
}

// status is how the journal does, nil where none is kept.
func (k *keeper) status() *engine.JournalStatus {
	if k == nil {
		return nil
	}
	st := engine.JournalStatus(k.journal.Status())
	return &st
}

func (k *keeper) close() error {
	if k.engine != nil {
		k.save()
	}
	return k.journal.Close()
}

// documents are what the journal keeps of an engine's memory.
func documents(m engine.Memory) []journal.State {
	var list []journal.State
	add := func(kind, name string, doc any) {
		b, err := json.Marshal(doc)
		if err == nil { // it holds nothing that JSON does not
			list = append(list, journal.State{Kind: kind, Name: name, Doc: b})
		}
	}
	for i := range m.Credentials {
		add(credentialDoc, m.Credentials[i].Fingerprint, &m.Credentials[i])
	}
	for i := range m.Accounts {
		add(accountDoc, m.Accounts[i].ID, &m.Accounts[i])
	}
	for i := range m.Keys {
		add(keyDoc, m.Keys[i].Name, &m.Keys[i])
	}
	for i := range m.Services {
		add(serviceDoc, m.Services[i].Name, &m.Services[i])
	}
	return list
}

func actionOf(d engine.Deed) journal.Action {
	a := journal.Action{ID: d.ID, At: d.At, Action: d.Action, Text: d.Text, Undoes: d.Undoes}
	if d.Undo != nil {
		a.Undo, _ = json.Marshal(d.Undo)
	}
	return a
}

func bindingsOf(list []engine.Binding) []journal.Binding {
	var out []journal.Binding
	for _, b := range list {
		out = append(out, journal.Binding{Provider: b.Provider, ID: b.ID, Key: b.Key, Account: b.Account, Model: b.Model, Open: b.Open, At: b.At, Gone: b.Gone})
	}
	return out
}

// past is what a journal tells of earlier runs.
type past struct {
	engine.Memory
	bindings []engine.Binding
	// at is when the newest of it was written.
	at time.Time
}

// recall reads what an engine goes on from. A document that cannot be
// understood is told to log and passed over.
func recall(ctx context.Context, r *journal.Reader, log *slog.Logger) (p past, err error) {
	states, err := r.States(ctx, "")
	if err != nil {
		return p, err
	}
	for _, s := range states {
		var err error
		switch s.Kind {
		case credentialDoc:
			p.Credentials, err = adopt(p.Credentials, s.Doc)
		case accountDoc:
			p.Accounts, err = adopt(p.Accounts, s.Doc)
		case keyDoc:
			p.Keys, err = adopt(p.Keys, s.Doc)
		case serviceDoc:
			p.Services, err = adopt(p.Services, s.Doc)
		}
		if err != nil {
			log.Warn("the journal holds something that is not understood; it is passed over", "kind", s.Kind, "name", s.Name, "why", err.Error())
		}
		p.at = later(p.at, s.At)
	}
	if p.Events, err = r.Events(ctx, journal.EventQuery{Newest: true, Limit: recalled}); err != nil {
		return p, err
	}
	if len(p.Events) > 0 {
		p.LastSeq, p.at = p.Events[0].Seq, later(p.at, p.Events[0].At)
	}
	last, err := r.Actions(ctx, journal.ActionQuery{Limit: 1})
	if err != nil {
		return p, err
	}
	for _, a := range last {
		p.LastAction, p.at = a.ID, later(p.at, a.At)
	}
	actions, err := r.Actions(ctx, journal.ActionQuery{Undoable: true, Limit: 100})
	if err != nil {
		return p, err
	}
	for _, a := range slices.Backward(actions) {
		d := engine.Deed{ID: a.ID, At: a.At, Action: a.Action, Text: a.Text, Undo: &engine.Memento{}}
		if err := json.Unmarshal(a.Undo, d.Undo); err != nil {
			log.Warn("an action in the journal cannot be undone: what is noted is not understood", "action", a.Text, "why", err.Error())
			continue
		}
		p.Undo = append(p.Undo, d)
	}
	for b, err := range r.Bindings(ctx) {
		if err != nil {
			return p, err
		}
		p.bindings = append(p.bindings, engine.Binding{ID: b.ID, Provider: b.Provider, Key: b.Key, Account: b.Account, Model: b.Model, Open: b.Open, At: b.At})
	}
	return p, nil
}

// adopt adds a document to those of its kind.
func adopt[T any](list []T, doc []byte) ([]T, error) {
	var v T
	if err := json.Unmarshal(doc, &v); err != nil {
		return list, err
	}
	return append(list, v), nil
}

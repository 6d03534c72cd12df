package node

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/provider"
	"keywheel/engine/proxy"
)

// parts are what the engine and the proxy take of a configuration.
func (n *Node) parts(cfg *config.Config) (engine.Config, proxy.Options, engine.Option) {
	keys := slices.Clone(cfg.Engine.Keys)
	for i := range keys {
		p, ok := provider.Lookup(keys[i].Kind)
		keys[i].CanTest = ok && p.TestPath != ""
		if ok {
			keys[i].Dialect = p.Dialect.String()
		}
	}
	e := engine.Config{Keys: keys, Services: cfg.Engine.Services, Accounts: cfg.Engine.Accounts}
	o := proxy.Options{Services: e.Services, Keys: keys, AllowHosts: cfg.AllowHosts, CORSOrigins: cfg.CORSOrigins,
		Timeouts: proxy.Timeouts{Header: cfg.HeaderTimeout, Idle: cfg.IdleTimeout}, Dial: cfg.DialTimeout,
		MaxReplay: cfg.MaxReplay, MaxReplayTotal: cfg.MaxReplayTotal, Prices: cfg.Prices,
		Log: func(r proxy.Refused) {
			n.engine.TurnedAway(r.From, r.Method, r.Path, r.Why, r.Status)
			n.log.Warn("refused at the door", "status", r.Status, "why", r.Why, "from", r.From, "method", r.Method, "path", r.Path)
		}}
	if n.keeper != nil {
		o.Bound = n.keeper.waitBound
	}
	return e, o, engine.WithPatience(cfg.Patience, cfg.MaxWaiting)
}

// Reload reads the configuration again, as at the start, and goes over to it
// without dropping a request. Where anything is wrong with it nothing changes;
// the snapshot then says what is wrong. commands runs the programs of cmd:
// references again too.
func (n *Node) Reload(commands bool) error {
	if n.load == nil {
		return errors.New("this keywheel has no configuration to read again")
	}
	n.reloading.Lock()
	defer n.reloading.Unlock()
	before := stampsOf(n.stamps.files())
	cfg, err := n.load(commands)
	if err == nil {
		err = n.apply(cfg, before.next(cfg, false))
	}
	if err != nil {
		n.stamps = before.next(cfg, true)
		n.noteProblems(err)
	}
	select {
	case n.refiled <- struct{}{}:
	default:
	}
	return err
}

// apply goes over to a configuration. read are the stamps of the files that it
// was just read from; nil where it is the one in force with a key changed.
// reloading is held.
func (n *Node) apply(cfg *config.Config, read stamps) error {
	force := n.inForce()
	if err := stillGuarded(force, cfg); err != nil {
		return err
	}
	e, o, patience := n.parts(cfg)
	use, err := n.proxy.Prepare(o)
	if err != nil {
		return err
	}
	next := *cfg // but for what a running listener cannot change
	next.Listen, next.TLSCert, next.TLSKey = force.Listen, force.TLSCert, force.TLSKey
	n.mu.Lock() // who comes to look for an event of the reload finds it done
	was := n.status.Restart
	if err = n.engine.Reload(e, patience); err == nil {
		use()
		n.config = &next
	}
	if err == nil && read != nil {
		n.stamps = read
		n.status = engine.ConfigStatus{Files: read.files(), LoadedAt: cfg.LoadedAt, Problems: []engine.ConfigProblem{}, Restart: needRestart(force, cfg)}
		n.about.loaded(cfg)
	}
	restart := n.status.Restart
	n.mu.Unlock()
	if err != nil {
		return err
	}
	n.money.own(e.Keys)
	if !reflect.DeepEqual(cfg.Alerts, force.Alerts) {
		n.watchAlerts(cfg.Alerts)
	}
	if read != nil {
		for _, w := range cfg.Warnings {
			n.log.Warn(w.String())
		}
	}
	if len(restart) > 0 && !slices.Equal(was, restart) {
		n.engine.Note(engine.Event{Kind: engine.EventReload, State: engine.Active, Text: strings.Join(restart, ", ") + ": takes effect with a restart"})
	}
	return nil
}

// stillGuarded refuses a configuration whose services are open to all where the
// listener in force lets in more than this machine: the new address, if it has
// another, is not in force before a restart.
func stillGuarded(force, cfg *config.Config) error {
	host, _, _ := net.SplitHostPort(force.Listen)
	if addr, err := netip.ParseAddr(host); host == "localhost" || err == nil && addr.Unmap().IsLoopback() {
		return nil
	}
	for _, s := range cfg.Engine.Services {
		if !s.Planned && s.Token.Empty() {
			return fmt.Errorf("service %s has no token, and keywheel still listens on %s, which lets in more than this machine: restart it, or set token", s.Name, force.Listen)
		}
	}
	return nil
}

func (n *Node) inForce() *config.Config {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.config
}

// noteProblems notes why a configuration was not taken, for the snapshot and
// the timeline. reloading is held.
func (n *Node) noteProblems(err error) {
	problems := problemsOf(err)
	n.mu.Lock()
	was := n.status.Problems
	n.status.Files, n.status.Problems = n.stamps.files(), problems
	n.about.notLoaded(firstOf(problems))
	n.mu.Unlock()
	if !slices.Equal(was, problems) {
		n.engine.Note(engine.Event{Kind: engine.EventReloadFailed, State: engine.Failing, Text: "not reloaded, all goes on as before: " + firstOf(problems)})
	}
}

// needRestart are the settings that only a restart puts in force.
func needRestart(force, cfg *config.Config) []string {
	list := []string{}
	if cfg.Listen != force.Listen {
		list = append(list, fmt.Sprintf("listen = %q", cfg.Listen))
	}
	if cfg.TLSCert != force.TLSCert || cfg.TLSKey != force.TLSKey {
		list = append(list, "tls")
	}
	return list
}

func problemsOf(err error) (list []engine.ConfigProblem) {
	var all config.Errors
	if !errors.As(err, &all) {
		return []engine.ConfigProblem{{Text: err.Error()}}
	}
	for _, p := range all {
		list = append(list, engine.ConfigProblem{File: p.File, Line: p.Line, Text: p.Text})
	}
	return list
}

// firstOf is the first of several problems, and how many more there are.
func firstOf(list []engine.ConfigProblem) string {
	text := config.ProblemOf(list[0]).String()
	if more := len(list) - 1; more > 0 {
		text += fmt.Sprintf(" (and %d more)", more)
	}
	return text
}

// Package node is one running keywheel: engine, proxy and control socket
// started and stopped together.
package node

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/control"
	"keywheel/engine/proxy"
	"keywheel/engine/proxy/wire"
)

// Options are how a node is started.
type Options struct {
	Config *config.Config
	// Load reads the configuration again: with every change of its files, and when
	// asked to. commands is whether programs that give secrets are run again. nil
	// never reads it again.
	Load func(commands bool) (*config.Config, error)
	// Log is told of every event, and of requests refused at the door; nil is
	// nobody.
	Log *slog.Logger
	// Socket says where the control socket of a node on a port belongs; nil is
	// none.
	Socket func(port string) (path string, err error)
	// Journal says where the journal of a node on a port belongs; nil is none:
	// then everything is forgotten with the node.
	Journal func(port string) (path string, err error)
	// Notice is told to everybody who looks: that it is a demo.
	Notice string
	// Seed makes the engine's jitter repeatable; 0 does not.
	Seed uint64
}

// Node is a running keywheel. It is what the monitor watches and steers.
type Node struct {
	load func(commands bool) (*config.Config, error)
	// reloading is held while another configuration is put in force; it guards
	// stamps.
	reloading sync.Mutex
	stamps    stamps
	// refiled asks for a look at which files are watched.
	refiled chan struct{}

	mu     sync.Mutex
	config *config.Config // in force
	status engine.ConfigStatus

	notice   string
	spending spending
	engine   *engine.Engine
	proxy    *proxy.Proxy
	money    *money
	keeper   *keeper // nil where nothing is kept
	log      *slog.Logger
	addr     string
	server   *wire.Server
	control  *control.Server
	about    *about
	// ctx ends the tasks.
	ctx  context.Context
	stop context.CancelFunc
	// stopAlerts ends those of the configuration in force; nil where it has none.
	stopAlerts context.CancelFunc
	tasks      sync.WaitGroup
	served     chan error
}

// PortInUseError says that somebody else listens where keywheel should.
type PortInUseError struct{ Addr string }

func (err *PortInUseError) Error() string {
	_, port, _ := net.SplitHostPort(err.Addr)
	return fmt.Sprintf("%s is in use. Is keywheel running already? `keywheel status` tells; else `lsof -nP -iTCP:%s -sTCP:LISTEN` names who has it. Another address: `listen` in the config, or --listen", err.Addr, port)
}

// Start starts everything. When it returns, the listener takes requests.
func Start(o Options) (_ *Node, err error) {
	cfg := o.Config
	n := &Node{config: cfg, load: o.Load, log: o.Log, notice: o.Notice, served: make(chan error, 1), refiled: make(chan struct{}, 1), about: aboutOf(cfg)}
	if n.log == nil {
		n.log = slog.New(slog.DiscardHandler)
	}
	n.stamps = stamps{}.next(cfg, false)
	n.status = engine.ConfigStatus{Files: n.stamps.files(), LoadedAt: cfg.LoadedAt, Problems: []engine.ConfigProblem{}, Restart: []string{}}
	l, err := net.Listen("tcp", cfg.Listen)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, &PortInUseError{cfg.Listen}
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", cfg.Listen, err)
	}
	n.addr = l.Addr().String()
	defer func() {
		if err != nil {
			_ = l.Close()
			if n.stop != nil {
				n.stop()
			}
			n.closeControl()
			_ = n.closeJournal()
		}
	}()
	options := []engine.Option{engine.WithUsed(n.used)}
	if o.Seed != 0 {
		options = append(options, engine.WithSeed(o.Seed))
	}
	var known past
	if o.Journal != nil {
		if known, err = n.openJournal(o.Journal); err != nil {
			return nil, err
		}
		options = append(options, engine.WithMemory(known.Memory), engine.WithBindings(known.bindings))
	}
	ec, po, patience := n.parts(cfg)
	e, err := engine.New(ec, append(options, patience)...)
	if err != nil {
		return nil, err
	}
	n.engine = e
	if n.keeper != nil {
		n.keeper.engine = e
	}
	p, err := proxy.New(e, po)
	if err != nil {
		return nil, err
	}
	n.proxy = p
	n.money = newMoney(ec.Keys, p.Balance, e.Snapshot, e.Funded)
	ctx, stop := context.WithCancel(context.Background())
	n.ctx, n.stop = ctx, stop // who comes in by the socket finds them
	if o.Socket != nil {
		cl, err := listenControl(o.Socket, n.addr)
		if err != nil {
			return nil, err
		}
		n.about.told.Socket = cl.Addr().String()
		n.mu.Lock() // who asks at once finds it, too
		n.control = control.Serve(cl, n)
		n.mu.Unlock()
	}
	n.server = p.Server()
	n.server.ErrorLog = log.New(serverLog{n.log}, "", 0)
	if cfg.TLSCert != "" {
		cert, err := tls.LoadX509KeyPair(cfg.TLSCert, cfg.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("tls: %w", err)
		}
		l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}})
	}
	n.tasks.Go(func() { n.follow(ctx, known.LastSeq) })
	if n.log.Enabled(ctx, slog.LevelDebug) {
		n.tasks.Go(func() { n.tellRequests(ctx) })
	}
	if n.keeper != nil {
		n.tasks.Go(func() { n.keeper.run(ctx) })
	}
	n.tasks.Go(func() { n.money.run(ctx) })
	n.watchAlerts(cfg.Alerts)
	if n.load != nil {
		n.tasks.Go(func() { n.watch(ctx) })
	}
	n.tasks.Go(func() {
		if err := n.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			n.served <- err
		}
		close(n.served)
	})
	return n, nil
}

// listenControl makes the control socket. Its name needs the port, which is
// only known once something listens there.
func listenControl(socket func(port string) (string, error), addr string) (net.Listener, error) {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	path, err := socket(port)
	if err != nil {
		return nil, err
	}
	return control.Listen(path)
}

// Addr is where clients come in, host:port.
func (n *Node) Addr() string { return n.addr }

// Failed delivers the error by which the listener ended on its own, and is
// closed when it ended as asked.
func (n *Node) Failed() <-chan error { return n.served }

// Snapshot is everything there is to see now.
func (n *Node) Snapshot() engine.Snapshot {
	s := n.engine.Snapshot()
	n.mu.Lock()
	cfg, status := n.config, n.status
	n.mu.Unlock()
	describe(&s, cfg, n.addr)
	if n.load != nil {
		s.Config = &status
	}
	n.proxy.FillIn(&s)
	s.Journal, s.Notice = n.keeper.status(), n.notice
	return s
}

// Events are those after a sequence number, the oldest first.
func (n *Node) Events(after uint64) []engine.Event { return n.engine.Events(after) }

// Pulse is another number whenever something has happened.
func (n *Node) Pulse() uint64 { return n.engine.Pulse() }

// Wait returns the events after a sequence number as soon as there is one, or
// ctx's error.
func (n *Node) Wait(ctx context.Context, after uint64) ([]engine.Event, error) {
	return n.engine.Wait(ctx, after)
}

// Requests are those that ended after a sequence number, the oldest first.
func (n *Node) Requests(after uint64) []engine.RequestRecord { return n.engine.Requests(after) }

// Do carries out an operator's action. Where a journal is kept it is on disk
// when Do returns; if it is not, the result says so.
func (n *Node) Do(a engine.Action) (engine.Result, error) {
	if n.keeper != nil {
		return n.keeper.do(a)
	}
	return n.engine.Do(a)
}

// lastCall is for how long requests are still answered, by a refusal, when it is
// to stop.
const lastCall = 50 * time.Millisecond

// Stop drains: new requests are refused, those under way finish, as long as
// ctx allows. Then everything ends.
func (n *Node) Stop(ctx context.Context) error {
	n.proxy.Drain()
	select { // whoever asks again on an open connection is told, before it finds that closed
	case <-time.After(lastCall):
	case <-ctx.Done():
	}
	err := n.server.Shutdown(ctx)
	if err != nil {
		_ = n.server.Close()
		err = fmt.Errorf("%d requests were still in flight and were cut", n.engine.Snapshot().Proxy.InFlight)
	}
	n.stop()
	n.tasks.Wait()
	n.proxy.Close()
	n.closeControl()
	return errors.Join(err, n.closeJournal())
}

func (n *Node) closeControl() {
	if n.control != nil {
		_ = n.control.Close()
	}
}

// levels are the events that are not plain news.
var levels = map[engine.EventKind]slog.Level{engine.EventHold: slog.LevelWarn, engine.EventDown: slog.LevelError, engine.EventIncident: slog.LevelWarn,
	engine.EventAlert: slog.LevelWarn, engine.EventReloadFailed: slog.LevelError}

// follow logs every event after a number and makes the test calls that the engine asks for.
func (n *Node) follow(ctx context.Context, after uint64) {
	for {
		list, err := n.engine.Wait(ctx, after)
		if err != nil {
			return
		}
		for _, ev := range list {
			after = ev.Seq
			attrs := []any{"event", string(ev.Kind), "by", ev.By}
			if ev.Service != "" {
				attrs = append(attrs, "service", ev.Service)
			}
			if ev.Key != "" {
				attrs = append(attrs, "key", ev.Key)
			}
			n.log.Log(ctx, levels[ev.Kind], ev.Text, attrs...)
			switch h := ev.Hold; {
			case ev.Kind == engine.EventProbe:
				n.tasks.Go(func() { n.probe(ctx, ev.Key) })
			case ev.Kind == engine.EventHold && h != nil && h.Verdict == engine.QuotaExhausted && h.Until == nil:
				n.money.gone(ev.Key)
			}
		}
	}
}

// probe asks a key's provider whether the key is valid, up to three times while
// the call itself fails.
func (n *Node) probe(ctx context.Context, name string) {
	for pause := time.Second; pause < 10*time.Second; pause *= 3 {
		callCtx, cancel := context.WithTimeout(ctx, 15*time.Second)
		v, ok := n.proxy.Probe(callCtx, name)
		cancel()
		if !ok || ctx.Err() != nil {
			return
		}
		n.engine.Tested(name, v)
		if v.Kind != engine.UpstreamFault {
			return
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
		}
	}
}

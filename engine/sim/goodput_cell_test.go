package sim_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/node"
	"keywheel/engine/quota"
	"keywheel/engine/secret"
	"keywheel/engine/sim"
)

// manyClients bounds the requests under way at once. It is beyond what
// keywheel lets wait; a client that has to wait for a place is late, and the
// lag tells.
const manyClients = 4096

// tells is what the upstream says of its limits, by how they come to be known.
var tells = map[string]sim.Telling{byConfig: sim.OnlyWhen, byHeaders: sim.Plainly, byTrial: sim.Nothing}

// run is one cell at work.
type run struct {
	*plan
	upstream *sim.Upstream
	keys     []sim.Key
	names    []string // of the keys, the dead ones last
	client   *http.Client
	start    time.Time
	outcomes []outcome // one for each arrival
	// counts are the upstream's of every key when measuring begins, when
	// arrivals end, and when all is over.
	counts [3][]sim.Counts
	// left is the work that the limits let pass when measuring begins.
	left float64
	// effort is the share of the processors that all of it took.
	effort float64
}

func secretOf(name string) secret.Secret { return secret.New("sk-goodput-not-a-real-key-" + name) }

// measure runs a plan through a whole keywheel, over real HTTP.
func (p *plan) measure(tb testing.TB) *run {
	tb.Helper()
	r := &run{plan: p, outcomes: make([]outcome, len(p.arrivals))}
	cfg := r.configure()
	var err error
	if r.upstream, err = sim.NewUpstream("openai", sim.Options{Seed: 1, Tells: tells[r.known], FullLength: true}, r.keys...); err != nil {
		tb.Fatal(err)
	}
	if err := r.upstream.Start(); err != nil {
		tb.Fatal(err)
	}
	for i := range cfg.Engine.Keys {
		cfg.Engine.Keys[i].BaseURL = r.upstream.BaseURL()
	}
	n, err := node.Start(node.Options{Config: cfg, Seed: 1})
	if err != nil {
		tb.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: manyClients, DisableCompression: true}
	r.client = &http.Client{Transport: transport}
	defer func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(n.Stop(ctx), r.upstream.Close()); err != nil {
			tb.Error(err)
		}
	}()
	runtime.GC() // the last cell's leavings are not this one's
	r.play("http://" + n.Addr() + "/pool")
	return r
}

// configure writes what the upstream has and what keywheel is told of it.
func (r *run) configure() *config.Config {
	cfg := config.Defaults()
	cfg.Listen, cfg.Patience, cfg.MaxWaiting = "127.0.0.1:0", patience, line
	service := engine.Service{Name: "pool", Strategy: engine.RoundRobin}
	r.keys, r.names = nil, make([]string, len(rates)+dead)
	pools := r.pools()
	for i := range dead {
		pools = append(pools, pool{rate: r.mean() * 20, depth: r.mean() * depth, keys: []int{len(rates) + i}})
	}
	for _, l := range pools {
		limit := quota.Limit{Unit: quota.Requests, Amount: l.rate * 60, Window: time.Minute, Burst: l.depth, Source: "config"}
		switch {
		case r.unit == quota.Tokens:
			limit.Unit = quota.Tokens
		case r.window > 0:
			limit.Amount, limit.Window, limit.Burst = l.depth, r.window, 0
		}
		limits := []quota.Limit{limit}
		if r.known != byConfig {
			limits = nil
		}
		for _, k := range l.keys {
			name := fmt.Sprintf("key-%d", k+1)
			at := sim.Key{Name: name, Secret: secretOf(name), Account: l.account, Window: r.window, Revoked: k >= len(rates),
				Latency: sim.Latency{Median: latency, Max: latency}}
			if limit.Unit == quota.Tokens {
				at.TPM, at.TokenBurst = l.rate*60, l.depth
			} else {
				at.RPM, at.Burst = l.rate*60, l.depth
			}
			r.keys = append(r.keys, at)
			r.names[k] = name
			key := engine.Key{Name: name, Provider: "openai", Kind: "openai", Secret: secretOf(name), Account: l.account}
			if l.account == "" {
				key.Limits = limits
			}
			cfg.Engine.Keys = append(cfg.Engine.Keys, key)
			service.Keys = append(service.Keys, name)
		}
		if l.account != "" {
			cfg.Engine.Accounts = append(cfg.Engine.Accounts, engine.Account{Provider: "openai", Name: l.account, Limits: limits})
		}
	}
	cfg.Engine.Services = []engine.Service{service}
	return cfg
}

// play makes everything happen at its time. It returns when the last client has
// gone; beyond the pool's capacity those still in line at the end are sent away.
func (r *run) play(base string) {
	type happening struct {
		at time.Duration
		do func()
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var clients sync.WaitGroup
	places := make(chan struct{}, manyClients)
	all := []happening{{r.from, func() { r.counts[0], r.left = r.count(), r.room() }}, {r.to, func() { r.counts[1] = r.count() }}}
	for _, k := range r.revoked {
		all = append(all, happening{r.revokedAt, func() { r.upstream.Revoke(r.names[k]) }})
	}
	for i, a := range r.arrivals {
		to := base
		if a.key >= 0 {
			to = r.upstream.URL()
		}
		body := a.body()
		all = append(all, happening{a.at, func() {
			places <- struct{}{}
			clients.Go(func() {
				r.outcomes[i] = r.ask(ctx, to, a, body)
				<-places
			})
		}})
	}
	if r.saturated() {
		all = append(all, happening{r.to + 5*latency, cancel})
	}
	slices.SortStableFunc(all, func(a, b happening) int { return int(a.at - b.at) })
	r.start = time.Now()
	before := processors()
	for _, h := range all {
		time.Sleep(time.Until(r.start.Add(h.at)))
		h.do()
	}
	clients.Wait()
	r.effort = (processors() - before).Seconds() / time.Since(r.start).Seconds() / float64(runtime.GOMAXPROCS(0))
	r.counts[2] = r.count()
}

// processors is the time that this process has had of them.
func processors() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func (r *run) count() (all []sim.Counts) {
	for _, name := range r.names {
		all = append(all, r.upstream.Counts(name))
	}
	return all
}

// room is the work that the keys alive let pass at this moment.
func (r *run) room() (total float64) {
	for _, l := range r.pools() {
		requests, tokens := r.upstream.Left(r.names[l.keys[0]])
		total += requests + tokens
	}
	return total
}

// ask is one client with one request. Who uses somebody else's key shows it to
// the upstream itself.
func (r *run) ask(ctx context.Context, base string, a arrival, body string) (o outcome) {
	o = outcome{arrival: a, sent: time.Since(r.start)}
	defer func() { o.done = time.Since(r.start) }()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		o.err = err.Error()
		return o
	}
	req.Header.Set("Content-Type", "application/json")
	if a.key >= 0 {
		req.Header.Set("Authorization", "Bearer "+secretOf(r.names[a.key]).Reveal())
	}
	res, err := r.client.Do(req)
	if err != nil {
		o.cut, o.err = ctx.Err() != nil, err.Error()
		return o
	}
	defer res.Body.Close()
	o.status, o.told = res.StatusCode, res.Header.Get("Retry-After") != ""
	text, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		o.cut, o.err = ctx.Err() != nil, err.Error()
	case res.StatusCode == http.StatusOK:
		o.served = gjson.ValidBytes(text) && gjson.GetBytes(text, "choices.0.finish_reason").String() == "stop"
	default:
		o.err = string(bytes.TrimSpace(text))
	}
	return o
}

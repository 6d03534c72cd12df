package sim

import (
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"
)

// Do is what a script's event does.
type Do string

// The things that happen.
const (
	DoLimit   Do = "limit"   // the account passes RPM requests a minute
	DoEase    Do = "ease"    // its limit is what it was
	DoRevoke  Do = "revoke"  // the key is rejected
	DoExhaust Do = "exhaust" // the account's quota is gone, For some time or for good
	DoRestore Do = "restore" // key and account are as at first
	DoOutage  Do = "outage"  // the provider fails with Status
	DoUp      Do = "up"      // the outage is over
	DoSlow    Do = "slow"    // the provider takes Factor as long
	DoCut     Do = "cut"     // its next stream breaks off
)

// Event is one thing that happens in a world. Times are the world's.
type Event struct {
	At       time.Duration
	Do       Do
	Provider string
	Key      string
	RPM      float64
	For      time.Duration
	Status   int
	Factor   float64
}

// String tells the event in one line.
func (e Event) String() string {
	s := fmt.Sprintf("%s %s %s", e.At, e.Do, e.Provider)
	for _, part := range []struct {
		has  bool
		text string
	}{
		{e.Key != "", e.Key}, {e.RPM != 0, fmt.Sprintf("%g a minute", e.RPM)}, {e.For != 0, "for " + e.For.String()},
		{e.Status != 0, fmt.Sprint(e.Status)}, {e.Factor != 0, fmt.Sprintf("x%g", e.Factor)},
	} {
		if part.has {
			s += " " + part.text
		}
	}
	return s
}

const sec = time.Second

// opening is how every demo begins. Within ten seconds a key cools, one is
// revoked, one runs out of quota, one provider fails for a moment; the GitHub
// tokens go one after the other until proxy-config is one key from down, then
// down for some twelve seconds, and all come back.
var opening = []Event{
	{At: 1500 * ms, Do: DoLimit, Provider: "openai", Key: "gpt-2", RPM: 5},
	{At: 2200 * ms, Do: DoExhaust, Provider: "github", Key: "bot-1", For: 24 * sec},
	{At: 3 * sec, Do: DoRevoke, Provider: "anthropic", Key: "claude-1"},
	{At: 4200 * ms, Do: DoExhaust, Provider: "github", Key: "bot-2", For: 27 * sec},
	{At: 5 * sec, Do: DoExhaust, Provider: "zhipu", Key: "glm-2", For: 30 * sec},
	{At: 6 * sec, Do: DoOutage, Provider: "siliconflow", Status: 503},
	{At: 7500 * ms, Do: DoExhaust, Provider: "github", Key: "bot-3", For: 27 * sec},
	{At: 8800 * ms, Do: DoUp, Provider: "siliconflow"},
	{At: 9 * sec, Do: DoEase, Provider: "openai", Key: "gpt-2"},
	{At: 12 * sec, Do: DoLimit, Provider: "github", Key: "bot-4", RPM: 5},
	{At: 14 * sec, Do: DoEase, Provider: "github", Key: "bot-4"},
	{At: 20 * sec, Do: DoExhaust, Provider: "siliconflow", Key: "ds-3"},
	{At: 26 * sec, Do: DoLimit, Provider: "aimlapi", Key: "aiml-team-1", RPM: 30},
	{At: 38 * sec, Do: DoEase, Provider: "aimlapi", Key: "aiml-team-1"},
	{At: 40 * sec, Do: DoRestore, Provider: "anthropic", Key: "claude-1"},
	{At: 45 * sec, Do: DoSlow, Provider: "zhipu", Factor: 2.5},
	{At: 55 * sec, Do: DoSlow, Provider: "zhipu", Factor: 1},
	{At: 60 * sec, Do: DoRestore, Provider: "siliconflow", Key: "ds-3"},
	{At: 68 * sec, Do: DoOutage, Provider: "anthropic", Status: 529},
	{At: 70500 * ms, Do: DoUp, Provider: "anthropic"},
}

// episodes are what happens after the opening, again and again, in seeded
// order. Each begins at 0 and leaves everything as it was.
var episodes = []func(*rand.Rand) []Event{
	squeeze, squeeze, failure, window, tokens, slowness, brink, severed,
}

// squeeze is an account that passes only a few requests for a while.
func squeeze(r *rand.Rand) []Event {
	at := one(r, []Event{
		{Provider: "openai", Key: "gpt-2"}, {Provider: "openai", Key: "gpt-4"}, {Provider: "anthropic", Key: "claude-2"},
		{Provider: "aimlapi", Key: "aiml-team-1"}, {Provider: "siliconflow", Key: "ds-1"}, {Provider: "zhipu", Key: "glm-3"},
	})
	to := at
	at.Do, at.RPM = DoLimit, float64(4+r.IntN(8))
	to.Do, to.At = DoEase, time.Duration(8+r.IntN(12))*sec
	return []Event{at, to}
}

// failure is a provider that is down for two to four seconds.
func failure(r *rand.Rand) []Event {
	h := one(r, houses)
	return []Event{{Do: DoOutage, Provider: h.kind, Status: h.outage}, {At: time.Duration(20+r.IntN(20)) * 100 * ms, Do: DoUp, Provider: h.kind}}
}

// window is a plan's quota used up until its window ends.
func window(r *rand.Rand) []Event {
	return []Event{{Do: DoExhaust, Provider: "zhipu", Key: one(r, []string{"glm-2", "glm-3"}), For: time.Duration(15+r.IntN(25)) * sec}}
}

// tokens is one to three GitHub tokens used up, one after the other.
func tokens(r *rand.Rand) []Event {
	names := []string{"bot-1", "bot-2", "bot-3", "bot-4"}
	r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	var es []Event
	for i, name := range names[:1+r.IntN(3)] {
		es = append(es, Event{At: time.Duration(i) * 3 * sec, Do: DoExhaust, Provider: "github", Key: name, For: time.Duration(15+r.IntN(15)) * sec})
	}
	return es
}

// slowness is a provider that takes its time.
func slowness(r *rand.Rand) []Event {
	kind := one(r, houses).kind
	return []Event{{Do: DoSlow, Provider: kind, Factor: float64(2 + r.IntN(2))},
		{At: time.Duration(8+r.IntN(8)) * sec, Do: DoSlow, Provider: kind, Factor: 1}}
}

// brink is every account of a service refusing for a few seconds.
func brink(r *rand.Rand) []Event {
	kind := one(r, []string{"github", "anthropic"})
	seen := map[string]bool{}
	var es []Event
	for _, h := range houses {
		for _, m := range h.keys {
			if h.kind == kind && !seen[m.account] {
				seen[m.account] = true
				es = append(es, Event{At: time.Duration(len(es)) * 1200 * ms, Do: DoLimit, Provider: kind, Key: m.name, RPM: 10})
			}
		}
	}
	for i, e := range es {
		es = append(es, Event{At: time.Duration(6000+300*i) * ms, Do: DoEase, Provider: kind, Key: e.Key})
	}
	return es
}

// severed is one stream that breaks off.
func severed(r *rand.Rand) []Event {
	return []Event{{Do: DoCut, Provider: one(r, []string{"openai", "anthropic", "zhipu"})}}
}

func one[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

// Plan is all that happens in a world of this seed, in order, without end.
func Plan(seed uint64) iter.Seq[Event] {
	return func(yield func(Event) bool) {
		var at time.Duration
		for _, e := range opening {
			at = e.At
			if !yield(e) {
				return
			}
		}
		r := component(seed, "script")
		var order []int
		for {
			if len(order) == 0 {
				order = r.Perm(len(episodes))
			}
			at += time.Duration(25+r.IntN(25)) * sec
			start := at
			for _, e := range episodes[order[0]](r) {
				e.At += start
				at = max(at, e.At+e.For)
				if !yield(e) {
					return
				}
			}
			order = order[1:]
		}
	}
}

// Script makes the events of [Plan] happen, until ctx ends.
func (w *World) Script(ctx context.Context) {
	start := time.Now()
	for e := range Plan(w.seed) {
		if !sleepUntil(ctx, start.Add(w.real(e.At))) {
			return
		}
		w.apply(e)
	}
}

// apply makes one event happen.
func (w *World) apply(e Event) { deeds[e.Do](w, w.upstreams[e.Provider], e) }

var deeds = map[Do]func(*World, *Upstream, Event){
	DoLimit:   func(w *World, u *Upstream, e Event) { u.Limit(e.Key, e.RPM*w.speed) },
	DoEase:    func(_ *World, u *Upstream, e Event) { u.ease(e.Key) },
	DoRevoke:  func(_ *World, u *Upstream, e Event) { u.Revoke(e.Key) },
	DoRestore: func(_ *World, u *Upstream, e Event) { u.Restore(e.Key) },
	DoOutage:  func(_ *World, u *Upstream, e Event) { u.SetOutage(e.Status) },
	DoUp:      func(_ *World, u *Upstream, _ Event) { u.SetOutage(0) },
	DoSlow:    func(_ *World, u *Upstream, e Event) { u.SetSlow(e.Factor) },
	DoCut:     func(_ *World, u *Upstream, _ Event) { u.CutStreams(1) },
	DoExhaust: func(w *World, u *Upstream, e Event) {
		var until time.Time
		if e.For > 0 {
			until = time.Now().Add(w.real(e.For))
		}
		u.Exhaust(e.Key, until)
	},
}

// sleepUntil waits for a time, and reports whether ctx still runs.
func sleepUntil(ctx context.Context, t time.Time) bool {
	timer := time.NewTimer(time.Until(t))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

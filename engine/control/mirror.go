package control

import (
	"context"
	"slices"
	"sync"
	"time"

	"keywheel/engine"
)

const (
	// freshness is how old a mirror's snapshot gets while nothing happens.
	freshness = 250 * time.Millisecond
	// lookTime bounds one look at the instance.
	lookTime = 2 * time.Second
	// calm is the least time between looks.
	calm = 50 * time.Millisecond
	// share is the part of its time that an instance spends on being looked at:
	// one in so many. A large one is looked at less often.
	share = 80
	// kept is how many requests a mirror remembers.
	kept = 2000
)

// Mirror is a running instance as a monitor in another process watches it. It
// takes what has changed, at once when an operator did something, else every
// 250 ms, but never for more than a tenth of its own time or an eightieth of the
// instance's: who watches a large one does not slow it down. When the instance
// goes and comes back, so does the mirror.
type Mirror struct {
	client *Client
	ctx    context.Context
	stop   context.CancelFunc
	tasks  sync.WaitGroup
	// wake asks for a look at once.
	wake chan struct{}

	looking sync.Mutex // one at a time

	mu   sync.Mutex
	last engine.Snapshot // zero while the instance does not answer
	you  string
	// mark names the state that last shows.
	mark string
	// requests are those that ended, the newest last.
	requests []engine.RequestRecord
	// system is what it told of its process last, spent of its use.
	system told[engine.SystemStatus]
	spent  told[[]engine.Spent]
}

// told is what the instance told last, and when it was asked.
type told[T any] struct {
	last T
	at   time.Time
}

// NewMirror begins to watch the instance of a client; that it answers is the
// condition. [Mirror.Close] ends it.
func NewMirror(ctx context.Context, c *Client) (*Mirror, error) {
	return newMirror(ctx, c, freshness)
}

func newMirror(ctx context.Context, c *Client, every time.Duration) (*Mirror, error) {
	m := &Mirror{client: c, ctx: ctx, wake: make(chan struct{}, 1)}
	if _, err := m.look(); err != nil {
		return nil, err
	}
	m.ctx, m.stop = context.WithCancel(ctx)
	first := m.last.LastSeq
	m.tasks.Go(func() { m.watch(every) })
	m.tasks.Go(func() { m.listen(first) })
	return m, nil
}

// Close ends the mirror and waits for it.
func (m *Mirror) Close() {
	m.stop()
	m.tasks.Wait()
}

// Snapshot is the instance as last seen, at most moments ago; a zero one says
// that it does not answer now.
func (m *Mirror) Snapshot() engine.Snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last
}

// Events asks for the events after a sequence number; none where the instance
// does not answer. What the mirror's own user did is by "you".
func (m *Mirror) Events(after uint64) []engine.Event {
	ctx, cancel := context.WithTimeout(m.ctx, lookTime)
	defer cancel()
	list, err := m.client.Events(ctx, after)
	if err != nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range list {
		if list[i].By == m.you {
			list[i].By = "you"
		}
	}
	return list
}

// Requests are those that ended after a sequence number, as far as the mirror
// was told of them: of very many, the newest.
func (m *Mirror) Requests(after uint64) []engine.RequestRecord {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := len(m.requests)
	for i > 0 && m.requests[i-1].Seq > after {
		i--
	}
	return slices.Clone(m.requests[i:])
}

// System is what the instance told of its process, at most two seconds ago
// while it answers.
func (m *Mirror) System() engine.SystemStatus { return askAgain(m, &m.system, m.client.System) }

// Spent is what was used since the instance began, at most two seconds ago
// while it answers.
func (m *Mirror) Spent() []engine.Spent { return askAgain(m, &m.spent, m.client.Spent) }

// askAgain is what the instance told last; after two seconds it is asked again,
// whether it answered or not.
func askAgain[T any](m *Mirror, t *told[T], ask func(context.Context) (T, error)) T {
	m.mu.Lock()
	last, fresh := t.last, time.Since(t.at) < lookTime
	m.mu.Unlock()
	if fresh {
		return last
	}
	ctx, cancel := context.WithTimeout(m.ctx, lookTime)
	defer cancel()
	now, err := ask(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if t.at = time.Now(); err == nil {
		t.last = now
	}
	return t.last
}

// Do asks for an action; the next Snapshot shows what it did.
func (m *Mirror) Do(a engine.Action) (engine.Result, error) {
	r, err := m.client.Do(m.ctx, a)
	_, _ = m.look()
	return r, err
}

// look takes what has changed. It says how long that kept the instance busy.
func (m *Mirror) look() (took time.Duration, err error) {
	m.looking.Lock()
	defer m.looking.Unlock()
	ctx, cancel := context.WithTimeout(m.ctx, lookTime)
	defer cancel()
	m.mu.Lock()
	mark, last, after := m.mark, m.last, uint64(0)
	if n := len(m.requests); n > 0 {
		after = m.requests[n-1].Seq
	}
	m.mu.Unlock()
	d, err := m.client.since(ctx, mark, after)
	if err == nil && d.Whole && after > 0 { // perhaps it began anew, and counts anew
		d, err = m.client.since(ctx, "", 0)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		m.last, m.mark, m.requests = engine.Snapshot{}, "", nil
		return 0, err
	}
	if d.Whole {
		m.requests = nil
	}
	m.last, m.mark, m.you = d.apply(last), d.Mark, d.Snapshot.You
	m.requests = append(m.requests, d.Requests...)
	m.requests = m.requests[max(0, len(m.requests)-kept):]
	return time.Duration(d.TookUS) * time.Microsecond, nil
}

// watch looks again and again.
func (m *Mirror) watch(every time.Duration) {
	for {
		begun := time.Now()
		took, _ := m.look()
		rest := max(every, share*took, 9*time.Since(begun))
		if rest > lookTime {
			rest = max(every, lookTime)
		}
		select {
		case <-m.ctx.Done():
			return
		case <-time.After(calm): // what happens meanwhile is seen with the next look
		}
		select {
		case <-m.ctx.Done():
			return
		case <-m.wake:
		case <-time.After(rest - calm):
		}
	}
}

// listen asks for a look when an operator did something, and when the instance
// goes. What else happens is seen soon enough. It begins anew while it is gone.
func (m *Mirror) listen(after uint64) {
	for m.ctx.Err() == nil {
		_ = m.client.Follow(m.ctx, after, func(n News) error {
			if n.Event == nil {
				m.poke()
				return nil
			}
			if after = n.Event.Seq; n.Event.Kind == engine.EventOperator {
				m.poke()
			}
			return nil
		})
		m.poke()
		select {
		case <-m.ctx.Done():
		case <-time.After(freshness):
		}
	}
}

func (m *Mirror) poke() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

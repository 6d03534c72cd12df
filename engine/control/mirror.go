package control

import (
	"context"
	"sync"
	"time"

	"keywheel/engine"
)

const (
	// freshness is how old a mirror's snapshot gets while nothing happens.
	freshness = 200 * time.Millisecond
	// lookTime bounds one look at the instance.
	lookTime = 2 * time.Second
)

// Mirror is a running instance as a monitor in another process watches it. It
// looks again at once when something has happened there, else every 200 ms, but
// never for more than a tenth of the time: who watches a large instance does
// not slow it down. When the instance goes and comes back, so does the mirror.
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
	// system is what it told of its process last.
	system engine.SystemStatus
}

// NewMirror begins to watch the instance of a client; that it answers is the
// condition. [Mirror.Close] ends it.
func NewMirror(ctx context.Context, c *Client) (*Mirror, error) {
	return newMirror(ctx, c, freshness)
}

func newMirror(ctx context.Context, c *Client, every time.Duration) (*Mirror, error) {
	first, err := c.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	m := &Mirror{client: c, ctx: ctx, stop: stop, wake: make(chan struct{}, 1), last: first, you: first.You}
	m.tasks.Go(func() { m.watch(every) })
	m.tasks.Go(func() { m.listen(first.LastSeq) })
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

// Requests asks for those that ended after a sequence number; none where the
// instance does not answer.
func (m *Mirror) Requests(after uint64) []engine.RequestRecord {
	ctx, cancel := context.WithTimeout(m.ctx, lookTime)
	defer cancel()
	list, err := m.client.Requests(ctx, after)
	if err != nil {
		return nil
	}
	return list
}

// System is what the instance last told of its process.
func (m *Mirror) System() engine.SystemStatus {
	ctx, cancel := context.WithTimeout(m.ctx, lookTime)
	defer cancel()
	s, err := m.client.System(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err == nil {
		m.system = s
	}
	return m.system
}

// Do asks for an action; the next Snapshot shows what it did.
func (m *Mirror) Do(a engine.Action) (engine.Result, error) {
	r, err := m.client.Do(m.ctx, a)
	m.look()
	return r, err
}

// look takes a snapshot.
func (m *Mirror) look() {
	m.looking.Lock()
	defer m.looking.Unlock()
	ctx, cancel := context.WithTimeout(m.ctx, lookTime)
	defer cancel()
	s, err := m.client.Snapshot(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if err != nil {
		s = engine.Snapshot{}
	} else {
		m.you = s.You
	}
	m.last = s
}

// watch looks again and again.
func (m *Mirror) watch(every time.Duration) {
	for {
		begun := time.Now()
		m.look()
		rest := min(9*time.Since(begun), lookTime)
		select {
		case <-m.ctx.Done():
			return
		case <-time.After(rest): // what happens meanwhile is seen with the next look
		}
		select {
		case <-m.ctx.Done():
			return
		case <-m.wake:
		case <-time.After(every - rest):
		}
	}
}

// listen asks for a look with every event, and when the instance goes. It
// begins anew while it is gone.
func (m *Mirror) listen(after uint64) {
	for m.ctx.Err() == nil {
		_ = m.client.Follow(m.ctx, after, func(n News) error {
			if n.Event != nil {
				after = n.Event.Seq
			}
			m.poke()
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

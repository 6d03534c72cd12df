package proxy

import (
	"sync/atomic"
	"time"

	"keywheel/engine"
)

// addedBounds are the upper bounds of the buckets that count what the proxy
// adds to a request.
var addedBounds = [...]time.Duration{50 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond,
	time.Second, 10 * time.Second}

// added counts how long the requests of a service took from the door until
// they had their first key: reading the body, choosing, waiting in line.
type added struct {
	counts [len(addedBounds) + 1]atomic.Int64
	sum    atomic.Int64
}

func (a *added) observe(d time.Duration) {
	i := 0
	for i < len(addedBounds) && d > addedBounds[i] {
		i++
	}
	a.counts[i].Add(1)
	a.sum.Add(int64(d))
}

// addTo adds what was counted to a histogram, which may be an empty one.
func (a *added) addTo(h *engine.Histogram) {
	if h.Counts == nil {
		h.Counts = make([]int64, len(a.counts))
		h.LE = make([]float64, len(addedBounds))
		for i, b := range addedBounds {
			h.LE[i] = millis(b)
		}
	}
	for i := range a.counts {
		h.Counts[i] += a.counts[i].Load()
	}
	h.Sum += millis(time.Duration(a.sum.Load()))
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// FillIn puts into a snapshot what the engine does not know and the proxy does:
// refusals at the door, and how much time it adds.
func (p *Proxy) FillIn(s *engine.Snapshot) {
	s.Proxy.ClientErrors += p.refused.Load()
	s.Proxy.AddedMS = &engine.Histogram{}
	(&added{}).addTo(s.Proxy.AddedMS)
	services := p.table.Load().services
	for i := range s.Services {
		if sv := services[s.Services[i].Name]; sv != nil {
			s.Services[i].AddedMS = &engine.Histogram{}
			sv.added.addTo(s.Services[i].AddedMS)
			sv.added.addTo(s.Proxy.AddedMS)
		}
	}
}

package tui

import (
	"cmp"
	"slices"
	"sort"
	"time"

	"keywheel/engine"
	"keywheel/tui/chart"
)

// scene is a snapshot with what the views need of it worked out once, where
// it is fetched and not where it is drawn.
type scene struct {
	// gone is true when the engine has not answered since.
	gone     bool
	snap     engine.Snapshot
	services []service
	byName   map[string]*service
	keys     map[string]*engine.KeyStatus
	// lends are those of each key.
	lends map[string][]engine.Lent
	// allKeys are all keys, those that a person must see to first.
	allKeys []*engine.KeyStatus
	usable  int
	// system is what is known of the process, nil where nobody tells.
	system *engine.SystemStatus
	// long is how wide the longest name of a service is.
	long int
	// top is the value of a full column in the sparklines of all services.
	top    int
	keyTop int
}

// service is one service with its keys at hand.
type service struct {
	*engine.ServiceStatus
	// keys are all its keys, those that need a person first.
	keys []*engine.KeyStatus
	// fallback holds the names of those that are in a lower tier.
	fallback map[string]bool
	states   [engine.Active + 1]int
	pool     *pool
	// burning is what the chart follows: the limit of the key in use where one
	// key serves until it cannot (burner names it), else the pool.
	burning  *pool
	burner   string
	incident *engine.Incident
	// accounts is how many accounts its keys are of; a key whose account nobody
	// knows counts as one. oneAccount is true of several keys that share one
	// account, and its fate.
	accounts   int
	oneAccount bool
	rank       rank
}

func newScene(snap engine.Snapshot, system *engine.SystemStatus) *scene {
	sc := &scene{system: system, snap: snap, byName: make(map[string]*service, len(snap.Services)),
		keys: make(map[string]*engine.KeyStatus, len(snap.Keys)), lends: map[string][]engine.Lent{}, services: make([]service, len(snap.Services))}
	high := 0
	for i := range snap.Keys {
		k := &snap.Keys[i]
		sc.keys[k.Name] = k
		if k.Usable() {
			sc.usable++
		}
		for _, v := range k.Series {
			high = max(high, v)
		}
	}
	sc.keyTop = int(chart.Top(float64(high)))
	high = 0
	for i := range snap.Services {
		s := &sc.services[i]
		s.ServiceStatus = &snap.Services[i]
		sc.byName[s.Name] = s
		sc.long = max(sc.long, cells(s.Name))
		sc.fill(s)
		for _, l := range s.Lent {
			sc.lends[l.Key] = append(sc.lends[l.Key], l)
		}
		for _, v := range s.Series {
			high = max(high, v)
		}
	}
	sc.top = int(chart.Top(float64(high)))
	sc.sortKeys()
	return sc
}

// sortKeys puts the keys in the order of who needs a person, then of names.
func (sc *scene) sortKeys() {
	needs := make(map[string]int, len(sc.keys))
	sc.allKeys = make([]*engine.KeyStatus, 0, len(sc.snap.Keys))
	for i := range sc.snap.Keys {
		k := &sc.snap.Keys[i]
		sc.allKeys = append(sc.allKeys, k)
		needs[k.Name] = keyNeed(k, sc.snap.At)
	}
	slices.SortStableFunc(sc.allKeys, func(a, b *engine.KeyStatus) int {
		return cmp.Or(cmp.Compare(needs[a.Name], needs[b.Name]), cmp.Compare(a.Name, b.Name))
	})
}

// keyNeed ranks a key by how much it needs a person. What passes by itself
// within seconds does not move a row.
func keyNeed(k *engine.KeyStatus, now time.Time) int {
	switch {
	case k.State == engine.Disabled:
		return 4
	case k.State < engine.Exhausted:
		return 0
	case k.State < engine.Cooling:
		return 1
	}
	if q := ofKey(k, now); q != nil && q.short && lasting(q.per) {
		return 2
	}
	return 3
}

func (sc *scene) fill(s *service) {
	s.keys = make([]*engine.KeyStatus, 0, len(s.Keys)+len(s.Fallback))
	seen := make(map[string]bool, len(s.Keys)+len(s.Fallback))
	add := func(names []string, lower bool) {
		for _, n := range names {
			k := sc.keys[n]
			if k == nil || seen[n] {
				continue
			}
			seen[n] = true
			if lower {
				if s.fallback == nil {
					s.fallback = map[string]bool{}
				}
				s.fallback[n] = true
			}
			s.keys = append(s.keys, k)
			s.states[min(k.State, engine.Active)]++
		}
	}
	add(s.Keys, false)
	add(s.Fallback, true)
	for i := range sc.snap.Incidents {
		if inc := &sc.snap.Incidents[i]; inc.Ended == nil && inc.Provider == s.Provider {
			s.incident = inc
		}
	}
	serving := s.keys
	if k := sc.keys[s.Pinned]; k != nil {
		serving = []*engine.KeyStatus{k} // the others do not step in
	}
	s.pool = poolOf(serving, s.Limits, nil, sc.snap.At)
	accounts := map[string]bool{}
	for _, k := range s.keys {
		accounts[pick(k.Account == "", "\x00"+k.Name, k.Provider+" "+k.Account)] = true
	}
	s.accounts = len(accounts)
	s.oneAccount = len(s.keys) > 1 && s.accounts == 1
	s.burning = s.pool
	if k := sc.keys[s.KeyInUse]; k != nil && !s.inTurn() && len(serving) > 1 {
		if q := ofKey(k, sc.snap.At); q != nil && lasting(q.per) {
			s.burning, s.burner = q, k.Name
		}
	}
	s.rank = rankOf(s)
	sort.SliceStable(s.keys, func(i, j int) bool { return s.keyRank(s.keys[i]) < s.keyRank(s.keys[j]) })
}

// keyRank orders the keys of a service: the one in use where one stays in use,
// those that a person must see to, those that work or soon will, those that
// are switched off. What passes by itself within seconds does not move a row.
func (s *service) keyRank(k *engine.KeyStatus) int {
	switch {
	case s.Strategy == engine.Failover && k.Name == s.KeyInUse:
		return 0
	case k.State == engine.Disabled:
		return 4
	case k.State < engine.Cooling:
		return 1
	case s.fallback[k.Name]:
		return 3
	default:
		return 2
	}
}

// inTurn reports whether several keys serve in turn, so that no one of them is
// the key in use.
func (s *service) inTurn() bool {
	return s.Strategy != engine.Failover && s.Pinned == "" && s.Usable > 1
}

// stale reports how long ago the newest snapshot was taken, and whether the
// engine does not answer or that is too long ago to call it live. A frozen
// screen tells the age of what it shows.
func (st *state) stale() (time.Duration, bool) {
	live := st.live()
	age := st.now.Sub(live.snap.At)
	old := live.gone || age > 3*time.Second
	if !old && st.frozen != nil {
		return st.now.Sub(st.scene.snap.At), false
	}
	return age, old
}

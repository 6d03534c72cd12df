package control

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"keywheel/engine"
)

const (
	// ageing is how many keys, and how many services, may be sent at once only
	// because their numbers have moved. The others' turn comes with the next
	// looks; what a person waits for is never put off.
	ageing = 256
	// newest is how many requests are told of at once, from the second look on.
	newest = 200
)

// delta is what has changed of an instance since a client looked last: the JSON
// of GET /v1/snapshot?since=MARK.
type delta struct {
	// Mark names this state; the next look says since=MARK.
	Mark string `json:"mark"`
	// Whole is true when Snapshot stands for itself. Else its services and keys
	// are those that changed, and the others are as the client has them.
	Whole    bool            `json:"whole"`
	Snapshot engine.Snapshot `json:"snapshot"`
	// Requests are the newest of those that ended since the mark. Only asked
	// for with requests=N.
	Requests []engine.RequestRecord `json:"requests,omitempty"`
	// TookUS is what finding out took, in microseconds: who looks often should
	// mind it.
	TookUS int64 `json:"took_us"`
}

// apply brings the state that a client has up to date. Nothing that last shows
// is written to.
func (d *delta) apply(last engine.Snapshot) engine.Snapshot {
	s := d.Snapshot
	if d.Whole {
		return s
	}
	s.Services = merge(last.Services, s.Services, serviceName)
	s.Keys = merge(last.Keys, s.Keys, keyName)
	return s
}

// merge is a list with those replaced that changed, which are in its order.
func merge[T any](list, changed []T, name func(*T) string) []T {
	if len(changed) == 0 {
		return list
	}
	merged := append([]T(nil), list...)
	for i := range merged {
		if len(changed) > 0 && name(&merged[i]) == name(&changed[0]) {
			merged[i], changed = changed[0], changed[1:]
		}
	}
	return merged
}

// feed tells what has changed since a mark. It is one for all clients: each
// service and key bears the number of the look at which it was last sent anew.
type feed struct {
	source Source

	mu sync.Mutex
	// epoch is another whenever a service or key comes, goes or moves: marks of
	// an older one are no help any more.
	epoch    string
	looks    uint64
	services sent[engine.ServiceStatus, serviceGist]
	keys     sent[engine.KeyStatus, keyGist]
}

func newFeed(s Source) *feed {
	return &feed{source: s,
		services: sent[engine.ServiceStatus, serviceGist]{name: serviceName, gist: gistOfService},
		keys:     sent[engine.KeyStatus, keyGist]{name: keyName, gist: gistOfKey}}
}

// since tells what has changed since a mark. With one that it does not know it
// tells everything.
func (f *feed) since(mark string) delta {
	begun := time.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	d := delta{Snapshot: f.source.Snapshot()}
	f.looks++
	same := f.services.look(d.Snapshot.Services, f.looks)
	same = f.keys.look(d.Snapshot.Keys, f.looks) && same
	if !same || f.epoch == "" {
		f.epoch = rand.Text()
	}
	epoch, number, _ := strings.Cut(mark, ".")
	after, err := strconv.ParseUint(number, 10, 64)
	if d.Whole = err != nil || epoch != f.epoch || after > f.looks; d.Whole {
		after = 0
	}
	d.Mark = fmt.Sprintf("%s.%d", f.epoch, f.looks)
	d.Snapshot.Services, d.Snapshot.Keys = f.services.after(after), f.keys.after(after)
	d.TookUS = time.Since(begun).Microseconds()
	return d
}

// sent is a list as clients have it. T is told apart by its name, and what a
// person waits for by its gist G.
type sent[T any, G comparable] struct {
	name func(*T) string
	gist func(*T) G
	list []T
	// at is the look at which each was sent.
	at []uint64
	// next is whose turn it is to be compared.
	next int
}

// look takes in how everything stands. It reports false when the list is of
// others than it was.
//
// A changed gist goes out at once. What only counts or ages has its turn:
// comparing and sending all of thousands would cost more than the traffic.
func (s *sent[T, G]) look(now []T, number uint64) bool {
	if !s.same(now) {
		s.list, s.at, s.next = now, make([]uint64, len(now)), 0
		for i := range s.at {
			s.at[i] = number
		}
		return false
	}
	for i := range now {
		if s.gist(&now[i]) != s.gist(&s.list[i]) {
			s.list[i], s.at[i] = now[i], number
		}
	}
	for range min(ageing, len(now)) {
		i := s.next % len(now)
		s.next = i + 1
		if s.at[i] != number && !reflect.DeepEqual(&now[i], &s.list[i]) {
			s.list[i], s.at[i] = now[i], number
		}
	}
	return true
}

func (s *sent[T, G]) same(now []T) bool {
	if len(now) != len(s.list) {
		return false
	}
	for i := range now {
		if s.name(&now[i]) != s.name(&s.list[i]) {
			return false
		}
	}
	return true
}

// after are those that were sent anew after a look, in their order.
func (s *sent[T, G]) after(number uint64) []T {
	list := []T{}
	for i, at := range s.at {
		if at > number {
			list = append(list, s.list[i])
		}
	}
	return list
}

func serviceName(s *engine.ServiceStatus) string { return s.Name }
func keyName(k *engine.KeyStatus) string         { return k.Name }

// serviceGist is what must be seen of a service at once.
type serviceGist struct {
	health, inUse, pinned string
	usable                int
	rotations             int64
}

func gistOfService(s *engine.ServiceStatus) serviceGist {
	return serviceGist{s.Health, s.KeyInUse, s.Pinned, s.Usable, s.Rotations}
}

// keyGist is what must be seen of a key at once.
type keyGist struct {
	state           engine.State
	reason          string
	until           time.Time
	draining, trial bool
	holds           int
}

func gistOfKey(k *engine.KeyStatus) keyGist {
	g := keyGist{state: k.State, reason: k.Reason, draining: k.Draining, trial: k.Trial, holds: len(k.Holds)}
	if k.Until != nil {
		g.until = k.Until.Round(0) // without the monotonic reading
	}
	return g
}

// delta answers GET /v1/snapshot?since=MARK.
func (s *Server) delta(w http.ResponseWriter, r *http.Request) {
	d := s.feed.since(r.URL.Query().Get("since"))
	d.Snapshot.You = nameOf(r)
	if asked := r.URL.Query().Get("requests"); asked != "" {
		after, err := strconv.ParseUint(asked, 10, 64)
		if err != nil {
			fail(w, http.StatusBadRequest, fmt.Errorf("requests: %q is not a sequence number", asked))
			return
		}
		d.Requests = s.source.Requests(after)
		if len(d.Requests) > newest && !d.Whole {
			d.Requests = d.Requests[len(d.Requests)-newest:]
		}
	}
	replyCompressed(w, r, d)
}

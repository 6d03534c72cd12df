package tui

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"keywheel/engine"
)

// consequence is what taking a key away means for one service.
type consequence struct {
	service string
	// before and after are the usable keys.
	before, after int
	// left names the only key that is left, with what it has.
	left string
	// lasts says how long the rest lasts at today's burn; "" is unknown.
	lasts string
	// alone is true when one key goes, and not several.
	alone bool
}

// dangerous reports whether a person should be asked first.
func (q consequence) dangerous() bool { return q.before > q.after && q.after <= 1 }

// last reports whether the service would be down by it.
func (q consequence) last() bool { return q.before > 0 && q.after == 0 }

// without works out what it means for each service when keys are taken away,
// the worst first.
func (sc *scene) without(gone map[string]bool, now time.Time) []consequence {
	var out []consequence
	for i := range sc.services {
		s := &sc.services[i]
		serves := false
		q := consequence{service: s.Name, before: s.Usable, after: s.Usable}
		for _, other := range s.keys {
			if gone[other.Name] {
				serves = true
				q.alone = len(gone) == 1
				if other.Usable() {
					q.after = max(q.after-1, 0)
				}
				continue
			}
			if other.Usable() {
				q.left = other.Name
				if p := ofKey(other, now); p != nil {
					q.left += " (" + percent(p.fraction()) + ")"
				}
			}
		}
		if !serves || s.Planned {
			continue
		}
		if p := poolOf(s.keys, s.Limits, gone, now); p != nil && p.burn > 0 && !p.open && q.after > 0 {
			q.lasts = short(p.runway)
			if !p.resets.IsZero() && now.Add(p.runway).After(p.resets) {
				q.lasts = "past its reset"
			}
		}
		out = append(out, q)
	}
	slices.SortStableFunc(out, func(a, b consequence) int { return cmp.Compare(a.weight(), b.weight()) })
	return out
}

// weight orders consequences, the worst first.
func (q consequence) weight() int {
	if !q.dangerous() {
		return 2
	}
	return q.after
}

// gravest is the consequence to decide by: the worst of them.
func gravest(list []consequence) (worst consequence) {
	worst.after = 1 << 30
	for _, q := range list {
		if q.dangerous() && (!worst.dangerous() || q.after < worst.after) {
			worst = q
		}
	}
	return worst
}

// loss says in numbers what is left when keys go.
func (st *state) loss(names []string) []para {
	gone := make(map[string]bool, len(names))
	var head []span
	inFlight := 0
	for i, n := range names {
		k := st.scene.keys[n]
		if k == nil {
			continue
		}
		gone[n] = true
		inFlight += k.InFlight
		switch {
		case len(names) == 1:
			head = append(head, span{bold, n + " "}, span{grey, mark(k.Fingerprint) + "  "})
		case i < 6 || len(names) == 7:
			head = append(head, span{bold, n + pick(i < len(names)-1, ", ", "")})
		case i == 6:
			head = append(head, span{grey, fmt.Sprintf("and %d more", len(names)-6)})
		}
	}
	if len(gone) == 0 {
		return []para{line(say(grey, "The key is no longer in the config."))}
	}
	if len(names) > 1 {
		head = append([]span{{plain, plural(len(names), "key") + ": "}}, append(head, span{plain, "  "})...)
	}
	list := st.scene.without(gone, st.now)
	where := "everywhere: "
	names = nil
	for i, q := range list {
		if i == 8 && len(list) > 9 {
			names = append(names, fmt.Sprintf("and %d more", len(list)-8))
			break
		}
		names = append(names, q.service)
	}
	switch len(list) {
	case 0:
		where, names = "", []string{"No service uses it."}
	case 1:
		where = "in "
	}
	paras := []para{line(append(head, span{plain, where + strings.Join(names, ", ")})...), line()}
	for i, q := range list {
		if i == 8 && len(list) > 9 {
			break
		}
		paras = append(paras, q.para())
	}
	if inFlight > 0 {
		paras = append(paras, line(say(plain, "  "+plural(inFlight, "request")+" in flight"), say(grey, pick(inFlight == 1, "; it finishes first.", "; they finish first."))))
	}
	return paras
}

// para says one consequence.
func (q consequence) para() para {
	p := para{}
	add := func(k ink, text string) { p.spans = append(p.spans, span{k, text}) }
	switch {
	case q.last():
		add(red|bold, "✗ "+q.service+": no usable key is left; it will be down.")
		return p
	case q.before == q.after && q.after == 0:
		add(red, "✗ "+q.service+" is down already")
		add(grey, pick(q.alone, "; this key is not serving it now.", "; these keys are not serving it now."))
		return p
	case q.before == q.after:
		add(grey, "  "+q.service+": ")
		add(plain, plural(q.after, "usable key")+", as now")
		add(grey, pick(q.alone, "; this one is not serving.", "; these are not serving."))
		return p
	case q.after == 1:
		add(amber, "▲ "+q.service+": 1 usable key is left: "+q.left+".")
	default:
		add(plain, "  "+q.service+": "+plural(q.after, "usable key"))
		add(grey, fmt.Sprintf(" left of %d.", q.before))
	}
	switch q.lasts {
	case "":
	case "past its reset":
		add(grey, " At today's burn the rest lasts past its reset.")
	default:
		add(grey, " At today's burn the rest lasts ")
		add(plain, q.lasts)
		add(grey, ".")
	}
	return p
}

// usableKey reports whether a key can serve now.
func (sc *scene) usableKey(name string) bool {
	k := sc.keys[name]
	return k != nil && k.Usable() && k.State == engine.Active
}

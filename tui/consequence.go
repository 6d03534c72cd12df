package tui

import (
	"fmt"
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
}

// dangerous reports whether a person should be asked first.
func (q consequence) dangerous() bool { return q.before > q.after && q.after <= 1 }

// last reports whether the service would be down by it.
func (q consequence) last() bool { return q.before > 0 && q.after == 0 }

// without works out what it means for each service when a key is taken away.
func (sc *scene) without(key string, now time.Time) []consequence {
	var out []consequence
	k := sc.keys[key]
	for i := range sc.services {
		s := &sc.services[i]
		serves := false
		q := consequence{service: s.Name, before: s.Usable, after: s.Usable}
		for _, other := range s.keys {
			if other.Name == key {
				serves = true
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
		if k != nil && k.Usable() {
			q.after = max(s.Usable-1, 0)
		}
		if p := poolOf(s.keys, s.Limits, key, now); p != nil && p.burn > 0 && !p.open && q.after > 0 {
			q.lasts = short(p.runway)
			if !p.resets.IsZero() && now.Add(p.runway).After(p.resets) {
				q.lasts = "past its reset"
			}
		}
		out = append(out, q)
	}
	return out
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

// loss says in numbers what is left when a key goes.
func (st *state) loss(key string) []para {
	k := st.scene.keys[key]
	if k == nil {
		return []para{line(say(grey, "The key is no longer in the config."))}
	}
	list := st.scene.without(key, st.now)
	names := ""
	for i, q := range list {
		if i > 0 {
			names += ", "
		}
		if i == 8 && len(list) > 9 {
			names += fmt.Sprintf("and %d more", len(list)-8)
			break
		}
		names += q.service
	}
	where := "everywhere: "
	if len(list) == 1 {
		where = "in "
	}
	if len(list) == 0 {
		where, names = "", "No service uses it."
	}
	paras := []para{line(say(bold, k.Name+" "), say(grey, mark(k.Fingerprint)+"  "), say(plain, where+names)), line()}
	for i, q := range list {
		if i == 8 && len(list) > 9 {
			break
		}
		paras = append(paras, q.para())
	}
	if k.InFlight > 0 {
		paras = append(paras, line(say(plain, "  "+plural(k.InFlight, "request")+" in flight on it"), say(grey, pick(k.InFlight == 1, "; it finishes first.", "; they finish first."))))
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
		add(grey, "; this key is not serving it now.")
		return p
	case q.before == q.after:
		add(grey, "  "+q.service+": ")
		add(plain, plural(q.after, "usable key")+", as now")
		add(grey, "; this one is not serving.")
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

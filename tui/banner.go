package tui

import (
	"fmt"
	"strings"
	"time"

	"keywheel/engine"
)

// passing is how long trouble that has cost nothing yet must last before a
// banner moves everything down. Its row shows it at once.
const passing = 2 * time.Second

// banners are the lines that stand above everything: a service that is down,
// an incident, an engine that is gone, no traffic yet. Nothing else.
func (st *state) banners(room int) [][]span {
	if st.scene == nil {
		return nil
	}
	var paras []para
	if age, old := st.scene.old(st.now); old {
		what := "▲ no news from the engine for " + short(age) + ". "
		if st.scene.gone {
			what = "▲ keywheel has not answered for " + short(age) + ": it is asked again and again. "
		}
		paras = append(paras, line(say(red|bold, what),
			say(plain, "What you see is from "+st.scene.snap.At.In(st.zone).Format("15:04:05")+"; traffic may be affected.")))
	}
	if s, more := st.worst(rankDown); s != nil && (s.Refused > 0 || s.DownSince == nil || st.now.Sub(*s.DownSince) >= passing) {
		paras = append(paras, st.downBanner(s, more, st.helps(s)))
	}
	paras = append(paras, st.incidents()...)
	if p, ok := st.invitation(); ok && len(paras) == 0 {
		paras = append(paras, p)
	}
	if len(paras) == 0 {
		return nil
	}
	return flow(paras, room)
}

// worst is the service of a rank that a banner should speak of: the selected
// one, or the first; more is how many others there are.
func (st *state) worst(r rank) (found *service, more int) {
	for i := range st.scene.services {
		s := &st.scene.services[i]
		if s.rank != r {
			continue
		}
		switch {
		case found == nil:
			found = s
		case s.Name == st.service:
			found = s
			more++
		default:
			more++
		}
	}
	return found, more
}

// downBanner says of a service without a usable key since when, what it costs,
// when it ends, why, and which letters help.
func (st *state) downBanner(s *service, more int, helps [][2]string) para {
	p := line(say(red|bold, "✗ "+s.Name+" is down"))
	add := func(k ink, text string) { p.spans = append(p.spans, span{k, text}) }
	if s.DownSince != nil {
		add(plain, " "+short(st.now.Sub(*s.DownSince)))
	}
	add(plain, " · "+grouped(s.Refused)+" refused")
	switch {
	case s.FirstBack != nil:
		add(grey, " · ")
		add(bold, "first key back in "+countdown(st.until(*s.FirstBack)))
		add(grey, " ("+st.at(*s.FirstBack)+")")
	case len(s.keys) == 0:
		add(plain, " · it has no keys")
	default:
		add(plain, " · no key comes back by itself")
	}
	if words := stateCounts(s); words != "" {
		add(grey, " · "+words)
	}
	for i, h := range helps {
		add(bold, pick(i == 0, "   ", "  ")+h[0])
		add(grey, " "+h[1])
	}
	if more > 0 {
		add(red, fmt.Sprintf("   +%d more down", more))
	}
	return p
}

// stateCounts says how many keys are in each state that is not active.
func stateCounts(s *service) string {
	var words []string
	for st, n := range s.states {
		if n > 0 && engine.State(st) != engine.Active {
			words = append(words, fmt.Sprintf("%d %s", n, engine.State(st)))
		}
	}
	return strings.Join(words, ", ")
}

// helps lists the letters that help a service that is down, with what they do.
func (st *state) helps(s *service) [][2]string {
	if s.Name != st.service {
		return [][2]string{{"!", "next problem"}}
	}
	var out [][2]string
	if s.Pinned != "" {
		out = append(out, [2]string{"p", "unpin"})
	}
	if s.states[engine.Disabled] > 0 {
		out = append(out, [2]string{"e", "enable"})
	}
	if s.states[engine.Cooling]+s.states[engine.Failing]+s.states[engine.Exhausted]+s.states[engine.Revoked] > 0 {
		out = append(out, [2]string{"R", "lift holds"})
	}
	return append(out, [2]string{"w", "why"})
}

// incidents says of each incident that no key is to blame.
func (st *state) incidents() []para {
	var out []para
	for i := range st.scene.snap.Incidents {
		inc := &st.scene.snap.Incidents[i]
		if inc.Ended != nil || st.now.Sub(inc.Since) < passing {
			continue
		}
		out = append(out, line(
			say(red|bold, "▲ "+inc.Provider+" incident "+short(st.now.Sub(inc.Since))+": "),
			say(plain, fmt.Sprintf("%s on %d of %s. ", inc.What, len(inc.Keys), plural(inc.Of, "key"))),
			say(grey, "No key blamed; rotating will not help.")))
	}
	return out
}

// invitation says how to send the first request.
func (st *state) invitation() (para, bool) {
	if st.scene.snap.Proxy.Requests > 0 {
		return para{}, false
	}
	for _, name := range st.rows {
		s := st.scene.byName[name]
		if s == nil || s.Planned || s.Usable == 0 {
			continue
		}
		path := "/v1/models"
		if s.Provider == "github" {
			path = "/rate_limit"
		}
		return line(say(cyan, "○ No traffic yet. "), say(grey, "Try: "),
			say(bold, "curl http://"+st.scene.snap.Proxy.Listen+"/"+s.Name+path)), true
	}
	return para{}, false
}

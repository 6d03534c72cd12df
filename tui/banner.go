package tui

import (
	"fmt"
	"net"
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
	if age, old := st.stale(); old {
		what := "▲ no news from the engine for " + short(age) + ". "
		if st.live().gone {
			what = "▲ keywheel has not answered for " + short(age) + ": it is asked again and again. "
		}
		paras = append(paras, line(say(red|bold, what),
			say(plain, "What you see is from "+st.scene.snap.At.In(st.zone).Format("15:04:05")+"; traffic may be affected.")))
	}
	paras = append(paras, st.sinceFrozen()...)
	if s, more := st.worst(rankDown); s != nil && (s.Refused > 0 || s.DownSince == nil || st.now.Sub(*s.DownSince) >= passing) {
		paras = append(paras, st.downBanner(s, more, st.helps(s)))
	}
	paras = append(paras, st.incidents()...)
	paras = append(paras, st.broken()...)
	if p, ok := st.invitation(); ok && len(paras) == 0 {
		paras = append(paras, p)
	}
	if len(paras) == 0 {
		return nil
	}
	return flow(paras, room)
}

// sinceFrozen says what went down while the screen stood still.
func (st *state) sinceFrozen() (out []para) {
	if st.frozen == nil {
		return nil
	}
	for i := range st.frozen.live.services {
		s := &st.frozen.live.services[i]
		if was := st.scene.byName[s.Name]; s.rank == rankDown && (was == nil || was.rank != rankDown) {
			out = append(out, line(say(red|bold, "✗ "+s.Name+" went down since the screen was frozen"), say(bold, "   f"), say(grey, " follows")))
		}
	}
	return out
}

// broken says what is wrong with keywheel itself: a config that it could not
// take, a journal that cannot keep up.
func (st *state) broken() (out []para) {
	sys := st.scene.system
	if sys == nil {
		return nil
	}
	if sys.ReloadError != "" {
		out = append(out, line(say(red|bold, "✗ The changed config was not taken: "), say(plain, sys.ReloadError),
			say(grey, "  The old one stays in force."), say(bold, "   5"), say(grey, " system")))
	}
	if j := sys.Journal; j != nil && journalBehind(j) {
		out = append(out, line(say(amber|bold, "▲ The journal is behind by "+journalWords(j)), say(plain, pick(j.Error != "", ": "+j.Error, "")),
			say(grey, ". Traffic goes on; what is not written is lost if keywheel stops.")))
	}
	return out
}

// journalSlack is how many seconds an entry may wait for the disk without a
// word.
const journalSlack = 2

// journalBehind reports whether a person should know that the journal waits.
func journalBehind(j *engine.JournalStatus) bool { return j.Error != "" || j.BehindS > journalSlack }

// journalWords say how far behind it is: "4,096 entries, 12s".
func journalWords(j *engine.JournalStatus) string {
	words := grouped(j.Queued) + pick(j.Queued == 1, " entry", " entries")
	if j.BehindS >= 1 {
		words += ", " + short(time.Duration(j.BehindS*float64(time.Second)))
	}
	return words
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
		case s.Name == st.service():
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
		add(bold, pick(i == 0, "   ", "  ")+h[0]+"\u00a0") // a letter does not part from its word
		add(grey, strings.ReplaceAll(h[1], " ", "\u00a0"))
	}
	if more > 0 {
		add(red, fmt.Sprintf("   +%d\u00a0more\u00a0down", more))
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
	if s.Name != st.service() {
		return [][2]string{{"!", "next problem"}}
	}
	var out [][2]string
	if s.Pinned != "" {
		out = append(out, [2]string{"p", "unpin"})
	}
	if s.states[engine.Disabled] > 0 {
		out = append(out, [2]string{"e", "enable"})
	}
	if st.replaces && s.FirstBack == nil && s.states[engine.Revoked]+s.states[engine.Expired] > 0 {
		out = append(out, [2]string{"x", "replace"})
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
	if command := st.firstCurl(); command != "" {
		return line(say(cyan, "○ No traffic yet. "), say(grey, "Try: "), say(bold, command)), true
	}
	return para{}, false
}

// firstCurl is a line to paste that works, "" where none would. A service that
// asks for no token comes first; the token itself is in nobody's screen.
func (st *state) firstCurl() string {
	var first *service
	for _, name := range st.byNeed {
		if s := st.scene.byName[name]; s != nil && !s.Planned && s.Usable > 0 && (first == nil || first.TokenRef != "" && s.TokenRef == "") {
			first = s
		}
	}
	if first == nil {
		return ""
	}
	command := "curl "
	if first.TokenRef != "" {
		name, inEnv := strings.CutPrefix(first.TokenRef, "env:")
		command += `-H "Authorization: Bearer ` + pick(inEnv, "$"+name, "TOKEN") + `" `
	}
	px := &st.scene.snap.Proxy
	host, port, _ := net.SplitHostPort(px.Listen)
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return command + pick(px.TLS, "https://", "http://") + net.JoinHostPort(host, port) + "/" + first.Name + pick(first.Kind == "github", "/rate_limit", "/v1/models")
}

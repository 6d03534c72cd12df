package tui

import (
	"cmp"
	"strconv"
	"strings"

	"keywheel/engine"
)

// whySelection is what w shows: of a service its last rotation and how it
// stands, of a key its holds, of an event the event, of a request its attempts.
func (st *state) whySelection(id paneID, name string) []para {
	switch id {
	case paneTimeline:
		for i := range st.events {
			if eventName(&st.events[i]) == name {
				return st.whyEvent(&st.events[i])
			}
		}
	case paneTraffic:
		for i := range st.requests {
			if requestName(&st.requests[i]) == name {
				return st.whyRequest(&st.requests[i])
			}
		}
	case paneKeys, paneAll:
		if k := st.scene.keys[name]; k != nil {
			return st.keyStory(k)
		}
	default:
		if s := st.scene.byName[name]; s != nil {
			return st.serviceStory(s)
		}
	}
	return []para{line(say(grey, "It is no longer there."))}
}

func (st *state) serviceStory(s *service) []para {
	var paras []para
	if s.rank == rankDown {
		paras = append(paras, st.downBanner(s, 0, nil), line())
	}
	if s.incident != nil {
		paras = append(paras, line(say(red|bold, "▲ "+s.Provider+" incident: "), say(plain, s.incident.What),
			say(grey, ". No key blamed; rotating will not help.")), line())
	}
	if p, ok := s.outage(); ok {
		paras = append(paras, p, line())
	}
	if s.LastRotation != nil {
		paras = append(paras, st.whyRotation(s.LastRotation)...)
	} else {
		paras = append(paras, line(say(plain, st.noRotation(s))))
	}
	held := 0
	for _, k := range s.keys {
		if k.State == engine.Active {
			continue
		}
		if held == 0 {
			paras = append(paras, line(), line(say(bold, "Keys that cannot serve now")))
		}
		if held++; held > 12 {
			paras = append(paras, line(say(grey, "and more: "+stateCounts(s))))
			break
		}
		look := lookOf(k.State)
		text := []span{{look.ink, look.glyph + " "}, {plain, k.Name + "  "}, {look.ink, k.State.String()}}
		if k.Until != nil {
			text = append(text, span{grey, ", back in " + countdown(st.until(*k.Until))})
		}
		paras = append(paras, line(append(text, span{grey, "  " + k.Reason})...))
	}
	paras = append(paras, st.movedParas(s)...)
	for i := range s.Lent {
		if i == 0 {
			paras = append(paras, line(), line(say(bold, "Keys that are lent to it")))
		}
		paras = append(paras, line(append([]span{say(blue, "→ "), say(plain, s.Lent[i].Key)}, st.lendEnd(&s.Lent[i])...)...))
	}
	if r := st.runway(s); len(r) > 0 {
		paras = append(paras, line())
		paras = append(paras, r...)
	}
	var facts []span
	for _, f := range [][2]string{{"project ", s.Project}, {"purpose ", s.Purpose}, {"provider ", s.Provider}, {"strategy ", s.Strategy}} {
		if f[1] != "" {
			facts = append(facts, span{grey, f[0]}, span{plain, f[1] + "   "})
		}
	}
	for i, can := range s.Can {
		facts = append(facts, span{grey, pick(i == 0, "can ", "")}, span{pick(can.Usable == 0, red, plain), can.Scope},
			span{pick(can.Usable == 0, red, grey), pick(can.Usable == 0, " by no key", " "+grouped(can.Usable)) + pick(i == len(s.Can)-1, "   ", " · ")})
	}
	facts = append(facts, span{grey, "accounts "}, span{pick(s.oneAccount, yellow, plain), grouped(s.accounts) + "   "},
		span{grey, "rotations "}, span{plain, grouped(s.Rotations) + "   "},
		span{grey, "requests "}, span{plain, grouped(s.Requests)})
	return append(paras, line(), line(facts...))
}

// outage says of a service that one more failure would bring it down: one key
// is left, or all that serve are of one account.
func (s *service) outage() (para, bool) {
	var first *engine.KeyStatus // of those that can serve
	n, together := 0, true
	for _, k := range s.keys {
		if !k.Usable() {
			continue
		}
		if n++; n == 1 {
			first = k
		}
		together = together && k.Account != "" && k.Account == first.Account && k.Provider == first.Provider
	}
	switch {
	case s.Planned || n == 0:
		return para{}, false
	case n == 1:
		return line(say(amber, "▲ One key from an outage: "), say(plain, "only "+first.Name+" can serve now"+pick(len(s.keys) == 1, "; it has no other", "")+".")), true
	case !together:
		return para{}, false
	}
	return line(say(amber, "▲ One account from an outage: "), say(plain, "the "+plural(n, "key")+" that can serve are all of account "+first.Account+".")), true
}

// secretFrom says where the secret of a key is read from.
func secretFrom(k *engine.KeyStatus) string {
	switch k.Override {
	case "":
		return k.Ref
	case k.Ref:
		return k.Override + ", added while it ran"
	}
	return k.Override + ", in the place of " + k.Ref
}

// confidenceWords say how far burn and runway of a limit can be believed, where
// that is less than all the way.
var confidenceWords = map[string]string{"guess": "the limit itself is a guess from refusals", "measured": "watched for less than a minute"}

// keyStory is a key in full: holds, limits, what was answered.
func (st *state) keyStory(k *engine.KeyStatus) []para {
	look := st.keyLook(k)
	paras := []para{line(say(look.ink, look.glyph+" "), say(bold, k.Name+" "), say(grey, mark(k.Fingerprint)+"  "),
		say(lookOf(k.State).ink, k.State.String()), say(grey, pick(k.Draining, "  draining", "")+pick(k.Trial, "  trial", ""))), line()}
	add := func(label string, spans ...span) { paras = append(paras, fact(label, spans...)) }
	if len(k.Holds) == 0 {
		add("hold", say(grey, "none: it can serve"))
	}
	paras = append(paras, st.holdParas(k)...)
	paras = append(paras, line())
	for i := range k.Limits {
		l := &k.Limits[i]
		label := pick(i == 0, "limits", " ")
		f := 0.0
		if l.Amount > 0 {
			f = l.Remaining / l.Amount
		}
		text := []span{{quotaInk(f), percent(f)}, {plain, " " + ofLimit(l.Amount, l.Unit, l.Per, l.Source)}}
		if l.Model != "" {
			text = append(text, span{grey, " for " + l.Model})
		}
		if l.Scope != "" && l.Scope != "key" {
			text = append(text, span{grey, ", of its " + l.Scope})
		}
		if !lasting(l.Per) {
			add(label, text...) // pacing: it refills as one looks
			continue
		}
		if l.ResetsAt != nil {
			text = append(text, span{grey, ", resets " + st.at(*l.ResetsAt)})
		}
		if l.Lasts {
			text = append(text, span{grey, ", lasts until then"})
		}
		if l.RunsOutAt != nil {
			text = append(text, span{amber, ", runs out " + st.at(*l.RunsOutAt)})
		}
		if w := confidenceWords[l.Confidence]; w != "" && (l.RunsOutAt != nil || l.Confidence == "guess") {
			text = append(text, span{grey, "; " + w})
		}
		add(label, text...)
	}
	if len(k.Limits) == 0 {
		add("limits", say(grey, "none known"))
	}
	if b := k.Balance; b != nil {
		left := []span{{grey, "no bound"}}
		if b.Amount != nil {
			left = []span{{pick(b.Unusable, red, plain), strconv.FormatFloat(*b.Amount, 'f', 2, 64) + " " + cmp.Or(b.Currency, "of its own currency")}}
		}
		if b.Unusable {
			left = append(left, span{red, ", too little for a request"})
		}
		add("balance", append(left, span{grey, ", told " + st.ago(b.At)})...)
	}
	answers := []span{{plain, grouped(k.Verdicts.OK)}, {grey, " ok"}}
	for _, t := range tallies(k.Verdicts) {
		if t.n > 0 {
			answers = append(answers, span{grey, " · "}, span{t.ink, t.code + " "}, span{plain, grouped(t.n)})
		}
	}
	if n := k.Verdicts.ClientError; n > 0 {
		answers = append(answers, span{grey, " · client errors "}, span{plain, grouped(n)})
	}
	if k.LastFailure != nil {
		answers = append(answers, span{grey, ", last failure " + st.ago(*k.LastFailure)})
	}
	add("answers", answers...)
	add("now", say(plain, rate(k.PerMin)), say(grey, ", "+strconv.Itoa(k.InFlight)+" in flight"))
	if k.InputTokens+k.OutputTokens > 0 || k.CostUSD > 0 {
		add("used", say(plain, compact(float64(k.InputTokens))), say(grey, " tokens in, "), say(plain, compact(float64(k.OutputTokens))),
			say(grey, " out, "), say(plain, compact(float64(k.CachedTokens))), say(grey, " cached"),
			say(plain, pick(k.CostUSD > 0, "   $"+strconv.FormatFloat(k.CostUSD, 'f', 2, 64), "")),
			say(grey, pick(k.Unpriced > 0, "   "+grouped(k.Unpriced)+" requests unpriced", "")))
	}
	if len(k.Retiring) > 0 {
		add("retiring", retiring(k)...)
	}
	if k.Bindings > 0 {
		add("bound", say(plain, grouped(k.Bindings)), say(grey, " files, jobs and answers were made with it and stay with its account"))
	}
	add("serves", say(plain, strings.Join(k.Services, ", ")))
	for i, l := range st.scene.lends[k.Name] {
		add(pick(i == 0, "lent", " "), append([]span{say(plain, "to "+l.Service)}, st.lendEnd(&l)...)...)
	}
	for _, f := range [][2]string{{"provider", k.Provider}, {"account", k.Account}, {"secret", secretFrom(k)}, {"scopes", strings.Join(k.Scopes, ", ")}} {
		if f[1] != "" {
			add(f[0], say(grey, f[1]))
		}
	}
	return paras
}

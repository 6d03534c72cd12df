package checkup

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/provider"
)

// soon is how long before its end a key is to be replaced.
const soon = 14 * 24 * time.Hour

// few is how much of a limit is little: the part that is left.
const few = 0.1

// keyQuestions are what every key is asked, in this order. st is what is known of
// it; nil is nothing.
var keyQuestions = []struct {
	about  string
	answer func(l *look, k *engine.Key, st *engine.KeyStatus) Finding
}{
	{"secret", (*look).readable}, {"shape", (*look).shape}, {"state", (*look).state}, {"test", (*look).tested},
	{"scopes", (*look).scopes}, {"quota", (*look).quota}, {"account", (*look).siblings}, {"expiry", (*look).expiry},
}

func (l *look) key(k *engine.Key) Key {
	st := l.status[k.Name]
	r := Key{Name: k.Name, Provider: k.Provider, Account: l.account(k), Fingerprint: fingerprint(k), State: engine.Active, Services: []string{}}
	if st != nil {
		r.State = st.State
	} else if k.Missing != "" {
		r.State = engine.Missing
	}
	r.Services = append(r.Services, serviceNames(l.users[k.Name])...)
	for _, q := range keyQuestions {
		f := q.answer(l, k, st)
		f.About = q.about
		r.Findings = append(r.Findings, f)
	}
	r.Findings = append(r.Findings, l.remarks(config.Subject{Key: k.Name})...)
	r.Mark = worst(r.Findings)
	return r
}

// readable asks whether the secret is where the config says.
func (l *look) readable(k *engine.Key, st *engine.KeyStatus) Finding {
	from := k.Ref
	if k.Override != "" {
		from = k.Override
	}
	if k.Missing == "" {
		return Finding{Text: "read from " + from}
	}
	f, told := l.take(config.Subject{Key: k.Name}, k.Missing)
	if !told {
		f = Finding{Mark: Act, Text: k.Missing}
	}
	if l.seen.Running && st != nil && st.State != engine.Missing {
		f.Mark, f.Do = Note, "nothing now: the running keywheel could read it where it was started"
	}
	return f
}

// shape asks whether it looks like a key of its provider. What has been accepted
// is one.
func (l *look) shape(k *engine.Key, st *engine.KeyStatus) Finding {
	if k.Secret.Empty() || st != nil && st.Verdicts.OK > 0 || l.seen.Told[k.Name].accepted() {
		return Finding{}
	}
	odd, sure := provider.Misshapen(k)
	switch {
	case odd == "":
		return Finding{}
	case !sure:
		return Finding{Mark: Note, Text: k.Ref + " " + odd}
	default:
		return Finding{Mark: Act, Text: k.Ref + " " + odd, Do: "put the key alone there, and that of " + k.Provider}
	}
}

// ills are what is to be said of a key that is not active.
var ills = map[engine.State]struct {
	mark Mark
	do   string // %s is the key
}{
	engine.Cooling:   {Note, ""},
	engine.Failing:   {Note, "`keywheel why %s` tells what failed"},
	engine.Exhausted: {Note, ""},
	engine.Disabled:  {Note, "`keywheel enable %s` lets it serve again"},
	engine.Revoked:   {Act, "make a new key at the provider, then `keywheel replace %s`; if it was mended there, `keywheel reset %[1]s`"},
	engine.Expired:   {Act, "make a new key at the provider, then `keywheel replace %s`"},
	engine.Missing:   {Act, "`keywheel check` reads it now: restart the keywheel that runs, or kill -HUP it"},
}

// state asks whether it can serve.
func (l *look) state(k *engine.Key, st *engine.KeyStatus) Finding {
	switch {
	case k.Missing != "" && (st == nil || st.State == engine.Missing):
		return Finding{Text: "missing"} // said already
	case st == nil:
		return Finding{Mark: Note, Text: "the running keywheel does not have it", Do: "see what `keywheel status` says of its config"}
	case st.Fingerprint != "" && k.Missing == "" && st.Fingerprint != fingerprint(k):
		return Finding{Mark: Note, Text: fmt.Sprintf("%s here, and what is known is of another secret (·%.4s)", mark(fingerprint(k)), st.Fingerprint),
			Do: "restart the keywheel that runs, unless its environment has the right one"}
	case st.State == engine.Active && st.Draining:
		return Finding{Mark: Note, Text: "draining: it gets no new requests", Do: fmt.Sprintf("`keywheel enable %s` lets it serve again", k.Name)}
	case st.State == engine.Active && l.seen.Untried:
		return Finding{}
	case st.State == engine.Active:
		return Finding{Text: "active"}
	case st.State == engine.Expired && !k.Expires.IsZero() && !k.Expires.After(l.now):
		return Finding{Text: "expired"} // the date says more
	}
	ill := ills[st.State]
	f := Finding{Mark: ill.mark, Text: st.State.String()}
	if st.Reason != "" {
		f.Text += ": " + st.Reason
	}
	if e := evidence(k, st); e != "" {
		f.Text += " (" + e + ")"
	}
	f.Text += l.until(st.Until)
	if ill.do != "" {
		f.Do = fmt.Sprintf(ill.do, k.Name)
	}
	if st.State == engine.Exhausted && st.Until == nil {
		f.Mark, f.Do = Act, fmt.Sprintf("pay, or raise its limit at the provider; then `keywheel lift %s`", k.Name)
	}
	return f
}

// evidence is what the provider answered where it put the key in its state.
func evidence(k *engine.Key, st *engine.KeyStatus) string {
	for _, h := range st.Holds {
		if h.State == st.State && h.Model == "" && h.Evidence.Status != 0 {
			return words(k, h.Evidence)
		}
	}
	return ""
}

// words are what the provider said, without what it repeats of the key:
// "Incorrect API key provided: sk-****9f2a".
func words(k *engine.Key, e engine.Evidence) string {
	text, whole := "", k.Secret.Reveal()
	for word := range strings.FieldsSeq(e.Message) {
		if strings.Contains(word, "**") || shares(word, whole) {
			word = "****"
		}
		text += " " + word
	}
	if e.Status != 0 {
		text = fmt.Sprint(e.Status) + text
	}
	return strings.TrimSpace(text)
}

// shares reports whether some part of a secret, long enough to be no accident, is
// in a text.
func shares(text, secret string) bool {
	const long = 6
	for i := 0; i+long <= len(text); i++ {
		if strings.Contains(secret, text[i:i+long]) {
			return true
		}
	}
	return false
}

// heldAs is the state that a key is in after such an answer.
var heldAs = map[engine.Kind]engine.State{engine.InvalidKey: engine.Revoked, engine.QuotaExhausted: engine.Exhausted, engine.RateLimited: engine.Cooling}

// tested asks what the provider just said of it.
func (l *look) tested(k *engine.Key, st *engine.KeyStatus) Finding {
	t, asked := l.seen.Told[k.Name]
	if !asked {
		return Finding{}
	}
	said := words(k, t.Verdict.Evidence)
	if said != "" {
		said = ": " + said
	}
	call := fmt.Sprintf(" (%s, free)", t.Call)
	held, holds := heldAs[t.Verdict.Kind]
	switch {
	case t.Call == "":
		return Finding{Text: "not tested, " + k.Provider + " has no free call for that"}
	case t.Verdict.Kind == engine.OK:
		if st != nil && slices.Contains([]engine.State{engine.Revoked, engine.Failing, engine.Exhausted}, st.State) {
			return Finding{Mark: Act, Text: "accepted now" + call + ", and still held as " + st.State.String(), Do: fmt.Sprintf("`keywheel reset %s`", k.Name)}
		}
		return Finding{Text: "accepted" + call}
	case holds && st != nil && st.State == held:
		return Finding{Text: "asked again, the same" + call}
	case t.Verdict.Kind == engine.InvalidKey:
		return Finding{Mark: Act, Text: "the provider rejects it" + said + call, Do: fmt.Sprintf("make a new key there, then `keywheel replace %s`", k.Name)}
	case t.Verdict.Kind == engine.QuotaExhausted:
		return Finding{Mark: Act, Text: "out of quota" + said + call, Do: "pay, or raise its limit at the provider"}
	case t.Verdict.Kind == engine.PermissionDenied && strings.Contains(strings.ToLower(said), "management key"):
		return Finding{Mark: Act, Text: "is a management key, which asks no model" + said + call, Do: "put an API key of " + k.Provider + " there"}
	case t.Verdict.Kind == engine.PermissionDenied:
		return Finding{Mark: Note, Text: "may not make the test call, and may be good for others" + said + call}
	default:
		return Finding{Mark: Note, Text: "the test call did not settle it, " + t.Verdict.Kind.Words() + said + call}
	}
}

// scopes asks whether it may do what its services need.
func (l *look) scopes(k *engine.Key, st *engine.KeyStatus) Finding {
	if st != nil {
		for _, h := range st.Holds {
			if h.Model != "" && h.Verdict == engine.PermissionDenied {
				f := Finding{Mark: Note, Text: fmt.Sprintf("not permitted for %s: %s%s", h.Model, h.Why, l.until(h.Until))}
				if s := l.needing(k, h.Model); s != "" {
					f.Mark, f.Do = Act, fmt.Sprintf("%s needs it: give the key that permission at the provider, then `keywheel lift %s`", s, k.Name)
				}
				return f
			}
		}
	}
	permits := l.seen.Told[k.Name].Permits
	for _, s := range l.users[k.Name] {
		for _, need := range s.Needs {
			if permits != nil && may(k, need) && !slices.Contains(permits, need) {
				return Finding{Mark: Act, Text: fmt.Sprintf("the provider permits it %s, and %s needs %s", strings.Join(permits, ", "), s.Name, need),
					Do: "give it that permission at the provider, or write the scopes that it has into the config", At: k.Source}
			}
		}
		if len(s.Needs) > 0 && !slices.ContainsFunc(s.Needs, func(need string) bool { return may(k, need) }) {
			return Finding{Mark: Act, Text: fmt.Sprintf("is for %s only, and %s needs %s", strings.Join(k.Scopes, ", "), s.Name, strings.Join(s.Needs, ", ")),
				Do: "add what it needs to scopes, if the key may do it, or take the key out of the service", At: k.Source}
		}
	}
	if len(k.Scopes) == 0 {
		return Finding{}
	}
	return Finding{Text: "for " + strings.Join(k.Scopes, ", ")}
}

// needing is a service of the key that needs a scope; "" if none does.
func (l *look) needing(k *engine.Key, scope string) string {
	for _, s := range l.users[k.Name] {
		if slices.Contains(s.Needs, scope) {
			return s.Name
		}
	}
	return ""
}

// quota asks what is left.
func (l *look) quota(k *engine.Key, st *engine.KeyStatus) Finding {
	if f := l.seen.Told[k.Name].Funds; f != nil {
		return money(k, amount(f.Left, f.Currency, f.Unlimited), f.Unusable)
	}
	if st == nil {
		return Finding{}
	}
	for _, limit := range st.Limits {
		if limit.Amount > 0 && limit.Remaining < few*limit.Amount && limit.Unit != "concurrent" && limit.Source != "learned" {
			f := Finding{Mark: Note, Text: fmt.Sprintf("%s of %s left%s", plain(limit.Remaining), limitWords(limit), resets(l, limit.ResetsAt))}
			if limit.Unit == "usd" {
				f.Do = "raise the limit, or let another key serve"
			}
			return f
		}
	}
	if b := st.Balance; b != nil {
		unlimited := b.Amount == nil
		left := 0.0
		if !unlimited {
			left = *b.Amount
		}
		return money(k, amount(left, b.Currency, unlimited), b.Unusable)
	}
	return Finding{}
}

func money(k *engine.Key, left string, unusable bool) Finding {
	if unusable {
		return Finding{Mark: Act, Text: "no money: " + left + " left", Do: "top up the account at " + k.Provider}
	}
	return Finding{Text: left + " left"}
}

func amount(left float64, currency string, unlimited bool) string {
	if unlimited {
		return "any amount"
	}
	return strings.TrimSpace(fmt.Sprintf("%.2f %s", left, currency))
}

func limitWords(l engine.LimitStatus) string {
	text := fmt.Sprintf("%s %s per %s", plain(l.Amount), l.Unit, l.Per)
	if l.Model != "" {
		text += " for " + l.Model
	}
	if l.Scope == "account" {
		text += " of its account"
	}
	return text
}

func resets(l *look, at *time.Time) string {
	if at == nil {
		return ""
	}
	return ", back" + strings.Replace(l.until(at), " until ", " at ", 1)
}

// plain writes an amount without an exponent.
func plain(n float64) string { return strings.TrimSuffix(fmt.Sprintf("%.2f", n), ".00") }

// siblings asks which keys share its account.
func (l *look) siblings(k *engine.Key, _ *engine.KeyStatus) Finding {
	if f, twice := l.take(config.Subject{Key: k.Name}, "holds the same secret as"); twice {
		return f
	}
	name := l.account(k)
	if name == "" {
		return Finding{}
	}
	var others []string
	for _, o := range l.sharers[l.purse(k)] {
		if o != k.Name {
			others = append(others, o)
		}
	}
	if len(others) == 0 {
		return Finding{Text: "account " + name}
	}
	return Finding{Text: fmt.Sprintf("account %s with %s", name, some(others))}
}

// expiry asks how long it is valid.
func (l *look) expiry(k *engine.Key, _ *engine.KeyStatus) Finding {
	if k.Expires.IsZero() {
		return Finding{}
	}
	replace := fmt.Sprintf("make a new key at the provider, then `keywheel replace %s`, and write its date", k.Name)
	day := k.Expires.Format(time.DateOnly)
	switch left := k.Expires.Sub(l.now); {
	case left <= 0:
		f, told := l.take(config.Subject{Key: k.Name}, "expired on")
		if !told {
			f = Finding{Mark: Act, Text: "expired on " + day}
		}
		f.Do = replace
		return f
	case left <= soon:
		return Finding{Mark: Act, Text: fmt.Sprintf("expires on %s, in %s", day, count(int((left+24*time.Hour-1)/(24*time.Hour)), "day")), Do: replace, At: k.Source}
	default:
		return Finding{Text: "valid until " + day}
	}
}

// mark shows a fingerprint as people see it: ·9f2a.
func mark(fingerprint string) string { return "·" + fingerprint[:min(4, len(fingerprint))] }

package checkup

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"keywheel/engine"
	"keywheel/engine/config"
	"keywheel/engine/secret"
)

// look is the configuration and what is known beside it, by name.
type look struct {
	cfg  *config.Config
	seen Seen
	now  time.Time
	keys map[string]*engine.Key
	// status and health are what is known of keys and services; some may be
	// missing where a running keywheel has another config.
	status map[string]*engine.KeyStatus
	health map[string]*engine.ServiceStatus
	// users are the services of each key, purses those that use each purse, and
	// sharers the keys.
	users   map[string][]*engine.Service
	purses  map[purse][]*engine.Service
	purseOf map[string]purse // by key
	sharers map[purse][]string
	// said are the config's warnings and notes by whom they are about; what a
	// question has answered is taken out.
	said map[config.Subject][]remark
}

// remark is a warning or a note of the config.
type remark struct {
	config.Problem
	mark Mark
}

// purse tells keys that share limits and money from those that do not.
type purse struct{ provider, host, name string }

func newLook(cfg *config.Config, seen Seen) *look {
	l := &look{cfg: cfg, seen: seen, now: seen.At, keys: map[string]*engine.Key{}, status: map[string]*engine.KeyStatus{}, health: map[string]*engine.ServiceStatus{},
		users: map[string][]*engine.Service{}, purses: map[purse][]*engine.Service{}, purseOf: map[string]purse{}, sharers: map[purse][]string{}, said: map[config.Subject][]remark{}}
	for i := range seen.Keys {
		l.status[seen.Keys[i].Name] = &seen.Keys[i]
	}
	for i := range seen.Services {
		l.health[seen.Services[i].Name] = &seen.Services[i]
	}
	for i := range cfg.Engine.Keys {
		k := &cfg.Engine.Keys[i]
		p := l.findPurse(k)
		l.keys[k.Name], l.purseOf[k.Name] = k, p
		l.sharers[p] = append(l.sharers[p], k.Name)
	}
	for i := range cfg.Engine.Services {
		s := &cfg.Engine.Services[i]
		for _, k := range l.all(s) {
			l.users[k.Name] = append(l.users[k.Name], s)
			if p := l.purse(k); !s.Planned && !slices.Contains(l.purses[p], s) {
				l.purses[p] = append(l.purses[p], s)
			}
		}
	}
	l.hear(cfg.Warnings, Act)
	l.hear(cfg.Notes, Note)
	return l
}

// hear sorts problems of the config by whom they are about. One of nobody that
// is looked at is everybody's.
func (l *look) hear(list []config.Problem, mark Mark) {
	for _, p := range list {
		of := p.Of
		if l.keys[of.Key] == nil && !slices.ContainsFunc(l.cfg.Engine.Services, func(s engine.Service) bool { return s.Name == of.Service }) {
			of = config.Subject{}
		}
		l.said[of] = append(l.said[of], remark{p, mark})
	}
}

// take finds what the config says of somebody with these words in it, and takes
// it out, so that it is said once.
func (l *look) take(of config.Subject, words string) (Finding, bool) {
	i := slices.IndexFunc(l.said[of], func(r remark) bool { return strings.Contains(r.Text, words) })
	if i < 0 {
		return Finding{}, false
	}
	r := l.said[of][i]
	l.said[of] = slices.Delete(l.said[of], i, i+1)
	return r.finding(), true
}

// remarks is what the config says of somebody beside.
func (l *look) remarks(of config.Subject) []Finding {
	var list []Finding
	for _, r := range l.said[of] {
		list = append(list, r.finding())
	}
	return list
}

func (r remark) finding() Finding {
	f := Finding{About: "config", Mark: r.mark, Text: r.Text, At: strings.TrimSuffix(config.Problem{File: r.File, Line: r.Line}.String(), ": ")}
	if r.Of == (config.Subject{}) {
		return f
	}
	// Under its own name the label says nothing more.
	for _, label := range []string{"keys.", "keysets.", "services."} {
		if strings.HasPrefix(f.Text, label) {
			_, f.Text, _ = strings.Cut(f.Text, ": ")
		}
	}
	return f
}

// all are a service's keys and those it falls back on.
func (l *look) all(s *engine.Service) []*engine.Key {
	return l.named(slices.Concat(s.Keys, s.Fallback))
}

func (l *look) named(names []string) []*engine.Key {
	var list []*engine.Key
	for _, name := range names {
		if k := l.keys[name]; k != nil {
			list = append(list, k)
		}
	}
	return list
}

// account is the key's, as the config or the provider names it; "" is unknown.
func (l *look) account(k *engine.Key) string {
	if st := l.status[k.Name]; st != nil && k.Account == "" {
		return st.Account
	}
	return k.Account
}

func (l *look) purse(k *engine.Key) purse { return l.purseOf[k.Name] }

// findPurse is whose limits and money the key uses: its account's; of an unknown one
// those of its secret.
func (l *look) findPurse(k *engine.Key) purse {
	switch a := l.account(k); {
	case a != "":
		return purse{provider: k.Provider, name: "account " + a}
	case k.Secret.Empty():
		return purse{provider: k.Provider, name: "key " + k.Name}
	default:
		return purse{k.Provider, host(k), "secret " + fingerprint(k)}
	}
}

func host(k *engine.Key) string {
	u, err := url.Parse(k.BaseURL)
	if err != nil {
		return ""
	}
	return u.Host
}

func fingerprint(k *engine.Key) string { return k.Secret.Fingerprint(k.Provider, host(k)) }

// may reports whether a key may be used for a scope.
func may(k *engine.Key, scope string) bool {
	return len(k.Scopes) == 0 || slices.Contains(k.Scopes, scope)
}

// covers reports whether a key may be used for all that a service needs. One
// that names no needs may need anything.
func covers(k *engine.Key, s *engine.Service) bool {
	if len(s.Needs) == 0 {
		return len(k.Scopes) == 0
	}
	return !slices.ContainsFunc(s.Needs, func(need string) bool { return !may(k, need) })
}

// usable reports whether a key can serve, as far as is known.
func (l *look) usable(k *engine.Key) bool {
	if st := l.status[k.Name]; st != nil {
		return st.Usable()
	}
	return k.Missing == "" && (k.Expires.IsZero() || k.Expires.After(l.now))
}

// distinct are keys without those that are another one's second name.
func distinct(keys []*engine.Key) []*engine.Key {
	var list []*engine.Key
	seen := map[secret.Secret]bool{}
	for _, k := range keys {
		if k.Secret.Empty() || !seen[k.Secret] {
			list = append(list, k)
		}
		seen[k.Secret] = true
	}
	return list
}

// among lists a few services, and only counts many.
func among(names []string) string {
	if len(names) > 3 {
		return count(len(names), "service")
	}
	return strings.Join(names, ", ")
}

// some lists a few names and counts the rest.
func some(names []string) string {
	const most = 3
	if n := len(names) - most; n > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), n)
	}
	return strings.Join(names, ", ")
}

func count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// until tells when something ends: the time, and the day if it is not this one.
func (l *look) until(t *time.Time) string {
	if t == nil {
		return ""
	}
	at, now := t.Local(), l.now.Local()
	if at.YearDay() == now.YearDay() && at.Year() == now.Year() {
		return " until " + at.Format(time.TimeOnly)
	}
	return " until " + at.Format("2006-01-02 15:04")
}

func serviceNames(list []*engine.Service) []string {
	var names []string
	for _, s := range list {
		names = append(names, s.Name)
	}
	return names
}

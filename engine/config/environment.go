package config

import (
	"fmt"
	"strconv"
	"strings"

	"keywheel/engine"
	"keywheel/engine/provider"
	"keywheel/engine/secret"
)

// The variables that make services without a file.
const (
	modelConfigs   = "LLM_MODEL_CONFIGS"
	apiKey         = "API_KEY"
	apiBase        = "API_BASE"
	llmModel       = "LLM_MODEL"
	llmProvider    = "LLM_PROVIDER"
	llmTemperature = "LLM_TEMPERATURE"
)

// source is one place that variables come from. All that says where a secret
// goes is of the secret's own source: an API_BASE in a stranger's .env never
// gets the API_KEY of the shell.
type source struct {
	// name is a key's Source, in how a sentence goes on.
	name, in string
	// file tells the .env file from the environment.
	file bool
	// get gives a variable, "" if it is not there, and the line it stands on.
	get func(name string) (value string, line int)
}

// sources are the environment and the .env file, the one that beats the other
// first.
func (l *loader) sources() []source {
	return []source{
		{"environment", "the environment", false, func(name string) (string, int) { v, _ := l.LookupEnv(name); return v, 0 }},
		{l.dotenv.file, l.dotenv.file, true, func(name string) (string, int) { v, _ := l.dotenv.Lookup(name); return v.Value, v.Line }},
	}
}

// value is a variable without the blanks around it.
func (s source) value(name string) string {
	v, _ := s.get(name)
	return strings.TrimSpace(v)
}

// problem says something of a variable, on line n of its value; 0 is all of it.
func (s source) problem(variable string, n int, format string, args ...any) Problem {
	text := fmt.Sprintf(format, args...)
	if !s.file {
		return Problem{File: variable, Line: n, Text: text}
	}
	_, first := s.get(variable)
	return Problem{File: s.name, Line: first + max(n, 1) - 1, Text: variable + ": " + text}
}

// place names a variable as a source: "API_BASE in .env:4".
func (s source) place(variable string, n int) string {
	if !s.file {
		return variable + " in the environment"
	}
	_, first := s.get(variable)
	return fmt.Sprintf("%s in %s:%d", variable, s.name, first+max(n, 1)-1)
}

// readEnvironment adds the services of LLM_MODEL_CONFIGS, then that of the
// simple variables.
func (l *loader) readEnvironment() {
	e := &environment{loader: l, from: map[string]string{}, held: map[heldKey]string{}}
	for i, s := range l.sources() {
		if s.value(modelConfigs) != "" {
			e.addModels(s)
			if rest := l.sources()[i+1:]; len(rest) > 0 && rest[0].value(modelConfigs) != "" {
				l.tell("%s is not used, that of %s stands", rest[0].place(modelConfigs, 0), s.in)
			}
			break
		}
		if s.file {
			l.checkUnclosed()
		}
	}
	e.addSimple()
}

// checkUnclosed tells of models in the .env file that a missing quote hides.
func (l *loader) checkUnclosed() {
	lines := strings.Split(l.dotenv.text, "\n")
	for _, n := range l.dotenv.Bad {
		if strings.HasPrefix(strings.TrimPrefix(strings.TrimSpace(lines[n-1]), "export "), modelConfigs) {
			l.anyVariable = true
			l.error(Problem{File: l.dotenv.file, Line: n, Text: modelConfigs + ": the quote that begins it is not closed"})
		}
	}
}

// environment makes services of variables.
type environment struct {
	*loader
	// from tells of which variable a service is.
	from map[string]string
	// held are the keys so far: one secret at one place is one key, however
	// many models list it.
	held map[heldKey]string
	// take is what is done with each service; nil adds it.
	take func(c candidate)
}

type heldKey struct {
	kind, base string
	secret     secret.Secret
}

// candidate is what one source says of one service.
type candidate struct {
	source   source
	variable string
	// line is where it stands in the variable, label what its problems begin with.
	line  int
	label string
	model string
	// texts are its keys as written, ref says where each is.
	texts []string
	ref   func(i int) string
	// base is where they belong, baseName what that is called in this source.
	base     string
	baseName string
	dialect  string
	// temperature is nil where none is told.
	temperature *float64
	// origins are where each of its settings is from.
	origins map[string]taken
}

// what names the service in a sentence.
func (c candidate) what() string {
	if c.model == "" {
		return "service default"
	}
	return "model " + printable(c.model)
}

func (c candidate) problem(format string, args ...any) Problem {
	return c.source.problem(c.variable, c.line, "%s", c.label+fmt.Sprintf(format, args...))
}

// addModels adds the services of LLM_MODEL_CONFIGS.
func (e *environment) addModels(s source) {
	e.use(s)
	value, _ := s.get(modelConfigs)
	models, remarks := parseModels(value)
	for _, r := range remarks {
		if p := s.problem(modelConfigs, r.line, "%s", r.text); r.fatal {
			e.error(p)
		} else {
			e.warn(p)
		}
	}
	for _, m := range models {
		c := candidate{source: s, variable: modelConfigs, line: m.line, label: printable(m.name) + ": ", model: m.name,
			texts: m.keys, base: m.base, baseName: "api_base", dialect: m.dialect, temperature: m.temperature, origins: map[string]taken{},
			ref: func(i int) string { return fmt.Sprintf("%s#%s[%d]", modelConfigs, m.name, i) }}
		e.layer(&c, m)
		if _, wrong := c.destination(); wrong != "" {
			e.error(c.problem("%s", wrong))
			continue
		}
		e.add(c)
	}
}

// fields are the settings that the entry of a model and a simple variable both
// give, the entry's first.
var fields = []struct{ field, variable, setting string }{
	{"api_base", apiBase, "base_url"}, {"provider", llmProvider, "kind"}, {"temperature", llmTemperature, "temperature"},
}

// layer puts the simple variables under the entry of a model: they give what it
// leaves out. What says where its keys go comes from its own source only.
func (e *environment) layer(c *candidate, m modelEntry) {
	at := func(field string) string { return c.source.place(modelConfigs, m.lines[field]) }
	for _, f := range fields {
		from := c.source
		if f.variable == llmTemperature {
			from = e.first(f.variable)
		}
		text := from.value(f.variable)
		switch {
		case m.lines[f.field] > 0 && text != "":
			c.origins[f.setting] = taken{at(f.field), []string{from.place(f.variable, 0)}}
		case m.lines[f.field] > 0:
			c.origins[f.setting] = taken{from: at(f.field)}
		case text != "":
			c.origins[f.setting] = taken{from: from.place(f.variable, 0)}
		}
	}
	if c.base == "" {
		c.base = c.source.value(apiBase)
	}
	if c.dialect == "" {
		c.dialect = c.source.value(llmProvider)
	}
	if c.temperature == nil {
		c.temperature = e.temperature()
	}
	var keys string
	switch {
	case m.lines["api_keys"] > 0:
		keys = at("api_keys")
	case m.lines["api_key"] > 0:
		keys = at("api_key")
	default:
		keys = e.layerKey(c)
	}
	c.origins["keys"], c.origins["secret"] = taken{from: keys}, taken{from: keys}
	c.origins["models"] = taken{from: c.source.place(modelConfigs, m.line)}
}

// layerKey gives an entry without a key the simple one of its source, if that
// one belongs to the same place. It returns where that stands.
func (e *environment) layerKey(c *candidate) string {
	key := c.source.value(apiKey)
	simple := candidate{source: c.source, model: c.source.value(llmModel), base: c.source.value(apiBase), baseName: apiBase, dialect: c.source.value(llmProvider)}
	to, wrong := c.destination()
	its, alsoWrong := simple.destination()
	if key == "" || wrong != "" || alsoWrong != "" || hostOf(to.base) != hostOf(its.base) {
		return c.source.place(modelConfigs, c.line)
	}
	c.texts, c.ref = strings.Split(key, ","), func(int) string { return apiKey }
	return c.source.place(apiKey, 0)
}

// temperature is that of LLM_TEMPERATURE, nil if there is none.
func (e *environment) temperature() *float64 {
	from := e.first(llmTemperature)
	text := from.value(llmTemperature)
	if text == "" {
		return nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		e.warn(from.problem(llmTemperature, 0, "must be a number; it is left out"))
		return nil
	}
	return &f
}

// addSimple adds the service of API_KEY and its companions, from the first
// source that says where the key belongs.
func (e *environment) addSimple() {
	var idle []Problem
	for _, s := range e.sources() {
		c := candidate{source: s, variable: apiKey, model: s.value(llmModel), base: s.value(apiBase), baseName: apiBase, dialect: s.value(llmProvider),
			texts: strings.Split(s.value(apiKey), ","), ref: func(int) string { return apiKey }}
		if c.texts[0] == "" {
			continue
		}
		if c.base != "" { // then the model says nothing of where the key goes
			c.model = e.first(llmModel).value(llmModel)
		}
		if len(c.texts) > 1 {
			c.ref = func(i int) string { return fmt.Sprintf("%s[%d]", apiKey, i) }
		}
		e.anyVariable = true
		if _, wrong := c.destination(); wrong != "" {
			idle = append(idle, c.problem("%s", wrong))
			continue
		}
		c.temperature = e.temperature()
		c.origins = e.simpleOrigins(s)
		e.use(s)
		e.add(c)
		break
	}
	// A key that nobody speaks of is a problem only when it is all there is.
	if len(e.config.Engine.Services) == 0 && len(e.errors) == 0 {
		e.errors = append(e.errors, idle...)
	}
}

// simpleOrigins are where the settings of the simple variables are from.
func (e *environment) simpleOrigins(s source) map[string]taken {
	all := map[string]taken{}
	for _, v := range []struct {
		setting, variable string
		from              source
	}{{"keys", apiKey, s}, {"secret", apiKey, s}, {"base_url", apiBase, s}, {"kind", llmProvider, s},
		{"models", llmModel, e.first(llmModel)}, {"temperature", llmTemperature, e.first(llmTemperature)}} {
		if v.from.value(v.variable) == "" {
			continue
		}
		o := taken{from: v.from.place(v.variable, 0)}
		for _, other := range e.sources() {
			if other.name != v.from.name && other.value(v.variable) != "" {
				o.over = append(o.over, other.place(v.variable, 0))
			}
		}
		all[v.setting] = o
	}
	return all
}

// first is the source whose variable counts.
func (e *environment) first(variable string) source {
	all := e.sources()
	for _, s := range all {
		if s.value(variable) != "" {
			return s
		}
	}
	return all[0]
}

// use notes that something comes from s.
func (e *environment) use(s source) {
	e.anyVariable = true
	if s.file {
		e.dotenv.used.Store(true)
	}
}

// add makes a service and its keys, unless a higher source has the service.
func (e *environment) add(c candidate) {
	if e.take != nil {
		e.take(c)
		return
	}
	name := slug(c.model)
	if at, taken := e.serviceAt[name]; taken && e.from[name] != c.variable {
		e.tell("%s from %s in %s is not used, the service %s of %s stands", c.what(), c.variable, c.source.in, name, at.file)
		e.lost[name] = append(e.lost[name], c.source.place(c.variable, c.line))
		return
	}
	name = unique(name, func(name string) bool { _, taken := e.serviceAt[name]; return taken })
	var keys []string
	e.about(Subject{Service: name}, func() { keys = e.addKeys(c, name) })
	if len(keys) == 0 {
		e.warn(c.problem("no key of it can be used, so it is left out"))
		return
	}
	to, _ := c.destination()
	s := engine.Service{Name: name, Keys: keys, Strategy: engine.RoundRobin, Source: c.source.name}
	if c.model != "" {
		s.Purpose = c.what()
		s.Models, s.Aliases = c.names(to)
	}
	if c.temperature != nil {
		s.Defaults = map[string]any{"temperature": *c.temperature}
	}
	e.from[name] = c.variable
	e.addService(s, c.declared())
	e.tell("%s from %s in %s: %s", c.what(), c.variable, c.source.in, count(len(keys), "key"))
}

// names are what clients may call the candidate's model, and what it is called
// upstream where that is another name.
func (c candidate) names(to target) (models []string, aliases map[string]string) {
	upstream := withoutPrefix(c.model, to.kind.Name)
	if upstream == c.model {
		return []string{c.model}, nil
	}
	return []string{c.model, upstream}, map[string]string{c.model: upstream}
}

// declared is where the candidate stands.
func (c candidate) declared() declared {
	p := c.problem("")
	return declared{file: p.File, label: strings.TrimSuffix(p.Text, ": "), line: func(string) int { return p.Line }, origins: c.origins}
}

func (l *loader) tell(format string, args ...any) {
	l.config.Sources = append(l.config.Sources, fmt.Sprintf(format, args...))
}

// addKeys adds the keys of a candidate and gives the names of all it has.
func (e *environment) addKeys(c candidate, service string) []string {
	var names []string
	mine := map[string]bool{}
	to, _ := c.destination()
	for i, text := range c.texts {
		text = strings.TrimSpace(text)
		if wrong := secret.Unfit(text); wrong != "" {
			e.warn(c.problem("key %d %s; it is left out", i+1, wrong))
			continue
		}
		held := heldKey{to.kind.Name, to.base, secret.New(text)}
		name, known := e.held[held]
		if known && mine[name] {
			e.warn(c.problem("key %d is there twice; it counts once", i+1))
			continue
		}
		if !known {
			name = unique(fmt.Sprintf("%s-%d", service, i+1), func(name string) bool { _, taken := e.keyAt[name]; return taken })
			e.held[held] = name
			e.addKey(engine.Key{Name: name, Provider: to.name, Kind: to.kind.Name, BaseURL: to.base, Secret: held.secret,
				Ref: c.ref(i), CanTest: to.kind.TestPath != "", Source: c.source.name}, c.declared())
		}
		mine[name] = true
		names = append(names, name)
	}
	return names
}

// target is where keys belong.
type target struct {
	name string
	kind *provider.Provider
	base string
}

// destination tells where the candidate's keys belong: to its URL; without one
// to the provider it names, or to the one whose model it is.
func (c candidate) destination() (to target, wrong string) {
	if c.base != "" {
		if wrong := upstreamURL(c.base); wrong != "" {
			return to, c.baseName + " " + wrong
		}
		if wrong := plainHTTP(c.base); wrong != "" {
			return to, fmt.Sprintf("%s %s, or write a %s with insecure = true", c.baseName, wrong, fileName)
		}
		return atURL(strings.TrimRight(c.base, "/"), c.dialect), ""
	}
	for _, name := range []string{familyOf(c.model), c.dialect} {
		if p, ok := provider.Lookup(name); ok && p.BaseURL != "" {
			return target{p.Name, p, p.BaseURL}, ""
		}
	}
	return to, fmt.Sprintf("does not say where its keys belong: set %s in %s too", c.baseName, c.source.in)
}

// atURL tells the provider by its host. A host that none is known at goes by
// its own name; "openai" says no more of it than what it speaks.
func atURL(base, dialect string) target {
	if p := provider.ForURL(base); p != nil {
		return target{p.Name, p, base}
	}
	kind, ok := provider.Lookup(dialect)
	if !ok || dialect == "openai" {
		kind, _ = provider.Lookup("generic")
	}
	return target{hostOf(base), kind, base}
}

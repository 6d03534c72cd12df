package config

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"keywheel/engine/provider"
	"keywheel/engine/secret"
)

// readAsTheyStand are the variables that need no TOML where the .env is beside
// the config, and those that say more of them.
var (
	readAsTheyStand = []string{modelConfigs, apiKey}
	sayMore         = []string{apiBase, llmModel, llmProvider, llmTemperature}
)

// Import turns .env files into a TOML config. Secrets stay where they are: the
// config refers to them. Each file is a project: where there are several, each
// has services of its own. A name that has another value in each of several
// files is a key in each. What is not taken is said in a comment, each name of
// it. here is whether a file is the .env that keywheel reads by itself.
func Import(files []string, here func(file string) bool) (string, error) {
	im := &importer{several: len(files) > 1, names: map[string]bool{}, services: map[string]bool{}}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("import: %w", err)
		}
		im.read(file, secret.ParseDotenv(string(text)), here != nil && here(file))
	}
	for _, p := range im.projects {
		im.write(p)
	}
	out := im.notes.String()
	if out != "" {
		out += "\n"
	}
	return out + strings.TrimSuffix(im.providers.String()+im.keys.String()+im.text.String(), "\n"), nil
}

// importer makes one config of several projects.
type importer struct {
	several  bool
	projects []*project
	// names are those of keys and keysets, services those of services so far.
	names, services              map[string]bool
	notes, providers, keys, text strings.Builder
}

// project is one .env file.
type project struct {
	// label is what it is called; "" where there is only one.
	label, file string
	found       []*found
	sets        []candidate
}

// found is a variable that holds a key.
type found struct {
	variable, provider, value string
	// key is what it is called, and set once it is written.
	key string
}

func (im *importer) note(format string, args ...any) {
	fmt.Fprintf(&im.notes, "# "+format+"\n", args...)
}

// read sorts the variables of a file.
func (im *importer) read(file string, env secret.Dotenv, here bool) {
	p := &project{file: file}
	if im.several {
		p.label = slug(labelOf(file))
	}
	im.projects = append(im.projects, p)
	for _, n := range env.Bad {
		im.note("%s:%d is not NAME=value and was passed over", file, n)
	}
	var others []string
	for _, name := range env.Names() {
		v, _ := env.Lookup(name)
		of := provider.OfVariable(name)
		switch {
		case slices.Contains(readAsTheyStand, name) && here:
			im.note("%s in %s needs nothing here: keywheel reads it as it stands", name, file)
		case slices.Contains(readAsTheyStand, name):
			p.sets = append(p.sets, im.candidates(name, file, env)...)
		case slices.Contains(sayMore, name):
		case of == "" && !mayBeKey(name, v.Value):
			others = append(others, name)
		case secret.Placeholder(v.Value):
			im.note("%s in %s holds a placeholder and was left out", name, file)
		case of == "":
			im.note("%s in %s may be a key, of a provider that its name does not tell: if it is, write a [keys.%s] with its provider for it", name, file, importName(name))
		default:
			p.found = append(p.found, &found{variable: name, provider: of, value: v.Value})
		}
	}
	if len(others) > 0 {
		im.note("no keys, and left where they are in %s:%s", file, folded(others))
	}
}

// folded are names in lines of a comment.
func folded(names []string) string {
	var b strings.Builder
	width := 100
	for _, n := range names {
		if width += len(n) + 1; width > 100 {
			b.WriteString("\n#  ")
			width = 3 + len(n)
		}
		b.WriteString(" " + n)
	}
	return b.String()
}

// mayBeKey tells a variable that could hold a key from one that does not.
func mayBeKey(name, value string) bool {
	for _, end := range []string{"_API_KEY", "_TOKEN", "_KEY", "_SECRET"} {
		if strings.HasSuffix(name, end) {
			return true
		}
	}
	return strings.HasPrefix(value, "sk-") || strings.HasPrefix(value, "ghp_")
}

// labelOf is what a .env file is called: by the project it is of.
func labelOf(file string) string {
	base := filepath.Base(file)
	switch rest := strings.TrimPrefix(base, ".env."); {
	case rest != base:
		return rest
	case base != ".env":
		return strings.TrimSuffix(base, filepath.Ext(base))
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return "env"
	}
	return filepath.Base(filepath.Dir(abs))
}

// candidates are the services that LLM_MODEL_CONFIGS or API_KEY make.
func (im *importer) candidates(variable, file string, env secret.Dotenv) (list []candidate) {
	s := source{name: file, in: file, file: true, get: func(name string) (string, int) { v, _ := env.Lookup(name); return v.Value, v.Line }}
	l := &loader{Options: Options{LookupEnv: func(string) (string, bool) { return "", false }}, config: Defaults(), serviceAt: map[string]declared{}, keyAt: map[string]declared{},
		lost: map[string][]string{}, dotenv: newDotenv(file, env)}
	e := &environment{loader: l, from: map[string]string{}, held: map[heldKey]string{}}
	e.take = func(c candidate) {
		if c.variable == variable {
			list = append(list, c)
		}
	}
	if variable == modelConfigs {
		e.addModels(s)
	} else {
		e.addSimple()
	}
	for _, p := range append(l.errors, l.warnings...) {
		im.note("%s", p)
	}
	return list
}

// write writes a project's keys and services.
func (im *importer) write(p *project) {
	byProvider := map[string][]string{}
	var order []string
	for _, f := range p.found {
		im.key(p, f)
		if byProvider[f.provider] == nil {
			order = append(order, f.provider)
		}
		byProvider[f.provider] = append(byProvider[f.provider], f.key)
	}
	slices.Sort(order)
	for _, of := range order {
		name := of
		if p.label != "" {
			name = p.label
			if len(order) > 1 {
				name += "-" + of
			}
		}
		name = unique(name, func(n string) bool { return im.services[n] })
		im.services[name] = true
		fmt.Fprintf(&im.text, "[services.%s]\n", bareOrQuoted(name))
		if p.label != "" {
			fmt.Fprintf(&im.text, "project = %q\n", p.label)
		}
		fmt.Fprintf(&im.text, "keys = [\"%s\"]\n\n", strings.Join(slices.Compact(byProvider[of]), `", "`))
	}
	for _, c := range p.sets {
		im.set(p, c)
	}
}

// key names a key and writes it, unless an earlier file has the same.
func (im *importer) key(p *project, f *found) {
	differ := false
	for _, other := range im.projects {
		for _, g := range other.found {
			switch {
			case g == f:
			case g.key != "" && g.value == f.value && g.provider == f.provider:
				f.key = g.key
				im.note("%s in %s is the key of %s in %s", f.variable, p.file, g.variable, other.file)
				return
			case g.variable == f.variable && g.value != f.value:
				differ = true
			}
		}
	}
	name := importName(f.variable)
	if differ && p.label != "" {
		name += "-" + p.label
	}
	f.key = unique(name, func(n string) bool { return im.names[n] })
	im.names[f.key] = true
	fmt.Fprintf(&im.keys, "[keys.%s]\nprovider = %q\nsecret   = %q\n\n", bareOrQuoted(f.key), f.provider, "dotenv:"+p.file+"#"+f.variable)
}

// set writes the keys and the service of one model.
func (im *importer) set(p *project, c candidate) {
	to, _ := c.destination()
	usable := 0
	for _, text := range c.texts {
		if secret.Unfit(strings.TrimSpace(text)) == "" {
			usable++
		}
	}
	if usable == 0 {
		im.note("%s of %s in %s holds no key that can be used and was left out", c.what(), c.variable, p.file)
		return
	}
	name := unique(slug(c.model), func(n string) bool { return im.names[n] || im.services[n] })
	im.names[name], im.services[name] = true, true
	of := im.providerOf(to)
	ref := "dotenv:" + p.file + "#" + c.variable
	switch {
	case c.variable == modelConfigs && c.ref(0) == apiKey: // the entry has none of its own
		ref = "dotenv:" + p.file + "#" + apiKey
	case c.variable == modelConfigs:
		ref += "/" + c.model
	}
	fmt.Fprintf(&im.keys, "[keysets.%s]\nprovider = %q\nsecrets  = %q\n\n", bareOrQuoted(name), of, ref)
	fmt.Fprintf(&im.text, "[services.%s]\nkeys = [%q]\n", bareOrQuoted(name), name)
	if p.label != "" {
		fmt.Fprintf(&im.text, "project = %q\n", p.label)
	}
	if c.model != "" {
		models, aliases := c.names(to)
		fmt.Fprintf(&im.text, "models = [\"%s\"]\n", strings.Join(models, `", "`))
		for _, from := range slices.Sorted(maps.Keys(aliases)) {
			fmt.Fprintf(&im.text, "aliases = { %q = %q }\n", from, aliases[from])
		}
	}
	if c.temperature != nil {
		fmt.Fprintf(&im.text, "defaults = { temperature = %g }\n", *c.temperature)
	}
	im.text.WriteString("\n")
}

// providerOf names a provider in the config, and declares one that is not built
// in, or lives elsewhere.
func (im *importer) providerOf(to target) string {
	if to.base == to.kind.BaseURL {
		return to.kind.Name
	}
	name := slug(cmp.Or(to.name, "provider"))
	head := fmt.Sprintf("[providers.%s]\n", bareOrQuoted(name))
	text := head + fmt.Sprintf("kind     = %q\nbase_url = %q\n\n", to.kind.Name, to.base)
	for n := 2; strings.Contains(im.providers.String(), head) && !strings.Contains(im.providers.String(), text); n++ {
		head = fmt.Sprintf("[providers.%s]\n", bareOrQuoted(fmt.Sprintf("%s-%d", name, n)))
		text = head + fmt.Sprintf("kind     = %q\nbase_url = %q\n\n", to.kind.Name, to.base)
	}
	if !strings.Contains(im.providers.String(), text) {
		im.providers.WriteString(text)
	}
	return strings.Trim(strings.TrimSuffix(strings.TrimPrefix(head, "[providers."), "]\n"), `"`)
}

// importable are the variables of a .env file that become keys.
func importable(env secret.Dotenv) []string {
	var names []string
	for _, name := range env.Names() {
		if v, _ := env.Lookup(name); provider.OfVariable(name) != "" && !secret.Placeholder(v.Value) {
			names = append(names, name)
		}
	}
	return names
}

// importName is a key's name made of its variable's: OPENAI_API_KEY_2 gives
// openai-2.
func importName(variable string) string {
	name := strings.NewReplacer("_API_KEY", "", "_TOKEN", "", "_KEY", "", "_SECRET", "").Replace(variable)
	return strings.ToLower(strings.ReplaceAll(name, "_", "-"))
}

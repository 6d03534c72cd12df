package tui

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"keywheel/engine"
)

// aspect is what screen 2 shows of the keys.
type aspect uint8

const (
	aspectState aspect = iota
	aspectMap          // which key is whose: the key mapping table
	aspectCost
	aspects
)

var aspectNames = [aspects]string{"Keys", "Key map", "Cost"}

// grouping is what screen 2 puts its rows together by.
type grouping uint8

const (
	// groupAuto is by service where there are many keys, else none.
	groupAuto grouping = iota
	groupNone
	groupService
	groupProvider
	groupAccount
	groupings
)

var groupWords = [groupings]string{"", "no groups", "by service", "by provider", "by account"}

// many is how many keys a person no longer reads through: they are grouped, and
// groups in which all is well are folded.
const many = 60

// keyRow is a row of screen 2: a key, or the heading of a group of them.
type keyRow struct {
	id    string // of a key its name
	key   *engine.KeyStatus
	group *keyGroup // of a heading
	cost  *costRow  // of a sum
}

// groupPrefix begins the id of a group, and never a name.
const groupPrefix = "\x00"

// keyGroup is some keys put together.
type keyGroup struct {
	name   string
	keys   []*engine.KeyStatus
	n      int
	states [engine.Active + 1]int
	folded bool
}

func (g *keyGroup) names() []string { return keyNames(g.keys) }

func (st *state) grouping() grouping {
	if st.group == groupAuto {
		return pick(len(st.scene.allKeys) > many, groupService, groupNone)
	}
	return st.group
}

// groupOf is the group that a key is in.
func (g grouping) groupOf(k *engine.KeyStatus) string {
	switch {
	case g == groupService && len(k.Services) > 0:
		return k.Services[0]
	case g == groupService:
		return "no service"
	case g == groupProvider:
		return k.Provider
	case g == groupAccount && k.Account != "":
		return k.Provider + " " + k.Account
	}
	return "unknown"
}

// arrangeAll lists all keys as filter, order and groups have it.
func (st *state) arrangeAll() {
	if st.summed() {
		st.arrangeCost()
		return
	}
	l := &st.lists[paneAll]
	keys := make([]*engine.KeyStatus, 0, len(st.scene.allKeys))
	if sub := (subject{now: st.now}); st.filter.query.empty() {
		keys = append(keys, st.scene.allKeys...)
	} else {
		for _, k := range st.scene.allKeys {
			if sub.key = k; st.filter.query.match(&sub) {
				keys = append(keys, k)
			}
		}
	}
	sortRows(l, st.keyColumns(paneAll, nil, 1), keys)
	st.allShown, st.allOf = len(keys), len(st.scene.allKeys)
	st.all = st.rowsOf(keys)
	ids := make([]string, len(st.all))
	for i := range st.all {
		ids[i] = st.all[i].id
	}
	l.set(ids)
}

// rowsOf puts keys under the headings of their groups. Groups stand in the
// order of their first key: who needs a person comes first in both.
func (st *state) rowsOf(keys []*engine.KeyStatus) []keyRow {
	g := st.grouping()
	rows := make([]keyRow, 0, len(keys)+16)
	if g == groupNone {
		for _, k := range keys {
			rows = append(rows, keyRow{id: k.Name, key: k})
		}
		return rows
	}
	at := map[string]*keyGroup{}
	var groups []*keyGroup
	var group *keyGroup
	of := make([]*keyGroup, len(keys))
	for i, k := range keys {
		if name := g.groupOf(k); group == nil || group.name != name { // often the one before
			if group = at[name]; group == nil {
				group = &keyGroup{name: name}
				at[name] = group
				groups = append(groups, group)
			}
		}
		group.states[min(k.State, engine.Active)]++
		group.n++
		of[i] = group
	}
	room := make([]*engine.KeyStatus, len(keys))
	for _, group := range groups {
		group.keys, room = room[:0:group.n], room[group.n:]
	}
	for i, k := range keys {
		of[i].keys = append(of[i].keys, k)
	}
	for _, group := range groups {
		id := groupPrefix + group.name
		well := group.states[engine.Active]+group.states[engine.Cooling]+group.states[engine.Disabled] == len(group.keys)
		group.folded = st.filter.query.empty() && well && len(st.scene.allKeys) > many
		if f, ok := st.folded[id]; ok {
			group.folded = f
		}
		rows = append(rows, keyRow{id: id, group: group})
		if group.folded {
			continue
		}
		for _, k := range group.keys {
			rows = append(rows, keyRow{id: k.Name, key: k})
		}
	}
	return rows
}

// heading is a group's row.
func (st *state) heading(r keyRow) []span {
	g := r.group
	if g == nil {
		return nil
	}
	on := st.lists[paneAll].chosen == r.id
	out := []span{{pick(on, blue|bold, grey), pick(on, "▸ ", "  ")}, {grey, pick(g.folded, "+ ", "- ")},
		{bold, g.name + "  "}, {plain, plural(len(g.keys), "key")}}
	marked := 0
	for _, k := range g.keys {
		if st.marks.keys[k.Name] {
			marked++
		}
	}
	for s, n := range g.states {
		if n > 0 {
			k := lookOf(engine.State(s))
			out = append(out, span{grey, "  "}, span{k.ink, k.glyph + " "}, span{plain, grouped(n) + " "}, span{grey, engine.State(s).String()})
		}
	}
	if marked > 0 {
		out = append(out, span{blue | bold, "  ✓ "}, span{plain, grouped(marked) + " marked"})
	}
	return out
}

// drawKeysScreen draws screen 2: every key there is.
func drawKeysScreen(st *state, c *canvas, l *layout) {
	if len(st.scene.snap.Keys) == 0 {
		st.drawNoServices(c, l)
		return
	}
	b, ids := l.panes[paneAll], &st.lists[paneAll]
	title := aspectNames[st.aspect] + " " + grouped(len(st.scene.allKeys))
	if !st.filter.query.empty() {
		title = aspectNames[st.aspect] + " " + grouped(st.allShown) + " of " + grouped(len(st.scene.allKeys))
	}
	note := ids.order("needs you first")
	if st.aspect == aspectCost {
		note = st.costWords() + " · " + note
		if st.spends && b.w > 70 {
			note += " · " + costWords[st.costBy]
		}
	}
	if st.summed() {
		title = "Cost " + costWords[st.costBy] + " " + grouped(len(st.all))
		note = st.spentWords() + " · " + ids.order("dearest first")
	} else if g := st.grouping(); g != groupNone && b.w > 70 {
		note += " · " + groupWords[g]
	}
	in := frame{title: title + st.marks.word(paneAll), note: note, focused: st.focus == paneAll, open: l.small}.draw(c, b)
	c.zone(zone{b, zonePane, paneAll, ""})
	if len(st.all) == 0 {
		if st.summed() && st.filter.query.empty() {
			c.pen(in, 0).gap(2).put(grey, "Nothing was used yet.")
		} else {
			c.pen(in, 0).gap(2).put(grey, "nothing matches  ").put(bold, "esc").put(grey, " clears the filter")
		}
	} else {
		cols := st.allColumns(st.longName())
		if st.summed() {
			cols = st.costColumns()
		}
		t := table[keyRow]{cols: cols, rows: st.all, id: func(r keyRow) string { return r.id }, whole: st.heading,
			selected: ids.chosen, sorted: ids.column, offset: ids.offset, pane: paneAll, foot: !l.small}
		t.draw(c, box{in.x, in.y, max(in.w-1, 0), in.h})
	}
	st.drawDetail(c, l)
}

// longName is how wide the column of names is.
func (st *state) longName() int {
	long := 4
	for i := range st.all {
		if i > 200 {
			break
		}
		if k := st.all[i].key; k != nil {
			long = max(long, cells(k.Name))
		}
	}
	return min(long, 24) + 6
}

// costWords says what all keys together cost, as far as anybody knows.
func (st *state) costWords() string {
	var usd float64
	var unpriced int64
	seen := map[string]bool{}
	for _, k := range st.scene.allKeys {
		if k.Fingerprint != "" && seen[k.Provider+k.Fingerprint] {
			continue // two names of one secret
		}
		seen[k.Provider+k.Fingerprint] = true
		usd += k.CostUSD
		unpriced += k.Unpriced
	}
	text := money(usd) + " in all"
	if unpriced > 0 {
		text += " · " + grouped(unpriced) + " requests unpriced"
	}
	return text
}

func money(usd float64) string {
	if usd > 0 && usd < 0.01 {
		return "<$0.01"
	}
	return "$" + strconv.FormatFloat(usd, 'f', 2, 64)
}

// allColumns are the columns of screen 2 over its rows.
func (st *state) allColumns(long int) []column[keyRow] {
	cols := st.keyColumns(paneAll, nil, long)
	out := make([]column[keyRow], len(cols))
	for i, col := range cols {
		out[i] = column[keyRow]{head: col.head, brief: col.brief, least: col.least, best: col.best, grow: col.grow, right: col.right,
			drop: col.drop, spare: col.spare, gap: col.gap, cell: func(p *pen, r keyRow) { col.cell(p, r.key) }}
		if col.by != nil {
			out[i].by = func(r keyRow) (float64, string) { return col.by(r.key) }
		}
	}
	return out
}

// aspectColumns are the columns that screen 2 has beside the key's name.
func (st *state) aspectColumns() []column[*engine.KeyStatus] {
	text := func(head string, least, best, grow, drop int, of func(k *engine.KeyStatus) string) column[*engine.KeyStatus] {
		return column[*engine.KeyStatus]{head: head, least: least, best: best, grow: grow, gap: 2, drop: drop,
			cell: func(p *pen, k *engine.KeyStatus) { p.put(pick(of(k) == "", grey, plain), cmp.Or(of(k), "—")) },
			by:   func(k *engine.KeyStatus) (float64, string) { return 0, of(k) }}
	}
	count := func(head string, least, drop int, of func(k *engine.KeyStatus) float64, say func(float64) string) column[*engine.KeyStatus] {
		return column[*engine.KeyStatus]{head: head, least: least, gap: 2, drop: drop, right: true,
			cell: func(p *pen, k *engine.KeyStatus) { p.right(pick(of(k) > 0, plain, grey), say(of(k))) },
			by:   func(k *engine.KeyStatus) (float64, string) { return of(k), "" }}
	}
	marked := func(k *engine.KeyStatus) string {
		names := slices.Clone(k.Services)
		for i, n := range names {
			if s := st.scene.byName[n]; s != nil && s.Required && !s.Planned && s.Usable == 0 {
				names[i] += " (required!)"
			}
		}
		return strings.Join(names, ", ")
	}
	servicesOf := func(k *engine.KeyStatus) string { return strings.Join(k.Services, ", ") }
	accountOf := func(k *engine.KeyStatus) string { return k.Account }
	switch st.aspect {
	case aspectMap:
		return []column[*engine.KeyStatus]{text("SERVICES", 10, 24, 3, 0, marked),
			text("PROJECT", 8, 16, 0, 3, func(k *engine.KeyStatus) string {
				return st.ofServices(k, func(s *engine.ServiceStatus) string { return s.Project })
			}),
			text("PURPOSE", 8, 24, 2, 2, func(k *engine.KeyStatus) string {
				return st.ofServices(k, func(s *engine.ServiceStatus) string { return s.Purpose })
			}),
			text("STATE", 9, 9, 0, 1, func(k *engine.KeyStatus) string { return k.State.String() }),
			text("PROVIDER", 8, 14, 0, 4, func(k *engine.KeyStatus) string { return k.Provider }), text("ACCOUNT", 8, 16, 0, 5, accountOf),
			text("SCOPES", 8, 24, 1, 6, func(k *engine.KeyStatus) string { return cmp.Or(strings.Join(k.Scopes, ", "), "all") }),
			text("SECRET", 10, 32, 1, 7, secretFrom)}
	case aspectCost:
		return []column[*engine.KeyStatus]{
			count("REQUESTS", 9, 0, func(k *engine.KeyStatus) float64 { return float64(k.Requests) }, compact),
			count("IN", 7, 3, func(k *engine.KeyStatus) float64 { return float64(k.InputTokens) }, compact),
			count("OUT", 7, 4, func(k *engine.KeyStatus) float64 { return float64(k.OutputTokens) }, compact),
			count("CACHED", 7, 5, func(k *engine.KeyStatus) float64 { return float64(k.CachedTokens) }, compact),
			count("COST", 9, 0, func(k *engine.KeyStatus) float64 { return k.CostUSD }, money),
			count("UNPRICED", 8, 6, func(k *engine.KeyStatus) float64 { return float64(k.Unpriced) }, compact),
			text("ACCOUNT", 8, 16, 0, 8, accountOf), text("SERVICES", 8, 24, 1, 9, servicesOf)}
	}
	return nil
}

// ofServices is what the services that a key serves say of something, each
// answer once.
func (st *state) ofServices(k *engine.KeyStatus, of func(*engine.ServiceStatus) string) string {
	var list []string
	for _, n := range k.Services {
		if s := st.scene.byName[n]; s != nil && of(s.ServiceStatus) != "" && !slices.Contains(list, of(s.ServiceStatus)) {
			list = append(list, of(s.ServiceStatus))
		}
	}
	return strings.Join(list, ", ")
}

package tui

import (
	"cmp"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"keywheel/engine"
)

// Spender is a Source that also tells what was used by service, key and model.
// Without it screen 2 tells what each key cost, and no more.
type Spender interface {
	Spent() []engine.Spent
}

// costBy is what screen 2 sums up costs by.
type costBy uint8

const (
	costByKey costBy = iota
	costByService
	costByModel
	costByAccount
	costBys
)

var costWords = [costBys]string{"by key", "by service", "by model", "by account"}

// of is the name that a sum counts under.
func (by costBy) of(s *engine.Spent) string {
	switch by {
	case costByService:
		return s.Service
	case costByModel:
		return cmp.Or(s.Model, "(no model)")
	case costByAccount:
		return cmp.Or(s.Account, "(unknown)")
	}
	return s.Key
}

// costPrefix begins the id of a row of costs, and never a name.
const costPrefix = "\x01"

// costRow is what was used under one name.
type costRow struct {
	name string
	engine.Spent
	// with are the others that had a part in it: keys, or of a model services.
	with []string
}

// summed reports whether screen 2 shows sums, and not keys.
func (st *state) summed() bool {
	return st.screen == screenKeys && st.aspect == aspectCost && st.costBy != costByKey
}

// arrangeCost lists the sums, the dearest first. A filter counts for what is
// summed up.
func (st *state) arrangeCost() {
	l := &st.lists[paneAll]
	at, of := map[string]*costRow{}, map[string]bool{}
	var rows []*costRow
	sub := subject{now: st.now}
	for i := range st.spent {
		s := &st.spent[i]
		name := st.costBy.of(s)
		of[name] = true
		if sub.spent, sub.key = s, st.scene.keys[s.Key]; !st.filter.query.match(&sub) {
			continue
		}
		row := at[name]
		if row == nil {
			row = &costRow{name: name}
			at[name] = row
			rows = append(rows, row)
		}
		row.Add(s)
		if with := pick(st.costBy == costByModel, s.Service, s.Key); !slices.Contains(row.with, with) {
			row.with = append(row.with, with)
		}
	}
	slices.SortStableFunc(rows, func(a, b *costRow) int {
		return cmp.Or(cmp.Compare(b.CostUSD, a.CostUSD), cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.name, b.name))
	})
	st.all = make([]keyRow, len(rows))
	for i, row := range rows {
		slices.Sort(row.with)
		st.all[i] = keyRow{id: costPrefix + row.name, cost: row}
	}
	sortRows(l, st.costColumns(), st.all)
	st.allShown, st.allOf = len(rows), len(of)
	ids := make([]string, len(st.all))
	for i := range st.all {
		ids[i] = st.all[i].id
	}
	l.set(ids)
}

// costColumns are the columns of the sums.
func (st *state) costColumns() []column[keyRow] {
	total, long := 0.0, 12
	for i := range st.all {
		if c := st.all[i].cost; c != nil {
			total += c.CostUSD
			long = max(long, cells(c.name))
		}
	}
	count := func(head string, least, drop int, of func(c *costRow) float64, say func(float64) string) column[keyRow] {
		return column[keyRow]{head: head, least: least, gap: 2, drop: drop, right: true,
			cell: func(p *pen, r keyRow) { p.right(pick(of(r.cost) > 0, plain, grey), say(of(r.cost))) },
			by:   func(r keyRow) (float64, string) { return of(r.cost), "" }}
	}
	head := strings.ToUpper(strings.TrimPrefix(costWords[st.costBy], "by "))
	return []column[keyRow]{
		{least: 3, cell: func(p *pen, r keyRow) {
			p.put(pick(st.focus == paneAll, blue|bold, grey), pick(r.id == st.lists[paneAll].chosen, "▸", " "))
		}},
		{head: head, least: min(long, 16), best: min(long, 28), cell: func(p *pen, r keyRow) {
			p.put(pick(r.id == st.lists[paneAll].chosen, bold, plain), r.cost.name)
		}, by: func(r keyRow) (float64, string) { return 0, r.cost.name }},
		count("REQUESTS", 9, 2, func(c *costRow) float64 { return float64(c.Requests) }, compact),
		count("FAILED", 7, 6, func(c *costRow) float64 { return float64(c.Failures) }, compact),
		count("IN", 7, 3, func(c *costRow) float64 { return float64(c.InputTokens) }, compact),
		count("OUT", 7, 4, func(c *costRow) float64 { return float64(c.OutputTokens) }, compact),
		count("CACHED", 7, 5, func(c *costRow) float64 { return float64(c.CachedTokens) }, compact),
		count("COST", 9, 0, func(c *costRow) float64 { return c.CostUSD }, money),
		{head: "SHARE", least: 5, best: 16, gap: 2, drop: 1, cell: func(p *pen, r keyRow) {
			if total > 0 {
				shareCell(p, r.cost.CostUSD/total)
			}
		}},
		count("UNPRICED", 8, 7, func(c *costRow) float64 { return float64(c.Unpriced) }, compact),
		{head: pick(st.costBy == costByModel, "SERVICES", "KEYS"), least: 10, best: 30, grow: 1, gap: 2, drop: 8,
			cell: func(p *pen, r keyRow) { p.put(grey, strings.Join(r.cost.with, ", ")) }},
	}
}

// spentWords say what all of it cost.
func (st *state) spentWords() string {
	var sum engine.Spent
	for i := range st.spent {
		sum.Add(&st.spent[i])
	}
	text := money(sum.CostUSD) + " since the start"
	if sum.Unpriced > 0 {
		text += " · " + grouped(sum.Unpriced) + " requests unpriced"
	}
	return text
}

// nextCostBy sums costs up by something else.
func nextCostBy(m *Model) tea.Cmd {
	m.costBy = (m.costBy + 1) % costBys
	m.lists[paneAll] = list{}
	m.arrange()
	return m.lookNow()
}

package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
	_ "time/tzdata" // limits end at midnight in other zones, also where there is no zone database

	"keywheel/engine/quota"
)

// limitKinds are the limits by the names they have in a config.
var limitKinds = map[string]quota.Limit{
	"rps":           {Unit: quota.Requests, Window: time.Second},
	"rpm":           {Unit: quota.Requests, Window: time.Minute},
	"rph":           {Unit: quota.Requests, Window: time.Hour},
	"rpd":           {Unit: quota.Requests, Calendar: "day"},
	"tpm":           {Unit: quota.Tokens, Window: time.Minute},
	"tph":           {Unit: quota.Tokens, Window: time.Hour},
	"tpd":           {Unit: quota.Tokens, Calendar: "day"},
	"itpm":          {Unit: quota.Input, Window: time.Minute},
	"otpm":          {Unit: quota.Output, Window: time.Minute},
	"usd_per_day":   {Unit: quota.USD, Calendar: "day"},
	"usd_per_month": {Unit: quota.USD, Calendar: "month"},
	"concurrent":    {Unit: quota.Concurrent},
}

// What a table of limits holds beside limits.
const (
	// burst is how many requests may go at once.
	burst = "burst"
	// ofModels is a table of tables of limits, each for one model.
	ofModels = "models"
)

var (
	modelLimitNames = slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(limitKinds)), burst)))
	limitNames      = slices.Sorted(slices.Values(append(slices.Clone(modelLimitNames), ofModels)))
)

// limits is a table of limits, those of single models in it. The zone of those
// that end by the clock is set when the provider is known.
func limits[T any](field func(*T) *[]quota.Limit) setter[T] {
	return func(d *document, s spot, v any, to *T) {
		table, ok := as[map[string]any](d, s, v)
		if !ok {
			return
		}
		list := d.limits(s, table, limitNames)
		models, ok := table[ofModels]
		if !ok {
			*field(to) = list
			return
		}
		s = s.sub(ofModels)
		named, _ := as[map[string]any](d, s, models)
		for _, model := range d.sorted(s.path, named) {
			of, ok := as[map[string]any](d, s.sub(model), named[model])
			if !ok || !d.passes(s.sub(model), model, []check{notEmpty}) {
				continue
			}
			for _, limit := range d.limits(s.sub(model), of, modelLimitNames) {
				limit.Model = model
				list = append(list, limit)
			}
		}
		*field(to) = list
	}
}

// limits reads one table of limits; names are all that it may hold.
func (d *document) limits(s spot, table map[string]any, names []string) (list []quota.Limit) {
	before := len(d.errors)
	for _, name := range d.sorted(s.path, table) {
		limit, known := limitKinds[name]
		if !known {
			if !slices.Contains(names, name) {
				unknown := s.sub(name)
				unknown.name = s.name + ": unknown limit"
				d.fail(unknown, "%q%s", name, didYouMean(name, names))
			}
			continue
		}
		amount, wrong := limitAmount(table[name], limit.Unit)
		if wrong != "" {
			d.fail(s.sub(name), "%s", wrong)
			continue
		}
		limit.Amount, limit.Source = amount, "config"
		list = append(list, limit)
	}
	if v, ok := table[burst]; ok {
		d.burst(s.sub(burst), v, list, len(d.errors) > before)
	}
	return list
}

// burst makes the shortest rolling window of requests as deep as the table
// says. The longer ones keep their whole amounts: as shallow as that one they
// would slow everything down to their own rate. Where the table has a mistake,
// the limit it belongs to may be the one that is missing.
func (d *document) burst(s spot, v any, list []quota.Limit, mistaken bool) {
	amount, wrong := limitAmount(v, quota.Requests)
	if wrong != "" {
		d.fail(s, "%s", wrong)
		return
	}
	shortest := -1
	for i, l := range list {
		if l.Unit == quota.Requests && l.Window > 0 && (shortest < 0 || l.Window < list[shortest].Window) {
			shortest = i
		}
	}
	switch {
	case shortest >= 0 && amount > list[shortest].Amount:
		d.fail(s, "must not be above %s = %v: a longer window lets more go at once", limitName(list[shortest]), shownAmount(list[shortest].Amount))
	case shortest >= 0:
		list[shortest].Burst = amount
	case !mistaken:
		d.fail(s, "is how many requests may go at once under rps, rpm or rph: set one of them beside it")
	}
}

// limitAmount reads an amount. Money has cents, the rest is counted.
func limitAmount(v any, unit quota.Unit) (amount float64, wrong string) {
	want := "a whole number"
	if unit == quota.USD {
		want = "a number"
	}
	switch v := v.(type) {
	case int64:
		amount = float64(v)
	case float64:
		amount = v
	default:
		return 0, fmt.Sprintf("must be %s, not %s", want, typeName(v))
	}
	if unit != quota.USD && amount != math.Trunc(amount) {
		return 0, "must be a whole number"
	}
	if !(amount > 0) || math.IsInf(amount, 0) {
		return 0, "must be above 0; leave it out for no limit"
	}
	return amount, ""
}

// limitName is what a limit is called in a config: "rpm", "models.gpt-4o.rpm".
func limitName(l quota.Limit) string {
	for name, kind := range limitKinds {
		if kind.Unit == l.Unit && kind.Window == l.Window && kind.Calendar == l.Calendar {
			if l.Model != "" {
				return path{ofModels, l.Model, name}.String()
			}
			return name
		}
	}
	return string(l.Unit)
}

// setZone tells limits that end by the clock whose clock it is.
func setZone(limits []quota.Limit, kind string) {
	zone := time.UTC
	if kind == "gemini" {
		zone = pacific
	}
	for i := range limits {
		if limits[i].Calendar != "" {
			limits[i].Zone = zone
		}
	}
}

// pacific is the zone of Gemini's days.
var pacific = func() *time.Location {
	zone, err := time.LoadLocation("America/Los_Angeles")
	if err != nil {
		panic(err) // the zone is in the binary
	}
	return zone
}()

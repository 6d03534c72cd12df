package config

import (
	"iter"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"keywheel/engine"
)

// A check says what is wrong with a text ("must be an URL"); "" is nothing.
type check func(text string) string

// text is a string that passes the checks. No control character comes in.
func text[T any](field func(*T) *string, checks ...check) setter[T] {
	return func(d *document, s spot, v any, to *T) {
		value, ok := as[string](d, s, v)
		if !ok || !d.passes(s, value, checks) {
			return
		}
		*field(to) = value
	}
}

// passes reports whether a text is harmless and passes the checks.
func (d *document) passes(s spot, value string, checks []check) bool {
	for _, wrong := range append([]check{harmless}, checks...) {
		if w := wrong(value); w != "" {
			d.fail(s, "%s", w)
			return false
		}
	}
	return true
}

func harmless(text string) string {
	if strings.ContainsFunc(text, engine.Harmful) {
		return "must not hold control characters or line ends"
	}
	return ""
}

// texts is a list of strings, each of which passes the checks, none twice.
func texts[T any, S ~string](field func(*T) *[]S, checks ...check) setter[T] {
	return textList(field, false, checks)
}

// words is a list of strings in which one may be there twice.
func words[T any](field func(*T) *[]string, checks ...check) setter[T] {
	return textList(field, true, checks)
}

func textList[T any, S ~string](field func(*T) *[]S, twice bool, checks []check) setter[T] {
	return func(d *document, s spot, v any, to *T) {
		list, ok := as[[]any](d, s, v)
		if !ok {
			return
		}
		var values []S
		seen := map[string]bool{}
		for i, v := range list {
			value, ok := as[string](d, s.item(i), v)
			switch {
			case !ok || !d.passes(s.item(i), value, checks):
			case seen[value] && !twice:
				d.fail(s.item(i), "is %q once more", value)
			default:
				seen[value] = true
				values = append(values, S(value))
			}
		}
		*field(to) = values
	}
}

// flag is true or false.
func flag[T any](field func(*T) *bool) setter[T] {
	return func(d *document, s spot, v any, to *T) {
		if value, ok := as[bool](d, s, v); ok {
			*field(to) = value
		}
	}
}

// whole is a whole number, least or more.
func whole[T any](field func(*T) *int, least int64) setter[T] {
	return func(d *document, s spot, v any, to *T) {
		value, ok := as[int64](d, s, v)
		switch {
		case !ok:
		case value < least || value > math.MaxInt32:
			d.fail(s, "must be a whole number from %d to %d", least, math.MaxInt32)
		default:
			*field(to) = int(value)
		}
	}
}

// byteUnits are the sizes a number may be followed by.
var byteUnits = []struct {
	name string
	size float64
}{{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"kB", 1e3}, {"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"B", 1}}

// size is an amount of bytes: 1048576, "1MiB", "1.5 GB".
func size[T any](field func(*T) *int64) setter[T] {
	return func(d *document, s spot, v any, to *T) {
		switch v := v.(type) {
		case int64:
			if v >= 0 {
				*field(to) = v
				return
			}
		case string:
			for _, unit := range byteUnits {
				number, found := strings.CutSuffix(v, unit.name)
				if !found {
					continue
				}
				n, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
				if err == nil && n >= 0 && n*unit.size < 1<<62 {
					*field(to) = int64(n * unit.size)
					return
				}
				break
			}
		}
		d.fail(s, `must be a size: a whole number of bytes, or one like "64MiB"`)
	}
}

// duration is a text like "10s" or "1h30m", least or longer.
func duration[T any](field func(*T) *time.Duration, least time.Duration) setter[T] {
	return func(d *document, s spot, v any, to *T) {
		text, ok := v.(string)
		if !ok {
			d.fail(s, `must be a duration like "10s", not %s`, typeName(v))
			return
		}
		value, err := time.ParseDuration(text)
		switch {
		case err != nil:
			d.fail(s, `must be a duration like "500ms", "10s" or "5m", not %q`, text)
		case value < least:
			d.fail(s, "must be %v or longer", least)
		default:
			*field(to) = value
		}
	}
}

// days is a duration that may be told in days, least or longer: "90d", "36h".
func days[T any](field func(*T) *time.Duration, least time.Duration) setter[T] {
	hours := duration(field, least)
	return func(d *document, s spot, v any, to *T) {
		const most = 100 * 365
		text, _ := v.(string)
		number, inDays := strings.CutSuffix(text, "d")
		if n, err := strconv.Atoi(number); inDays && err == nil && n > 0 && n <= most {
			*field(to) = time.Duration(n) * 24 * time.Hour
			return
		}
		if inDays {
			d.fail(s, `must be a number of days like "90d", at most %d`, most)
			return
		}
		hours(d, s, v, to)
	}
}

// date is the last day of something, or the moment it ends.
func date[T any](field func(*T) *time.Time) setter[T] {
	return func(d *document, s spot, v any, to *T) {
		if value, ok := endOf(v); ok {
			*field(to) = value
			return
		}
		d.fail(s, "must be a date like 2027-03-31 or a time like 2027-03-31T12:00:00Z")
	}
}

// endOf reads the forms a date has in TOML and in strings. A day lasts until
// its end; where no zone is told it is UTC.
func endOf(v any) (time.Time, bool) {
	const day = 24*time.Hour - time.Second
	switch v := v.(type) {
	case time.Time:
		utc := time.Date(v.Year(), v.Month(), v.Day(), v.Hour(), v.Minute(), v.Second(), 0, time.UTC)
		switch v.Location().String() { // the library's names for the forms without a zone
		case "date-local":
			return utc.Add(day), true
		case "datetime-local":
			return utc, true
		case "time-local":
			return time.Time{}, false
		default:
			return v.UTC(), true
		}
	case string:
		if t, err := time.Parse(time.DateOnly, v); err == nil {
			return t.Add(day), true
		}
		t, err := time.Parse(time.RFC3339, v)
		return t.UTC(), err == nil
	default:
		return time.Time{}, false
	}
}

// pairs is a table of strings; wrong looks at each name and value.
func pairs[T any](field func(*T) *map[string]string, wrong func(name, value string) string) setter[T] {
	return func(d *document, s spot, v any, to *T) {
		table, ok := as[map[string]any](d, s, v)
		if !ok {
			return
		}
		values := map[string]string{}
		for _, name := range d.sorted(s.path, table) {
			value, ok := as[string](d, s.sub(name), table[name])
			if !ok || !d.passes(s.sub(name), name+value, nil) {
				continue
			}
			if w := wrong(name, value); w != "" {
				d.fail(s.sub(name), "%s", w)
				continue
			}
			values[name] = value
		}
		*field(to) = values
	}
}

// anything is a table of what JSON can say too.
func anything[T any](field func(*T) *map[string]any) setter[T] {
	return func(d *document, s spot, v any, to *T) {
		table, ok := as[map[string]any](d, s, v)
		if !ok {
			return
		}
		for _, name := range d.sorted(s.path, table) {
			if !inJSON(table[name]) {
				d.fail(s.sub(name), "must be text, a number, true or false, a list or a table of these")
			}
		}
		*field(to) = table
	}
}

func inJSON(v any) bool {
	switch v := v.(type) {
	case string, int64, bool:
		return true
	case float64:
		return !math.IsNaN(v) && !math.IsInf(v, 0)
	case []any:
		return allInJSON(slices.Values(v))
	case []map[string]any:
		return allInJSON(slices.Values(v))
	case map[string]any:
		return allInJSON(maps.Values(v))
	default:
		return false
	}
}

func allInJSON[T any](items iter.Seq[T]) bool {
	for item := range items {
		if !inJSON(item) {
			return false
		}
	}
	return true
}

// money is an amount in USD for so many.
func money[T any](field func(*T) *float64, per float64) setter[T] {
	return func(d *document, s spot, v any, to *T) {
		amount, ok := v.(float64)
		if n, whole := v.(int64); whole {
			amount, ok = float64(n), true
		}
		switch {
		case !ok:
			d.fail(s, "must be a number, not %s", typeName(v))
		case !(amount >= 0) || math.IsInf(amount, 0):
			d.fail(s, "must be 0 or above")
		default:
			*field(to) = amount / per
		}
	}
}

// nested is a table with settings of its own.
func nested[T, U any](field func(*T) *U, table settings[U]) setter[T] {
	return func(d *document, s spot, v any, to *T) {
		if values, ok := as[map[string]any](d, s, v); ok {
			table.read(d, s.path, values, field(to))
		}
	}
}

// tables is a table of named tables: [keys.main], [keys.second].
func tables[T, U any](add func(to *T, name string, p path) *U, table settings[U]) setter[T] {
	return func(d *document, s spot, v any, to *T) {
		named, ok := as[map[string]any](d, s, v)
		if !ok {
			return
		}
		for _, name := range d.sorted(s.path, named) {
			p := s.path.join(name)
			if values, ok := as[map[string]any](d, at(p), named[name]); ok {
				table.read(d, p, values, add(to, name, p))
			}
		}
	}
}

package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"keywheel/engine/secret"
)

// modelEntry is one model of LLM_MODEL_CONFIGS.
type modelEntry struct {
	name string
	// line is where it stands in the value, from 1.
	line int
	// keys are the secrets as written, in the order written.
	keys []string
	base string
	// dialect is the entry's "provider": whose API the base speaks.
	dialect     string
	temperature *float64
	// lines are where its fields stand.
	lines map[string]int
}

// remark is something to say about a line of the value. It names no secret.
type remark struct {
	line  int
	text  string
	fatal bool
}

// parseModels reads the value of LLM_MODEL_CONFIGS: a JSON object of models.
// Comments from # to the end of the line, and commas before a closing bracket,
// are put up with.
func parseModels(value string) (entries []modelEntry, remarks []remark) {
	raw := []byte(secret.PlainJSON(value))
	line := func(offset int) int { return 1 + bytes.Count(raw[:min(offset, len(raw))], []byte("\n")) }
	var whole any
	if err := json.Unmarshal(raw, &whole); err != nil {
		offset := len(raw)
		if se := (*json.SyntaxError)(nil); errors.As(err, &se) && se.Offset < int64(len(raw)) {
			offset = int(se.Offset)
		}
		text := "is not JSON: " + err.Error()
		if strings.HasSuffix(text, "unexpected end of JSON input") {
			text += "; in a .env file the whole of it belongs in single quotes"
		}
		return nil, []remark{{line(offset), text, true}}
	}
	if _, ok := whole.(map[string]any); !ok {
		return nil, []remark{{1, `must be a JSON object: {"model": {"api_key": [...], "api_base": "..."}}`, true}}
	}
	seen := map[string]bool{}
	members(raw, func(name string, value []byte, offset, inside int) {
		e := modelEntry{name: name, line: line(offset), lines: map[string]int{}}
		say := func(offset int, fatal bool, format string, args ...any) {
			remarks = append(remarks, remark{line(offset), printable(name) + ": " + fmt.Sprintf(format, args...), fatal})
		}
		switch {
		case name == "":
			say(offset, true, "a model needs a name")
		case harmless(name) != "":
			say(offset, true, "the name %s", harmless(name))
		case seen[name]:
			say(offset, true, "is there twice")
		case len(value) == 0 || value[0] != '{':
			say(offset, true, `must be an object: {"api_key": [...], "api_base": "..."}`)
		default:
			seen[name] = true
			members(value, func(field string, value []byte, at, _ int) {
				if string(value) != "null" {
					e.lines[field] = line(inside + at)
				}
				e.take(field, value, func(fatal bool, format string, args ...any) { say(inside+at, fatal, format, args...) })
			})
			entries = append(entries, e)
		}
	})
	return entries, remarks
}

// modelFields are the fields of an entry and what they fill in. They return
// what is wrong with the value. api_keys beats api_key.
var modelFields = map[string]func(e *modelEntry, v any) string{
	"api_key": func(e *modelEntry, v any) string {
		keys, wrong := keyList(v)
		if len(e.keys) == 0 {
			e.keys = keys
		}
		return wrong
	},
	"api_keys": func(e *modelEntry, v any) (wrong string) {
		keys, wrong := keyList(v)
		if len(keys) > 0 {
			e.keys = keys
		}
		return wrong
	},
	"api_base": func(e *modelEntry, v any) string { return stringInto(&e.base, v) },
	"provider": func(e *modelEntry, v any) string { return stringInto(&e.dialect, v) },
	"temperature": func(e *modelEntry, v any) string {
		t, ok := v.(float64)
		if s, isText := v.(string); isText {
			var err error
			t, err = strconv.ParseFloat(s, 64)
			ok = err == nil
		}
		if !ok {
			return "must be a number, not " + jsonName(v)
		}
		e.temperature = &t
		return ""
	},
}

// take fills in one field; null is as if it were not there.
func (e *modelEntry) take(field string, raw []byte, say func(fatal bool, format string, args ...any)) {
	var v any
	if err := json.Unmarshal(raw, &v); err != nil || v == nil {
		return
	}
	set, known := modelFields[field]
	if !known {
		say(false, "%s is not used here%s", printable(field), didYouMean(field, slices.Sorted(maps.Keys(modelFields))))
		return
	}
	if wrong := set(e, v); wrong != "" {
		say(true, "%s %s", field, wrong)
	}
}

func stringInto(to *string, v any) string {
	s, ok := v.(string)
	if !ok {
		return "must be a string, not " + jsonName(v)
	}
	*to = strings.TrimSpace(s)
	return ""
}

// keyList takes one key or a list of them.
func keyList(v any) (keys []string, wrong string) {
	switch v := v.(type) {
	case string:
		return []string{v}, ""
	case []any:
		for i, item := range v {
			key, ok := item.(string)
			if !ok {
				return keys, fmt.Sprintf("item %d must be a string, not %s", i+1, jsonName(item))
			}
			keys = append(keys, key)
		}
		return keys, ""
	default:
		return nil, "must be a string or a list of strings, not " + jsonName(v)
	}
}

func jsonName(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case float64:
		return "a number"
	case bool:
		return "true or false"
	case map[string]any:
		return "an object"
	default:
		return "a list"
	}
}

// printable is a name from outside as it may be shown.
func printable(name string) string {
	if harmless(name) != "" {
		return strconv.Quote(name)
	}
	return name
}

// members calls each for every member of a valid JSON object, in order, with
// the offsets of its name's end and of its value.
func members(object []byte, each func(name string, value []byte, offset, inside int)) {
	dec := json.NewDecoder(bytes.NewReader(object))
	if _, err := dec.Token(); err != nil {
		return
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return
		}
		offset := int(dec.InputOffset())
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return
		}
		text, _ := name.(string)
		each(text, value, offset, int(dec.InputOffset())-len(value))
	}
}

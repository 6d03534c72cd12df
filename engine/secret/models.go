package secret

import (
	"encoding/json"
	"strings"
)

// modelKeys are the keys of one model in the value of LLM_MODEL_CONFIGS, one a
// line, as a dotenv: reference that goes on with /MODEL names them. found is
// whether the model is there.
func modelKeys(value, model string) (keys string, found bool) {
	var models map[string]map[string]json.RawMessage
	if json.Unmarshal([]byte(PlainJSON(value)), &models) != nil {
		return "", false
	}
	entry, found := models[model]
	for _, field := range []string{"api_keys", "api_key"} {
		var one string
		var many []string
		if json.Unmarshal(entry[field], &many) == nil && len(many) > 0 {
			return strings.Join(many, "\n"), true
		}
		if json.Unmarshal(entry[field], &one) == nil && one != "" {
			return one, true
		}
	}
	return "", found
}

// PlainJSON blanks out comments from # to the end of a line, and commas that
// nothing follows. Every other byte stays where it is.
func PlainJSON(text string) string {
	out := []byte(text)
	comma := -1 // the last comma, while only blanks came after it
	for i := 0; i < len(out); i++ {
		switch c := out[i]; c {
		case '"':
			comma = -1
			for i++; i < len(out) && out[i] != '"'; i++ {
				if out[i] == '\\' {
					i++
				}
			}
		case '#':
			for ; i < len(out) && out[i] != '\n'; i++ {
				out[i] = ' '
			}
		case ',':
			comma = i
		case ']', '}':
			if comma >= 0 {
				out[comma] = ' '
			}
			comma = -1
		case ' ', '\t', '\r', '\n':
		default:
			comma = -1
		}
	}
	return string(out)
}

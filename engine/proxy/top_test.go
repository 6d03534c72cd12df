package proxy

import (
	"strings"
	"testing"

	"github.com/tidwall/gjson"
)

func TestReadTop(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]top{
		`{"model":"gpt-4o"}`: {model: "gpt-4o"},
		` { "messages" : [ {"model":"x","content":"a \"model\": \"y\" \\"} , 1 ] , "stream" : true , "model" : "org/m" } `: {model: "org/m", stream: true},
		`{"a":{"stream":true,"b":["]","}"]},"model":"m","stream":false,"stream_options":null}`:                             {model: "m", options: true},
		`{"model":"m","n":-1.5e3,"stream":true}`:                                                                           {model: "m", stream: true},
		`{"model":"a\/b"}`:                                                                                                 {model: "a/b"},
		`{"model":7,"stream":"true"}`:                                                                                      {},
		`{"model":"` + strings.Repeat("x", 300) + `"}`:                                                                     {},
		`{"model":"m","messages":[{"content":"cut`:                                                                         {model: "m"},
		`{"messages":"\\\\\"","model":"m"}`:                                                                                {model: "m"},
		`{"previous_response_id":"resp_1","store":false}`:                                                                  {names: true, unkept: true},
		`{"model":"m","input":[{"content":[{"type":"input_file","file_id":"x"}]}],"store":true}`:                           {model: "m", names: true},
		`{"messages":[{"content":"the \\\"file_id\\\" of it"}]}`:                                                           {},
		`["model"]`: {}, `{`: {}, `{"`: {}, `{"model"`: {}, ``: {}, `{,}`: {}, `null`: {}, `{"model":`: {},
	} {
		got := readTop(&scan{view: []byte(body)})
		if got.fields, got.modelAt, got.modelEnd, got.end = false, 0, 0, 0; got != want {
			t.Errorf("%.80s: %+v, want %+v", body, got, want)
		}
	}
}

// On valid JSON it agrees with a whole parser; on anything else it ends.
func FuzzReadTop(f *testing.F) {
	for _, s := range []string{`{"model":"m"}`, `{"a":[{"b":"\\\""}],"model":"m","stream":true}`, `{"model":"\u0041"}`, `{"a":"\\","model":1}`, `{"model":"x","model":"y"}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got := readTop(&scan{view: b})
		if !gjson.ValidBytes(b) {
			return
		}
		model, last, stream := "", gjson.Result{}, false
		gjson.ParseBytes(b).ForEach(func(name, v gjson.Result) bool {
			if name.Str == "model" {
				last = v
			}
			if name.Str == "stream" {
				stream = v.Type == gjson.True
			}
			return gjson.ParseBytes(b).IsObject()
		})
		if last.Type == gjson.String && len(last.Raw) <= maxModel+2 {
			model = last.Str
		}
		if got.model != model || got.stream != stream {
			t.Errorf("%q: %+v, a parser says model %q, stream %v", b, got, model, stream)
		}
	})
}

package proxy

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/tidwall/gjson"

	"keywheel/engine"
)

// echoRig is a proxy before an upstream that answers with what it was sent:
// the path in a header, the body as it came.
func echoRig(t *testing.T, kind string, change func(*engine.Service)) *rig {
	t.Helper()
	return newRig(t, kind, 1, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Path", r.URL.EscapedPath())
		w.Header().Set("X-Team", r.Header.Get("X-Team"))
		_, _ = io.Copy(w, r.Body)
	}, func(c *engine.Config, _ *Options) { change(&c.Services[0]) })
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	r := echoRig(t, "openai", func(s *engine.Service) {
		s.Defaults = map[string]any{"temperature": 0.7}
		s.Headers = map[string]string{"X-Team": "a"}
	})
	for _, tc := range []struct{ path, in, want string }{
		{"/v1/chat/completions", `{"model":"x"}`, `{"model":"x","temperature":0.7}`},
		{"/v1/chat/completions", `{"model":"x","temperature":0}`, `{"model":"x","temperature":0}`},
		{"/v1/chat/completions", `{"model":"x","temperature":0.0}`, `{"model":"x","temperature":0.0}`},
		{"/v1/chat/completions", `{"model":"x","temperature":null} `, `{"model":"x","temperature":null} `},
		{"/v1/chat/completions", `{"model":"x","temper\u0061ture":0}`, `{"model":"x","temper\u0061ture":0}`},
		{"/v1/chat/completions", `{"model":"x","messages":[{"temperature":2}],"a":{"temperature":1}}`, `{"model":"x","messages":[{"temperature":2}],"a":{"temperature":1},"temperature":0.7}`},
		{"/v1/chat/completions", " \n\t{\"model\":\"x\"}", `{"model":"x","temperature":0.7}`},
		{"/v1/chat/completions", `{}`, `{"temperature":0.7}`},
		{"/v1/chat/completions", `not json`, `not json`},
		{"/v1/chat/completions", `[1]`, `[1]`},
		{"/v1/chat/completions", `{"model":"x"`, `{"model":"x"`},
		{"/v1/chat/completions", `{"model":}`, `{"model":}`},
		{"/v1/chat/completions", `{"model":"x",}`, `{"model":"x",}`},
		{"/v1/chat/completions", `{"model":"x"}{}`, `{"model":"x"}{}`},
		{"/v1/responses", `{"model":"x"}`, `{"model":"x","temperature":0.7}`},
		{"/my/own", `{"model":"x"}`, `{"model":"x","temperature":0.7}`},
		{"/v1/embeddings", `{"model":"x"}`, `{"model":"x"}`},
		{"/v1/images/generations", `{"model":"x"}`, `{"model":"x"}`},
		{"/v1/moderations", `{"model":"x"}`, `{"model":"x"}`},
		{"/v1/messages/count_tokens", `{"model":"x"}`, `{"model":"x"}`},
	} {
		res, got := r.ask("POST", "/svc"+tc.path, tc.in)
		if strings.TrimSpace(got) != strings.TrimSpace(tc.want) || res.Header.Get("X-Team") != "a" {
			t.Errorf("%s: %s became %s, want %s; headers %v", tc.path, tc.in, got, tc.want, res.Header)
		}
	}
	if _, got := r.ask("POST", "/svc/v1/chat/completions", `{"model":"x","stream":true}`); gjson.Get(got, "temperature").Float() != 0.7 || !gjson.Get(got, "stream").Bool() {
		t.Errorf("a stream was asked for with %s", got)
	}
}

// A default is any value, and set whole: what the client says of it stands.
func TestDefaultsOfAnyShape(t *testing.T) {
	t.Parallel()
	r := echoRig(t, "openai", func(s *engine.Service) {
		s.Defaults = map[string]any{"a.b": int64(1), "stop": []any{"x"}, "extra": map[string]any{"deep": true, "n": 1.5}}
	})
	for in, want := range map[string]map[string]string{
		`{"model":"m"}`:                         {`a\.b`: "1", "stop": `["x"]`, "extra.deep": "true", "extra.n": "1.5"},
		`{"model":"m","extra":{},"stop":false}`: {`a\.b`: "1", "stop": "false", "extra": "{}"},
		`{"model":"m","a":{"b":2},"a.b":3}`:     {`a\.b`: "3", "a.b": "2"},
	} {
		_, got := r.ask("POST", "/svc/v1/chat/completions", in)
		for path, value := range want {
			if raw := gjson.Get(got, path).Raw; raw != value {
				t.Errorf("%s became %s: %s is %s, want %s", in, got, path, raw, value)
			}
		}
	}
}

// What the service says of streams stands as what the client says does.
func TestADefaultOfStreams(t *testing.T) {
	t.Parallel()
	r := echoRig(t, "openai", func(s *engine.Service) {
		s.Defaults = map[string]any{"stream_options": map[string]any{"include_usage": false}}
	})
	const want = `{"model":"m","stream":true,"stream_options":{"include_usage":false}}`
	if _, got := r.ask("POST", "/svc/v1/chat/completions", `{"model":"m","stream":true}`); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// A model goes upstream by the name it has there, however it is asked for, at
// the service's path and at the root.
func TestModelsByAllTheirNames(t *testing.T) {
	t.Parallel()
	r := echoRig(t, "openai", func(s *engine.Service) {
		s.Models = []string{"openai/deepseek-ai/DeepSeek-V3", "deepseek-ai/DeepSeek-V3", "gpt-4o"}
		s.Aliases = map[string]string{"openai/deepseek-ai/DeepSeek-V3": "deepseek-ai/DeepSeek-V3", "fast": "gpt-4o"}
	})
	for asked, want := range map[string]string{
		"openai/deepseek-ai/DeepSeek-V3": "deepseek-ai/DeepSeek-V3",
		"deepseek-ai/DeepSeek-V3":        "deepseek-ai/DeepSeek-V3",
		"deepseek-ai/deepseek-v3":        "deepseek-ai/DeepSeek-V3",
		"OpenAI/DeepSeek-AI/DeepSeek-V3": "deepseek-ai/DeepSeek-V3",
		"svc":                            "deepseek-ai/DeepSeek-V3", // the service's name
		"gpt-4o":                         "gpt-4o",
		"GPT-4o":                         "gpt-4o",
		"fast":                           "gpt-4o",
	} {
		for _, at := range []string{"/svc/v1", "/v1"} {
			if _, got := r.ask("POST", at+"/chat/completions", fmt.Sprintf(`{"model":%q,"n":1}`, asked)); got != fmt.Sprintf(`{"model":%q,"n":1}`, want) {
				t.Errorf("%s at %s became %s, want %s", asked, at, got, want)
			}
		}
	}
	if _, got := r.ask("POST", "/svc/v1/chat/completions", `{"model":"other"}`); got != `{"model":"other"}` {
		t.Errorf("a model that nobody named became %s", got)
	}
	if res, got := r.ask("POST", "/v1/chat/completions", `{"model":"other"}`); res.StatusCode != 404 {
		t.Errorf("a model that nobody named at the root: %d %s", res.StatusCode, got)
	}
}

// Where the path names the model, it is renamed there and the body is let be.
func TestAliasInThePath(t *testing.T) {
	t.Parallel()
	r := echoRig(t, "gemini", func(s *engine.Service) {
		s.Aliases = map[string]string{"flash": "gemini-2.5-flash"}
		s.Defaults = map[string]any{"temperature": 0.7}
	})
	res, got := r.ask("POST", "/svc/v1beta/models/flash:generateContent?alt=json", `{"contents":[]}`)
	if path := res.Header.Get("X-Path"); path != "/v1beta/models/gemini-2.5-flash:generateContent" || got != `{"contents":[]}` {
		t.Errorf("%s with %s", path, got)
	}
}

package node

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tidwall/gjson"

	"keywheel/engine/config"
)

// A client that says nothing but the model gets that model's keys in turn, the
// model by its name upstream, and the temperature where it sends none.
func TestTheModelAloneFindsItsKeys(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var got []string
	up := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		got = append(got, fmt.Sprintf("%s %s %s %s", r.URL.Path, strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "+fake), gjson.GetBytes(body, "model"), gjson.GetBytes(body, "temperature").Raw))
	}))
	defer up.Close()
	env := map[string]string{"LLM_MODEL_CONFIGS": fmt.Sprintf(`{
  "glm-4.7": {"api_key": ["%[1]sg1", "%[1]sg2"],  # 账户 1
    "api_base": "%[2]s/api/paas/v4", "temperature": 1.0, "provider": "openai"},
  "openai/deepseek-ai/DeepSeek-V3": {"api_key": "%[1]sd", "api_base": "%[2]s/v1", "temperature": 0}
}`, fake, up.URL)}
	cfg, err := config.Load(config.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0", LookupEnv: func(name string) (string, bool) { v, ok := env[name]; return v, ok }})
	if err != nil {
		t.Fatal(err)
	}
	n, err := Start(Options{Config: cfg})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Stop(t.Context()) })
	for _, c := range []struct{ path, body, want string }{
		{"/v1/chat/completions", `{"model":"glm-4.7","messages":[]}`, "/api/paas/v4/chat/completions g1 glm-4.7 1"},
		{"/v1/chat/completions", `{"model":"glm-4.7","messages":[],"temperature":0.2}`, "/api/paas/v4/chat/completions g2 glm-4.7 0.2"},
		{"/v1/chat/completions", `{"model":"openai/glm-4.7","messages":[],"temperature":0}`, ""},
		{"/v1/chat/completions", `{"model":"openai/deepseek-ai/DeepSeek-V3","messages":[]}`, "/v1/chat/completions d deepseek-ai/DeepSeek-V3 0"},
		{"/v1/chat/completions", `{"model":"deepseek-ai/DeepSeek-V3","messages":[]}`, "/v1/chat/completions d deepseek-ai/DeepSeek-V3 0"},
		{"/openai-deepseek-ai-deepseek-v3/v1/chat/completions", `{"model":"deepseek-ai/DeepSeek-V3","messages":[],"temperature":1.5}`, "/v1/chat/completions d deepseek-ai/DeepSeek-V3 1.5"},
		{"/v1/chat/completions", `{"model":"unknown","messages":[]}`, ""},
	} {
		got = nil
		res, err := http.Post("http://"+n.Addr()+c.path, "application/json", strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		mu.Lock()
		if want := slices.DeleteFunc([]string{c.want}, func(s string) bool { return s == "" }); !slices.Equal(got, want) {
			t.Errorf("%s: %d, upstream saw %q, want %q", c.body, res.StatusCode, got, want)
		}
		mu.Unlock()
	}
}

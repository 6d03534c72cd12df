package node

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tidwall/gjson"

	"keywheel/engine"
	"keywheel/engine/journal"
	"keywheel/engine/sim"
)

// libreChat sends what LibreChat sends to a custom endpoint: the README's
// fragment of librechat.yaml, with headers, addParams, titles and fetched models.
type libreChat struct {
	*town
	token string
	// pause is what it does until it tries again; nil is not to be needed.
	pause func(after string)
}

var errLibreChat = errors.New("LibreChat shows an error")

// models is the list it fetches with every start of a page.
func (c libreChat) models(user string) (list []string, err error) {
	req, err := http.NewRequestWithContext(c.t.Context(), "GET", "http://"+c.Addr()+"/librechat-ui/v1/models?user="+user, nil)
	if err != nil {
		return nil, err
	}
	req.Header = http.Header{"Accept": {"application/json, text/plain, */*"}, "Authorization": {"Bearer " + c.token}, "User-Agent": {"axios/1.13.2"}}
	res, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		return nil, fmt.Errorf("%w: %d %s %w", errLibreChat, res.StatusCode, text, err)
	}
	for _, m := range gjson.GetBytes(text, "data.#.id").Array() {
		list = append(list, m.String())
	}
	return list, nil
}

// post is its HTTP stack: up to seven attempts after a 5xx, a broken connection,
// or a 429 that says when to come back; one after anything else.
func (c libreChat) post(path, body, user, conversation string) (answer string, attempts int, err error) {
	for attempts = 1; ; attempts++ {
		req, err := http.NewRequestWithContext(c.t.Context(), "POST", "http://"+c.Addr()+"/librechat-ui/v1"+path, strings.NewReader(body))
		if err != nil {
			return "", attempts, err
		}
		req.Header = http.Header{"Accept": {"application/json"}, "Content-Type": {"application/json"}, "Authorization": {"Bearer " + c.token}, "User-Agent": {"OpenAI/JS 5.8.2"},
			"X-User-Id": {user}, "X-Conversation": {conversation}, "X-Stainless-Retry-Count": {"0"}}
		res, err := c.client.Do(req)
		after, again := "", true
		if err == nil {
			var text []byte
			text, err = io.ReadAll(res.Body)
			_ = res.Body.Close()
			if err == nil && res.StatusCode == 200 {
				return string(text), attempts, nil
			}
			after = res.Header.Get("Retry-After")
			again = err != nil || res.StatusCode >= 500 || res.StatusCode == 429 && after != ""
			err = fmt.Errorf("%w: %d %s %w", errLibreChat, res.StatusCode, text, err)
		}
		if !again || attempts == 7 || c.pause == nil {
			return "", attempts, err
		}
		c.pause(after)
	}
}

// turn is one message of a user: the answer streams, and of a new conversation
// the title is asked for meanwhile.
func (c libreChat) turn(user, conversation string, begins bool) error {
	var title sync.WaitGroup
	var titleErr error
	if begins {
		title.Go(func() {
			text, attempts, err := c.post("/chat/completions", `{"model":"gpt-4o","messages":[{"role":"user","content":"Provide a concise, 5-word-or-less title for the conversation"}],"safe_prompt":true,"max_tokens":75}`, user, conversation)
			if err != nil || attempts != 1 || gjson.Get(text, "choices.0.message.content").String() == "" {
				titleErr = fmt.Errorf("title after %d attempts: %w", attempts, err)
			}
		})
	}
	text, attempts, err := c.post("/chat/completions", fmt.Sprintf(`{"model":"gpt-4o","user":%q,"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"system","content":"You are helpful."},{"role":"user","content":"hello"}],"safe_prompt":true}`, user), user, conversation)
	title.Wait()
	if err != nil || attempts != 1 || titleErr != nil {
		return fmt.Errorf("after %d attempts: %w, %w", attempts, err, titleErr)
	}
	if !strings.HasSuffix(text, "data: [DONE]\n\n") || !strings.Contains(text, `"finish_reason":"stop"`) || !strings.Contains(text, `"usage"`) {
		return fmt.Errorf("the stream ended with %q", text[max(0, len(text)-200):])
	}
	return nil
}

func newLibreChat(t *testing.T, patience string) libreChat {
	keys := []sim.Key{{Name: "main-1", Account: "team-a"}, {Name: "main-2", Account: "team-b"}, {Name: "main-3", Account: "team-c"}}
	var secrets []string
	for _, k := range keys {
		secrets = append(secrets, fakeSecret(k.Name))
	}
	w := newTown(t, fmt.Sprintf(`
patience = %q

[keysets.main]
provider = "aimlapi"
secrets  = "env:AI_ML_API_KEYS"

[services.librechat-ui]
project  = "librechat"
purpose  = "chat front end: all models"
required = true
needs    = ["chat", "image", "code", "video"]
keys     = ["main"]
token    = "env:LIBRECHAT_TOKEN"
`, patience), map[string]string{"AI_ML_API_KEYS": strings.Join(secrets, ","), "LIBRECHAT_TOKEN": "fake-librechat-token"},
		upstream(t, "aimlapi", sim.Options{Seed: 5, Models: []string{"gpt-4o", "flux/schnell"}}, keys...))
	return libreChat{town: w, token: "fake-librechat-token"}
}

// Many users at once, and keys that die meanwhile: none of them sees an error,
// and LibreChat never has to try again.
func TestLibreChat(t *testing.T) {
	t.Parallel()
	const users, turns = 6, 8
	c := newLibreChat(t, "10s")
	var all sync.WaitGroup
	for u := range users {
		all.Go(func() {
			user := fmt.Sprint("user-", u)
			for i := range turns {
				switch {
				case u == 0 && i == 2:
					c.up["aimlapi"].Revoke("main-2")
				case u == 0 && i == 5:
					c.up["aimlapi"].Exhaust("main-3", time.Time{})
				}
				if list, err := c.models(user); err != nil || len(list) != 2 {
					t.Errorf("%s: models %v, %v", user, list, err)
				}
				if err := c.turn(user, fmt.Sprint("conversation-", u, "-", i/4), i%4 == 0); err != nil {
					t.Errorf("%s, turn %d: %v", user, i, err)
				}
			}
		})
	}
	all.Wait()
	// Streams are paid for as the provider tells, whoever served them.
	billed := 0.0
	for _, key := range c.up["aimlapi"].Keys() {
		billed += c.up["aimlapi"].Counts(key).CostUSD
	}
	if got := c.books(journal.ByService)[journal.Who{Service: "librechat-ui"}]; !near(got.CostUSD, billed) || got.Unpriced != 0 {
		t.Errorf("%+v, and %v is billed", got, billed)
	}
	// With web search it is the other API, and files are embedded.
	for path, body := range map[string]string{
		"/responses":          `{"model":"gpt-4o","input":"news?","stream":true,"tools":[{"type":"web_search"}]}`,
		"/embeddings":         `{"model":"gpt-4o","input":["a","b"]}`,
		"/images/generations": `{"model":"flux/schnell","prompt":"a cat"}`,
	} {
		if text, attempts, err := c.post(path, body, "user-1", "c"); err != nil || attempts != 1 || text == "" {
			t.Errorf("%s: %v after %d attempts", path, err, attempts)
		}
	}
	sent := c.up["aimlapi"].LastHeaders()
	if sent.Get("X-User-Id") != "user-1" || sent.Get("X-Conversation") != "c" || sent.Get("Authorization") != "Bearer key main-1" {
		t.Errorf("upstream saw %v", sent)
	}
	if foreign := c.up["aimlapi"].Foreign(); len(foreign) > 0 {
		t.Errorf("LibreChat's token went upstream: %v", foreign)
	}
	waitFor(t, func() bool { return c.key("main-2").State == engine.Revoked })
	if k := c.key("main-3"); k.State != engine.Exhausted {
		t.Errorf("main-3 is %v", k.State)
	}
	s := c.service("librechat-ui")
	if want := int64(users*(2*turns+turns/4) + 3); s.Requests != want || s.Failures != 0 || s.Usable != 1 {
		t.Errorf("%d requests, want %d; %d failures, %d usable", s.Requests, want, s.Failures, s.Usable)
	}
}

// What LibreChat does when there is no key: it tries again where it is told
// when, and nowhere else.
func TestLibreChatWithoutKeys(t *testing.T) {
	t.Parallel()
	c := newLibreChat(t, "100ms")
	var told []string
	c.pause = func(after string) { // time passes, and the keys are back
		told = append(told, after)
		for i := range 3 {
			c.act(engine.Action{Verb: engine.VerbEnable, Key: fmt.Sprintf("main-%d", i+1)})
		}
	}
	disable := func(d float64) {
		for i := range 3 {
			c.act(engine.Action{Verb: engine.VerbDisable, Key: fmt.Sprintf("main-%d", i+1), ForS: d})
		}
	}
	chat := `{"model":"gpt-4o","stream":true,"messages":[{"role":"user","content":"hello"}]}`
	disable(300)
	if _, attempts, err := c.post("/chat/completions", chat, "u", "c"); err != nil || attempts != 2 || fmt.Sprint(told) == "[]" {
		t.Errorf("%v after %d attempts, told to come back after %v", err, attempts, told)
	}
	disable(300)
	// It gives up on models after five seconds: it is told at once.
	if _, err := c.models("u"); !errors.Is(err, errLibreChat) {
		t.Errorf("models: %v", err)
	}
	if all := c.Requests(0); all[len(all)-1].Path != "/v1/models" || all[len(all)-1].WaitedMS != 0 {
		t.Errorf("the last request: %+v", all[len(all)-1])
	}
	disable(0)
	if _, attempts, err := c.post("/chat/completions", chat, "u", "c"); !errors.Is(err, errLibreChat) || attempts != 1 || !strings.Contains(err.Error(), "insufficient_quota") || !strings.Contains(err.Error(), "main-2") {
		t.Errorf("%v after %d attempts", err, attempts)
	}
	c.pause("")
	// A user's own key is no token of the service's.
	c.token = "sk-a-users-own"
	if _, attempts, err := c.post("/chat/completions", chat, "u", "c"); !errors.Is(err, errLibreChat) || attempts != 1 || !strings.Contains(err.Error(), "401") {
		t.Errorf("%v after %d attempts", err, attempts)
	}
}

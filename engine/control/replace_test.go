package control

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"keywheel/engine/secret"
)

// replacing is a source that can replace secrets.
type replacing struct {
	source
	got map[string]string
	by  string
}

func (r *replacing) Replace(_ context.Context, key string, s secret.Secret, by string, tell func(string)) error {
	tell("tested")
	if key == "bad" {
		return errors.New("the provider rejects it")
	}
	r.got[key], r.by = s.Reveal(), by
	tell("switched")
	return nil
}

func TestReplaceThereAndBack(t *testing.T) {
	t.Parallel()
	src := &replacing{got: map[string]string{}}
	c, _ := serveSource(t, src, readPatience)
	var steps []string
	tell := func(text string) { steps = append(steps, text) }
	if err := c.Replace(context.Background(), "a", secret.New("sk-test-not-a-key-1"), "somebody else", tell); err != nil {
		t.Fatal(err)
	}
	if src.got["a"] != "sk-test-not-a-key-1" || strings.Join(steps, " ") != "tested switched" || src.by == "somebody else" || src.by == "" {
		t.Errorf("%v by %s, told %v", src.got, src.by, steps)
	}
	if err := c.Replace(context.Background(), "bad", secret.New("sk-test-not-a-key-2"), "", tell); err == nil || err.Error() != "the provider rejects it" {
		t.Error(err)
	}
	// What is not understood is not repeated: it could be the secret.
	for _, body := range []string{`{"key":"a","sk-test-not-a-key-3":1}`, `sk-test-not-a-key-3`, `{"key":"a","secret":"` + strings.Repeat("x", 70<<10) + `"}`} {
		var answer any
		err := c.call(context.Background(), http.MethodPost, "/v1/replace", []byte(body), &answer)
		if err == nil || !strings.Contains(err.Error(), "not understood") || strings.Contains(err.Error(), "not-a-key") {
			t.Error(err)
		}
	}
}

func TestNothingToReplace(t *testing.T) {
	t.Parallel()
	c, _, _ := serve(t)
	if err := c.Replace(context.Background(), "a", secret.New("sk-test-not-a-key-1"), "", nil); err == nil || !strings.Contains(err.Error(), "cannot replace") {
		t.Error(err)
	}
}

package control

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"keywheel/engine"
)

// testable is a source that can test keys, and knows what was used.
type testable struct {
	source
	by string
}

func (s *testable) Test(_ context.Context, keys []string, by string, tell func(engine.KeyTest)) error {
	s.by = by
	for _, name := range keys {
		if name == "unknown" {
			return &engine.NotFoundError{What: "key", Name: name}
		}
		tell(engine.KeyTest{Key: name, Provider: "openai", Verdict: engine.InvalidKey, Status: 401, Message: "no", TookMS: 7})
	}
	return nil
}

func (s *testable) Spent() []engine.Spent {
	return []engine.Spent{{Service: "chat", Key: "a", Model: "m", Requests: 3, CostUSD: 0.5}}
}

func TestKeysAreTestedOverTheSocket(t *testing.T) {
	t.Parallel()
	src := &testable{}
	c, _ := serveSource(t, src, readPatience)
	var got []engine.KeyTest
	tell := func(k engine.KeyTest) { got = append(got, k) }
	if err := c.Test(context.Background(), []string{"a", "b"}, "somebody else", tell); err != nil {
		t.Fatal(err)
	}
	want := []engine.KeyTest{{Key: "a", Provider: "openai", Verdict: engine.InvalidKey, Status: 401, Message: "no", TookMS: 7},
		{Key: "b", Provider: "openai", Verdict: engine.InvalidKey, Status: 401, Message: "no", TookMS: 7}}
	if !slices.Equal(got, want) || src.by == "somebody else" || src.by == "" {
		t.Errorf("told %+v by %q", got, src.by)
	}
	if err := c.Test(context.Background(), []string{"unknown"}, "", tell); err == nil || !strings.Contains(err.Error(), `no key "unknown"`) {
		t.Error(err)
	}
	spent, err := c.Spent(context.Background())
	if err != nil || !slices.Equal(spent, src.Spent()) {
		t.Errorf("%+v %v", spent, err)
	}
}

func TestNobodyTestsOrCounts(t *testing.T) {
	t.Parallel()
	c, _, _ := serve(t)
	if err := c.Test(context.Background(), nil, "", nil); err == nil || !strings.Contains(err.Error(), "cannot test") {
		t.Error(err)
	}
	if _, err := c.Spent(context.Background()); err == nil || errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

package engine

import (
	"context"
	"errors"
	"slices"
	"testing"
)

func TestRequestsAreRemembered(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 2, RoundRobin)
	ask := func(r *Request, verdicts ...Verdict) *Lease {
		t.Helper()
		var l *Lease
		for _, v := range verdicts {
			var err error
			if l, err = e.Acquire(context.Background(), r); err != nil {
				t.Fatal(err)
			}
			l.Judge(v)
		}
		return l
	}
	say := func(kind Kind, status int) Verdict {
		return Verdict{Kind: kind, Scope: ScopeKey, Rule: "because", Evidence: Evidence{Status: status}}
	}
	req := func(id string) *Request {
		return &Request{ID: id, Service: "svc", Method: "POST", Path: "/v1/chat/completions", Model: "gpt-4o", Repeatable: true}
	}
	ask(req("served"), say(OK, 200)).Close(Usage{Input: 100, Output: 20, CostUSD: 0.5}, nil)
	ask(req("wrong"), say(ClientError, 400)).Close(Usage{}, nil)
	ask(req("left"), say(OK, 200)).Close(Usage{}, ErrClientLeft)
	ask(req("cut"), say(OK, 200)).Close(Usage{}, errors.New("upstream broke off"))
	ask(req("absorbed"), Verdict{Kind: RateLimited, Scope: ScopeKey, RetryAfter: 60e9, Rule: "because", Evidence: Evidence{Status: 429}}, say(OK, 200)).Close(Usage{}, nil)
	refused := req("refused")
	ask(refused, Verdict{Kind: RateLimited, Scope: ScopeKey, RetryAfter: 60e9, Evidence: Evidence{Status: 429}})
	if _, err := e.Acquire(context.Background(), refused); err == nil {
		t.Fatal("a key serves that is held")
	}
	e.TurnedAway("10.0.0.9:1", "GET", "/svc/v1/models", "no token", 401)

	for i, want := range []struct {
		id, outcome, key string
		status           int
		attempts         []int
	}{
		{"served", OutcomeServed, "k1", 200, []int{200}},
		{"wrong", OutcomeClientError, "k2", 400, []int{400}},
		{"left", OutcomeLeft, "k1", 200, []int{200}},
		{"cut", OutcomeFailed, "k2", 200, []int{200}},
		{"absorbed", OutcomeServed, "k2", 200, []int{429, 200}},
		{"refused", OutcomeRefused, "", 429, []int{429}},
		{"", OutcomeTurnedAway, "", 401, nil},
	} {
		got := e.Requests(uint64(i))[0]
		var statuses []int
		for _, a := range got.Attempts {
			statuses = append(statuses, a.Status)
		}
		if got.Seq != uint64(i+1) || got.ID != want.id || got.Outcome != want.outcome || got.Key != want.key || got.Status != want.status || !slices.Equal(statuses, want.attempts) {
			t.Errorf("%d is %+v, want %+v", i, got, want)
		}
	}
	first := e.Requests(0)[0]
	if first.InputTokens != 100 || first.OutputTokens != 20 || first.CostUSD != 0.5 || first.Model != "gpt-4o" || first.Service != "svc" || first.Attempts[0].Why != "because" {
		t.Errorf("the first is %+v", first)
	}
	if last := e.Requests(6)[0]; last.From != "10.0.0.9:1" || last.Why != "no token" {
		t.Errorf("who was turned away is %+v", last)
	}
	if more := e.Requests(7); more != nil {
		t.Errorf("after the last there is %+v", more)
	}
}

// The ring forgets the oldest, and what it hands out is the caller's.
func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	e := testEngine(t, 1, RoundRobin)
	one := func() {
		r := &Request{Service: "svc", Repeatable: true}
		l, err := e.Acquire(context.Background(), r)
		if err != nil {
			t.Fatal(err)
		}
		l.Judge(Verdict{Kind: OK, Evidence: Evidence{Status: 200}})
		l.Close(Usage{}, nil)
	}
	for range maxRecords + 5 {
		one()
	}
	list := e.Requests(0)
	if len(list) != maxRecords || list[0].Seq != 6 || list[len(list)-1].Seq != maxRecords+5 {
		t.Fatalf("%d records, from %d to %d", len(list), list[0].Seq, list[len(list)-1].Seq)
	}
	list[0].Attempts[0].Key = "changed"
	if e.Requests(0)[0].Attempts[0].Key == "changed" {
		t.Error("the records share memory with the engine")
	}
}

package control

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"keywheel/engine"
)

// metered shows one snapshot.
type metered struct {
	source
	snap engine.Snapshot
}

func (m *metered) Snapshot() engine.Snapshot { return m.snap }

func TestMetrics(t *testing.T) {
	t.Parallel()
	limit := engine.LimitStatus{Unit: "requests", Per: "1m", Amount: 60, Remaining: 48, BurnPerMin: 12, Scope: "key", Source: "config"}
	twice := limit
	twice.Remaining = 7
	src := &metered{snap: engine.Snapshot{UptimeS: 1.5,
		Proxy: engine.ProxyStatus{Requests: 9, InFlight: 2, Waiting: 1, Failures: 3},
		Services: []engine.ServiceStatus{{Name: "ui", Requests: 8, Failures: 2, Rotations: 4, InFlight: 1, Waiting: 1, Usable: 1, Health: engine.HealthDegraded,
			AddedMS: &engine.Histogram{LE: []float64{0.05, 1000}, Counts: []int64{5, 2, 1}, Sum: 2500}}},
		Keys: []engine.KeyStatus{{Name: "a", State: engine.Cooling, Fingerprint: "9f2a", Ref: "env:KEY_A", Requests: 7, Failures: 1, CostUSD: 0.25,
			Verdicts: engine.Verdicts{OK: 6, RateLimited: 1}, InputTokens: 100, Holds: make([]engine.HoldStatus, 2), Limits: []engine.LimitStatus{limit, twice}}}}}
	w := httptest.NewRecorder()
	metricsHandler(src).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	text := w.Body.String()
	for _, line := range []string{
		`keywheel_requests_total 9`, `keywheel_in_flight 2`, `keywheel_waiting 1`, `keywheel_failures_total 3`, `keywheel_uptime_seconds 1.5`,
		`keywheel_service_requests_total{service="ui"} 8`, `keywheel_service_failures_total{service="ui"} 2`, `keywheel_service_rotations_total{service="ui"} 4`,
		`keywheel_service_up{service="ui"} 1`, `keywheel_service_in_flight{service="ui"} 1`, `keywheel_service_waiting{service="ui"} 1`,
		`keywheel_service_added_latency_seconds_bucket{service="ui",le="5e-05"} 5`, `keywheel_service_added_latency_seconds_bucket{service="ui",le="1"} 7`,
		`keywheel_service_added_latency_seconds_bucket{service="ui",le="+Inf"} 8`, `keywheel_service_added_latency_seconds_sum{service="ui"} 2.5`,
		`keywheel_key_requests_total{key="a"} 7`, `keywheel_key_state{key="a",state="cooling"} 1`, `keywheel_key_holds{key="a"} 2`, `keywheel_key_usable{key="a"} 0`,
		`keywheel_key_answers_total{key="a",verdict="rate_limited"} 1`, `keywheel_key_tokens_total{key="a",kind="input"} 100`, `keywheel_key_cost_usd_total{key="a"} 0.25`,
		`keywheel_limit_remaining{key="a",model="",per="1m",scope="key",service="",source="config",unit="requests"} 48`,
		`keywheel_limit_burn_per_minute{key="a",model="",per="1m",scope="key",service="",source="config",unit="requests"} 12`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("lacks %s", line)
		}
	}
	for _, no := range []string{"9f2a", "KEY_A", "} 7\nkeywheel_limit"} {
		if strings.Contains(text, no) {
			t.Errorf("holds %q", no)
		}
	}
	if w.Code != http.StatusOK || t.Failed() {
		t.Errorf("%d\n%s", w.Code, text)
	}
}

// A registry that looks twice at everything finds nothing inconsistent, on an
// engine as on a source whose names Prometheus does not take.
func TestMetricsAreConsistent(t *testing.T) {
	t.Parallel()
	odd := &metered{snap: engine.Snapshot{Keys: []engine.KeyStatus{{Name: "a\xff"}}, Services: []engine.ServiceStatus{{Name: "\xff", AddedMS: &engine.Histogram{}}}}}
	for _, s := range []Source{twoKeys(t), odd} {
		r := prometheus.NewPedanticRegistry()
		r.MustRegister(collector{s})
		if list, err := r.Gather(); err != nil || len(list) < 5 {
			t.Errorf("%d families, %v", len(list), err)
		}
	}
}

// BenchmarkMetrics answers /metrics for many keys.
//
//	go test -bench Metrics ./engine/control
func BenchmarkMetrics(b *testing.B) {
	src := &metered{}
	for i := range 1000 {
		src.snap.Keys = append(src.snap.Keys, engine.KeyStatus{Name: fmt.Sprintf("key-%d", i), Limits: make([]engine.LimitStatus, 1)})
	}
	h := metricsHandler(src)
	for b.Loop() {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/metrics", nil))
	}
}

package control

import (
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"keywheel/engine"
)

// metricsHandler answers /metrics with a source's snapshot.
func metricsHandler(s Source) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collector{s})
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// collector is a source's snapshot as metrics, taken when it is asked. Names of
// services and keys are labels; nothing of a secret is, not even its
// fingerprint.
type collector struct{ source Source }

// Describe implements [prometheus.Collector].
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range proxyMetrics {
		to <- m.desc
	}
	for _, m := range serviceMetrics {
		to <- m.desc
	}
	for _, m := range keyMetrics {
		to <- m.desc
	}
	for _, m := range limitMetrics {
		to <- m.desc
	}
	for _, d := range []*prometheus.Desc{addedDesc, answersDesc, tokensDesc, stateDesc} {
		to <- d
	}
}

// Collect implements [prometheus.Collector].
func (c collector) Collect(to chan<- prometheus.Metric) {
	snap := c.source.Snapshot()
	for _, m := range proxyMetrics {
		m.send(to, &snap)
	}
	for i := range snap.Services {
		s := &snap.Services[i]
		for _, m := range serviceMetrics {
			m.send(to, s, s.Name)
		}
		sendAdded(to, s)
		sendLimits(to, s.Limits, s.Name, "")
	}
	for i := range snap.Keys {
		k := &snap.Keys[i]
		for _, m := range keyMetrics {
			m.send(to, k, k.Name)
		}
		sendAnswers(to, k)
		sendLimits(to, k.Limits, "", k.Name)
	}
}

// metric is one number of a T.
type metric[T any] struct {
	desc  *prometheus.Desc
	kind  prometheus.ValueType
	value func(*T) float64
}

func (m metric[T]) send(to chan<- prometheus.Metric, of *T, labels ...string) {
	put(to, m.desc, m.kind, m.value(of), labels...)
}

// put sends one number; one with a label that Prometheus does not take is left
// out.
func put(to chan<- prometheus.Metric, d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
	if m, err := prometheus.NewConstMetric(d, kind, value, labels...); err == nil {
		to <- m
	}
}

func counter[T any](value func(*T) float64, name, help string, labels ...string) metric[T] {
	return metric[T]{desc(name, help, labels...), prometheus.CounterValue, value}
}

func gauge[T any](value func(*T) float64, name, help string, labels ...string) metric[T] {
	return metric[T]{desc(name, help, labels...), prometheus.GaugeValue, value}
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("keywheel_"+name, help, labels, nil)
}

var proxyMetrics = []metric[engine.Snapshot]{
	gauge(func(s *engine.Snapshot) float64 { return s.UptimeS }, "uptime_seconds", "How long it has been running."),
	gauge(func(s *engine.Snapshot) float64 { return float64(s.Proxy.InFlight) }, "in_flight", "Requests under way."),
	gauge(func(s *engine.Snapshot) float64 { return float64(s.Proxy.Waiting) }, "waiting", "Requests waiting in line for a key."),
	counter(func(s *engine.Snapshot) float64 { return float64(s.Proxy.Requests) }, "requests_total", "Requests of clients that reached a service."),
	counter(func(s *engine.Snapshot) float64 { return float64(s.Proxy.ClientErrors) }, "client_errors_total", "Requests that upstream found wrong or the door refused."),
	counter(func(s *engine.Snapshot) float64 { return float64(s.Proxy.Failures) }, "failures_total", "Requests that a client saw fail through no fault of its own."),
	counter(func(s *engine.Snapshot) float64 { return float64(s.Proxy.Absorbed) }, "absorbed_total", "Failed attempts that no client saw."),
	gauge(func(s *engine.Snapshot) float64 { return float64(len(s.Incidents)) }, "incidents", "Providers that fail on many keys at once."),
}

var serviceMetrics = []metric[engine.ServiceStatus]{
	counter(func(s *engine.ServiceStatus) float64 { return float64(s.Requests) }, "service_requests_total", "Requests of clients.", "service"),
	counter(func(s *engine.ServiceStatus) float64 { return float64(s.Failures) }, "service_failures_total", "Requests that a client saw fail through no fault of its own.", "service"),
	counter(func(s *engine.ServiceStatus) float64 { return float64(s.Rotations) }, "service_rotations_total", "Changes of the key in use that had a cause other than its turn.", "service"),
	gauge(func(s *engine.ServiceStatus) float64 { return float64(s.InFlight) }, "service_in_flight", "Requests under way.", "service"),
	gauge(func(s *engine.ServiceStatus) float64 { return float64(s.Waiting) }, "service_waiting", "Requests waiting in line for a key.", "service"),
	gauge(func(s *engine.ServiceStatus) float64 { return float64(s.Usable) }, "service_usable_keys", "Keys that can serve now.", "service"),
	gauge(func(s *engine.ServiceStatus) float64 { return truth(s.Health != engine.HealthDown) }, "service_up", "1 while a key can serve.", "service"),
}

var keyMetrics = []metric[engine.KeyStatus]{
	counter(func(k *engine.KeyStatus) float64 { return float64(k.Requests) }, "key_requests_total", "Requests sent with the key.", "key"),
	counter(func(k *engine.KeyStatus) float64 { return float64(k.Failures) }, "key_failures_total", "Answers that were failures of the key or of upstream.", "key"),
	counter(func(k *engine.KeyStatus) float64 { return k.CostUSD }, "key_cost_usd_total", "What its requests cost, those without a known price left out.", "key"),
	counter(func(k *engine.KeyStatus) float64 { return float64(k.Unpriced) }, "key_unpriced_total", "Requests whose cost nobody knows.", "key"),
	gauge(func(k *engine.KeyStatus) float64 { return float64(k.InFlight) }, "key_in_flight", "Requests under way.", "key"),
	gauge(func(k *engine.KeyStatus) float64 { return truth(k.Usable()) }, "key_usable", "1 while the key can serve.", "key"),
	gauge(func(k *engine.KeyStatus) float64 { return float64(len(k.Holds)) }, "key_holds", "What keeps the key from serving, those of one model or scope included.", "key"),
}

var limitLabels = []string{"service", "key", "unit", "per", "model", "scope", "source"}

var limitMetrics = []metric[engine.LimitStatus]{
	gauge(func(l *engine.LimitStatus) float64 { return l.Amount }, "limit_amount", "A limit, in its unit.", limitLabels...),
	gauge(func(l *engine.LimitStatus) float64 { return l.Remaining }, "limit_remaining", "What is left of it.", limitLabels...),
	gauge(func(l *engine.LimitStatus) float64 { return l.BurnPerMin }, "limit_burn_per_minute", "How fast it is being used.", limitLabels...),
}

var (
	addedDesc   = desc("service_added_latency_seconds", "From a request's arrival until it had its first key, waiting in line included.", "service")
	answersDesc = desc("key_answers_total", "Answers by what they said of the key.", "key", "verdict")
	tokensDesc  = desc("key_tokens_total", "Tokens by kind; cached ones are among the input.", "key", "kind")
	stateDesc   = desc("key_state", "1 for the state that the key is in.", "key", "state")
)

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func sendAdded(to chan<- prometheus.Metric, s *engine.ServiceStatus) {
	h := s.AddedMS
	if h == nil {
		return
	}
	buckets, n := make(map[float64]uint64, len(h.LE)), uint64(0)
	for i, c := range h.Counts {
		if n += uint64(c); i < len(h.LE) {
			buckets[h.LE[i]/1000] = n
		}
	}
	if m, err := prometheus.NewConstHistogram(addedDesc, n, h.Sum/1000, buckets, s.Name); err == nil {
		to <- m
	}
}

func sendAnswers(to chan<- prometheus.Metric, k *engine.KeyStatus) {
	count := func(d *prometheus.Desc, n int64, label string) {
		put(to, d, prometheus.CounterValue, float64(n), k.Name, label)
	}
	v := &k.Verdicts
	for kind, n := range map[engine.Kind]int64{engine.OK: v.OK, engine.RateLimited: v.RateLimited, engine.QuotaExhausted: v.QuotaExhausted,
		engine.InvalidKey: v.InvalidKey, engine.PermissionDenied: v.PermissionDenied, engine.ClientError: v.ClientError, engine.UpstreamFault: v.UpstreamFault} {
		count(answersDesc, n, kind.String())
	}
	for kind, n := range map[string]int64{"input": k.InputTokens, "output": k.OutputTokens, "cached": k.CachedTokens} {
		count(tokensDesc, n, kind)
	}
	put(to, stateDesc, prometheus.GaugeValue, 1, k.Name, k.State.String())
}

// sendLimits sends the limits of a service or a key. Of two that have all
// labels in common only the first is sent: Prometheus takes no two.
func sendLimits(to chan<- prometheus.Metric, list []engine.LimitStatus, service, key string) {
	sent := map[string]bool{}
	for i := range list {
		l := &list[i]
		labels := []string{service, key, l.Unit, l.Per, l.Model, l.Scope, l.Source}
		id := strings.Join(labels, "\x00")
		if sent[id] {
			continue
		}
		sent[id] = true
		for _, m := range limitMetrics {
			m.send(to, l, labels...)
		}
	}
}

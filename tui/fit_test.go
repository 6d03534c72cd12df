package tui

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"keywheel/engine"
)

// TestAnyFrameFits is the promise of all layouts: whatever the size, whatever
// is shown and whatever is pressed, a frame has exactly its lines and none is
// too wide.
func TestAnyFrameFits(t *testing.T) {
	t.Parallel()
	keys := strings.Split("j k g G enter esc w d D R p u ! / ? q r e 1 2 3 4 5 8 c y n N t x m s S v * f z + - : M o L U x L U", " ")
	keys = append(keys, " ", "tab", "shift+tab", "pgdown", "pgup", "ctrl+d", "ctrl+u", "up", "down", "left", "right", "ctrl+r", "2", "3", "4", "5", "enter", "j", "j", "j")
	looks := []map[string]string{inColour, noColour, inASCII}
	buttons := []tea.MouseButton{tea.MouseButtonLeft, tea.MouseButtonLeft, tea.MouseButtonWheelDown, tea.MouseButtonWheelUp}
	seeds, steps := 8, 1250 // 10,000 together
	if testing.Short() {
		seeds = 2 // with the race detector each step takes ten times as long
	}
	for seed := range uint64(seeds) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 7))
			var m *Model
			var src *fake
			for step := range steps {
				if step%50 == 0 {
					m, src = monitor(t, 1+r.IntN(250), 1+r.IntN(80), random(r), randomEvents(r), looks[r.IntN(3)])
					m.notice = []string{"", "DEMO seed 1", "演示 " + strings.Repeat("x", 300)}[r.IntN(3)]
					src.requests, src.system = randomRequests(r), randomSystem(r)
					src.steps, src.fails = odd[:r.IntN(len(odd))], []error{nil, errRejected}[r.IntN(2)]
					settle(m, fetch(src, m.seq, 0)())
				}
				switch r.IntN(12) {
				case 0:
					settle(m, tea.WindowSizeMsg{Width: 1 + r.IntN(250), Height: 1 + r.IntN(80)})
				case 1:
					settle(m, tea.MouseMsg{X: r.IntN(max(m.w, 1)), Y: r.IntN(max(m.h, 1)), Action: tea.MouseActionPress, Button: buttons[r.IntN(4)]})
				case 2:
					src.snap = random(r)
					settle(m, fetch(src, m.seq, m.reqSeq)())
				case 3:
					m.now = m.now.Add(time.Duration(r.Int64N(int64(time.Hour))))
				case 4:
					settle(m, tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(odd[r.IntN(len(odd))]), Paste: true})
				default:
					if k := keys[r.IntN(len(keys))]; k != "o" { // no editor in a test
						press(m, k)
					}
				}
				mustFit(t, m)
			}
		})
	}
}

func randomRequests(r *rand.Rand) (list []engine.RequestRecord) {
	word := func() string { return odd[r.IntN(len(odd))] }
	for i := range r.IntN(60) {
		rec := engine.RequestRecord{Seq: uint64(i + 1), ID: word(), At: noon.Add(-time.Duration(r.IntN(9999)) * time.Second), Service: word(), Method: word(), Path: word(), Model: word(),
			Key: word(), From: word(), Status: r.IntN(600), WaitedMS: r.Int64N(1e6), HeadMS: r.Int64N(1e6), TookMS: r.Int64N(1e9), InputTokens: r.Int64N(1e9), CostUSD: r.Float64() * 1e6,
			Outcome: []string{engine.OutcomeServed, engine.OutcomeFailed, engine.OutcomeTurnedAway, engine.OutcomeLeft, word()}[r.IntN(5)], Why: word()}
		for range r.IntN(6) {
			rec.Attempts = append(rec.Attempts, engine.AttemptRecord{Key: word(), Verdict: engine.Kind(r.IntN(7)), Status: r.IntN(600), TookMS: r.Int64N(1e6), Why: word()})
		}
		list = append(list, rec)
	}
	return list
}

func randomSystem(r *rand.Rand) engine.SystemStatus {
	word := func() string { return odd[r.IntN(len(odd))] }
	sys := engine.SystemStatus{Version: word(), PID: r.IntN(3), Config: word(), Sources: []string{word(), word()}, Problems: []string{word()}, Socket: word(), ReloadError: word(), HeapBytes: r.Uint64(), Files: r.IntN(2)}
	if r.IntN(2) == 0 {
		sys.Journal = &engine.JournalStatus{Path: word(), Queued: r.IntN(5000), BehindS: r.Float64() * 1e6, Dropped: r.Int64N(3), Error: word(), Bytes: r.Int64()}
	}
	return sys
}

func mustFit(t *testing.T, m *Model) {
	t.Helper()
	v := m.View()
	lines := strings.Split(v, "\n")
	if len(lines) != m.h {
		t.Fatalf("%dx%d: %d lines\n%s", m.w, m.h, len(lines), v)
	}
	for i, l := range lines {
		if w := ansi.StringWidth(l); w > m.w {
			t.Fatalf("%dx%d: line %d is %d wide: %q", m.w, m.h, i, w, l)
		}
		if strings.ContainsAny(l, "\x00\x07\r\t\u202e\u200b") || m.ascii && strings.IndexFunc(l, func(r rune) bool { return r > 126 }) >= 0 {
			t.Fatalf("%dx%d: line %d has what it must not: %q", m.w, m.h, i, l)
		}
		if !m.colour && strings.Contains(l, "\x1b") {
			t.Fatalf("%dx%d: line %d is coloured: %q", m.w, m.h, i, l)
		}
	}
}

var odd = []string{"a", "openai", "智谱", "ключ-1", "e\u0301te\u0301", "👩‍💻team", "🇩🇪", "\x1b[31mred", "tab\there", "\u202egnp", "z\u200bw", strings.Repeat("very-long-", 9), strings.Repeat("长", 40), "", " ", "\xff\xfe", "ﷺ", "한글키"}

func random(r *rand.Rand) engine.Snapshot {
	if r.IntN(20) == 0 {
		return engine.Snapshot{}
	}
	word := func() string { return odd[r.IntN(len(odd))] }
	when := func() *time.Time {
		if r.IntN(3) == 0 {
			return nil
		}
		return after(time.Duration(r.Int64N(int64(96*time.Hour))) - 48*time.Hour)
	}
	number := func() float64 {
		return []float64{0, 1, -5, 0.004, 12, 999, 12345, 3e9, 1e18}[r.IntN(9)]
	}
	snap := engine.Snapshot{At: noon.Add(-time.Duration(r.IntN(5)) * time.Second), LastSeq: 30, Undo: word(), Proxy: engine.ProxyStatus{Listen: "127.0.0.1:5399", InFlight: r.IntN(3),
		Requests: r.Int64N(3), Failures: r.Int64N(1e9), Absorbed: r.Int64N(1e12), PerS: number(), P95MS: number()}}
	for i := range r.IntN(40) {
		k := engine.KeyStatus{Name: fmt.Sprint(word(), i), Provider: word(), Account: word(), Fingerprint: []string{"", "9", "9f2a0011"}[r.IntN(3)], State: engine.State(r.IntN(9)), Reason: word(),
			Since: when(), Until: when(), Draining: r.IntN(9) == 0, Trial: r.IntN(9) == 0, InFlight: r.IntN(4), Verdicts: engine.Verdicts{OK: 5, InvalidKey: r.Int64N(3), RateLimited: r.Int64N(1e7)},
			LastFailure: when(), Override: word(), Ref: word(), Bindings: r.IntN(3), Retiring: make([]engine.Retiring, r.IntN(3)/2), PerMin: number(), Series: wave(r.IntN(30), r.IntN(99)), Scopes: []string{word()}, CostUSD: number()}
		for range r.IntN(3) {
			k.Limits = append(k.Limits, engine.LimitStatus{Unit: []string{"tokens", "requests", "usd", "concurrent", word()}[r.IntN(5)], Per: []string{"1m", "day", "month", "", "1h"}[r.IntN(5)],
				Amount: number(), Remaining: number(), BurnPerMin: number(), ResetsAt: when(), RunsOutAt: when(), Model: []string{"", word()}[r.IntN(2)], Source: word()})
		}
		for range r.IntN(3) {
			k.Holds = append(k.Holds, engine.HoldStatus{State: k.State, Why: word(), By: word(), Since: noon, Until: when(), TrialAt: when(), Model: []string{"", word()}[r.IntN(2)],
				Evidence: engine.Evidence{Status: 429, Path: word(), Message: word(), Headers: map[string]string{word(): word()}}})
		}
		snap.Keys = append(snap.Keys, k)
	}
	for i := range r.IntN(30) {
		s := engine.ServiceStatus{Name: fmt.Sprint(word(), i), Provider: word(), Strategy: engine.Strategies[r.IntN(len(engine.Strategies))], Health: []string{"ok", "degraded", "down", ""}[r.IntN(4)],
			Usable: r.IntN(4), Refused: r.Int64N(1e9), DownSince: when(), FirstBack: when(), PinnedUntil: when(), Planned: r.IntN(9) == 0, PerMin: number(), Series: wave(r.IntN(60), r.IntN(99)), Failed: []int{r.IntN(2)},
			Verdicts: engine.Verdicts{QuotaExhausted: r.Int64N(1e6), UpstreamFault: r.Int64N(4)}, Project: word(), Purpose: word()}
		for range r.IntN(8) {
			if len(snap.Keys) > 0 {
				s.Keys = append(s.Keys, snap.Keys[r.IntN(len(snap.Keys))].Name)
			}
		}
		s.Keys = append(s.Keys, "not-in-the-snapshot")
		if len(s.Keys) > 1 {
			s.KeyInUse, s.Fallback = s.Keys[0], s.Keys[:1]
			if r.IntN(5) == 0 {
				s.Pinned = s.Keys[0]
			}
		}
		if r.IntN(3) == 0 {
			s.Lent = []engine.Lent{{Key: s.Keys[0], Service: s.Name, Until: noon.Add(time.Duration(r.Int64N(int64(96 * time.Hour)))), By: word()}}
		}
		if r.IntN(2) == 0 {
			s.LastRotation = &engine.Rotation{At: noon, Service: s.Name, From: word(), To: word(), Cause: word(), Verdict: engine.Kind(r.IntN(7)), Rule: word(), Outcome: word(), Next: word(), By: word(),
				Candidates: make([]engine.Candidate, r.IntN(40))}
		}
		snap.Services = append(snap.Services, s)
	}
	for range r.IntN(3) {
		snap.Incidents = append(snap.Incidents, engine.Incident{Provider: word(), Since: noon, Ended: nil, What: word(), Keys: []string{word()}, Of: r.IntN(9)})
	}
	return snap
}

func randomEvents(r *rand.Rand) (list []engine.Event) {
	kinds := []engine.EventKind{engine.EventRotation, engine.EventHold, engine.EventOperator, engine.EventDown, engine.EventProbe, engine.EventLow, "new"}
	for i := range r.IntN(30) {
		ev := engine.Event{Seq: uint64(i + 1), At: noon.Add(-time.Duration(r.IntN(99)) * time.Hour), Kind: kinds[r.IntN(len(kinds))], State: engine.State(r.IntN(9)),
			Service: odd[r.IntN(len(odd))], Key: odd[r.IntN(len(odd))], By: odd[r.IntN(len(odd))], Text: odd[r.IntN(len(odd))] + "  " + odd[r.IntN(len(odd))]}
		if r.IntN(3) == 0 {
			ev.Hold = &engine.HoldStatus{Why: ev.Text, Since: noon}
		}
		list = append(list, ev)
	}
	return list
}

package tui

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"keywheel/engine"
)

// thousands is 20 services with 5,000 keys among them.
func thousands() engine.Snapshot {
	snap := engine.Snapshot{At: noon, Proxy: proxy()}
	for i := range 5000 {
		k := key(fmt.Sprintf("key-%04d", i), "p", fmt.Sprintf("%04x", i), limited(1e6, float64(i*200), float64(i%7)*100))
		if i%97 == 0 {
			held(engine.Cooling, engine.RateLimited, "429 rate limited", time.Second, after(time.Minute))(&k)
		}
		snap.Keys = append(snap.Keys, k)
	}
	for i := range 20 {
		s := svc(fmt.Sprintf("service-%02d", i), "p", engine.RoundRobin)
		for k := range 5000 {
			if k%20 == i || i == 0 {
				s.Keys = append(s.Keys, snap.Keys[k].Name)
			}
		}
		s.LastRotation = whyRotation()
		snap.Services = append(snap.Services, s)
	}
	return finish(snap)
}

func BenchmarkView(b *testing.B) {
	m, _ := monitor(b, 200, 60, thousands(), incidents(), inColour)
	b.ReportAllocs()
	for b.Loop() {
		_ = m.view()
	}
}

// Everything changes between two frames: a new snapshot is taken over, then
// drawn.
func BenchmarkViewChanging(b *testing.B) {
	for _, screen := range []string{"1", "2", "3", "4", "5"} {
		b.Run("screen "+screen, func(b *testing.B) {
			m, src := monitor(b, 200, 60, thousands(), incidents(), inColour)
			press(m, screen)
			msgs := make([]tea.Msg, 2)
			for i := range msgs {
				src.snap.At = noon.Add(time.Duration(i) * time.Second)
				for k := range src.snap.Keys {
					src.snap.Keys[k].PerMin = float64(i + k%7)
				}
				msgs[i] = fetch(src, m.seq, m.reqSeq)()
			}
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				m.Update(msgs[i%2])
				_ = m.view()
				i++
			}
		})
	}
}

// A key press, from the key to the frame it is followed by excluded.
func BenchmarkKey(b *testing.B) {
	for _, tc := range []struct{ name, screen, one, back string }{
		{"down and up, services", "1", "j", "k"}, {"down and up, all keys", "2", "j", "k"}, {"down and up, traffic", "4", "j", "k"},
		{"typing a filter, services", "1", "7", "backspace"}, {"typing a filter, all keys", "2", "7", "backspace"},
		{"sorting all keys", "2", "s", "s"}, {"marking all keys", "2", "*", "*"},
	} {
		b.Run(tc.name, func(b *testing.B) {
			m, _ := monitor(b, 200, 60, thousands(), incidents(), inColour)
			press(m, tc.screen)
			if tc.back == "backspace" {
				press(m, append([]string{"/"}, letters("key-0")...)...)
			}
			one, back := keyMsg(tc.one), keyMsg(tc.back)
			b.ReportAllocs()
			keys := [2]tea.Msg{one, back}
			for i := 0; b.Loop(); i++ {
				m.Update(keys[i%2])
			}
		})
	}
}

func BenchmarkFetch(b *testing.B) {
	src := &fake{snap: thousands()}
	b.ReportAllocs()
	for b.Loop() {
		_ = fetch(src, 0, 0)()
	}
}

func BenchmarkArrange(b *testing.B) {
	m, _ := monitor(b, 200, 60, thousands(), incidents(), inColour)
	press(m, append([]string{"/"}, letters("state:cooling")...)...)
	b.ReportAllocs()
	for b.Loop() {
		m.arrange()
	}
}

// A frame must stay cheap however many keys there are: only what is on the
// screen is drawn.
func TestAFrameIsCheap(t *testing.T) {
	m, _ := monitor(t, 200, 60, thousands(), incidents(), inColour)
	for i := range screens {
		press(m, strconv.Itoa(i+1))
		if n := testing.AllocsPerRun(10, func() { _ = m.view() }); n > 2000 {
			t.Errorf("a frame of screen %d with 5,000 keys allocates %v times", i+1, n)
		}
	}
}

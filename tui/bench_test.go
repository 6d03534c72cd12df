package tui

import (
	"fmt"
	"testing"
	"time"

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
		_ = m.View()
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
	if n := testing.AllocsPerRun(10, func() { _ = m.View() }); n > 2000 {
		t.Errorf("a frame of 5,000 keys allocates %v times", n)
	}
}

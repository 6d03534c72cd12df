package tui

import "keywheel/engine"

// look is how a state is shown: any one of glyph, word and colour is enough.
type look struct {
	glyph string
	ink   ink
}

var stateLooks = [engine.Active + 1]look{
	engine.Missing:   {"?", red | bold},
	engine.Disabled:  {"⊘", grey},
	engine.Expired:   {"⌁", red | bold},
	engine.Revoked:   {"⊗", red | bold},
	engine.Exhausted: {"◌", magenta},
	engine.Failing:   {"✗", red},
	engine.Cooling:   {"◔", yellow},
	engine.Active:    {"●", green},
}

func lookOf(s engine.State) look { return stateLooks[min(s, engine.Active)] }

// lookOf is how a service's row begins.
func (s *service) look() look {
	switch s.rank {
	case rankPlanned:
		return look{"○", grey}
	case rankDown:
		return look{"✗", red | bold}
	case rankIncident:
		return look{"▲", red | bold}
	case rankLastKey:
		return look{"▲", amber}
	case rankShort:
		return look{"▼", amber}
	case rankBroken:
		return look{"⊗", red}
	case rankHeld:
		for _, st := range []engine.State{engine.Failing, engine.Exhausted, engine.Cooling} {
			if s.states[st] > 0 {
				return lookOf(st)
			}
		}
		return lookOf(engine.Cooling)
	}
	return lookOf(engine.Active)
}

// quotaInk colours what is left of a limit.
func quotaInk(fraction float64) ink {
	switch {
	case fraction <= 0:
		return red
	case fraction <= 0.2:
		return amber
	case fraction <= 0.4:
		return yellow
	default:
		return green
	}
}

// eventLook is how an event begins.
func eventLook(ev *engine.Event) look {
	switch ev.Kind {
	case engine.EventRotation:
		return look{"↻", blue}
	case engine.EventRecovered, engine.EventUp, engine.EventIncidentEnd:
		return look{"●", green}
	case engine.EventDown:
		return look{"✗", red | bold}
	case engine.EventIncident:
		return look{"▲", red | bold}
	case engine.EventProbe:
		return look{"○", cyan}
	case engine.EventLow:
		return look{"▼", amber}
	case engine.EventOperator:
		if ev.Key == "" || ev.State == engine.Active {
			return look{"◇", blue}
		}
	}
	return lookOf(ev.State)
}

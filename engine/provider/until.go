package provider

import (
	"time"
	_ "time/tzdata" // the calendars below must work where no zones are installed
)

// The zones in which providers' days end.
var (
	Pacific = zone("America/Los_Angeles")
	Beijing = zone("Asia/Shanghai")
)

func zone(name string) *time.Location {
	z, err := time.LoadLocation(name)
	if err != nil {
		panic(err) // the zones are compiled in
	}
	return z
}

// Until says in a word what ends a refusal, where no exact moment is told.
type Until string

// The words for what ends a refusal.
const (
	Human            Until = "human"            // someone pays, or changes a setting
	MidnightPacific  Until = "midnight_pacific" // the day's end where Google counts
	MidnightUTC      Until = "midnight_utc"
	MidnightBeijing  Until = "midnight_shanghai"
	NextMonth        Until = "next_month"          // the first of it, 00:00 UTC
	FirstOfMonthUTC  Until = "first_of_next_month" //
	BillingCycle     Until = "next_billing_cycle"  // whenever that is
	WindowReset      Until = "window_reset"        // a rolling window of unknown end
	NextMonthOrHuman Until = "next_month_or_human"
	KeyResetOrHuman  Until = "human_or_key_reset"
	ResetOrHuman     Until = "reset_or_human"
)

// After is the first such moment after at; zero where the calendar does not
// tell.
func (u Until) After(at time.Time) time.Time {
	switch u {
	case MidnightPacific:
		return midnight(at, Pacific)
	case MidnightUTC:
		return midnight(at, time.UTC)
	case MidnightBeijing:
		return midnight(at, Beijing)
	case NextMonth, FirstOfMonthUTC:
		y, m, _ := at.UTC().Date()
		return time.Date(y, m+1, 1, 0, 0, 0, 0, time.UTC)
	}
	return time.Time{}
}

func midnight(at time.Time, z *time.Location) time.Time {
	y, m, d := at.In(z).Date()
	return time.Date(y, m, d+1, 0, 0, 0, 0, z)
}

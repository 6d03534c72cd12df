package engine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// oracleOp is one operation. It means the same whatever came before, and nothing
// where it cannot be done, so that any of them can be left out.
type oracleOp struct {
	Batch int    `json:"batch"`
	Do    string `json:"do"`
	// Of a client's request.
	Client   int           `json:"client,omitempty"`
	Service  int           `json:"service,omitempty"`
	Model    int           `json:"model,omitempty"`
	Scope    int           `json:"scope,omitempty"`
	Create   bool          `json:"create,omitempty"`
	Once     bool          `json:"once,omitempty"`
	Talk     int           `json:"talk,omitempty"`
	Patience time.Duration `json:"patience,omitempty"`
	// Of an answer, or a test call of Key.
	Kind       Kind          `json:"kind,omitempty"`
	Blames     Scope         `json:"blames,omitempty"`
	RetryAfter time.Duration `json:"retry_after,omitempty"`
	Until      time.Duration `json:"until,omitempty"`
	How        string        `json:"how,omitempty"` // of closing: "left", "cut"
	Input      int64         `json:"input,omitempty"`
	// Of the operator.
	Verb Verb          `json:"verb,omitempty"`
	Key  int           `json:"key,omitempty"`
	For  time.Duration `json:"for,omitempty"` // and how long time passes
	Conf int           `json:"conf,omitempty"`
}

func (o oracleOp) String() string {
	svc, key := fmt.Sprintf("s%d", o.Service+1), fmt.Sprintf("k%d", o.Key+1)
	switch o.Do {
	case "begin":
		text := fmt.Sprintf("client %d asks %s", o.Client, svc)
		for _, p := range []int{o.Model, o.Scope} {
			if p != 0 {
				text += " " + mParts[p]
			}
		}
		if o.Create {
			text += ", creates"
		}
		if o.Once {
			text += ", once"
		}
		if o.Talk > 0 {
			text += fmt.Sprintf(", talk %d", o.Talk)
		}
		if o.Patience > 0 {
			text += fmt.Sprintf(", patience %v", o.Patience)
		}
		return text
	case "judge":
		return fmt.Sprintf("client %d is answered %s", o.Client, o.verdict())
	case "tested":
		return fmt.Sprintf("%s is tested: %s", key, o.Kind)
	case "close":
		return strings.TrimSpace(fmt.Sprintf("client %d is done %s", o.Client, o.How))
	case "again", "abandon", "cancel":
		return fmt.Sprintf("client %d: %s", o.Client, o.Do)
	case "act":
		text := string(o.Verb)
		if o.Key != nobody {
			text += " " + key
		}
		if o.Service != nobody {
			text += " " + svc
		}
		if o.For > 0 {
			text += fmt.Sprintf(" for %v", o.For)
		}
		return text
	case "pass":
		return fmt.Sprintf("%v pass", o.For)
	case "reload":
		return fmt.Sprintf("reload config %d", o.Conf)
	default:
		return o.Do
	}
}

func (o oracleOp) verdict() string {
	text := o.Kind.String()
	if o.Kind == OK || o.Kind == ClientError {
		return text
	}
	text += " of " + o.Blames.String()
	if o.Model > 0 {
		text += " " + mParts[o.Model]
	}
	if o.RetryAfter > 0 {
		text += fmt.Sprintf(", retry after %v", o.RetryAfter)
	}
	if o.Until != 0 {
		text += fmt.Sprintf(", until +%v", o.Until)
	}
	return text
}

func (o *oracle) line(op oracleOp, out outcome) string {
	text := fmt.Sprintf("%5d %12v   %s", o.batch, o.e.uptime(), op)
	switch op.Do {
	case "begin", "again", "cancel":
		text += ": " + out.says()
		if out.sort == gotNone {
			text += " (" + out.text + ")"
		}
	case "judge":
		if out.again {
			text += ": goes on"
		}
	case "act":
		text += ": " + out.text
	}
	return text
}

func (e *Engine) uptime() time.Duration { return time.Since(e.started).Round(time.Millisecond) }

// choose makes up the next batch.
func (o *oracle) choose(rng *rand.Rand) (ops []oracleOp) {
	if rng.IntN(5) == 0 {
		short := []time.Duration{10 * time.Millisecond, 200 * time.Millisecond, 700 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second, 12 * time.Second}
		long := []time.Duration{time.Minute, 5 * time.Minute, 16 * time.Minute, 61 * time.Minute, 7 * time.Hour}
		// What happens at one moment, give or take how late, is not told apart: so
		// moments are the same or further apart.
		d := short[rng.IntN(len(short))]
		if rng.IntN(12) == 0 {
			d = long[rng.IntN(len(long))]
		}
		return []oracleOp{{Batch: o.batch, Do: "pass", For: d + time.Duration(rng.IntN(5))*2*late}}
	}
	used := map[int]bool{}
	for range 1 + rng.IntN(4) {
		op := o.chooseOne(dice{rng})
		op.Batch = o.batch
		if slices.Contains([]string{"begin", "judge", "close", "again", "abandon", "cancel"}, op.Do) {
			if used[op.Client] {
				continue
			}
			used[op.Client] = true
		}
		ops = append(ops, op)
	}
	return ops
}

// dice make operations up.
type dice struct{ *rand.Rand }

func (d dice) chance(n int) bool { return d.IntN(n) == 0 }

func (d dice) pick(list ...time.Duration) time.Duration { return list[d.IntN(len(list))] }

func (o *oracle) chooseOne(d dice) oracleOp {
	op := oracleOp{Key: d.IntN(mKeys), Service: d.IntN(mServices), Client: d.IntN(mClients)}
	for !o.m.c.Keys[op.Key].Present && !d.chance(5) {
		op.Key = d.IntN(mKeys)
	}
	for range 20 {
		if o.m.c.Services[op.Service].Present {
			break
		}
		op.Service = d.IntN(mServices)
	}
	switch {
	case d.chance(60):
		op.Do, op.Conf = "reload", d.IntN(6)
	case d.chance(40):
		op.Do = "snapshot"
	case d.chance(9):
		op.Do, op.Kind = "tested", Kind(d.IntN(int(kinds)))
		for k := range o.m.c.Keys { // there may be one that waits for it
			for _, h := range o.m.holders(o.m.cred(k)) {
				if h != nil && h.Slots[0].Hold.On && h.Slots[0].Hold.Confirm {
					op.Key = k
				}
			}
		}
	case d.chance(7):
		d.act(&op)
	default:
		d.next(&op, o.m.clients[op.Client].Phase)
	}
	return op
}

// act makes up what an operator does.
func (d dice) act(op *oracleOp) {
	op.Do, op.Client = "act", 0
	verbs := []Verb{VerbDisable, VerbEnable, VerbEnable, VerbDrain, VerbFail, VerbLift, VerbReset, VerbPin, VerbUnpin, VerbUnpin, VerbRotate, VerbLend, VerbUnlend, VerbUndo, VerbUndo}
	op.Verb = verbs[d.IntN(len(verbs))]
	op.For = d.pick(0, 2*time.Second, 30*time.Second, time.Hour)
	switch op.Verb {
	case VerbDisable, VerbEnable, VerbDrain, VerbFail:
		op.Service = nobody
	case VerbUnpin:
		op.Key = nobody
	case VerbPin, VerbRotate:
		if d.chance(2) {
			op.Key = nobody
		}
	case VerbLift, VerbReset:
		if d.chance(2) {
			op.Key = nobody
		} else {
			op.Service = nobody
		}
	case VerbUndo:
		op.Key, op.Service = nobody, nobody
	}
}

// next makes up the next step of a client's request.
func (d dice) next(op *oracleOp, phase mPhase) {
	switch phase {
	case idle:
		op.Do, op.Model, op.Scope = "begin", d.IntN(3), []int{0, 3, 3, 4}[d.IntN(4)]
		op.Create, op.Once, op.Talk = d.chance(4), d.chance(10), max(d.IntN(5)-1, 0)
		if d.chance(8) {
			op.Patience = 2 * time.Second
		}
	case leased:
		if d.chance(20) {
			op.Do, op.How = "close", []string{"", "left", "left", "cut"}[d.IntN(4)]
			break
		}
		d.answer(op)
	case judged:
		op.Do, op.How, op.Input = "close", []string{"", "", "", "", "left", "cut"}[d.IntN(6)], int64(d.IntN(3))
	case between:
		if op.Do = "again"; d.chance(10) {
			op.Do = "abandon"
		}
	case waiting:
		if op.Do = "snapshot"; d.chance(4) {
			op.Do = "cancel"
		}
	}
}

// answer makes a verdict up.
func (d dice) answer(op *oracleOp) {
	op.Do = "judge"
	op.Kind = []Kind{OK, OK, OK, OK, OK, OK, RateLimited, RateLimited, QuotaExhausted, InvalidKey, PermissionDenied, ClientError, UpstreamFault, UpstreamFault}[d.IntN(14)]
	op.Blames = []Scope{ScopeKey, ScopeKey, ScopeAccount}[d.IntN(3)]
	if op.Kind == PermissionDenied && d.chance(3) {
		op.Blames = ScopeNone
	}
	if op.Kind != InvalidKey && d.chance(3) {
		op.Model = 1 + d.IntN(2)
	}
	switch op.Kind {
	case RateLimited:
		// None is as long as a busy model is rested: with jitter on it, which of two
		// in one moment lasts longer would be chance.
		op.RetryAfter = d.pick(0, 0, 0, 60*time.Millisecond, 700*time.Millisecond, 2500*time.Millisecond, 40*time.Second, 2*time.Minute, 3*time.Hour)
	case QuotaExhausted:
		op.RetryAfter, op.Until = d.pick(0, 0, 100*time.Millisecond, 5*time.Second), d.pick(0, 0, -time.Second, 20*time.Second, time.Hour, 90*24*time.Hour)
	case UpstreamFault:
		op.RetryAfter = d.pick(0, 0, 5*time.Second, time.Hour)
	}
}

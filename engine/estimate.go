package engine

import "slices"

// unseenOutput is how many tokens an answer is expected to have of a model that
// has not answered yet, where the request bounds it nowhere.
const unseenOutput = 1000

// mostExpected bounds what is expected of either side of one request: no model
// takes or gives more tokens.
const mostExpected = 1 << 20

// maxModels bounds the models whose answers are remembered: clients name them.
const maxModels = 2000

// habits is how long the answers of one model are: a sample of the last of
// them, and how the real input compares with what its size let expect.
type habits struct {
	outputs [64]float64
	n       int
	p90     float64
	// perGuess is real input tokens for each that was expected.
	perGuess float64
}

// saw takes in what one request used.
func (h *habits) saw(guessed, input, output float64) {
	h.outputs[h.n%len(h.outputs)] = output
	h.n++
	// A new percentile with every eighth answer is new enough.
	if h.n < 8 || h.n%8 == 0 {
		last := slices.Clone(h.outputs[:min(h.n, len(h.outputs))])
		slices.Sort(last)
		h.p90 = last[(len(last)*9)/10]
	}
	if guessed > 0 && input > 0 {
		h.perGuess += (min(max(input/guessed, 0.1), 10) - h.perGuess) / 16
	}
}

// expect sets what the request is expected to use: input from its size, output
// as its model's answers were so far. What the client allows counts only until
// the model has been seen: clients allow far more than they get.
func (e *Engine) expect(r *Request) {
	r.est = estimate{input: min(float64(r.InputTokens), mostExpected)}
	if r.Model == "" && r.MaxOutput == 0 && r.InputTokens == 0 {
		return
	}
	h := e.habits[r.Model]
	if h == nil || h.n == 0 {
		r.est.output = unseenOutput
		if r.MaxOutput > 0 {
			r.est.output = min(float64(r.MaxOutput), mostExpected)
		}
		if !generates(r.Scope) {
			r.est.output = 0
		}
		return
	}
	r.est.input *= h.perGuess
	r.est.output = h.p90
	if r.MaxOutput > 0 {
		r.est.output = min(h.p90, float64(r.MaxOutput))
	}
}

// generates reports whether requests of a scope are answered with tokens.
func generates(scope string) bool { return scope == "" || scope == "chat" || scope == "code" }

// learnHabits takes in what a request really used.
func (e *Engine) learnHabits(r *Request, u Usage) {
	if u.Input+u.Output == 0 {
		return
	}
	h := e.habits[r.Model]
	if h == nil {
		if len(e.habits) >= maxModels {
			return
		}
		h = &habits{perGuess: 1}
		e.habits[r.Model] = h
	}
	h.saw(float64(r.InputTokens), float64(u.Input), float64(u.Output))
}

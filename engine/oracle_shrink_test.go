package engine

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// oracleRun is what is kept of a failure.
type oracleRun struct {
	Why  string     `json:"why"`
	Seed uint64     `json:"seed"`
	Ops  []oracleOp `json:"ops"`
	// trace is what happened then: goroutines do not do the same twice.
	trace []string
}

// replayRun runs kept operations again; trace is what happened.
func replayRun(t *testing.T, run *oracleRun) (trace []string, err error) {
	err = inBubble(t, run.Seed, func(o *oracle) error {
		defer func() { trace = o.trace }()
		for ops := run.Ops; len(ops) > 0; {
			n := 1
			for n < len(ops) && ops[n].Batch == ops[0].Batch {
				n++
			}
			if err := o.run(ops[:n]); err != nil {
				return err
			}
			ops = ops[n:]
		}
		return o.finish()
	})
	return trace, err
}

// shrink leaves out operations as long as what is left still fails. What
// goroutines do is not the same twice, so each try gets several chances.
func shrink(t *testing.T, run *oracleRun) *oracleRun {
	fails := func(ops []oracleOp) (why string) {
		for range 3 {
			if _, err := replayRun(t, &oracleRun{Seed: run.Seed, Ops: ops}); err != nil {
				return err.Error()
			}
		}
		return ""
	}
	best := *run
	for size := (len(best.Ops) + 1) / 2; size > 0; {
		smaller := false
		for at := 0; at < len(best.Ops); {
			ops := slices.Concat(best.Ops[:at], best.Ops[min(at+size, len(best.Ops)):])
			if why := fails(ops); why != "" {
				best.Ops, best.Why, smaller = ops, why, true
			} else {
				at += size
			}
		}
		if size == 1 && !smaller {
			break
		}
		size = max(size/2, 1)
	}
	// One after the other is easier to read than all at once.
	alone := slices.Clone(best.Ops)
	for i := range alone {
		alone[i].Batch = i
	}
	if why := fails(alone); why != "" {
		best.Ops, best.Why = alone, why
	}
	return &best
}

func report(t *testing.T, run *oracleRun) {
	t.Logf("seed %d: %s; it is being shrunk", run.Seed, run.Why)
	small := shrink(t, run)
	trace, err := replayRun(t, small)
	for range 20 {
		if err != nil {
			break
		}
		trace, err = replayRun(t, small)
	}
	if small.Why = fmt.Sprint(err); err == nil {
		small.Why, trace = "once, and not again: "+run.Why, run.trace
	}
	path := filepath.Join("testdata", "oracle", fmt.Sprintf("%d.json", run.Seed))
	data, _ := json.MarshalIndent(small, "", " ")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
		_ = os.WriteFile(path, append(data, '\n'), 0o644)
	}
	t.Errorf("seed %d: %s\n\n%d operations are enough (of %d), kept in %s:\n\nbatch         time   operation\n%s\n\nagain: go test -run Oracle -oracle.seed %d ./engine",
		run.Seed, small.Why, len(small.Ops), len(run.Ops), path, strings.Join(trace, "\n"), run.Seed)
}

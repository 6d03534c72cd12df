package engine

import (
	"encoding/json"
	"flag"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// The oracle drives the engine with random operations, several at a time from
// as many goroutines, in virtual time, and asks after each batch whether some
// order of its operations explains, by the model, all that came back and all
// that the engine now holds to be true. That is what linearizable means.
//
//	go test -run Oracle ./engine                                                        some thousand steps
//	KEYWHEEL_ORACLE=1000000 go test -run 'Oracle$' -v -timeout 0 ./engine                 a million
//	KEYWHEEL_ORACLE=1000000 go test -run 'Oracle$' -v -timeout 0 ./engine -oracle.from 7  the same million again
//	go test -run 'Oracle$' ./engine -oracle.seed 42                                     one world again
//
// A failure is shrunk to the fewest operations that still fail, printed as a
// table and written to testdata/oracle, where it is run again ever after.
var (
	oracleSeed = flag.Uint64("oracle.seed", 0, "run the oracle with this seed alone")
	oracleFrom = flag.Uint64("oracle.from", 0, "the seed that a longer run takes its own from; 0 is any")
)

// The seeds that every run begins with: they notice most of what is broken on
// purpose in the rules of DESIGN section 4. A longer run goes on with random ones.
var oracleSeeds = []uint64{1, 2, 3, 4, 6625540075326956054, 7110790351117467096, 932896993577986850, 713160345926602632, 4377594868261245001}

// oracleSteps is how many operations one world lives through.
const oracleSteps = 250

func TestOracle(t *testing.T) {
	t.Parallel()
	seeds := slices.Clone(oracleSeeds)
	budget := len(seeds) * oracleSteps
	if n, err := strconv.Atoi(os.Getenv("KEYWHEEL_ORACLE")); err == nil {
		budget = n
	}
	if *oracleSeed != 0 {
		seeds, budget = []uint64{*oracleSeed}, 1
	}
	from := *oracleFrom
	if from == 0 {
		from = rand.Uint64()
	}
	more := rand.New(rand.NewPCG(from, 0))
	began, total := time.Now(), 0
	for i := 0; total < budget; i++ {
		if i == len(seeds) {
			seeds = append(seeds, more.Uint64()>>1)
		}
		failed, done := fuzz(t, seeds[i], oracleSteps)
		if failed != nil {
			report(t, failed)
			return
		}
		total += done
	}
	t.Logf("%d operations in %d worlds from %d, %v", total, len(seeds), from, time.Since(began).Round(time.Millisecond))
}

// TestOracleKept runs again what once failed.
func TestOracleKept(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob(filepath.Join("testdata", "oracle", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var run oracleRun
		if err := json.Unmarshal(data, &run); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		if trace, err := replayRun(t, &run); err != nil {
			t.Errorf("%s: %v\n%s", file, err, strings.Join(trace, "\n"))
		}
	}
}

// fuzz runs one seed and returns what failed, nil if nothing did.
func fuzz(t *testing.T, seed uint64, steps int) (failed *oracleRun, done int) {
	var ops []oracleOp
	var trace []string
	err := inBubble(t, seed, func(o *oracle) error {
		rng := rand.New(rand.NewPCG(seed, 0))
		for o.steps < steps {
			batch := o.choose(rng)
			ops = append(ops, batch...)
			if err := o.run(batch); err != nil {
				trace = o.trace
				return err
			}
		}
		done = o.steps
		return o.finish()
	})
	if err == nil {
		return nil, done
	}
	return &oracleRun{Why: err.Error(), Seed: seed, Ops: ops, trace: trace}, done
}

func inBubble(t *testing.T, seed uint64, f func(*oracle) error) (err error) {
	synctest.Test(t, func(t *testing.T) {
		o := newOracle(seed)
		if err = f(o); err != nil {
			o.abort()
		}
	})
	return err
}

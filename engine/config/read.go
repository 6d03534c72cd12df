package config

import (
	"slices"
	"sync"

	"keywheel/engine/secret"
)

// answer is what one reference gave.
type answer struct {
	secret secret.Secret
	// items are the secrets of a keyset.
	items    []secret.Item
	err      error
	warnings []string
}

// readers is how many references are read at once: a command may take a second.
const readers = 8

// readOne reads references to one secret each.
func (l *loader) readOne(refs []string) map[string]answer {
	l.readsRefs(refs)
	return readEach(refs, func(ref string) answer {
		return l.Commands.read("one ", ref, func() (a answer) {
			a.secret, a.err = secret.Read(ref, l.readOptions(&a))
			return a
		})
	})
}

// readMany reads references to many secrets each.
func (l *loader) readMany(refs []string) map[string]answer {
	l.readsRefs(refs)
	return readEach(refs, func(ref string) answer {
		return l.Commands.read("many ", ref, func() (a answer) {
			a.items, a.err = secret.ReadAll(ref, l.readOptions(&a))
			return a
		})
	})
}

func (l *loader) readOptions(a *answer) secret.ReadOptions {
	return secret.ReadOptions{Dir: l.dir, LookupEnv: l.LookupEnv, Fallback: l.inDotenv, Keyring: l.Keyring,
		Warn: func(text string) { a.warnings = append(a.warnings, text) }}
}

// readEach reads every reference once, several at a time.
func readEach(refs []string, read func(ref string) answer) map[string]answer {
	refs = slices.Compact(slices.Sorted(slices.Values(refs)))
	answers := make([]answer, len(refs))
	turn := make(chan struct{}, readers)
	var wait sync.WaitGroup
	for i, ref := range refs {
		turn <- struct{}{}
		wait.Go(func() {
			answers[i] = read(ref)
			<-turn
		})
	}
	wait.Wait()
	byRef := make(map[string]answer, len(refs))
	for i, ref := range refs {
		byRef[ref] = answers[i]
	}
	return byRef
}

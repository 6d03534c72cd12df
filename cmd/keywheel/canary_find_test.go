package main

import (
	cryptorand "crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/charmbracelet/x/ansi"
)

// canary is a secret that nobody else has: wherever a piece of its random part
// is found, it has leaked. None of them is a key anywhere.
type canary struct{ name, secret, random string }

// cage makes canaries and finds them.
type cage struct {
	t    *testing.T
	mu   sync.Mutex // guards all
	all  map[string]canary
	find map[string]string // any eight characters in a row: whose they are
	hex  map[string]string // the same in hex
}

func newCage(t *testing.T) *cage {
	return &cage{t: t, all: map[string]canary{}, find: map[string]string{}, hex: map[string]string{}}
}

// hatch makes a canary in a provider's shape: %s is its random part.
func (c *cage) hatch(name, shape string) string {
	raw := make([]byte, 30)
	_, _ = cryptorand.Read(raw)
	random := base64.StdEncoding.EncodeToString(raw) // 40 characters
	if !strings.HasPrefix(shape, "odd-") {
		random = strings.NewReplacer("+", "p", "/", "s").Replace(random)
	}
	s := canary{name, fmt.Sprintf(shape, random), random}
	c.mu.Lock()
	c.all[name] = s
	c.mu.Unlock()
	for before, unsure := range [...]int{0, 2, 3} {
		in64 := base64.StdEncoding.EncodeToString(append(make([]byte, before), random...))
		for text := in64[unsure : (before+len(random))*8/6]; len(text) >= 11; text = text[1:] {
			c.find[text[:8]] = name + " in base64"
		}
	}
	for text := random; len(text) >= 8; text = text[1:] {
		c.find[text[:8]] = name
		c.hex[hex.EncodeToString([]byte(text[:8]))] = name + " in hex"
	}
	return s.secret
}

const inBase64 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="

// look fails if a piece of a canary is in a text, as it is, with its terminal
// sequences out or its escapes undone.
func (c *cage) look(where, text string) {
	c.t.Helper()
	once := unescape(text)
	views := []string{text, ansi.Strip(text), once, unescape(once)}
	slices.Sort(views)
	for _, seen := range slices.Compact(views) { // most are the same
		run := 0 // of characters that base64 has, which all of them are
		for i := range len(seen) {
			if strings.IndexByte(inBase64, seen[i]) < 0 {
				run = 0
				continue
			}
			if run++; run < 8 {
				continue
			}
			whose, found := c.find[seen[i-7:i+1]]
			if !found && run >= 16 {
				whose, found = c.hex[seen[i-15:i+1]]
			}
			if found {
				c.t.Errorf("%s holds 8 characters of %s: %q", where, whose, seen[max(0, i-107):min(len(seen), i+53)])
				return
			}
		}
	}
}

var escapes = regexp.MustCompile(`%([0-9a-fA-F]{2})|\\u00([0-9a-fA-F]{2})|&#([0-9]{1,3});`)

func unescape(text string) string {
	return escapes.ReplaceAllStringFunc(text, func(e string) string {
		m := escapes.FindStringSubmatch(e)
		n, base := m[1]+m[2], 16
		if m[3] != "" {
			n, base = m[3], 10
		}
		b, _ := strconv.ParseUint(n, base, 16)
		return string([]byte{byte(b)})
	})
}

// lookFiles looks through a directory, names and contents, but for the files
// that are there to hold a secret: those may be read by their owner alone.
func (c *cage) lookFiles(dir string, kept ...string) (files int) {
	c.t.Helper()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		name, _ := filepath.Rel(dir, path)
		c.look("the name of a file", name)
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() {
			return nil
		}
		files++
		for _, k := range kept {
			if ok, _ := filepath.Match(k, name); ok {
				if info.Mode().Perm()&0o077 != 0 {
					c.t.Errorf("%s may be read by others: %v", name, info.Mode())
				}
				return nil
			}
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		c.look(name, string(text))
		return nil
	})
	if err != nil {
		c.t.Error(err)
	}
	return files
}

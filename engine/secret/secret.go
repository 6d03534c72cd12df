// Package secret holds API keys in a type that cannot be printed by accident,
// and reads them from where the config says they are (env:, file:, dotenv:,
// cmd:, keyring:).
package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"io"
	"unique"
)

// hidden is what every printed form of a Secret shows.
const hidden = "****"

// Secret is an API key or a client token. Every way of printing or encoding it
// gives "****"; only [Secret.Reveal] gives its text. The zero Secret is empty.
//
// The text is behind a handle, not in a string field: fmt calls no method of a
// Secret that sits in another struct's unexported field, it reads the memory.
// There it finds an address. Two Secrets of one text are ==.
type Secret struct{ handle unique.Handle[string] }

// New makes a Secret of text.
func New(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{unique.Make(text)}
}

// Reveal returns the secret's text. It may go into an upstream request and
// nowhere else.
func (s Secret) Reveal() string {
	if s.Empty() {
		return ""
	}
	return s.handle.Value()
}

// Empty reports whether there is no secret.
func (s Secret) Empty() bool { return s == Secret{} }

// Equal compares in a time that does not depend on where the two differ.
func (s Secret) Equal(text string) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(text)) == 1
}

// Fingerprint identifies the secret at one provider and host without telling
// anything of it: 16 hex digits of an HMAC. The same secret gives the same
// fingerprint in every run, so that what is known of a key can follow it.
// An empty secret has the fingerprint "".
func (s Secret) Fingerprint(provider, host string) string {
	if s.Empty() {
		return ""
	}
	mac := hmac.New(sha256.New, []byte("keywheel fingerprint 1"))
	fmt.Fprintf(mac, "%s\x00%s\x00%s", provider, host, s.Reveal())
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// String gives "****", or "" for an empty secret.
func (s Secret) String() string {
	if s.Empty() {
		return ""
	}
	return hidden
}

// Format gives the hidden form under every verb, %#v and %x included.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText gives the hidden form, so that JSON, TOML and slog never see more.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

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
)

// hidden is what every printed form of a Secret shows.
const hidden = "****"

// Secret is an API key or a client token. Every way of printing or encoding it
// gives "****"; only [Secret.Reveal] gives its text. The zero Secret is empty.
type Secret struct{ text string }

// New makes a Secret of text.
func New(text string) Secret { return Secret{text} }

// Reveal returns the secret's text. It may go into an upstream request and
// nowhere else.
func (s Secret) Reveal() string { return s.text }

// Empty reports whether there is no secret.
func (s Secret) Empty() bool { return s.text == "" }

// Equal compares in a time that does not depend on where the two differ.
func (s Secret) Equal(text string) bool {
	return subtle.ConstantTimeCompare([]byte(s.text), []byte(text)) == 1
}

// Fingerprint identifies the secret at one provider and host without telling
// anything of it: 16 hex digits of an HMAC. The same secret gives the same
// fingerprint in every run, so that what is known of a key can follow it.
// An empty secret has the fingerprint "".
func (s Secret) Fingerprint(provider, host string) string {
	if s.text == "" {
		return ""
	}
	mac := hmac.New(sha256.New, []byte("keywheel fingerprint 1"))
	fmt.Fprintf(mac, "%s\x00%s\x00%s", provider, host, s.text)
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// String gives "****", or "" for an empty secret.
func (s Secret) String() string {
	if s.text == "" {
		return ""
	}
	return hidden
}

// Format gives the hidden form under every verb, %#v and %x included.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// MarshalText gives the hidden form, so that JSON, TOML and slog never see more.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

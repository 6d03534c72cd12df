package engine

// KeyTest is what a key's provider said of it when it was asked by its free
// test call. Nothing of the key's state follows from it, unless a rejection was
// waiting to be confirmed.
type KeyTest struct {
	Key      string `json:"key"`
	Provider string `json:"provider"`
	// Untested says why nobody could be asked: no such call, or no secret; "" if
	// the provider was.
	Untested string `json:"untested,omitempty"`
	// Missing is true where that is because its secret cannot be read.
	Missing bool `json:"missing,omitempty"`
	// Verdict is what the answer says, Status and Message what it was; Status 0
	// is no answer.
	Verdict Kind   `json:"verdict"`
	Status  int    `json:"status"`
	Message string `json:"message,omitempty"`
	TookMS  int64  `json:"took_ms"`
}

// Well reports whether the provider accepts the key.
func (t *KeyTest) Well() bool { return t.Untested == "" && t.Verdict == OK }

// Words say it in a line: "anthropic accepts it".
func (t *KeyTest) Words() string {
	switch {
	case t.Untested != "":
		return "not tested: " + t.Untested
	case t.Verdict == OK:
		return t.Provider + " accepts it"
	case t.Verdict == InvalidKey:
		return t.Provider + " rejects it"
	case t.Status == 0:
		return t.Provider + " gave no answer"
	default:
		return t.Provider + " says " + t.Verdict.Words()
	}
}

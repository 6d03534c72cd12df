package engine

import "time"

// Snapshot is everything a person or a script sees, at one moment. It is the
// JSON of `keywheel status` (DESIGN section 9; fields are only ever added) and
// all that a view needs. It shares no memory with the engine.
type Snapshot struct {
	Version   int             `json:"version"`
	At        time.Time       `json:"at"`
	UptimeS   float64         `json:"uptime_s"`
	Proxy     ProxyStatus     `json:"proxy"`
	Services  []ServiceStatus `json:"services"`
	Keys      []KeyStatus     `json:"keys"`
	Incidents []Incident      `json:"incidents"`
	// Config is what the instance runs by; nil where nobody reads it again.
	Config *ConfigStatus `json:"config,omitempty"`
	// LastSeq is the sequence number of the newest event.
	LastSeq uint64 `json:"last_seq"`
	// Journal is how what must survive is kept; nil where it is not.
	Journal *JournalStatus `json:"journal"`
	// You is what your own actions are called, where they came over the socket.
	You string `json:"you,omitempty"`
	// Undo names the action that undo would take back; "" if none.
	Undo string `json:"undo"`
	// UndoRefused says why undo takes nothing back now although something was
	// done; "" if it would.
	UndoRefused string `json:"undo_refused,omitempty"`
	// Notice is what everybody who looks should be told: that it is a demo.
	Notice string `json:"notice,omitempty"`
}

// ConfigStatus is the configuration in force, and what is wrong with the files
// as they are now.
type ConfigStatus struct {
	// Files are those it was read from; a change of any of them is noticed.
	Files    []string  `json:"files"`
	LoadedAt time.Time `json:"loaded_at"`
	// Problems are why the files as they are now were not taken; none if they were.
	Problems []ConfigProblem `json:"problems"`
	// Restart are the settings that differ from those in force and need a restart.
	Restart []string `json:"restart"`
}

// ConfigProblem is one thing that is wrong in a file; Line 0 is the whole file.
type ConfigProblem struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Text string `json:"text"`
}

// ProxyStatus is the proxy as its clients see it.
type ProxyStatus struct {
	Listen string `json:"listen"`
	// TLS is true where clients come in over https.
	TLS bool `json:"tls"`
	// AllowHosts are the names beside loopback's that clients may use.
	AllowHosts []string `json:"allow_hosts"`
	InFlight   int      `json:"in_flight"`
	Waiting    int      `json:"waiting"`
	// Requests counts client requests that reached a service.
	Requests int64 `json:"requests"`
	// ClientErrors counts requests that upstream found wrong (4xx verdict
	// client_error) or the door refused.
	ClientErrors int64 `json:"client_errors"`
	// Failures counts requests a client saw fail through no fault of its own.
	Failures int64 `json:"failures"`
	// Absorbed counts failed attempts that no client saw.
	Absorbed int64   `json:"absorbed"`
	PerS     float64 `json:"per_s"`
	// P95MS is the 95th percentile of the time to an answer's head over the
	// last requests, in milliseconds; 0 is unknown.
	P95MS float64 `json:"p95_ms"`
	// AddedMS counts by how long requests took from the door until they had
	// their first key, the body's way in and waiting in line included.
	AddedMS *Histogram `json:"added_ms"`
}

// Histogram counts durations, in milliseconds.
type Histogram struct {
	// LE are the upper bounds of the buckets.
	LE []float64 `json:"le"`
	// Counts are those in each bucket alone; the last is of all beyond LE.
	Counts []int64 `json:"counts"`
	Sum    float64 `json:"sum"`
}

// The values of [ServiceStatus.Health].
const (
	HealthOK       = "ok"
	HealthDegraded = "degraded"
	HealthDown     = "down"
)

// ServiceStatus is one service at one moment.
type ServiceStatus struct {
	Name     string `json:"name"`
	Project  string `json:"project"`
	Purpose  string `json:"purpose"`
	Required bool   `json:"required"`
	Planned  bool   `json:"planned"`
	Provider string `json:"provider"`
	// Kind is the built-in provider whose API it is.
	Kind string `json:"kind"`
	// Dialect is the API that its keys speak.
	Dialect string `json:"dialect"`
	// TokenRef is where its clients' token is read from; "" lets anyone in.
	TokenRef string `json:"token_ref"`
	Strategy string `json:"strategy"`
	// Models are routed to it by name.
	Models []string `json:"models"`
	// KeyInUse is the key that served last and still can, or that would serve
	// next; "" when no key is usable.
	KeyInUse string `json:"key_in_use"`
	Pinned   string `json:"pinned"`
	// Moved says that an operator gave it another key than the config; nil if
	// not. Trying is a key that serves before its own until it has proved itself.
	Moved  *Moved `json:"moved"`
	Trying string `json:"trying"`
	// Lent are those of Keys that serve it for a time only.
	Lent []Lent `json:"lent"`
	// PinnedUntil is zero when the pin has no end.
	PinnedUntil  *time.Time `json:"pinned_until"`
	Health       string     `json:"health"`
	Keys         []string   `json:"keys"`
	Fallback     []string   `json:"fallback"`
	Usable       int        `json:"usable"`
	InFlight     int        `json:"in_flight"`
	Waiting      int        `json:"waiting"`
	Requests     int64      `json:"requests"`
	Failures     int64      `json:"failures"`
	Verdicts     Verdicts   `json:"verdicts"`
	Rotations    int64      `json:"rotations"`
	LastRotation *Rotation  `json:"last_rotation"`
	// DownSince is when its last usable key went; nil while one is usable.
	DownSince *time.Time `json:"down_since"`
	// FirstBack is when the first key is expected back; nil if unknown.
	FirstBack *time.Time `json:"first_back"`
	// AddedMS is as in [ProxyStatus]; nil where no proxy serves it.
	AddedMS *Histogram `json:"added_ms"`
	// Accounts is how many accounts its keys are of, each key of an unknown one
	// counted for itself; Can is what it can still do, by the scopes it needs.
	Accounts int           `json:"accounts"`
	Can      []ScopeStatus `json:"can"`
	// Refused counts requests answered with "no usable key" since DownSince.
	Refused int64         `json:"refused"`
	Limits  []LimitStatus `json:"limits"`
	PerMin  float64       `json:"per_min"`
	// Series is requests per bucket, the oldest first, for the sparkline;
	// Failed is failed attempts in the same buckets.
	Series []int `json:"series"`
	Failed []int `json:"failed"`
	// BucketS is the length of one bucket in seconds.
	BucketS float64 `json:"bucket_s"`
}

// ScopeStatus is how many keys of a service can serve one scope.
type ScopeStatus struct {
	Scope  string `json:"scope"`
	Usable int    `json:"usable"`
}

// KeyStatus is one key at one moment.
type KeyStatus struct {
	Name        string `json:"name"`
	Provider    string `json:"provider"`
	Account     string `json:"account"`
	Fingerprint string `json:"fingerprint"`
	// Dialect is the API that it speaks: it is lent only to services of one.
	Dialect string `json:"dialect"`
	// Host is where its requests go.
	Host     string     `json:"host"`
	Ref      string     `json:"ref"`
	State    State      `json:"state"`
	Reason   string     `json:"reason"`
	Since    *time.Time `json:"since"`
	Until    *time.Time `json:"until"`
	Draining bool       `json:"draining"`
	// Trial is true while a held key may serve, or is serving, one trial.
	Trial        bool       `json:"trial"`
	Scopes       []string   `json:"scopes"`
	Services     []string   `json:"services"`
	InFlight     int        `json:"in_flight"`
	Requests     int64      `json:"requests"`
	Failures     int64      `json:"failures"`
	RateLimited  int64      `json:"rate_limited"`
	Verdicts     Verdicts   `json:"verdicts"`
	LastFailure  *time.Time `json:"last_failure"`
	InputTokens  int64      `json:"input_tokens"`
	OutputTokens int64      `json:"output_tokens"`
	CachedTokens int64      `json:"cached_tokens"`
	CostUSD      float64    `json:"cost_usd"`
	// Unpriced counts requests whose cost nobody knows: CostUSD is without them.
	Unpriced int64         `json:"unpriced"`
	PerMin   float64       `json:"per_min"`
	Series   []int         `json:"series"`
	BucketS  float64       `json:"bucket_s"`
	Holds    []HoldStatus  `json:"holds"`
	Limits   []LimitStatus `json:"limits"`
	// Bindings counts the upstream resources that were made with it.
	Bindings int `json:"bindings"`
	// Override is where its secret is read from in place of Ref, since a person
	// has replaced it; "" is nowhere.
	Override string `json:"override,omitempty"`
	// Retiring are its former secrets on which requests are still in flight.
	Retiring []Retiring `json:"retiring,omitempty"`
	// Balance is what money is left, where the provider tells; nil is unknown.
	Balance *Balance `json:"balance"`
}

// Balance is what a provider says of the money that a key may spend.
type Balance struct {
	// Amount is in Currency, a code like "USD", or "" where the provider does
	// not name it; nil is no bound.
	Amount   *float64  `json:"amount"`
	Currency string    `json:"currency"`
	At       time.Time `json:"at"`
	// Unusable is true where it does not suffice for a request.
	Unusable bool `json:"unusable"`
}

// Lent is a key that serves a service beside its own until a moment.
type Lent struct {
	Key     string    `json:"key"`
	Service string    `json:"service"`
	Until   time.Time `json:"until"`
	By      string    `json:"by"`
}

// Retiring is a former secret of a key, on which requests still run.
type Retiring struct {
	Fingerprint string `json:"fingerprint"`
	InFlight    int    `json:"in_flight"`
}

// Usable reports whether the key can serve now.
func (k KeyStatus) Usable() bool { return k.State == Active && !k.Draining }

// Verdicts counts answers by what they said.
type Verdicts struct {
	OK               int64 `json:"ok"`
	RateLimited      int64 `json:"rate_limited"`
	QuotaExhausted   int64 `json:"quota_exhausted"`
	InvalidKey       int64 `json:"invalid_key"`
	PermissionDenied int64 `json:"permission_denied"`
	ClientError      int64 `json:"client_error"`
	UpstreamFault    int64 `json:"upstream_fault"`
}

// Failed is how many answers were failures of a key or of upstream.
func (v Verdicts) Failed() int64 {
	return v.RateLimited + v.QuotaExhausted + v.InvalidKey + v.PermissionDenied + v.UpstreamFault
}

// HoldStatus is something that keeps a key from serving.
type HoldStatus struct {
	// Account is set when the hold is the account's.
	Account string `json:"account,omitempty"`
	// Model confines the hold to a model or a scope; "" is all.
	Model   string     `json:"model"`
	Verdict Kind       `json:"verdict"`
	State   State      `json:"state"`
	Why     string     `json:"why"`
	Since   time.Time  `json:"since"`
	Until   *time.Time `json:"until"`
	// TrialAt is when one live request may try the key again.
	TrialAt *time.Time `json:"trial_at,omitempty"`
	By      string     `json:"by"`
	// Rule says how the answer was read that placed it; "" for an operator's.
	Rule     string   `json:"rule"`
	Evidence Evidence `json:"evidence"`
}

// LimitStatus is one limit and how it stands.
type LimitStatus struct {
	Unit       string     `json:"unit"`
	Per        string     `json:"per"`
	Amount     float64    `json:"amount"`
	Used       float64    `json:"used"`
	Remaining  float64    `json:"remaining"`
	ResetsAt   *time.Time `json:"resets_at"`
	Scope      string     `json:"scope"`
	Model      string     `json:"model"`
	Source     string     `json:"source"`
	BurnPerMin float64    `json:"burn_per_min"`
	// RunwayS is how long what remains lasts at this burn; nil is unknown or
	// for ever. RunsOutAt is set only when that is before ResetsAt.
	RunwayS *float64 `json:"runway_s"`
	// Lasts is true when it outlives its window at this burn.
	Lasts bool `json:"lasts"`
	// Confidence says how far burn and runway can be believed: "told" where the
	// limit was told and the burn has been watched for a minute, "measured"
	// where it has not yet, "guess" where the limit itself was learned, "" while
	// nothing is known.
	Confidence string     `json:"confidence"`
	RunsOutAt  *time.Time `json:"runs_out_at"`
}

// Incident is many keys failing in one way at once: no key is blamed.
type Incident struct {
	Provider string     `json:"provider"`
	Since    time.Time  `json:"since"`
	Ended    *time.Time `json:"ended"`
	// What is the failure in words: "503", "connection refused".
	What string   `json:"what"`
	Keys []string `json:"keys"`
	// Of is how many keys the provider has here.
	Of     int   `json:"of"`
	Faults int64 `json:"faults"`
}

// Rotation is a change of a service's key in use that has a cause other than
// its turn, with everything that explains it.
type Rotation struct {
	At      time.Time `json:"at"`
	Service string    `json:"service"`
	From    string    `json:"from"`
	// To is "" when no key could follow.
	To    string `json:"to"`
	Cause string `json:"cause"`
	// Verdict is what was said of From; OK for an operator's doing.
	Verdict  Kind     `json:"verdict"`
	Rule     string   `json:"rule"`
	Evidence Evidence `json:"evidence"`
	// Candidates are the service's other keys, each with the reason it was
	// chosen or passed over; at most 32 of them.
	Candidates []Candidate `json:"candidates"`
	// Outcome is what the client saw of it; "" while the request runs.
	Outcome string `json:"outcome"`
	// Next is what happens to From.
	Next string `json:"next"`
	By   string `json:"by"`
}

// Candidate is a key that was looked at for a request.
type Candidate struct {
	Key    string     `json:"key"`
	Chosen bool       `json:"chosen"`
	Why    string     `json:"why"`
	Until  *time.Time `json:"until,omitempty"`
}

// EventKind is what sort of thing happened.
type EventKind string

// The kinds of events.
const (
	EventRotation    EventKind = "rotation"
	EventHold        EventKind = "hold"
	EventRecovered   EventKind = "recovered"
	EventOperator    EventKind = "operator"
	EventIncident    EventKind = "incident"
	EventIncidentEnd EventKind = "incident_end"
	EventDown        EventKind = "down"
	EventUp          EventKind = "up"
	EventProbe       EventKind = "probe"
	EventLow         EventKind = "low"
	EventAccount     EventKind = "account"
	// EventAlert is an alert, or that one could not be delivered.
	EventAlert  EventKind = "alert"
	EventReload EventKind = "reload"
	// EventReloadFailed is a configuration that could not be taken.
	EventReloadFailed EventKind = "reload_failed"
)

// Event is one line of the timeline.
type Event struct {
	// Seq rises by one with every event.
	Seq     uint64    `json:"seq"`
	At      time.Time `json:"at"`
	Kind    EventKind `json:"kind"`
	Service string    `json:"service,omitempty"`
	Key     string    `json:"key,omitempty"`
	// State is what the key is after the event.
	State State `json:"state"`
	// By is "engine", or who did it: "you" for the monitor's own person.
	By string `json:"by"`
	// Text says it in one line, without service: "team-c → team-a  429 rate limited".
	Text     string      `json:"text"`
	Rotation *Rotation   `json:"rotation,omitempty"`
	Hold     *HoldStatus `json:"hold,omitempty"`
}

// Verb is what an operator can do.
type Verb string

// The verbs of DESIGN section 9 that change something.
const (
	VerbRotate  Verb = "rotate"
	VerbPin     Verb = "pin"
	VerbUnpin   Verb = "unpin"
	VerbDisable Verb = "disable"
	VerbEnable  Verb = "enable"
	VerbDrain   Verb = "drain"
	VerbFail    Verb = "fail"
	VerbLift    Verb = "lift"
	VerbReset   Verb = "reset"
	VerbLend    Verb = "lend"
	VerbUnlend  Verb = "unlend"
	VerbMigrate Verb = "migrate"
	VerbUndo    Verb = "undo"
	// VerbReplace is in the record of what was done only: a secret is no part of
	// an [Action].
	VerbReplace Verb = "replace"
)

// Action is one thing an operator asks for.
type Action struct {
	Verb Verb `json:"verb"`
	// Service is meant by rotate, pin and unpin, and by lift and reset when
	// Key is empty.
	Service string `json:"service,omitempty"`
	// Key is meant by the others; by rotate it is the key to go to, if any.
	Key string `json:"key,omitempty"`
	// ForS is how long a disable, pin or lend lasts, in seconds; 0 is until a
	// person ends it, which a lend does not take.
	ForS   float64 `json:"for_s,omitempty"`
	Reason string  `json:"reason,omitempty"`
	// By is who asks: "you" in the monitor that runs the engine.
	By string `json:"by,omitempty"`
}

// Result is what an action did, in one line for a toast or a terminal.
type Result struct {
	Text string `json:"text"`
	// Undoable is whether undo takes it back.
	Undoable bool `json:"undoable"`
	// Unsaved says why it is not on disk yet: it stands, but a keywheel that
	// ended now would forget it. "" if it is, or if nothing is kept.
	Unsaved string `json:"unsaved,omitempty"`
}

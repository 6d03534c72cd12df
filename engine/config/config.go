// Package config makes an [engine.Config] of a TOML file, of LLM_MODEL_CONFIGS
// and of the simple variables (API_KEY, API_BASE, ...). Whatever is wrong is
// reported at once, each with file, line and the nearest right name.
package config

import (
	"os"
	"path/filepath"
	"slices"
	"time"

	"keywheel/engine"
	"keywheel/engine/alert"
	"keywheel/engine/provider"
	"keywheel/engine/secret"
)

// Options say where a configuration is looked for.
type Options struct {
	// Path is the config file; "" looks at $KEYWHEEL_CONFIG, ./keywheel.toml
	// and $XDG_CONFIG_HOME/keywheel/keywheel.toml.
	Path string
	// Dir is the working directory; "" is that of the process.
	Dir string
	// LookupEnv is the environment; nil is that of the process. It is called
	// from several goroutines.
	LookupEnv func(string) (string, bool)
	// Listen is the address of a flag; it beats the file's. "" is none.
	Listen string
	// Keyring looks into the keyring; nil is the system's.
	Keyring func(service, user string) (string, error)
	// Commands remembers what commands gave; nil runs them with every load.
	Commands *Commands
	// Now is when keys are looked at for their expiry; zero is the clock.
	Now time.Time
	// ToLookAt is set where nothing is to run: that no key can be read is then a
	// warning.
	ToLookAt bool
}

// Config is all that one keywheel runs by.
type Config struct {
	// Path is the file in force; "" when all comes from the environment.
	Path string
	// LoadedAt is when it began to be read.
	LoadedAt time.Time
	// Files are those that it was read from, or that would be read if they were
	// there.
	Files []string
	// StateDir is where what happens at run time is kept; "" is nowhere.
	StateDir string
	// own are the fingerprints of the secrets that the references give, by key.
	own map[string]string
	// Listen is where clients come in.
	Listen string
	// Patience is how long a request may wait for a key, all attempts together.
	Patience time.Duration
	// MaxWaiting is how many requests may wait at once.
	MaxWaiting int
	// MaxReplay is the largest body that is kept for a repeat, MaxReplayTotal
	// what all of them may take together.
	MaxReplay      int64
	MaxReplayTotal int64
	// DialTimeout, HeaderTimeout and IdleTimeout are how long an upstream may
	// take to be reached, to begin its answer, and to be silent within it.
	DialTimeout   time.Duration
	HeaderTimeout time.Duration
	IdleTimeout   time.Duration
	// AllowHosts are names, beside loopback's, that clients may call us by.
	AllowHosts []string
	// CORSOrigins are the web pages that may call us.
	CORSOrigins []string
	// TLSCert and TLSKey are files; "" is plain HTTP.
	TLSCert string
	TLSKey  string
	// ASCII draws the screen without box characters.
	ASCII bool
	// PricesFile is a file in the format of LiteLLM's
	// model_prices_and_context_window.json; "" is none.
	PricesFile string
	// Journal is the file that what must survive is kept in; "" is one in the
	// state directory. Keep is for how long.
	Journal string
	Keep    time.Duration
	// Prices are what models cost: those of [prices], then those of the file.
	Prices []provider.Prices
	Alerts Alerts
	Engine engine.Config
	// Warnings are what is odd and not wrong.
	Warnings []Problem
	// Notes are what is neither odd nor wrong, and good to know.
	Notes []Problem
	// Sources tell what was taken from where, one line each.
	Sources []string
	// Values are all settings in force, each with the source that won it.
	Values []Value
}

// Alerts say what is told to people outside, and how.
type Alerts struct {
	// Command is a program and its arguments, run for each alert in Dir; empty
	// is none.
	Command []string
	Dir     string
	// Webhook is a URL that each alert is posted to; empty is none.
	Webhook secret.Secret
	// On are the kinds of alerts; Quiet is how long one that recurs is not said
	// again.
	On    []alert.Kind
	Quiet time.Duration
	// Bell and Title are for the monitor: ring the terminal's bell at each
	// alert, and tell in its title what needs a person.
	Bell, Title bool
}

// Any reports whether anybody is told.
func (a Alerts) Any() bool {
	return len(a.On) > 0 && (len(a.Command) > 0 || !a.Webhook.Empty() || a.Bell || a.Title)
}

// Defaults is a configuration with nothing in it but the defaults.
func Defaults() *Config {
	return &Config{
		Listen:         "127.0.0.1:5399",
		Patience:       10 * time.Second,
		MaxWaiting:     1024,
		MaxReplay:      64 << 20,
		MaxReplayTotal: 1 << 30,
		DialTimeout:    10 * time.Second,
		HeaderTimeout:  10 * time.Minute,
		IdleTimeout:    5 * time.Minute,
		Keep:           90 * 24 * time.Hour,
		Alerts:         Alerts{On: slices.Clone(alert.Kinds), Quiet: 10 * time.Minute},
	}
}

// Load reads the configuration from all its sources. The error is an [Errors],
// a [*NotFoundError], or a [*FileError]. Beside an
// [Errors] the Config holds what could be understood, to be looked at (its
// Warnings) and not to be run.
func Load(o Options) (*Config, error) {
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	if o.Now.IsZero() {
		o.Now = time.Now()
	}
	if o.Dir == "" {
		dir, err := os.Getwd()
		if err != nil {
			return nil, err
		}
		o.Dir = dir
	}
	file, looked, err := find(o)
	if err != nil {
		return nil, err
	}
	l := &loader{Options: o, config: Defaults(), dir: o.Dir, keyAt: map[string]declared{}, serviceAt: map[string]declared{}, missing: map[string]Problem{}, lost: map[string][]string{}}
	l.config.LoadedAt = time.Now()
	if l.config.Path = file; file != "" {
		l.dir = filepath.Dir(file)
	}
	l.reads(file)
	l.readDotenv()
	if file != "" {
		l.readTOML()
	}
	if !l.broken {
		l.readEnvironment()
		l.checkDotenv()
		if file == "" && !l.anyVariable {
			none := &NotFoundError{Looked: append(looked, l.dotenv.file, "LLM_MODEL_CONFIGS and API_KEY in the environment")}
			if none.Holds = importable(l.dotenv.Dotenv); len(none.Holds) > 0 {
				none.Dotenv = l.dotenv.file
			}
			return nil, none
		}
		l.readOverrides()
		l.checkAll()
		l.config.Values = l.values()
	}
	l.config.Warnings, l.config.Notes = inOrder(l.warnings), inOrder(l.notes)
	if len(l.errors) > 0 {
		return l.config, Errors(inOrder(l.errors))
	}
	return l.config, nil
}

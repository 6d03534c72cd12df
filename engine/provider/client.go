package provider

// ClientVariables are the variables in which the usual clients of a dialect
// look for their settings.
type ClientVariables struct {
	// BaseURL is where the address goes, with Path behind the service's.
	BaseURL string
	Path    string
	// Token is where they look for their key.
	Token string
}

var clientVariables = map[Dialect]ClientVariables{
	DialectOpenAI:    {"OPENAI_BASE_URL", "/v1", "OPENAI_API_KEY"},
	DialectAnthropic: {"ANTHROPIC_BASE_URL", "", "ANTHROPIC_API_KEY"},
	DialectGoogle:    {"GOOGLE_GEMINI_BASE_URL", "", "GEMINI_API_KEY"},
	DialectGitHub:    {"GITHUB_API_URL", "", "GITHUB_TOKEN"},
}

// Client tells the variables of the dialect's clients.
func (d Dialect) Client() ClientVariables { return clientVariables[d] }

package provider

import (
	"net/http"
	"strings"
)

// accountIDs are the headers in which a provider's own answers say whose
// key asked, by provider, the payer first and what is within it after. A
// gateway that speaks like the provider may pass on those of its own account,
// so that they count for the provider itself alone.
var accountIDs = map[string][]string{
	"openai":    {"Openai-Organization", "Openai-Project"},
	"anthropic": {"Anthropic-Organization-Id"},
}

// maxAccount bounds each part of an account's id.
const maxAccount = 64

// AccountOf is the id of the account that an answer's head names, "" if it
// names none: "acme", or "acme/proj_1" where limits may be those of a part of
// it. It is harmless to print. Answers may leave the part out, so that "acme"
// does not contradict "acme/proj_1".
func (p *Provider) AccountOf(h http.Header) string {
	var id string
	for _, name := range accountIDs[p.Name] {
		part := ""
		if values := h[name]; len(values) == 1 {
			part = strings.TrimSpace(values[0])
		}
		if part == "" || len(part) > maxAccount || strings.Trim(part, modelChars) != "" {
			return id
		}
		if id != "" {
			id += "/"
		}
		id += part
	}
	return id
}

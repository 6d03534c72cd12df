package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"keywheel/engine"
	"keywheel/engine/alert"
	"keywheel/engine/provider"
	"keywheel/engine/secret"
)

// The checks below look at one value each. They do not repeat what could hold
// a secret.

func notEmpty(text string) string {
	if strings.TrimSpace(text) == "" {
		return "must not be empty"
	}
	return ""
}

func reference(ref string) string {
	if err := secret.Check(ref); err != nil {
		return "is no reference: " + err.Error()
	}
	return ""
}

func listenAddress(text string) string {
	_, port, err := net.SplitHostPort(text)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return `must be an address and a port like "127.0.0.1:5399"`
	}
	return ""
}

func hostName(text string) string {
	if strings.ContainsAny(text, "/:*@ ") && net.ParseIP(strings.Trim(text, "[]")) == nil || text == "" {
		return `must be the name of a host like "host.docker.internal", without port`
	}
	return ""
}

func origin(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || text != u.Scheme+"://"+u.Host {
		return `must be an origin like "https://app.example.com", without a path`
	}
	return ""
}

func upstreamURL(text string) string {
	return webURL(text, `must be a URL like "https://api.example.com/v1"`, "http", "https")
}

func proxyURL(text string) string {
	return webURL(text, `must be a URL like "http://proxy.example.com:3128"`, "http", "https", "socks5", "socks5h")
}

func webURL(text, must string, schemes ...string) string {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || !slices.Contains(schemes, u.Scheme):
		return must
	case u.User != nil:
		return must + ", without user and password"
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return must + ", without ? and #"
	}
	if port := u.Port(); port != "" {
		if _, err := strconv.ParseUint(port, 10, 16); err != nil {
			return must
		}
	}
	return ""
}

// plainHTTP says why a key may not go to base; "" is that it may.
func plainHTTP(base string) string {
	u, err := url.Parse(base)
	if err != nil || u.Scheme != "http" || loopback(u.Hostname()) {
		return ""
	}
	return "would send keys over plain http: use https"
}

func knownKind(kind string) string {
	if _, ok := provider.Lookup(kind); ok {
		return ""
	}
	return fmt.Sprintf("%q is not built in%s", kind, orList(kind, provider.Names()))
}

// webhookOrReference wants where alerts go: the URL itself, or where it stands.
func webhookOrReference(text string) string {
	if strings.HasPrefix(text, "http:") || strings.HasPrefix(text, "https:") {
		return alert.CheckWebhook(text)
	}
	if secret.Check(text) != nil {
		return `must be a URL like "https://example.com/hook", or a reference to one like "env:ALERT_URL"`
	}
	return ""
}

func alertKind(name string) string {
	if slices.Contains(alert.Kinds, alert.Kind(name)) {
		return ""
	}
	var known []string
	for _, k := range alert.Kinds {
		known = append(known, string(k))
	}
	return fmt.Sprintf("%q is unknown%s", name, orList(name, known))
}

func knownStrategy(name string) string {
	if slices.Contains(engine.Strategies, name) {
		return ""
	}
	return fmt.Sprintf("%q is unknown%s", name, orList(name, engine.Strategies))
}

// orList names the nearest, or else all there are.
func orList(written string, known []string) string {
	if near := didYouMean(written, known); near != "" {
		return near
	}
	return "; there are " + strings.Join(known, ", ")
}

var (
	token      = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
	scope      = regexp.MustCompile(`^[a-z][a-z0-9_:.-]{0,31}$`)
	allow      = regexp.MustCompile(`^([A-Z]+|\*) (/\S*|\*)$`)
	keyName    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	serviceReg = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)
)

// reserved are the paths that the listener or a provider answers at the root.
var reserved = []string{"t", "v1", "v1beta", "v2", "healthz"}

func serviceName(name string) string {
	switch {
	case slices.Contains(reserved, name):
		return fmt.Sprintf("is a path of its own, choose another name: %s are taken", strings.Join(reserved, ", "))
	case !serviceReg.MatchString(name):
		return "is no name for a service: use a-z, 0-9, . _ - and begin with a letter or digit"
	default:
		return ""
	}
}

func headerName(name string) string {
	if !token.MatchString(name) {
		return `must be the name of a header like "X-Api-Key"`
	}
	return ""
}

// managed are the headers that the proxy sets or removes itself.
var managed = []string{"authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie",
	"host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "keep-alive"}

func headerPair(name, value string) string {
	switch {
	case !token.MatchString(name):
		return "is no name for a header"
	case slices.Contains(managed, strings.ToLower(name)):
		return "is a header that keywheel sets itself"
	case strings.TrimSpace(value) != value:
		return "must not begin or end with a blank"
	default:
		return ""
	}
}

func aliasPair(name, value string) string {
	if name == "" || value == "" {
		return "must not be empty"
	}
	return ""
}

func allowPattern(text string) string {
	if !allow.MatchString(text) {
		return `must be a method and a path like "POST /graphql" or "GET *"`
	}
	return ""
}

func scopeName(text string) string {
	if !scope.MatchString(text) {
		return `must be the name of a scope like "chat"`
	}
	return ""
}

// Scopes are the scopes that requests are told apart by; "code" has a request
// of a service that needs nothing else. Others may be written too.
var Scopes = []string{"chat", "image", "video", "audio", "embedding", "ocr", "code"}

// loopback reports whether an address is of this machine only.
func loopback(host string) bool {
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}

package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"keywheel/engine"
	"keywheel/engine/proxy/wire"
	"keywheel/engine/secret"
)

// secureRig is a proxy before an upstream that speaks TLS and HTTP/2; trusted
// says whether the key's ca_file vouches for it.
func secureRig(t *testing.T, trusted bool, h http.HandlerFunc) string {
	t.Helper()
	up := httptest.NewUnstartedServer(h)
	up.EnableHTTP2 = true
	up.Config.ErrorLog = discardLog
	up.StartTLS()
	t.Cleanup(up.Close)
	key := engine.Key{Name: "k1", Provider: "openai", Kind: "openai", BaseURL: up.URL + "/v1", Secret: secret.New(fake + "k1")}
	if trusted {
		key.CAFile = filepath.Join(t.TempDir(), "ca.pem")
		text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: up.Certificate().Raw})
		if err := os.WriteFile(key.CAFile, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := engine.Config{Keys: []engine.Key{key}, Services: []engine.Service{{Name: "svc", Keys: []string{"k1"}}}}
	e, err := engine.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(e, Options{Services: cfg.Services, Keys: cfg.Keys})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	return s.URL
}

func TestHTTP2Upstream(t *testing.T) {
	t.Parallel()
	url := secureRig(t, true, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) })
	r := &rig{t: t, url: url}
	if res, text := r.ask("POST", "/svc/v1/chat/completions", chatBody); res.StatusCode != 200 || text != "HTTP/2.0" {
		t.Errorf("%d over %s", res.StatusCode, text)
	}
}

// What a person can mend is called what it is.
func TestWhyThereIsNoAnswer(t *testing.T) {
	t.Parallel()
	for want, err := range map[string]error{
		errRefusing.Error(): fmt.Errorf("asked three times: %w", wire.ErrRefused),
		"its certificate is not trusted (ca_file says who vouches for it)": &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}},
		"its certificate is another host's":                                &tls.CertificateVerificationError{Err: x509.HostnameError{Host: "a.test"}},
		"its certificate has expired, or is not valid yet":                 &tls.CertificateVerificationError{Err: x509.CertificateInvalidError{Reason: x509.Expired}},
		"TLS failed": errors.New("tls: no application protocol"),
		"the proxy at proxy_url could not be reached": &net.OpError{Op: "proxyconnect", Err: syscall.ECONNREFUSED},
		"connection refused":                          &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED},
		"it broke the request off":                    fmt.Errorf("%w: INTERNAL_ERROR", wire.ErrBrokenOff),
	} {
		if got := lostWords(err); got != want {
			t.Errorf("%v: %s", err, got)
		}
	}
}

func TestAnUpstreamNobodyVouchesFor(t *testing.T) {
	t.Parallel()
	url := secureRig(t, false, func(http.ResponseWriter, *http.Request) { t.Error("a key went to a host nobody vouches for") })
	r := &rig{t: t, url: url}
	if res, text := r.ask("POST", "/svc/v1/chat/completions", chatBody); res.StatusCode != 502 || !strings.Contains(text, "its certificate is not trusted") {
		t.Errorf("%d %s", res.StatusCode, text)
	}
}

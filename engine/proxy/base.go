package proxy

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// BaseOptions say how upstreams are reached.
type BaseOptions struct {
	// Dial bounds connecting; 0 is 10 s.
	Dial time.Duration
	// Header bounds the wait for an answer's head; 0 does not.
	Header time.Duration
	// ProxyURL is the HTTP or SOCKS proxy to go through; "" is what the
	// environment says.
	ProxyURL string
	// CAFile is a PEM file of further roots to trust.
	CAFile string
}

// NewBase makes the transport that upstream requests go over: many idle
// connections, HTTP/2 where it is offered, bodies as they come. It follows no
// redirect and asks for no compression of its own.
func NewBase(o BaseOptions) (*http.Transport, error) {
	if o.Dial == 0 {
		o.Dial = 10 * time.Second
	}
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: o.Dial, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout:   o.Dial,
		ResponseHeaderTimeout: o.Header,
		ForceAttemptHTTP2:     true,
		HTTP2: &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second,
			// So much is kept of each answer whose client reads slower than
			// upstream sends; net/http would keep 4 MiB.
			MaxReceiveBufferPerStream: 256 << 10},
		MaxIdleConns:          1024,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       90 * time.Second,
		ExpectContinueTimeout: time.Second,
		DisableCompression:    true,
		// A head of 100 MB is an attack, not an answer.
		MaxResponseHeaderBytes: 1 << 20,
	}
	if o.ProxyURL != "" {
		u, err := url.Parse(o.ProxyURL)
		if err != nil {
			return nil, fmt.Errorf("proxy_url: %w", err)
		}
		t.Proxy = http.ProxyURL(u)
	}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("ca_file: %w", err)
		}
		roots, err := x509.SystemCertPool()
		if err != nil {
			roots = x509.NewCertPool()
		}
		if !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("ca_file: %s holds no certificate in PEM form", o.CAFile)
		}
		t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	}
	return t, nil
}

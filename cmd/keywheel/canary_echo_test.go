package main

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// echoes are the ways in which upstreams tell a client its own key, in a body of
// an error unless they say otherwise.
var echoes = []struct {
	name string
	tell func(w http.ResponseWriter, status int, key string)
}{
	{"a message", func(w http.ResponseWriter, status int, key string) {
		errorJSON(w, status, "Incorrect API key provided: "+key, "x")
	}},
	{"masked, with much of it", func(w http.ResponseWriter, status int, key string) {
		errorJSON(w, status, "Incorrect API key provided: "+key[:len(key)-24]+"****"+key[len(key)-10:]+".", "x")
	}},
	{"masked, as some do", func(w http.ResponseWriter, status int, key string) {
		errorJSON(w, status, "Incorrect API key provided: "+key[:16]+"**********"+key[len(key)-4:]+".", "invalid_api_key")
	}},
	{"a piece of it", func(w http.ResponseWriter, status int, key string) {
		errorJSON(w, status, "it begins to differ at "+key[len(key)-30:len(key)-15]+" here", "x")
	}},
	{"its pieces", func(w http.ResponseWriter, status int, key string) {
		errorJSON(w, status, key[len(key)-30:len(key)-20]+" "+key[len(key)-20:len(key)-10]+"-"+key[len(key)-10:], "x")
	}},
	{"the code", func(w http.ResponseWriter, status int, key string) { errorJSON(w, status, "no", key) }},
	{"the model", func(w http.ResponseWriter, status int, key string) {
		errorJSON(w, status, "The model `"+key+"` does not exist", "model_not_found")
	}},
	{"a page", func(w http.ResponseWriter, status int, key string) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<html><body><a href=\"/x?key=%s&amp;y=1\">%s</a>%s</body></html>", url.QueryEscape(key), html.EscapeString(key), entities(key))
	}},
	{"percent-encoded", func(w http.ResponseWriter, status int, key string) {
		all := ""
		for _, b := range []byte(key) {
			all += fmt.Sprintf("%%%02x", b)
		}
		errorJSON(w, status, all+" "+url.QueryEscape(all), "x")
	}},
	{"escaped in JSON", func(w http.ResponseWriter, status int, key string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		all := ""
		for _, b := range []byte(key) {
			all += fmt.Sprintf(`\u%04x`, b)
		}
		fmt.Fprintf(w, `{"error":{"message":"%s","code":"%s"}}`, all, all)
	}},
	{"JSON within JSON", func(w http.ResponseWriter, status int, key string) {
		inner, _ := json.Marshal(map[string]any{"error": map[string]string{"message": "bad <" + key + ">"}})
		errorJSON(w, status, string(inner), "x")
	}},
	{"base64", func(w http.ResponseWriter, status int, key string) {
		errorJSON(w, status, "Authorization: Basic "+base64.StdEncoding.EncodeToString([]byte("key:"+key+":")), "x")
	}},
	{"gzip", func(w http.ResponseWriter, status int, key string) {
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(status)
		z := gzip.NewWriter(w)
		fmt.Fprintf(z, `{"error":{"message":"%s"}}`, key)
		_ = z.Close()
	}},
	{"gzip that is cut", func(w http.ResponseWriter, status int, key string) {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		fmt.Fprintf(z, `{"error":{"message":"%s and more"}}`, key)
		_ = z.Flush()
		w.Header().Set("Content-Encoding", "gzip")
		w.WriteHeader(status)
		_, _ = w.Write(b.Bytes())
	}},
	{"deflate", func(w http.ResponseWriter, status int, key string) {
		w.Header().Set("Content-Encoding", "deflate")
		w.WriteHeader(status)
		z := zlib.NewWriter(w)
		fmt.Fprintf(z, `{"error":{"message":"%s"}}`, key)
		_ = z.Close()
	}},
	{"an encoding that cannot be read", func(w http.ResponseWriter, status int, key string) {
		w.Header().Set("Content-Encoding", "br")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, key)
	}},
	{"zstd, stored as it is", func(w http.ResponseWriter, status int, key string) {
		text := `{"error":{"message":"` + key + `"}}`
		w.Header().Set("Content-Encoding", "zstd")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "\x28\xb5\x2f\xfd\x20"+string([]byte{byte(len(text)), byte(len(text)<<3 | 1), byte(len(text) >> 5), 0})+text)
	}},
	{"gzip in gzip", func(w http.ResponseWriter, status int, key string) {
		w.Header().Set("Content-Encoding", "gzip, gzip")
		w.WriteHeader(status)
		outer := gzip.NewWriter(w)
		inner, _ := gzip.NewWriterLevel(outer, gzip.NoCompression)
		_, _ = io.WriteString(inner, key)
		_ = inner.Close()
		_ = outer.Close()
	}},
	{"gzip that is not announced", func(w http.ResponseWriter, status int, key string) {
		w.Header().Set("Content-Encoding", "identity")
		w.WriteHeader(status)
		z := gzip.NewWriter(w)
		fmt.Fprintf(z, `{"error":{"message":"%s"}}`, key)
		_ = z.Close()
	}},
	{"deflate without its head", func(w http.ResponseWriter, status int, key string) {
		w.Header().Set("Content-Encoding", "deflate")
		w.WriteHeader(status)
		z, _ := flate.NewWriter(w, flate.NoCompression)
		_, _ = io.WriteString(z, key)
		_ = z.Close()
	}},
	{"what the client can decode", func(w http.ResponseWriter, status int, key string) {
		w.Header().Set("Content-Encoding", "br")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "\x8b\x01\x80"+key+"\x03")
	}},
	{"addresses", func(w http.ResponseWriter, status int, key string) {
		q := url.QueryEscape(key)
		w.Header().Set("Content-Location", "/v1/models?key="+q)
		w.Header().Set("Refresh", "0; url=https://elsewhere.example/"+url.PathEscape(key))
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"type":"https://x.example/e?key=%s","instance":"https:\/\/%s@x.example\/v1","documentation_url":"https://%s:x@x.example/#%s","title":"no"}`, q, url.PathEscape(key), url.PathEscape(key), q)
	}},
	{"a stream of errors, in pieces", func(w http.ResponseWriter, status int, key string) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.WriteHeader(status)
		inPieces(w, "event: error\ndata: {\"error\":{\"message\":\"failed for "+key+"\"}}\n\n")
	}},
	{"an error that begins a stream, in pieces", func(w http.ResponseWriter, _ int, key string) {
		w.Header().Set("Content-Type", "text/event-stream")
		inPieces(w, "data: {\"error\":{\"message\":\"Incorrect API key provided: "+key+"\",\"code\":\""+key+"\"}}\n\n")
	}},
	{"an error within a stream, in pieces", func(w http.ResponseWriter, _ int, key string) {
		w.Header().Set("Content-Type", "text/event-stream")
		inPieces(w, "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\ndata: {\"error\":{\"message\":\"failed for "+key+"\",\"type\":\"server_error\",\"code\":\""+key+"\"}}\n\n")
	}},
	{"all of a good answer", func(w http.ResponseWriter, _ int, key string) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"id":"%[1]s","object":"%[1]s","model":"%[1]s","status":"%[1]s","service_tier":"%[1]s","choices":[{"message":{"content":"%[1]s"},"finish_reason":"%[1]s"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}`, key)
	}},
	{"an upgrade", func(w http.ResponseWriter, _ int, key string) {
		hijacked(w, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Protocol: openai-insecure-api-key."+key+"\r\nSec-WebSocket-Accept: "+key+"\r\nX-Debug: "+key+"\r\n\r\n")
	}},
	{"by the byte", func(w http.ResponseWriter, status int, key string) {
		w.WriteHeader(status)
		for _, b := range []byte("no: " + key) {
			_, _ = w.Write([]byte{b})
			w.(http.Flusher).Flush()
		}
	}},
	{"over the bound", func(w http.ResponseWriter, status int, key string) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.Repeat("x", 64<<10-20)+key+key)
	}},
	{"headers", func(w http.ResponseWriter, status int, key string) {
		for name, value := range map[string]string{"X-Debug": key, "Www-Authenticate": "Bearer " + key, "X-Request-Id": key, "X-Ratelimit-Reset": key, "Retry-After": key,
			"Link": "<https://elsewhere.example/?key=" + url.QueryEscape(key) + ">; rel=next", "X-Masked": key[:15] + "****" + key[len(key)-9:], "Set-Cookie": "k=" + key, "Openai-Organization": key} {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
	}},
	{"headers of a good answer", func(w http.ResponseWriter, _ int, key string) {
		w.Header().Set("X-Debug", "you are "+key)
		w.Header().Set("X-Piece", key[len(key)-20:])
		w.Header().Set("X-Request-Id", url.QueryEscape(key))
		_, _ = io.WriteString(w, "{}")
	}},
	{"a redirect", func(w http.ResponseWriter, _ int, key string) {
		w.Header().Set("Location", "https://elsewhere.example/?key="+key)
		w.WriteHeader(http.StatusFound)
		fmt.Fprintf(w, "<a href=\"https://elsewhere.example/?key=%s\">Found</a>", key)
	}},
	{"trailers", func(w http.ResponseWriter, status int, key string) {
		w.Header().Set("Trailer", "X-Told")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "{}")
		w.Header().Set("X-Told", key)
		w.Header().Set(http.TrailerPrefix+"X-Not-Told", key)
	}},
	{"trailers of a good answer", func(w http.ResponseWriter, _ int, key string) {
		_, _ = io.WriteString(w, "{}")
		w.Header().Set(http.TrailerPrefix+"X-Not-Told", "you were "+key)
	}},
	{"an error under a 200", func(w http.ResponseWriter, _ int, key string) {
		errorJSON(w, http.StatusOK, "Rate limit reached for "+key, key)
	}},
	{"an error that begins a stream", func(w http.ResponseWriter, _ int, key string) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: {\"error\":{\"message\":\"Incorrect API key provided: %s\",\"code\":\"invalid_api_key\"}}\n\n", key)
	}},
	{"an error within a stream", func(w http.ResponseWriter, _ int, key string) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: {\"choices\":[{\"delta\":{\"content\":\"hi\"}}]}\n\ndata: {\"error\":{\"message\":\"failed for %s\",\"type\":\"server_error\",\"code\":\"%s\"}}\n\n", key, key)
	}},
	{"more than it announced", func(w http.ResponseWriter, status int, key string) {
		hijacked(w, fmt.Sprintf("HTTP/1.1 %d No\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 400 %s\r\nX: %s\r\n\r\n", status, key, key))
	}},
	{"the status line", func(w http.ResponseWriter, status int, key string) {
		hijacked(w, fmt.Sprintf("HTTP/1.1 %d no %s\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status, key))
	}},
	{"no HTTP at all", func(w http.ResponseWriter, _ int, key string) { hijacked(w, key+" "+key+"\r\n\r\n") }},
	{"a head that is none", func(w http.ResponseWriter, status int, key string) {
		hijacked(w, fmt.Sprintf("HTTP/1.1 %d no\r\n%s\r\n%s : x\r\n\r\n", status, key, key))
	}},
	{"a length that is none", func(w http.ResponseWriter, status int, key string) {
		hijacked(w, fmt.Sprintf("HTTP/1.1 %d no\r\nContent-Length: %s\r\n\r\n", status, key))
	}},
	{"half a body", func(w http.ResponseWriter, status int, key string) {
		hijacked(w, fmt.Sprintf("HTTP/1.1 %d no\r\nContent-Length: 9999\r\n\r\n{\"error\":{\"message\":\"%s", status, key))
	}},
}

// inPieces writes a few bytes at a time, so that a key comes in several.
func inPieces(w http.ResponseWriter, text string) {
	for len(text) > 0 {
		n := min(len(text), 7)
		_, _ = io.WriteString(w, text[:n])
		w.(http.Flusher).Flush()
		text = text[n:]
	}
}

func entities(text string) (all string) {
	for _, b := range []byte(text) {
		all += fmt.Sprintf("&#%d;", b)
	}
	return all
}

func errorJSON(w http.ResponseWriter, status int, message, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": map[string]string{"message": message, "type": "invalid_request_error", "code": code}})
}

// hijacked answers with bytes as they are, and breaks off.
func hijacked(w http.ResponseWriter, text string) {
	c, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	_, _ = io.WriteString(c, text)
	_ = c.Close()
}

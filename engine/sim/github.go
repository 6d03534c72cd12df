package sim

import (
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// github speaks as api.github.com does. Its quota is the hour's; over rate is
// its secondary limit.
var github = dialect{
	places: []place{{name: "Authorization", prefix: "Bearer "}, {name: "Authorization", prefix: "token "}},
	quota:  5000,
	per:    time.Hour,
	routes: []route{
		{pattern: "GET /rate_limit", free: true, serve: githubRates},
		{pattern: "GET /user", serve: func(c *call) {
			githubJSON(c, object{"login": c.key.account.name, "id": githubID(c.key.account.name), "type": "User"})
		}},
		{pattern: "GET /repos/{owner}/{repo}", serve: func(c *call) {
			githubJSON(c, object{"id": githubID(c.r.URL.Path), "name": c.r.PathValue("repo"), "full_name": c.r.PathValue("owner") + "/" + c.r.PathValue("repo"),
				"private": true, "default_branch": "main", "owner": object{"login": c.r.PathValue("owner")}})
		}},
		{pattern: "GET /repos/{owner}/{repo}/issues", serve: githubIssues},
		{pattern: "POST /repos/{owner}/{repo}/issues", scope: "write", serve: func(c *call) {
			c.done(jsonAnswer(http.StatusCreated, object{"number": 2, "state": "open", "title": "demo"}))
		}},
		{pattern: "GET /repos/{owner}/{repo}/contents/{path...}", serve: githubContents},
	},
	stamp:  stampGitHub,
	demand: "User-Agent",
	refusals: map[refusal]func(*call) answer{
		demanded: func(*call) answer {
			return answer{status: 403, kind: "text/html", body: "\r\nRequest forbidden by administrative rules. Please make sure your request has a User-Agent header (https://docs.github.com/en/rest/overview/resources-in-the-rest-api#user-agent-required). Check https://developer.github.com for other possible causes.\r\n"}
		},
		missingKey:  githubError(401, "Requires authentication", "https://docs.github.com/rest"),
		invalidKey:  githubError(401, "Bad credentials", "https://docs.github.com/rest"),
		scopeDenied: githubError(403, "Resource not accessible by personal access token", "https://docs.github.com/rest/issues/issues#create-an-issue"),
		overRate: func(c *call) answer {
			a := githubError(403, "You have exceeded a secondary rate limit. Please wait a few minutes before you try again.",
				"https://docs.github.com/rest/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits")(c)
			a.header = map[string]string{"Retry-After": seconds(c.wait)}
			return a
		},
		outOfQuota: func(c *call) answer {
			return githubError(403, fmt.Sprintf("API rate limit exceeded for user ID %d. If you reach out to GitHub Support for help, please include the request ID %s.", githubID(c.key.account.name), githubRequest(c)),
				"https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api")(c)
		},
		outage: func(c *call) answer {
			line := fmt.Sprintf("%d %s", c.status, http.StatusText(c.status))
			return answer{status: c.status, kind: "text/html", body: "<html><head><title>" + line + "</title></head><body><center><h1>" + line + "</h1></center></body></html>"}
		},
		noRoute: githubError(404, "Not Found", "https://docs.github.com/rest"),
		badBody: githubError(400, "Problems parsing JSON", "https://docs.github.com/rest"),
	},
}

func githubError(status int, message, docs string) func(*call) answer {
	a := fixed(status, object{"message": message, "documentation_url": docs, "status": strconv.Itoa(status)})
	return func(c *call) answer {
		a := a(c)
		a.kind = "application/json; charset=utf-8"
		return a
	}
}

func githubID(of string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(of))
	return h.Sum32()
}

// githubRequest is a request id in GitHub's form.
func githubRequest(c *call) string {
	id := strings.ToUpper(c.id)
	return id[:4] + ":" + id[4:9] + ":" + id[9:16] + ":" + id[16:23] + ":" + id[24:32]
}

// epoch is a time as x-ratelimit-reset tells it, no earlier than it is.
func epoch(t time.Time) int64 { return t.Add(time.Second - 1).Unix() }

func stampGitHub(c *call, h http.Header) {
	h.Set("X-Github-Request-Id", githubRequest(c))
	h.Set("X-Github-Media-Type", "github.v3; format=json")
	l := c.limits
	h.Set("X-Ratelimit-Limit", strconv.FormatInt(l.quota, 10))
	h.Set("X-Ratelimit-Remaining", strconv.FormatInt(l.quotaLeft, 10))
	h.Set("X-Ratelimit-Used", strconv.FormatInt(l.quotaUsed, 10))
	h.Set("X-Ratelimit-Reset", strconv.FormatInt(epoch(l.quotaReset), 10))
	h.Set("X-Ratelimit-Resource", "core")
}

func githubRates(c *call) {
	l := c.limits
	core := object{"limit": l.quota, "used": l.quotaUsed, "remaining": l.quotaLeft, "reset": epoch(l.quotaReset)}
	c.ok(object{"resources": object{"core": core}, "rate": core})
}

// githubJSON answers with an ETag that is this token's own, and with 304,
// which costs nothing, where the client has that version.
func githubJSON(c *call, v any) { githubBody(c, encode(v), "application/json; charset=utf-8", nil) }

func githubBody(c *call, body, kind string, header map[string]string) {
	h := fnv.New64a()
	_, _ = h.Write([]byte(c.key.Name + "\x00" + body))
	etag := fmt.Sprintf(`W/"%016x"`, h.Sum64())
	a := answer{status: http.StatusOK, kind: kind, body: body, header: map[string]string{"ETag": etag, "Vary": "Accept, Authorization"}}
	for name, value := range header {
		a.header[name] = value
	}
	if c.r.Header.Get("If-None-Match") == etag {
		c.unbook()
		a.status, a.body = http.StatusNotModified, ""
	}
	c.done(a)
}

// githubIssues has two pages, with the absolute link that leads to the other.
func githubIssues(c *call) {
	page, other, rel := "1", "2", "next"
	if c.r.URL.Query().Get("page") == "2" {
		page, other, rel = "2", "1", "prev"
	}
	link := fmt.Sprintf(`<http://%s%s?page=%s>; rel="%s"`, c.r.Host, c.r.URL.Path, other, rel)
	githubBody(c, encode([]object{{"number": 1, "state": "open", "title": "page " + page}}), "application/json; charset=utf-8", map[string]string{"Link": link})
}

// librechatYAML is the file that LibreChat pulls in the demo.
const librechatYAML = `version: 1.2.8
endpoints:
  custom:
    - name: 'AIML via keywheel'
      apiKey: '${AI_ML_API_KEY}'
      baseURL: 'http://127.0.0.1:5399/librechat-ui/v1'
      models: { default: ['gpt-4o'], fetch: true }
`

func githubContents(c *call) {
	if strings.Contains(c.r.Header.Get("Accept"), "raw") {
		githubBody(c, librechatYAML, "application/vnd.github.raw+json; charset=utf-8", nil)
		return
	}
	path := c.r.PathValue("path")
	githubJSON(c, object{"type": "file", "name": path[strings.LastIndexByte(path, '/')+1:], "path": path, "size": len(librechatYAML), "encoding": "base64",
		"content": base64.StdEncoding.EncodeToString([]byte(librechatYAML)), "download_url": "http://" + c.r.Host + "/raw/" + path})
}

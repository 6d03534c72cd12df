package provider

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// What a request names: in its path, its query, its model, its body.
func TestNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		provider, method, path, query, body string
		want                                string // split by a space; a ? in front: guessed
	}{
		{"openai", "GET", "/v1/files/file-abc", "", ``, "file-abc"},
		{"openai", "GET", "/v1/files/file-abc/content", "", ``, "file-abc"},
		{"openai", "DELETE", "/~/v1/files/file-abc", "", ``, "file-abc"},
		{"openai", "GET", "/v1/files", "after=file-abc&limit=20", ``, "file-abc"},
		{"openai", "POST", "/v1/uploads/upload_1/complete", "", `{"part_ids":["part_1"]}`, "upload_1"},
		{"openai", "GET", "/v1/batches/batch_1", "", ``, "batch_1"},
		{"openai", "POST", "/v1/batches", "", `{"input_file_id":"file-in","endpoint":"/v1/responses"}`, "file-in"},
		{"openai", "GET", "/v1/responses/resp_1/input_items", "", ``, "resp_1"},
		{"openai", "POST", "/v1/responses/input_tokens", "", `{}`, ""},
		{"openai", "POST", "/v1/responses", "", `{"model":"m","previous_response_id":"resp_1","input":"file_id"}`, "resp_1"},
		{"openai", "POST", "/v1/responses", "", `{"conversation":"conv_1"}`, "conv_1"},
		{"openai", "POST", "/v1/responses", "", `{"conversation":{"id":"conv_1"}}`, "conv_1"},
		{"openai", "POST", "/v1/responses", "", `{"input":[{"role":"user","content":[{"type":"input_file","file_id":"file-a"},{"type":"input_image","file_id":"file-b"},{"type":"input_file","file_url":"https://x.test/file-c"}]}]}`, "file-a file-b"},
		{"openai", "POST", "/v1/responses", "", `{"tools":[{"type":"file_search","vector_store_ids":["vs_1","vs_2"]},{"type":"code_interpreter","container":{"type":"auto","file_ids":["file-a"]}}]}`, "vs_1 vs_2 file-a"},
		{"openai", "POST", "/v1/responses", "", `{"tools":[{"type":"code_interpreter","container":"cntr_1"}]}`, "cntr_1"},
		{"openai", "POST", "/v1/chat/completions", "", `{"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file-a"}}]}]}`, "file-a"},
		{"openai", "POST", "/v1/chat/completions", "", `{"model":"ft:gpt-4o-mini:my-org:mine:abc","messages":[]}`, "ft:gpt-4o-mini:my-org:mine:abc"},
		{"openai", "POST", "/v1/chat/completions", "", `{"model":"m","messages":[{"role":"user","content":"my \"file_id\":\"file-a\""}]}`, ""},
		{"openai", "POST", "/v1/chat/completions", "", `{"tools":[{"function":{"parameters":{"properties":{"file_id":{"type":"string"}}}}}]}`, ""},
		{"openai", "GET", "/v1/chat/completions/chatcmpl-1/messages", "", ``, "chatcmpl-1"},
		{"openai", "POST", "/v1/conversations/conv_1/items", "", `{}`, "conv_1"},
		{"openai", "POST", "/v1/threads/thread_1/runs", "", `{"assistant_id":"asst_1"}`, "thread_1 asst_1"},
		{"openai", "GET", "/v1/threads/thread_1/runs/run_1/steps", "", ``, "thread_1"},
		{"openai", "POST", "/v1/threads/runs", "", `{"assistant_id":"asst_1"}`, "asst_1"},
		{"openai", "POST", "/v1/threads/thread_1/messages", "", `{"content":"hi","attachments":[{"file_id":"file-a","tools":[]}]}`, "thread_1 file-a"},
		{"openai", "POST", "/v1/assistants", "", `{"tool_resources":{"file_search":{"vector_store_ids":["vs_1"]},"code_interpreter":{"file_ids":["file-a"]}}}`, "vs_1 file-a"},
		{"openai", "GET", "/v1/vector_stores/vs_1/files/file-a", "", ``, "file-a vs_1"},
		{"openai", "POST", "/v1/fine_tuning/jobs", "", `{"training_file":"file-a","validation_file":"file-b"}`, "file-a file-b"},
		{"openai", "GET", "/v1/fine_tuning/jobs/ftjob-1/events", "", ``, "ftjob-1"},
		{"openai", "GET", "/v1/containers/cntr_1/files/cfile_1/content", "", ``, "cfile_1 cntr_1"},
		{"openai", "GET", "/v1/videos/video_1/content", "", ``, "video_1"},
		{"openai", "POST", "/v1/videos/video_1/remix", "", `{}`, "video_1"},
		{"openai", "POST", "/v1/chat/completions", "", chatWith(""), ""},
		{"openai", "GET", "/v1/models/gpt-4o-2024-08-06", "", ``, ""},
		{"openai", "GET", "/v1/files/x\ny", "", ``, ""},
		{"azure-openai", "GET", "/openai/files/file-a", "api-version=2024-10-21", ``, "file-a"},
		{"azure-openai", "GET", "/openai/v1/video/generations/jobs/task_1", "", ``, "task_1"},
		{"azure-openai", "GET", "/openai/v1/video/generations/gen_1/content/video", "", ``, "gen_1"},
		{"gemini", "GET", "/v1beta/files/abc-123", "", ``, "abc-123"},
		{"gemini", "GET", "/v1beta/files/abc-123:download", "alt=media", ``, "abc-123"},
		{"gemini", "GET", "/v1beta/files/abc%2D123", "", ``, "abc-123"},
		{"gemini", "POST", "/~/upload/v1beta/files", "upload_id=AHmgz&upload_protocol=resumable", ``, "AHmgz"},
		{"gemini", "POST", "/v1beta/models/gemini-2.5-pro:generateContent", "", `{"cachedContent":"cachedContents/cc1","contents":[{"parts":[{"fileData":{"fileUri":"https://generativelanguage.googleapis.com/v1beta/files/abc-123"}}]}]}`, "cc1 abc-123"},
		{"gemini", "POST", "/v1beta/models/gemini-2.5-pro:generateContent", "", `{"contents":[{"parts":[{"file_data":{"file_uri":"https://www.youtube.com/watch?v=9hE5"}}]}]}`, ""},
		{"gemini", "GET", "/v1beta/models/veo-3/operations/op1", "", ``, "op1"},
		{"gemini", "POST", "/v1beta/tunedModels/mine-1:generateContent", "", `{}`, "mine-1"},
		{"anthropic", "GET", "/v1/messages/batches/msgbatch_1/results", "", ``, "msgbatch_1"},
		{"anthropic", "POST", "/v1/messages", "", `{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"file_1"}}]}]}`, "file_1"},
		{"anthropic", "POST", "/v1/messages", "", chatWith(""), ""},
		{"aimlapi", "GET", "/v2/video/generations", "generation_id=8a6f-41:kling", ``, "8a6f-41"},
		{"aimlapi", "GET", "/v2/generate/video/kling/generation", "generation_id=8a6f-41", ``, "8a6f-41"},
		{"aimlapi", "GET", "/v2/generate/audio", "generation_id=8a6f-41%3Asuno", ``, "8a6f-41"},
		{"aimlapi", "GET", "/v1/stt/8a6f-41", "", ``, "8a6f-41"},
		{"aimlapi", "POST", "/v1/stt/create", "", `{}`, ""},
		{"aimlapi", "POST", "/v1/batches/cancel/batch_1", "", ``, "batch_1"},
		{"siliconflow", "POST", "/v1/video/status", "", `{"requestId":"r-1"}`, "r-1"},
		{"minimax", "GET", "/v1/query/video_generation", "task_id=176843862716480", ``, "176843862716480"},
		{"minimax", "GET", "/v1/files/retrieve", "file_id=205258526306433", ``, "205258526306433"},
		{"zhipu", "GET", "/api/paas/v4/async-result/8353", "", ``, "8353"},
		{"dashscope", "GET", "/api/v1/tasks/0385dc79-5ff8", "", ``, "0385dc79-5ff8"},
		{"openrouter", "GET", "/api/v1/generation", "id=gen-1", ``, "gen-1"},
		{"deepseek", "GET", "/v1/tasks/0385dc79-5ff8", "", ``, "?0385dc79-5ff8"},
		{"deepseek", "GET", "/v1/tasks", "task_id=0385dc79-5ff8&page=2", ``, "?0385dc79-5ff8"},
		{"generic", "GET", "/jobs/0385dc79-5ff8", "", ``, "?0385dc79-5ff8"},
		{"generic", "GET", "/jobs/latest", "", ``, ""},
		{"github", "GET", "/repos/o/r/commits/0385dc795ff8", "", ``, ""},
	} {
		p, _ := Lookup(c.provider)
		call := Call{Method: c.method, Path: c.path, Query: c.query}
		_, call.Repeatable = Describe(c.method, c.path)
		if c.body != "" {
			call.Body = []byte(c.body)
		}
		if _, rest, ok := strings.Cut(c.body, `"model":"`); ok {
			call.Model, _, _ = strings.Cut(rest, `"`)
		}
		ids, guessed := p.Names(call)
		got := strings.Join(ids, " ")
		if guessed && len(ids) > 0 {
			got = "?" + got
		}
		if got != c.want {
			t.Errorf("%s: %s %s?%s %s\nnames %q, want %q", c.provider, c.method, c.path, c.query, c.body, got, c.want)
		}
	}
}

func chatWith(field string) string {
	return `{"model":"m",` + field + `"messages":[{"role":"user","content":"hi"}]}`
}

// What a successful answer tells.
func TestLearned(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ provider, method, path, body, want string }{
		{"openai", "POST", "/v1/files", `{"id":"file-abc","object":"file"}`, "file-abc"},
		{"openai", "POST", "/v1/uploads", `{"id":"upload_1","file":null}`, "upload_1"},
		{"openai", "POST", "/v1/uploads/upload_1/complete", `{"id":"upload_1","file":{"id":"file-abc"}}`, "file-abc"},
		{"openai", "POST", "/v1/batches", `{"id":"batch_1","output_file_id":null}`, "batch_1"},
		{"openai", "GET", "/v1/batches/batch_1", `{"id":"batch_1","output_file_id":"file-out","error_file_id":"file-err"}`, "file-out file-err"},
		{"openai", "POST", "/v1/responses", `{"id":"resp_1","output":[{"id":"msg_1"}]}`, "resp_1"},
		{"openai", "POST", "/v1/responses", `{"type":"response.created","response":{"id":"resp_1"}}`, "resp_1"},
		{"openai", "POST", "/v1/conversations", `{"id":"conv_1"}`, "conv_1"},
		{"openai", "POST", "/v1/threads", `{"id":"thread_1"}`, "thread_1"},
		{"openai", "POST", "/v1/threads/runs", `{"id":"run_1","thread_id":"thread_1"}`, "thread_1"},
		{"openai", "POST", "/v1/threads/thread_1/runs", `{"id":"run_12345678","thread_id":"thread_1"}`, ""},
		{"openai", "POST", "/v1/assistants", `{"id":"asst_1"}`, "asst_1"},
		{"openai", "POST", "/v1/vector_stores", `{"id":"vs_1"}`, "vs_1"},
		{"openai", "POST", "/v1/fine_tuning/jobs", `{"id":"ftjob-1","fine_tuned_model":null,"result_files":[]}`, "ftjob-1"},
		{"openai", "GET", "/v1/fine_tuning/jobs/ftjob-1", `{"id":"ftjob-1","fine_tuned_model":"ft:gpt-4o:o::x","result_files":["file-r"]}`, "ft:gpt-4o:o::x file-r"},
		{"openai", "POST", "/v1/containers", `{"id":"cntr_1"}`, "cntr_1"},
		{"openai", "POST", "/v1/videos", `{"id":"video_1"}`, "video_1"},
		{"openai", "POST", "/v1/videos/video_1/remix", `{"id":"video_2"}`, "video_2"},
		{"openai", "POST", "/v1/files", `not JSON`, ""},
		{"openai", "POST", "/v1/files", `{"id":{"a":1}}`, ""},
		{"openai", "POST", "/v1/files", `{"id":"file-ab`, ""},
		{"azure-openai", "POST", "/openai/v1/video/generations/jobs", `{"id":"task_1","generations":[]}`, "task_1"},
		{"azure-openai", "GET", "/openai/v1/video/generations/jobs/task_1", `{"id":"task_1","generations":[{"id":"gen_1"}]}`, "gen_1"},
		{"gemini", "POST", "/upload/v1beta/files", `{"file":{"name":"files/abc-123","uri":"https://x.test/v1beta/files/abc-123"}}`, "abc-123"},
		{"gemini", "POST", "/v1beta/cachedContents", `{"name":"cachedContents/cc1"}`, "cc1"},
		{"gemini", "POST", "/v1beta/models/veo-3:predictLongRunning", `{"name":"models/veo-3/operations/op1"}`, "op1"},
		{"gemini", "GET", "/v1beta/models/veo-3/operations/op1", `{"name":"models/veo-3/operations/op1","done":true,"response":{"generateVideoResponse":{"generatedSamples":[{"video":{"uri":"https://x.test/v1beta/files/vid1:download?alt=media"}}]}}}`, "vid1"},
		{"anthropic", "POST", "/v1/messages/batches", `{"id":"msgbatch_1"}`, "msgbatch_1"},
		{"anthropic", "POST", "/v1/files", `{"id":"file_1"}`, "file_1"},
		{"aimlapi", "POST", "/v2/video/generations", `{"id":"8a6f-41:kling","status":"queued","generation_id":"8a6f-41"}`, "8a6f-41"},
		{"aimlapi", "POST", "/v2/generate/video/kling/generation", `{"id":"8a6f-41:kling"}`, "8a6f-41"},
		{"aimlapi", "POST", "/v2/generate/audio", `{"id":"8a6f-41:suno"}`, "8a6f-41"},
		{"aimlapi", "POST", "/v1/stt/create", `{"generation_id":"8a6f-41"}`, "8a6f-41"},
		{"minimax", "POST", "/v1/video_generation", `{"task_id":"176843862716480","base_resp":{"status_code":0}}`, "176843862716480"},
		{"minimax", "GET", "/v1/query/video_generation", `{"task_id":"176","file_id":205258526306433}`, "205258526306433"},
		{"siliconflow", "POST", "/v1/video/submit", `{"requestId":"r-1"}`, "r-1"},
		{"dashscope", "POST", "/api/v1/services/aigc/video-generation/video-synthesis", `{"output":{"task_id":"0385dc79"},"request_id":"q"}`, "0385dc79"},
		{"zhipu", "POST", "/api/paas/v4/videos/generations", `{"id":"8353","task_status":"PROCESSING"}`, "8353"},
		// What no table tells of.
		{"deepseek", "POST", "/v1/renders", `{"task_id":"0385dc79-5ff8"}`, "0385dc79-5ff8"},
		{"generic", "POST", "/jobs", `{"data":{"id":"0385dc79-5ff8"}}`, "0385dc79-5ff8"},
		{"generic", "POST", "/jobs", `{"id":7}`, ""},
		{"generic", "GET", "/jobs", `{"id":"0385dc79-5ff8"}`, ""},
	} {
		p, _ := Lookup(c.provider)
		_, repeatable := Describe(c.method, c.path)
		var ids []string
		if p.Learns(c.method, c.path, repeatable) {
			ids = p.Learned(c.method, c.path, []byte(c.body))
		}
		if got := strings.Join(ids, " "); got != c.want {
			t.Errorf("%s: %s %s %s\ntells %q, want %q", c.provider, c.method, c.path, c.body, got, c.want)
		}
	}
}

func TestLearnedInHead(t *testing.T) {
	t.Parallel()
	p, _ := Lookup("gemini")
	h := http.Header{"X-Goog-Upload-Url": {"https://generativelanguage.googleapis.com/upload/v1beta/files?upload_id=AHmgz&upload_protocol=resumable"}}
	if ids := p.LearnedInHead(h); !slices.Equal(ids, []string{"AHmgz"}) {
		t.Errorf("learned %q", ids)
	}
}

// Answers to what is asked most are not looked into.
func TestChatsMakeNothing(t *testing.T) {
	t.Parallel()
	for _, name := range Names() {
		p, _ := Lookup(name)
		for _, path := range []string{"/v1/chat/completions", "/v1/messages", "/v1/embeddings", "/v1beta/models/m:generateContent"} {
			if p.Learns("POST", path, true) {
				t.Errorf("%s: an answer to %s may make something", name, path)
			}
		}
	}
}

// An answer that says so is about the account, not the key.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		provider, method, path string
		status                 int
		body                   string
	}{
		{"openai", "POST", "/v1/responses", 400, `{"error":{"message":"Previous response with id 'resp_1' not found.","type":"invalid_request_error","param":"previous_response_id","code":"previous_response_not_found"}}`},
		{"openai", "POST", "/v1/batches", 400, `{"error":{"message":"No such File object: file-abc","type":"invalid_request_error","param":"id","code":null}}`},
		{"gemini", "GET", "/v1beta/files/abc", 403, `{"error":{"code":403,"message":"You do not have permission to access the File abc or it may not exist.","status":"PERMISSION_DENIED"}}`},
		{"gemini", "POST", "/v1beta/models/m:generateContent", 403, `{"error":{"code":403,"message":"CachedContent not found (or permission denied)","status":"PERMISSION_DENIED"}}`},
		{"aimlapi", "GET", "/v2/video/generations", 404, `{"message":"Generation not found","statusCode":404}`},
	} {
		p, _ := Lookup(c.provider)
		v := p.Judge(Answer{Method: c.method, Path: c.path, Status: c.status, Header: http.Header{"Content-Type": {"application/json"}}, Body: []byte(c.body), Whole: true})
		if !v.Elsewhere || v.Kind.String() != "client_error" {
			t.Errorf("%s %s: %+v", c.provider, c.body, v)
		}
	}
}

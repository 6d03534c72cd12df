package tui

import (
	"slices"
	"strings"
	"testing"
)

func TestFilter(t *testing.T) {
	t.Parallel()
	sc := newScene(trouble(), nil)
	for _, tc := range []struct {
		text string
		want string // service:key,key service:key ...
		err  string
	}{
		{"", "anthropic:team-a,team-b,team-c,legacy gemini:free-4,free-1,free-2,free-3,paid later:spare librechat-ui:spare,vid-1 mistral:mi-1,mi-2,mi-3 video-proxy:vid-1,vid-2 智谱-对话:glm-3,主钥匙,glm-2", ""},
		{"anth", "anthropic:team-a,team-b,team-c,legacy", ""},
		{"ANTH", "anthropic:team-a,team-b,team-c,legacy", ""},
		{"team-c", "anthropic:team-c", ""},
		{"state:cooling", "anthropic:team-c", ""},
		{"cooling", "anthropic:team-c", ""},
		{"anth !legacy", "anthropic:team-a,team-b,team-c", ""},
		{"anth !disabled !cooling", "anthropic:team-a,team-b", ""},
		{"state:down", "mistral:mi-1,mi-2,mi-3", ""},
		{"down revoked", "mistral:mi-2", ""},
		{"!down svc:mistral", "", ""},
		{"state:draining", "智谱-对话:glm-2", ""},
		{"智谱", "智谱-对话:glm-3,主钥匙,glm-2", ""},
		{"key:主", "智谱-对话:主钥匙", ""},
		{"provider:zhipu state:expired", "智谱-对话:glm-3", ""},
		{"account:gemini-main", "gemini:free-4,free-1,free-2,free-3,paid", ""},
		{"!", "anthropic:team-a,team-b,team-c,legacy gemini:free-4,free-1,free-2,free-3,paid later:spare librechat-ui:spare,vid-1 mistral:mi-1,mi-2,mi-3 video-proxy:vid-1,vid-2 智谱-对话:glm-3,主钥匙,glm-2", ""},
		{"nowhere", "", ""},
		{"colour:red", "", `no field "colour"`},
	} {
		t.Run(tc.text, func(t *testing.T) {
			t.Parallel()
			q, err := parseQuery(tc.text)
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Fatalf("error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i := range sc.services {
				s := &sc.services[i]
				keys, ok := q.keysOf(s, noon)
				if !ok {
					continue
				}
				var names []string
				for _, k := range keys {
					names = append(names, k.Name)
				}
				got = append(got, s.Name+":"+strings.Join(names, ","))
			}
			slices.Sort(got)
			if s := strings.Join(got, " "); s != tc.want {
				t.Errorf("%q shows\n%s\nwant\n%s", tc.text, s, tc.want)
			}
		})
	}
}

package config

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"keywheel/engine/secret"
)

// known are the variables that usually hold a provider's key. A name that goes
// on with _1, _B, _TEAM belongs to the same provider.
var known = []struct{ variable, provider string }{
	{"AI_ML_API_KEY", "aimlapi"}, {"AIMLAPI_API_KEY", "aimlapi"}, {"AIML_API_KEY", "aimlapi"}, {"OPENAI_API_KEY", "openai"}, {"ANTHROPIC_API_KEY", "anthropic"},
	{"GEMINI_API_KEY", "gemini"}, {"GOOGLE_API_KEY", "gemini"}, {"GITHUB_TOKEN", "github"}, {"GH_TOKEN", "github"},
	{"ZHIPU_API_KEY", "zhipu"}, {"ZHIPUAI_API_KEY", "zhipu"}, {"SILICONFLOW_API_KEY", "siliconflow"}, {"DEEPSEEK_API_KEY", "deepseek"},
	{"OPENROUTER_API_KEY", "openrouter"}, {"GROQ_API_KEY", "groq"}, {"MISTRAL_API_KEY", "mistral"}, {"XAI_API_KEY", "xai"},
	{"TOGETHER_API_KEY", "together"}, {"COHERE_API_KEY", "cohere"}, {"DASHSCOPE_API_KEY", "dashscope"}, {"MINIMAX_API_KEY", "minimax"},
	{"ARK_API_KEY", "volcengine"},
}

// readAsTheyStand are the variables that need no TOML.
var readAsTheyStand = []string{"LLM_MODEL_CONFIGS", "API_KEY"}

// Import turns .env files into a TOML config. Secrets stay where they are: the
// config refers to them. The variables that keywheel reads as they stand are
// only named. What looks like a key and belongs to no provider known by its
// name becomes a comment.
func Import(files []string) (string, error) {
	var keys, notes strings.Builder
	services := map[string][]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", fmt.Errorf("import: %w", err)
		}
		env := secret.ParseDotenv(string(text))
		for _, n := range env.Bad {
			fmt.Fprintf(&notes, "# %s:%d is not NAME=value and was passed over\n", file, n)
		}
		for _, name := range env.Names() {
			v, _ := env.Lookup(name)
			provider := providerOf(name)
			switch {
			case slices.Contains(readAsTheyStand, name):
				fmt.Fprintf(&notes, "# %s in %s needs nothing here: keywheel reads it as it stands\n", name, file)
			case provider == "" && !strings.HasSuffix(name, "_API_KEY") && !strings.HasSuffix(name, "_TOKEN"):
			case secret.Placeholder(v.Value):
				fmt.Fprintf(&notes, "# %s in %s holds a placeholder and was left out\n", name, file)
			case provider == "":
				fmt.Fprintf(&notes, "# %s in %s looks like a key: write a [keys.%s] with its provider for it\n", name, file, importName(name))
			default:
				key := importName(name)
				if strings.Contains(keys.String(), "[keys."+key+"]\n") {
					key = fmt.Sprintf("%s-%d", key, len(services[provider])+1)
				}
				fmt.Fprintf(&keys, "[keys.%s]\nprovider = %q\nsecret   = %q\n\n", key, provider, "dotenv:"+file+"#"+name)
				services[provider] = append(services[provider], key)
			}
		}
	}
	var out strings.Builder
	out.WriteString(notes.String())
	if notes.Len() > 0 {
		out.WriteByte('\n')
	}
	out.WriteString(keys.String())
	names := make([]string, 0, len(services))
	for s := range services {
		names = append(names, s)
	}
	slices.Sort(names)
	for _, s := range names {
		fmt.Fprintf(&out, "[services.%s]\nkeys = [\"%s\"]\n\n", s, strings.Join(services[s], "\", \""))
	}
	return strings.TrimSuffix(out.String(), "\n"), nil
}

// importable are the variables of a .env file that become keys.
func importable(env secret.Dotenv) []string {
	var names []string
	for _, name := range env.Names() {
		if v, _ := env.Lookup(name); providerOf(name) != "" && !secret.Placeholder(v.Value) {
			names = append(names, name)
		}
	}
	return names
}

func providerOf(variable string) string {
	for _, k := range known {
		if variable == k.variable || strings.HasPrefix(variable, k.variable+"_") {
			return k.provider
		}
	}
	return ""
}

// importName is a key's name made of its variable's: OPENAI_API_KEY_2 gives
// openai-2.
func importName(variable string) string {
	name := strings.NewReplacer("_API_KEY", "", "_TOKEN", "").Replace(variable)
	return strings.ToLower(strings.ReplaceAll(name, "_", "-"))
}

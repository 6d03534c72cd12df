package provider

import "strings"

// variables are those that usually hold a provider's key, the usual one first. A
// name that goes on with _1, _B, _TEAM belongs to the same provider.
var variables = []struct{ name, provider string }{
	{"AI_ML_API_KEY", "aimlapi"}, {"AIMLAPI_API_KEY", "aimlapi"}, {"AIMLAPI_KEY", "aimlapi"}, {"AIML_API_KEY", "aimlapi"},
	{"OPENAI_API_KEY", "openai"}, {"ASSISTANTS_API_KEY", "openai"}, {"DALLE_API_KEY", "openai"}, {"DALLE3_API_KEY", "openai"},
	{"ANTHROPIC_API_KEY", "anthropic"}, {"CLAUDE_API_KEY", "anthropic"}, {"GEMINI_API_KEY", "gemini"}, {"GOOGLE_API_KEY", "gemini"}, {"GOOGLE_KEY", "gemini"},
	{"GITHUB_TOKEN", "github"}, {"GH_TOKEN", "github"}, {"ZHIPU_API_KEY", "zhipu"}, {"ZHIPUAI_API_KEY", "zhipu"}, {"GLM_API_KEY", "zhipu"},
	{"SILICONFLOW_API_KEY", "siliconflow"}, {"DEEPSEEK_API_KEY", "deepseek"}, {"OPENROUTER_API_KEY", "openrouter"}, {"OPENROUTER_KEY", "openrouter"},
	{"GROQ_API_KEY", "groq"}, {"MISTRAL_API_KEY", "mistral"}, {"XAI_API_KEY", "xai"}, {"TOGETHER_API_KEY", "together"}, {"TOGETHERAI_API_KEY", "together"},
	{"COHERE_API_KEY", "cohere"}, {"DASHSCOPE_API_KEY", "dashscope"}, {"MINIMAX_API_KEY", "minimax"}, {"ARK_API_KEY", "volcengine"},
}

// OfVariable is the provider whose key a variable holds by its name; "" is not
// known.
func OfVariable(name string) string {
	for _, v := range variables {
		if name == v.name || strings.HasPrefix(name, v.name+"_") {
			return v.provider
		}
	}
	return ""
}

// Variable is the variable that usually holds a key of a provider; "" is not
// known.
func Variable(provider string) string {
	for _, v := range variables {
		if v.provider == provider {
			return v.name
		}
	}
	return ""
}

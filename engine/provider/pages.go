package provider

// keyPages are where people make keys, by the provider's name.
var keyPages = map[string]string{
	"openai": "https://platform.openai.com/api-keys", "anthropic": "https://console.anthropic.com/settings/keys", "gemini": "https://aistudio.google.com/apikey",
	"aimlapi": "https://aimlapi.com/app/keys", "zhipu": "https://open.bigmodel.cn/usercenter/apikeys", "siliconflow": "https://cloud.siliconflow.cn/account/ak",
	"deepseek": "https://platform.deepseek.com/api_keys", "openrouter": "https://openrouter.ai/settings/keys", "groq": "https://console.groq.com/keys",
	"mistral": "https://console.mistral.ai/api-keys", "xai": "https://console.x.ai", "together": "https://api.together.ai/settings/api-keys",
	"cohere": "https://dashboard.cohere.com/api-keys", "dashscope": "https://bailian.console.aliyun.com/?tab=model#/api-key",
	"minimax": "https://platform.minimaxi.com/user-center/basic-information/interface-key", "volcengine": "https://console.volcengine.com/ark/region:ark+cn-beijing/apiKey",
	"azure-openai": "https://portal.azure.com", "github": "https://github.com/settings/tokens",
}

// KeyPage is where a person makes a key of a provider; "" is not known.
func KeyPage(name string) string { return keyPages[name] }

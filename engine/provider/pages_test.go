package provider

import (
	"net/url"
	"testing"
)

// Pages and variables are those of providers that there are.
func TestPagesAndVariables(t *testing.T) {
	t.Parallel()
	for name, page := range keyPages {
		if _, ok := Lookup(name); !ok {
			t.Errorf("there is no provider %s", name)
		}
		if u, err := url.Parse(page); err != nil || u.Scheme != "https" {
			t.Errorf("%s: %s", name, page)
		}
	}
	for _, v := range variables {
		if _, ok := Lookup(v.provider); !ok || OfVariable(v.name+"_2") != v.provider {
			t.Errorf("%s: %s", v.name, v.provider)
		}
	}
	if KeyPage("aimlapi") != "https://aimlapi.com/app/keys" || Variable("aimlapi") != "AI_ML_API_KEY" || OfVariable("COLOUR") != "" {
		t.Error("the usual ones are not as they are written")
	}
}

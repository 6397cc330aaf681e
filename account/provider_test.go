package account

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestProvidersAreReadFromAFileOrFromTheSettingItself(t *testing.T) {
	t.Parallel()
	const text = ` [{"name": "google", "issuer": "https://accounts.google.com", "client_id": "x", "client_secret": "y"}]`
	file := filepath.Join(t.TempDir(), "providers.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, setting := range []string{text, file} {
		providers, err := ReadOIDCProviders(setting)
		if err != nil || len(providers) != 1 || providers[0].Label != "Google" || len(providers[0].Scopes) != 2 {
			t.Errorf("%+v, %v", providers, err)
		}
	}
	if providers, err := ReadOIDCProviders(""); err != nil || providers != nil {
		t.Errorf("%v, %v", providers, err)
	}
}

func TestProvidersThatCannotWorkAreRefusedAtTheStart(t *testing.T) {
	t.Parallel()
	const good = `"issuer": "https://a.example", "client_id": "x", "client_secret": "y"`
	for setting, want := range map[string]string{
		"/nowhere.json":                        "no such file",
		`[{]`:                                  "not the JSON",
		`[{"name": "a", "secret": "hush"}]`:    "not the JSON",
		`[{"name": "password", ` + good + `}]`: "its name",
		`[{"name": "A b", ` + good + `}]`:      "its name",
		`[{"name": "a", ` + good + `}, {"name": "a", ` + good + `}]`:                                                         "two providers",
		`[{"name": "a", "issuer": "http://a.example", "client_id": "x", "client_secret": "y"}]`:                              "its issuer",
		`[{"name": "a", "issuer": "https://a.example", "client_id": "x"}]`:                                                   "client_secret",
		`[{"name": "a", "issuer": "https://a.example", "client_id": "x", "client_secret": "y", "apple": {"key_file": "x"}}]`: "client_secret",
		`[{"name": "a", "issuer": "https://a.example", "client_id": "x", "apple": {"key_file": "/nowhere.p8"}}]`:             "no such file",
	} {
		_, err := ReadOIDCProviders(setting)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("%s: %v, want %q", setting, err, want)
		}
	}
}

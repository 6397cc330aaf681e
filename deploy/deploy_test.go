// Package deploy_test checks what is deployed, as far as that goes without a
// container engine.
package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const root = ".."

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// find returns what the expression's group matches in text, each time.
func find(t *testing.T, text, expression string) (found []string) {
	t.Helper()
	for _, m := range regexp.MustCompile(expression).FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	if found == nil {
		t.Fatalf("nothing matches %s", expression)
	}
	return found
}

// The image's build is run here, as the Dockerfile writes it.
func TestDockerfileBuildsTheHub(t *testing.T) {
	t.Parallel()
	dockerfile := read(t, "deploy/Dockerfile")
	build := find(t, dockerfile, `(?m)^RUN (.* go build .*)$`)[0]
	binary := filepath.Join(t.TempDir(), "armora")
	command := exec.CommandContext(t.Context(), "sh", "-c", strings.Replace(build, "/out/armora", binary, 1))
	command.Dir = root
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", build, err, out)
	}
	// CMD is a command of the binary; nothing of the machine is needed to run it.
	for _, name := range []string{find(t, dockerfile, `(?m)^CMD \["(.*)"\]$`)[0], "health"} {
		if out, err := exec.CommandContext(t.Context(), binary, name, "--help").CombinedOutput(); err != nil {
			t.Errorf("armora %s --help: %v\n%s", name, err, out)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "ldd", binary).CombinedOutput(); err == nil {
		t.Errorf("the binary needs libraries that its image does not have:\n%s", out)
	}
}

func TestDockerfileUsesTheModulesGo(t *testing.T) {
	t.Parallel()
	image := find(t, read(t, "deploy/Dockerfile"), `FROM golang:(\d+\.\d+)-`)[0]
	if module := find(t, read(t, "go.mod"), `(?m)^go (\d+\.\d+)`)[0]; image != module {
		t.Errorf("the image is built with Go %s, go.mod says %s", image, module)
	}
}

type service struct {
	Image       string            `yaml:"image"`
	Build       map[string]string `yaml:"build"`
	Environment map[string]string `yaml:"environment"`
	Ports       []string          `yaml:"ports"`
	Volumes     []string          `yaml:"volumes"`
	DependsOn   map[string]any    `yaml:"depends_on"`
	Healthcheck struct {
		Test []string `yaml:"test"`
	} `yaml:"healthcheck"`
}

type compose struct {
	Services map[string]service `yaml:"services"`
	Volumes  map[string]any     `yaml:"volumes"`
}

func TestComposeIsTrue(t *testing.T) {
	t.Parallel()
	text := read(t, "docker-compose.yml")
	var c compose
	if err := yaml.Unmarshal([]byte(text), &c); err != nil {
		t.Fatal(err)
	}
	hub, database := c.Services["hub"], c.Services["database"]
	if _, err := os.Stat(filepath.Join(root, hub.Build["context"], hub.Build["dockerfile"])); err != nil {
		t.Error(err)
	}
	if len(database.Healthcheck.Test) == 0 || hub.DependsOn["database"] == nil {
		t.Error("the hub does not wait for its database")
	}
	for _, s := range c.Services {
		for _, volume := range s.Volumes {
			name, _, _ := strings.Cut(volume, ":")
			if _, ok := c.Volumes[name]; !ok {
				t.Errorf("volume %s is not declared", name)
			}
		}
	}
	checkSettings(t, text, hub)
	checkPorts(t, hub)

	version := strings.Split(find(t, database.Image, `^timescale/timescaledb:(\d+\.\d+)`)[0], ".")
	minor, err := strconv.Atoi(version[1])
	if err != nil || version[0] != "2" || minor < 18 {
		t.Errorf("%s is not TimescaleDB 2.18 or newer, which the migrations need", database.Image)
	}
}

// checkSettings looks at the names: .env.example lists every setting there is.
func checkSettings(t *testing.T, text string, hub service) {
	t.Helper()
	settings := find(t, read(t, ".env.example"), `(?m)^#?([A-Z_]+)=`)
	for name := range hub.Environment {
		if !slices.Contains(settings, name) {
			t.Errorf("the hub is given %s, which is no setting", name)
		}
	}
	for _, name := range find(t, text, `\$\{([A-Z_]+)`) {
		if !slices.Contains(settings, name) {
			t.Errorf("%s is not in .env.example", name)
		}
	}
}

// checkPorts holds what is published to loopback, and to what the hub listens on.
func checkPorts(t *testing.T, hub service) {
	t.Helper()
	dockerfile := read(t, "deploy/Dockerfile")
	exposed := strings.Fields(find(t, dockerfile, `(?m)^EXPOSE (.*)$`)[0])
	listens := dockerfile
	for _, value := range hub.Environment {
		listens += "\n" + value
	}
	for _, published := range hub.Ports {
		part := strings.Split(published, ":")
		if len(part) != 3 || part[0] != "127.0.0.1" {
			t.Errorf("port %s is published beyond loopback", published)
			continue
		}
		if !slices.Contains(exposed, part[2]) || !strings.Contains(listens, "0.0.0.0:"+part[2]) {
			t.Errorf("nothing listens on the published port %s", part[2])
		}
	}
}

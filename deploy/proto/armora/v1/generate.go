//go:build ignore

// Generate compiles points.proto with protoc and the protoc-gen-go of the
// version that go.mod names, so that the generated code always fits the
// library. Run it by go generate; it needs protoc in the PATH.
package main

import (
	"log"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	log.SetFlags(0)
	if err := generate(); err != nil {
		log.Fatalf("generate points.pb.go: %v", err)
	}
}

func generate() error {
	dir, err := os.MkdirTemp("", "protoc-gen-go")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	plugin := filepath.Join(dir, "protoc-gen-go")
	if err := run("go", "build", "-o", plugin, "google.golang.org/protobuf/cmd/protoc-gen-go"); err != nil {
		return err
	}
	return run("protoc", "--plugin=protoc-gen-go="+plugin, "--go_out=.", "--go_opt=paths=source_relative", "points.proto")
}

func run(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	return cmd.Run()
}

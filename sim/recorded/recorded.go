// Package recorded finds the real data that tests and benchmarks are made with, which
// is no part of the repository.
package recorded

import (
	"os"
	"path/filepath"
	"testing"
)

// Open opens a file of the folder that ARMORA_TEST_DATA names, or of ../shared/data from
// the repository's root, until the test ends. Where it is missing, the test is skipped
// and says so.
func Open(t testing.TB, name string) *os.File {
	t.Helper()
	folder := os.Getenv("ARMORA_TEST_DATA")
	if folder == "" {
		folder = filepath.Join(root(t), "..", "shared", "data")
	}
	file, err := os.Open(filepath.Join(folder, name)) //nolint:gosec // whoever runs tests names their folder
	if err != nil {
		t.Skipf("what was recorded is not here (ARMORA_TEST_DATA says where): %v", err)
	}
	t.Cleanup(func() { _ = file.Close() }) // it was only read
	return file
}

// root is the folder in or above that of the test in which the module is.
func root(t testing.TB) string {
	t.Helper()
	folder, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(folder, "go.mod")); err == nil {
			return folder
		}
		above := filepath.Dir(folder)
		if above == folder {
			t.Fatal("there is no go.mod above the test's folder")
		}
		folder = above
	}
}

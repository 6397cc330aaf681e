package match

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// scipy is an outside solver, scipy.sparse.csgraph.min_weight_full_bipartite_matching
// in a process of its own, with one graph.
type scipy struct {
	in     io.Writer
	out    *bufio.Reader
	offset Cost // of each row's cost: scipy takes a cost of 0 for no edge
	rows   int
}

// findPython finds an interpreter that has scipy: Debian's, or the first on the
// path. Without one it skips the benchmark and says so, which Skip alone does in
// verbose runs only.
func findPython(b *testing.B) string {
	b.Helper()
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if exec.Command(name, "-c", "import scipy.sparse.csgraph").Run() == nil {
			return name
		}
	}
	fmt.Fprintf(os.Stderr, "%s: skipped, for no python3 has scipy (as root on Debian: make scipy)\n", b.Name())
	b.SkipNow()
	return ""
}

// newScipy hands a graph over, with a column more for each row to be left out in.
func newScipy(b *testing.B, python string, g *Graph) *scipy {
	b.Helper()
	s := &scipy{rows: g.Rows(), offset: 1}
	for _, e := range g.edges {
		s.offset = max(s.offset, 1-e.Cost)
	}
	file := filepath.Join(b.TempDir(), "edges")
	if err := os.WriteFile(file, s.encode(g), 0o600); err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(python, "testdata/outside.py", file)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	})
	s.in, s.out = in, bufio.NewReader(out)
	if line, err := s.out.ReadString('\n'); err != nil || line != "ready\n" {
		b.Fatalf("scipy said %q: %v", line, err)
	}
	return s
}

func (s *scipy) encode(g *Graph) []byte {
	var starts, columns, costs []uint64
	for row := range g.Rows() {
		starts = append(starts, uint64(len(columns)))
		for _, e := range g.Edges(row) {
			columns, costs = append(columns, uint64(e.Column)), append(costs, uint64(e.Cost+s.offset))
		}
		columns, costs = append(columns, uint64(g.Columns()+row)), append(costs, uint64(g.Skip(row)+s.offset))
	}
	file := []uint64{uint64(g.Rows()), uint64(g.Columns() + g.Rows()), uint64(len(columns))}
	file = append(file, append(starts, uint64(len(columns)))...)
	var data []byte
	for _, n := range append(append(file, columns...), costs...) {
		data = binary.LittleEndian.AppendUint64(data, n)
	}
	return data
}

// solve solves the graph once more.
func (s *scipy) solve() (took time.Duration, cost Cost, err error) {
	if _, err = io.WriteString(s.in, "solve\n"); err != nil {
		return 0, 0, err
	}
	line, err := s.out.ReadString('\n')
	if err != nil {
		return 0, 0, err
	}
	_, err = fmt.Sscan(strings.TrimSpace(line), &took, &cost)
	return took, cost - Cost(s.rows)*s.offset, err
}
